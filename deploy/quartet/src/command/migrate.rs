//! `quartet migrate`: brings databases up to this version.

use anyhow::Context as _;
use quartet_chassis::parts::Parts;
use secrecy::{ExposeSecret as _, SecretString};

use super::say;
use crate::home::Home;
use crate::settings::Options;
use crate::task::Context;
use crate::{parts, services};

const ALL: [Context; 4] = [Context::Identity, Context::Catalogue, Context::Media, Context::Messaging];

pub async fn run(options: &Options, only: Option<Context>) -> anyhow::Result<()> {
    let wanted: Vec<Context> = ALL.into_iter().filter(|context| only.is_none_or(|only| only == *context)).collect();
    let on_servers = wanted.iter().all(|context| is_on_server(url(options, *context)));
    // A database in the data directory is its server's, which migrates it whenever it starts.
    let home = if on_servers { None } else { Some(Home::serve(&options.data)?) };
    let (options, parts) = match &home {
        Some(home) => {
            let options = services::with_files(options.clone(), home.path());
            let parts = parts::embedded(&options, home)?;
            (options, parts)
        }
        None => (options.clone(), parts::command(options)?),
    };
    for context in wanted {
        one(&options, context, &parts).await?;
        say(format_args!("{}: up to date", name(context)));
    }
    Ok(())
}

/// Migrates the databases that lie on a server; those in files the services migrate themselves.
pub async fn servers(options: &Options, parts: &Parts) -> anyhow::Result<()> {
    for context in ALL {
        if is_on_server(url(options, context)) {
            one(options, context, parts).await?;
        }
    }
    Ok(())
}

pub async fn one(options: &Options, context: Context, parts: &Parts) -> anyhow::Result<()> {
    let migrated = match context {
        Context::Identity => quartet_identity::migrate(&options.identity, parts).await,
        Context::Catalogue => quartet_catalogue::migrate(&options.catalogue, parts).await,
        Context::Media => quartet_media::migrate(&options.media, parts).await,
        Context::Messaging => quartet_messaging::migrate(&options.messaging, parts).await,
    };
    migrated.with_context(|| format!("the database of {} can't be migrated", name(context)))
}

fn url(options: &Options, context: Context) -> Option<&SecretString> {
    match context {
        Context::Identity => options.identity.database_url.as_ref(),
        Context::Catalogue => options.catalogue.database_url.as_ref(),
        Context::Media => options.media.database_url.as_ref(),
        Context::Messaging => options.messaging.database_url.as_ref(),
    }
}

fn is_on_server(url: Option<&SecretString>) -> bool {
    url.is_some_and(|url| !url.expose_secret().starts_with("sqlite:"))
}

fn name(context: Context) -> &'static str {
    match context {
        Context::Identity => "identity",
        Context::Catalogue => "the catalogue",
        Context::Media => "media",
        Context::Messaging => "messaging",
    }
}
