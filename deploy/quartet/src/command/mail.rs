//! `quartet mail`: prints what was mailed into the data directory.

use std::time::Duration;

use anyhow::{Context as _, bail};
use quartet_chassis::mail::{Mail, mails};
use quartet_proto::identity::v1::CountWaitingMailsRequest;
use quartet_proto::identity::v1::administration_service_client::AdministrationServiceClient;

use super::say;
use crate::process::complain;
use crate::reach::{beside, failed, operator};
use crate::running::mail_directory;
use crate::settings::Options;
use crate::task;

/// A mail is written a moment after the call that caused it is answered: so long it is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(20);

pub async fn print(options: &Options, wanted: &task::Mail) -> anyhow::Result<()> {
    // What can't be sent must not hide what was.
    match tokio::time::timeout(PATIENCE, until_sent(options)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => complain(format_args!("the server does not tell whether mail still waits: {error:#}")),
        Err(_) => complain("some mail still waits to be sent, the server's log may tell why"),
    }
    let folder = mail_directory(options, &options.data);
    let to = wanted.to.as_deref().unwrap_or_default();
    let found = mails(&folder, to).with_context(|| format!("can't read the mail in {}", folder.display()))?;
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

/// Returns when nothing waits to be sent. Without a server nothing is under way.
async fn until_sent(options: &Options) -> anyhow::Result<()> {
    let Some(server) = beside(options).await? else { return Ok(()) };
    let mut client = AdministrationServiceClient::new(server);
    loop {
        let answer = client.count_waiting_mails(operator(CountWaitingMailsRequest {})).await.map_err(failed)?;
        if answer.into_inner().count == 0 {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn show(mail: &Mail) {
    say(format_args!("To: {}\nSubject: {}\n\n{}", mail.to, mail.subject, mail.text.trim_end()));
}
