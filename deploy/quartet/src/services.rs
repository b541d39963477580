//! The services, started on the parts of a process.

use std::path::Path;
use std::sync::Arc;

use quartet_chassis::mail::Mailer;
use quartet_chassis::outbox::Outbox;
use quartet_chassis::parts::Parts;
use quartet_chassis::serve::Check;
use secrecy::SecretString;

use crate::running::mail_directory;
use crate::settings::Options;

pub const IDENTITY: &str = "quartet.identity";
pub const CATALOGUE: &str = "quartet.catalogue";
pub const MEDIA: &str = "quartet.media";
pub const MESSAGING: &str = "quartet.messaging";

/// The options with the databases, and the folder of files, in the data directory where no other is named.
pub fn with_files(mut options: Options, data: &Path) -> Options {
    let file = |name: &str| SecretString::from(format!("sqlite:{}", data.join(name).display()));
    options.identity.database_url.get_or_insert_with(|| file("identity.db"));
    options.catalogue.database_url.get_or_insert_with(|| file("catalogue.db"));
    options.media.database_url.get_or_insert_with(|| file("media.db"));
    options.messaging.database_url.get_or_insert_with(|| file("messaging.db"));
    options.media.directory.get_or_insert_with(|| data.join("media"));
    options
}

/// The way out for mail: the mail server, or a folder in the data directory.
pub fn mailer(options: &Options, data: &Path, parts: &Parts) -> anyhow::Result<Mailer> {
    let faults = parts.faults.clone();
    if options.smtp.host.is_some() {
        return Mailer::smtp(&options.smtp, faults);
    }
    Mailer::directory(&mail_directory(options, data), &options.smtp.from, faults)
}

/// Whether no mail waits to be sent.
pub fn mail_is_sent(outbox: Outbox) -> Check {
    Arc::new(move || {
        let outbox = outbox.clone();
        Box::pin(async move { outbox.waiting().await.is_ok_and(|waiting| waiting == 0) })
    })
}
