//! `quartet mail`: prints what was mailed into the data directory.

use std::time::Duration;

use anyhow::{Context as _, bail};
use quartet_chassis::mail::{Mail, mails};

use super::say;
use crate::running::mail_directory;
use crate::settings::Options;
use crate::task;

/// A mail is written a moment after the call that caused it is answered.
const PATIENCE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(20);

pub async fn print(options: &Options, wanted: &task::Mail) -> anyhow::Result<()> {
    let folder = mail_directory(options, &options.data);
    let to = wanted.to.as_deref().unwrap_or_default();
    let read = || mails(&folder, to).with_context(|| format!("can't read the mail in {}", folder.display()));
    let some = async {
        while read()?.is_empty() {
            tokio::time::sleep(PAUSE).await;
        }
        anyhow::Ok(())
    };
    if let Ok(failed) = tokio::time::timeout(PATIENCE, some).await {
        failed?;
    }
    let found = read()?;
    let Some(last) = found.last() else {
        let to = if to.is_empty() { String::new() } else { format!(" to {to}") };
        bail!("there is no mail{to} in {}", folder.display());
    };
    if !wanted.all {
        show(last);
        return Ok(());
    }
    for (index, mail) in found.iter().enumerate() {
        if index > 0 {
            say("\n----\n");
        }
        show(mail);
    }
    Ok(())
}

fn show(mail: &Mail) {
    say(format_args!("To: {}\nSubject: {}\n\n{}", mail.to, mail.subject, mail.text.trim_end()));
}
