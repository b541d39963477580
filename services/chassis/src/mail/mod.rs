//! Mail: by SMTP, or into a folder that commands and tests read.

mod directory;
mod settings;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use lettre::message::header::{ContentTransferEncoding, ContentType};
use lettre::message::{Body, Mailbox, MultiPart, SinglePart};
use lettre::{Address, AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use quartet_proto::control::v1::Fault;

pub use self::directory::mails;
pub use self::settings::{SmtpSettings, Tls};
use crate::parts::Faults;

/// How long the whole handing over of a mail may take at most, whatever the server does: shorter than the lease of its job.
const HANDOVER: Duration = Duration::from_secs(45);
/// How many of the server's longest answers may come together until then.
const SLOW_ANSWERS: u32 = 3;
/// The most bytes of a line in SMTP.
const LINE: usize = 998;

/// A mail to one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    pub to: String,
    pub subject: String,
    pub text: String,
    /// The same for programs that show HTML.
    pub html: String,
    /// The same at every attempt to send it: `0198b3f2-…@quartet`, without the brackets.
    pub message_id: String,
}

/// Where mail goes.
#[derive(Clone)]
pub struct Mailer {
    way: Way,
    from: Mailbox,
    faults: Faults,
}

#[derive(Clone)]
enum Way {
    /// With the time that handing over a mail may take: the transport itself waits for ever for an answer.
    Smtp(AsyncSmtpTransport<Tokio1Executor>, Duration),
    Directory(PathBuf),
}

/// A mail that did not go out.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    #[error("the address can't be written to: {0}")]
    Address(lettre::address::AddressError),
    #[error("the mail can't be put together: {0}")]
    Message(#[from] lettre::error::Error),
    /// The server refused it. Its words are left out: they may hold the address.
    #[error("smtp: the server answered {0}")]
    Refused(String),
    #[error("smtp: {0}")]
    Connection(String),
    #[error("no answer in time")]
    Late,
    #[error("the mail can't be written: {0}")]
    File(#[from] std::io::Error),
    #[error("made to fail by the control service")]
    Fault,
}

impl Mailer {
    /// Mail by SMTP. Does not connect yet.
    pub fn smtp(settings: &SmtpSettings, faults: Faults) -> anyhow::Result<Mailer> {
        let handover = HANDOVER.min(settings.timeout() * SLOW_ANSWERS);
        Ok(Mailer { way: Way::Smtp(settings.transport()?, handover), from: mailbox(&settings.from)?, faults })
    }

    /// Mail into the folder `path`, which is made when it is missing; one file of mode 0600 each.
    pub fn directory(path: &Path, from: &str, faults: Faults) -> anyhow::Result<Mailer> {
        directory::create(path).with_context(|| format!("can't make the folder {}", path.display()))?;
        Ok(Mailer { way: Way::Directory(path.to_owned()), from: mailbox(from)?, faults })
    }

    /// Hands the mail over. `Ok` means that the server has taken it, or that its file is durable.
    pub async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        if self.faults.is(Fault::Mail) {
            return Err(MailError::Fault);
        }
        let message = message(&self.from, mail)?;
        match &self.way {
            Way::Smtp(transport, handover) => {
                let sent = tokio::time::timeout(*handover, transport.send(message)).await;
                sent.map_err(|_| MailError::Late)?.map_err(smtp_error)?;
            }
            Way::Directory(folder) => {
                let (folder, mail) = (folder.clone(), mail.clone());
                let written =
                    tokio::task::spawn_blocking(move || directory::write(&folder, &mail, &message.formatted()));
                written.await.map_err(std::io::Error::other)??;
            }
        }
        Ok(())
    }
}

fn smtp_error(error: lettre::transport::smtp::Error) -> MailError {
    match error.status() {
        Some(code) => MailError::Refused(code.to_string()),
        None => MailError::Connection(error.to_string()),
    }
}

/// Builds the message by typed parts alone: an address or subject with a line break in it never becomes a header.
fn message(from: &Mailbox, mail: &Mail) -> Result<Message, MailError> {
    let to: Address = mail.to.parse().map_err(MailError::Address)?;
    let alternatives = MultiPart::alternative()
        .singlepart(part(ContentType::TEXT_PLAIN, &mail.text))
        .singlepart(part(ContentType::TEXT_HTML, &mail.html));
    let subject = mail.subject.replace(char::is_control, " ");
    let builder = Message::builder().from(from.clone()).to(Mailbox::new(None, to)).subject(subject);
    Ok(builder.message_id(Some(format!("<{}>", mail.message_id))).multipart(alternatives)?)
}

/// A part as it stands, so that a link stays whole and the folder's files can be read with the eye. Only what SMTP would not carry is
/// encoded: a line that is too long.
fn part(kind: ContentType, text: &str) -> SinglePart {
    let encoding = if text.is_ascii() { ContentTransferEncoding::SevenBit } else { ContentTransferEncoding::EightBit };
    let body = if text.lines().all(|line| line.len() <= LINE) {
        let lines: Vec<u8> = text.lines().flat_map(|line| [line.as_bytes(), b"\r\n"].concat()).collect();
        Body::dangerous_pre_encoded(lines, encoding)
    } else {
        Body::new(text.to_owned())
    };
    SinglePart::builder().header(kind).body(body)
}

fn mailbox(text: &str) -> anyhow::Result<Mailbox> {
    text.parse().with_context(|| format!("`{text}` is not a sender such as `Quartet <quartet@example.com>`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(to: &str, subject: &str) -> Mail {
        Mail {
            to: to.to_owned(),
            subject: subject.to_owned(),
            text: format!("Grüße\n\nhttps://example.com/?a=b&c={}\n\nCode: 0012345\n.\n", "d".repeat(100)),
            html: "<p>Code: 0012345</p>\n".to_owned(),
            message_id: "0198b3f2-7d0c-7a51-8f0e-5b1d2c3e4f60@quartet".to_owned(),
        }
    }

    #[tokio::test]
    async fn i24_a_mail_in_the_folder_reads_back_as_it_was_sent() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let faults = Faults::default();
        let mailer = Mailer::directory(&folder.path().join("mail"), "Quartet <quartet@example.com>", faults.clone())?;
        let sent = mail("Ada@example.com", "Your code");
        mailer.send(&sent).await?;
        mailer.send(&sent).await?;
        assert_eq!(mails(&folder.path().join("mail"), "ada@EXAMPLE.com")?, std::slice::from_ref(&sent));
        assert_eq!(mails(&folder.path().join("mail"), "")?.len(), 1);
        assert_eq!(mails(&folder.path().join("mail"), "bob@example.com")?, []);

        faults.set(Fault::Mail, true);
        assert!(matches!(mailer.send(&sent).await, Err(MailError::Fault)));
        Ok(())
    }

    #[test]
    fn s57_a_line_break_never_becomes_a_header() -> anyhow::Result<()> {
        let from = mailbox("quartet@example.com")?;
        for to in ["a@example.com\r\nBcc: b@example.com", "a@example.com, b@example.com", "", "a b@example.com"] {
            assert!(matches!(message(&from, &mail(to, "x")), Err(MailError::Address(..))), "{to}");
        }
        let message = message(&from, &mail("a@example.com", "x\r\nBcc: b@example.com"))?;
        assert!(!String::from_utf8(message.formatted())?.contains("\nBcc:"));
        Ok(())
    }
}
