//! Mail: by SMTP, or into a folder that commands and tests read.

mod directory;
mod settings;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use lettre::message::header::{ContentTransferEncoding, ContentType};
use lettre::message::{Body, Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp::response::Category;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use quartet_proto::control::v1::Fault;

pub use self::directory::mails;
pub use self::settings::{SmtpSettings, Tls};
use crate::faults::Faults;

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
    /// The server will never take it.
    #[error("smtp: the server answered {0}, which is final")]
    Rejected(String),
    #[error("smtp: {0}")]
    Connection(String),
    #[error("no answer in time")]
    Late,
    #[error("the mail can't be written: {0}")]
    File(#[from] std::io::Error),
    #[error("made to fail by the control service")]
    Fault,
}

impl MailError {
    /// Whether the same mail will fail again whenever it is sent.
    pub fn is_final(&self) -> bool {
        matches!(self, MailError::Address(_) | MailError::Message(_) | MailError::Rejected(_))
    }
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

    /// Removes what was written to an address. What a mail server has taken is no longer ours.
    pub async fn forget(&self, address: &str) -> Result<(), MailError> {
        let Way::Directory(folder) = &self.way else { return Ok(()) };
        let (folder, address) = (folder.clone(), address.to_owned());
        let removed = tokio::task::spawn_blocking(move || directory::forget(&folder, &address));
        removed.await.map_err(std::io::Error::other)??;
        Ok(())
    }
}

fn smtp_error(error: lettre::transport::smtp::Error) -> MailError {
    match error.status() {
        // 53x is about our own signing in: no fault of the mail, and mended by whoever runs the server.
        Some(code) if error.is_permanent() && code.category != Category::Unspecified3 => {
            MailError::Rejected(code.to_string())
        }
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
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
    use tokio::net::TcpListener;

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

        std::fs::write(folder.path().join("mail/.1.part"), "X-Original-To: ADA@example.com\r\nSub")?;
        mailer.send(&Mail { message_id: "2@quartet".to_owned(), ..mail("ada@example.com.au", "Hers") }).await?;
        mailer.forget("ada@example.COM").await?;
        assert_eq!(mails(&folder.path().join("mail"), "")?.len(), 1, "the one to another address");
        assert_eq!(std::fs::read_dir(folder.path().join("mail"))?.count(), 1, "and no draft");

        faults.set(Fault::Mail, true);
        assert!(matches!(mailer.send(&sent).await, Err(MailError::Fault)));
        Ok(())
    }

    /// A mail server that answers every recipient alike.
    async fn server(answer: &'static str) -> std::io::Result<u16> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await?;
            let mut stream = BufReader::new(stream);
            stream.write_all(b"220 test\r\n").await?;
            let mut line = String::new();
            while stream.read_line(&mut line).await? > 0 {
                let answer = if line.starts_with("RCPT") { answer } else { "250-test\r\n250 8BITMIME" };
                stream.write_all(format!("{answer}\r\n").as_bytes()).await?;
                line.clear();
            }
            std::io::Result::Ok(())
        });
        Ok(port)
    }

    #[tokio::test]
    async fn i24_a_mail_that_a_server_will_never_take_is_not_tried_again() -> anyhow::Result<()> {
        for (answer, is_final) in [("550 no such user", true), ("451 later", false), ("530 sign in first", false)] {
            let settings = SmtpSettings {
                host: Some("127.0.0.1".to_owned()),
                port: server(answer).await?,
                username: None,
                password: None,
                from: "quartet@example.com".to_owned(),
                tls: Tls::None,
                timeout_seconds: 5,
            };
            let sent = Mailer::smtp(&settings, Faults::default())?.send(&mail("a@example.com", "x")).await;
            assert_eq!(sent.err().map(|error| error.is_final()), Some(is_final), "{answer}");
        }
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
