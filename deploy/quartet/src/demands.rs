//! What must be set for what is asked, all of it named at once.

use quartet_chassis::config::Mistakes;
use quartet_chassis::crypt::MasterKey;
use quartet_media::StoreKind;
use secrecy::{ExposeSecret as _, SecretString};

use crate::settings::{Fleet, Options, Settings};
use crate::task::Task;

/// Notes everything that is missing or does not fit together.
pub fn check(settings: &Settings, mistakes: &mut Mistakes) {
    let options = &settings.options;
    keys(&options.fleet, mistakes);
    trial(settings, mistakes);
    bucket(&options.media, mistakes);
    match &settings.task {
        Some(Task::Identity) => {
            bus(&options.fleet, mistakes);
            need("QUARTET_MASTER_KEY", options.fleet.master_key.is_some(), mistakes);
            database("QUARTET_IDENTITY_DATABASE_URL", options.identity.database_url.as_ref(), &options.fleet, mistakes);
            let mail = options.smtp.host.is_some() || options.trial.ephemeral;
            need("QUARTET_SMTP_HOST", mail, mistakes);
        }
        Some(Task::Catalogue) => {
            bus(&options.fleet, mistakes);
            need("QUARTET_IDENTITY_ADDRESS", !options.fleet.identity_address.is_empty(), mistakes);
            database(
                "QUARTET_CATALOGUE_DATABASE_URL",
                options.catalogue.database_url.as_ref(),
                &options.fleet,
                mistakes,
            );
        }
        Some(Task::Media { tool: None }) => {
            bus(&options.fleet, mistakes);
            need("QUARTET_IDENTITY_ADDRESS", !options.fleet.identity_address.is_empty(), mistakes);
            database("QUARTET_MEDIA_DATABASE_URL", options.media.database_url.as_ref(), &options.fleet, mistakes);
            objects(&options.media, mistakes);
        }
        Some(Task::Messaging) => {
            bus(&options.fleet, mistakes);
            need("QUARTET_IDENTITY_ADDRESS", !options.fleet.identity_address.is_empty(), mistakes);
            let url = options.messaging.database_url.as_ref();
            database("QUARTET_MESSAGING_DATABASE_URL", url, &options.fleet, mistakes);
        }
        Some(Task::Gateway) => {
            bus(&options.fleet, mistakes);
            need("QUARTET_IDENTITY_ADDRESS", !options.fleet.identity_address.is_empty(), mistakes);
            need("QUARTET_CATALOGUE_ADDRESS", !options.fleet.catalogue_address.is_empty(), mistakes);
            need("QUARTET_MEDIA_ADDRESS", !options.fleet.media_address.is_empty(), mistakes);
            need("QUARTET_MESSAGING_ADDRESS", !options.fleet.messaging_address.is_empty(), mistakes);
        }
        _ => {}
    }
}

/// What every role needs to know the others and to hear of revocations.
fn bus(fleet: &Fleet, mistakes: &mut Mistakes) {
    need("QUARTET_FLEET_SECRET", fleet.fleet_secret.is_some(), mistakes);
    need("QUARTET_REDIS_URL", fleet.redis_url.is_some(), mistakes);
}

fn need(name: &str, is_set: bool, mistakes: &mut Mistakes) {
    let is_noted = mistakes.concern(name) || mistakes.concern(&format!("{name}_FILE"));
    if !is_set && !is_noted {
        mistakes.add(format!("`{name}` must be set for a role that runs alone"));
    }
}

fn database(name: &str, url: Option<&SecretString>, fleet: &Fleet, mistakes: &mut Mistakes) {
    need(name, url.is_some(), mistakes);
    if url.is_some_and(|url| url.expose_secret().starts_with("sqlite:")) && !fleet.allow_sqlite {
        mistakes
            .add(format!("`{name}` names a SQLite file: a role that runs alone takes one only with `--allow-sqlite`"));
    }
}

/// Where the bytes of files lie.
fn objects(media: &quartet_media::Config, mistakes: &mut Mistakes) {
    if media.store == StoreKind::Directory {
        need("QUARTET_MEDIA_DIRECTORY", media.directory.is_some(), mistakes);
    }
}

/// What the store `s3` needs, in one process and in a fleet.
fn bucket(media: &quartet_media::Config, mistakes: &mut Mistakes) {
    if media.store == StoreKind::Directory {
        return;
    }
    let settings = [
        ("QUARTET_MEDIA_S3_BUCKET", media.s3_bucket.is_some()),
        ("QUARTET_MEDIA_S3_ACCESS_KEY_ID", media.s3_access_key_id.is_some()),
        ("QUARTET_MEDIA_S3_SECRET_ACCESS_KEY", media.s3_secret_access_key.is_some()),
    ];
    for (name, _) in settings.into_iter().filter(|(_, is_set)| !is_set) {
        if !mistakes.concern(name) && !mistakes.concern(&format!("{name}_FILE")) {
            mistakes.add(format!("`{name}` must be set for the store `s3`"));
        }
    }
}

fn keys(fleet: &Fleet, mistakes: &mut Mistakes) {
    let keys = [("QUARTET_MASTER_KEY", &fleet.master_key), ("QUARTET_FLEET_SECRET", &fleet.fleet_secret)];
    for (name, key) in keys {
        if let Some(key) = key
            && let Err(error) = MasterKey::parse(key.expose_secret())
            && !mistakes.concern(name)
        {
            mistakes.add(format!("`{name}` {error}"));
        }
    }
    if let (Some(master), Some(secret)) = (&fleet.master_key, &fleet.fleet_secret)
        && master.expose_secret() == secret.expose_secret()
    {
        mistakes.add("`QUARTET_FLEET_SECRET` is the master key: make another one");
    }
}

/// A test's server is on loopback, and nothing else has what only a test's server may have.
fn trial(settings: &Settings, mistakes: &mut Mistakes) {
    let Options { trial, listen, admin_listen, .. } = &settings.options;
    if trial.ephemeral {
        for (name, address) in [("--listen", listen), ("--admin-listen", admin_listen)] {
            if let Some(address) = address
                && !address.ip().is_loopback()
            {
                mistakes.add(format!("`{name}` is {address}: with `--ephemeral` only loopback will do"));
            }
        }
        return;
    }
    let is_server = settings.task.as_ref().is_none_or(Task::is_role);
    let flags = [
        ("--clock-file", trial.clock_file.is_some()),
        ("--mail-directory", trial.mail_directory.is_some()),
        ("--keep", trial.keep.is_some()),
        ("--redis-answer-milliseconds", trial.redis_answer_milliseconds.is_some()),
        ("--database-answer-milliseconds", trial.database_answer_milliseconds.is_some()),
        ("--exit-with-stdin", trial.exit_with_stdin),
    ];
    for (name, _) in flags.into_iter().filter(|(_, is_set)| *is_set && is_server) {
        mistakes.add(format!("`{name}` goes with `--ephemeral`"));
    }
}
