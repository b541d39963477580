//! A small mail server that answers by a script.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use quartet_proto::identity::v1::activate_request::Proof;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::{Pair, World, eventually, mail};

/// What the server says to a line.
pub enum Reply {
    /// What a server that takes every mail would.
    Usual,
    Say(&'static str),
    /// Nothing, ever.
    Silence,
}

/// Chooses the reply to a line (`.` for the end of a mail), given how many lines like it (of the same verb) came before.
type Script = dyn Fn(&str, usize) -> Reply + Send + Sync;

/// A mail as it was handed over.
#[derive(Debug, Clone)]
pub struct Handed {
    pub from: String,
    pub to: Vec<String>,
    /// Headers and body, as they came.
    pub data: String,
    /// Whether the server said that it has it.
    pub taken: bool,
}

impl Handed {
    /// The values of a header.
    pub fn header(&self, name: &str) -> Vec<&str> {
        let (headers, _) = self.data.split_once("\r\n\r\n").expect("no body");
        headers.split("\r\n").filter_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).collect()
    }

    fn mail(&self) -> quartet_proto::control::v1::Mail {
        let (_, body) = self.data.split_once("\r\n\r\n").expect("no body");
        quartet_proto::control::v1::Mail { text: body.to_owned(), ..Default::default() }
    }

    /// The code that it brings, as proof for an activation.
    pub fn code(&self) -> Option<Proof> {
        Some(Proof::Code(mail::code(&self.mail())))
    }
}

/// What the server has seen.
#[derive(Default)]
struct Seen {
    lines: Vec<String>,
    mails: Vec<Handed>,
}

/// A mail server. It is gone when it is dropped.
pub struct Smtp {
    pub port: u16,
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

impl Drop for Smtp {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Smtp {
    /// One that takes every mail.
    pub async fn start() -> Smtp {
        Smtp::on(0, |_, _| Reply::Usual).await
    }

    pub async fn on(port: u16, script: impl Fn(&str, usize) -> Reply + Send + Sync + 'static) -> Smtp {
        Smtp::with(port, None, script).await
    }

    /// One that takes every mail, and offers encryption by this certificate.
    pub async fn encrypted(pair: Pair) -> Smtp {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
        let config = builder.with_no_client_auth().with_single_cert(vec![pair.der], key).unwrap();
        Smtp::with(0, Some(TlsAcceptor::from(Arc::new(config))), |_, _| Reply::Usual).await
    }

    async fn with(
        port: u16,
        tls: Option<TlsAcceptor>,
        script: impl Fn(&str, usize) -> Reply + Send + Sync + 'static,
    ) -> Smtp {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port))).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (seen, script) = (Arc::<Mutex<Seen>>::default(), Arc::<Script>::from(Box::new(script) as Box<Script>));
        let task = tokio::spawn({
            let seen = seen.clone();
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let (tls, seen, script) = (tls.clone(), seen.clone(), script.clone());
                    tokio::spawn(async move { converse(stream, tls, &seen, &*script).await });
                }
            }
        });
        Smtp { port, seen, task }
    }

    /// All that was handed over, taken or not.
    pub fn handed(&self) -> Vec<Handed> {
        self.seen.lock().unwrap().mails.clone()
    }

    /// How many lines began with a verb.
    pub fn count(&self, verb: &str) -> usize {
        self.seen.lock().unwrap().lines.iter().filter(|line| line.starts_with(verb)).count()
    }

    /// All that was said to it, one a line, without the mails.
    pub fn lines(&self) -> String {
        self.seen.lock().unwrap().lines.join("\n")
    }

    /// The mails that were taken for an address.
    pub fn taken(&self, to: &str) -> Vec<Handed> {
        self.handed().into_iter().filter(|mail| mail.taken && mail.to == [to]).collect()
    }

    /// The first mail for an address, once it is there. Real time passes too slowly for some pauses, and the clock not so fast that the
    /// lease of who is at sending it would end.
    pub async fn mail(&self, world: &World, to: &str) -> Handed {
        let mut polls = 0;
        eventually("the mail", async || {
            let mail = self.taken(to).into_iter().next();
            polls += 1;
            if mail.is_none() && polls % 10 == 0 {
                world.move_clock(Duration::from_secs(2)).await;
            }
            mail
        })
        .await
    }
}

/// How a dialogue ended.
#[derive(PartialEq)]
enum End {
    Bye,
    /// It goes on encrypted.
    StartTls,
}

/// One connection, from its greeting to its end.
async fn converse(stream: TcpStream, tls: Option<TlsAcceptor>, seen: &Mutex<Seen>, script: &Script) -> Option<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 sink ESMTP\r\n").await.ok()?;
    if talk(&mut stream, tls.is_some(), seen, script).await? == End::StartTls {
        let mut stream = BufReader::new(tls?.accept(stream.into_inner()).await.ok()?);
        talk(&mut stream, false, seen, script).await?;
    }
    Some(())
}

async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut BufReader<S>,
    offers_tls: bool,
    seen: &Mutex<Seen>,
    script: &Script,
) -> Option<End> {
    let (mut from, mut to) = (String::new(), Vec::new());
    loop {
        let line = read_line(stream).await?;
        let verb = line.split([' ', ':']).next().unwrap_or_default().to_owned();
        let before = note(seen, &line, &verb);
        let answer = match script(&line, before) {
            Reply::Usual => usual(&verb, offers_tls),
            Reply::Say(answer) => answer,
            Reply::Silence => return hear_out(stream).await,
        };
        stream.write_all(format!("{answer}\r\n").as_bytes()).await.ok()?;
        let path = || line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
        match verb.as_str() {
            "MAIL" => (from, to) = (path(), Vec::new()),
            "RCPT" if answer.starts_with('2') => to.push(path()),
            "DATA" if answer.starts_with('3') => {
                let data = read_data(stream).await?;
                let before = note(seen, ".", ".");
                let answer = match script(".", before) {
                    Reply::Usual => "250 taken",
                    Reply::Say(answer) => answer,
                    Reply::Silence => return hear_out(stream).await,
                };
                let taken = answer.starts_with('2');
                let handed = Handed { from: from.clone(), to: to.clone(), data, taken };
                seen.lock().unwrap().mails.push(handed);
                stream.write_all(format!("{answer}\r\n").as_bytes()).await.ok()?;
            }
            "STARTTLS" if answer.starts_with('2') => return Some(End::StartTls),
            "QUIT" => return Some(End::Bye),
            _ => {}
        }
        if answer.starts_with("421") {
            return Some(End::Bye);
        }
    }
}

fn usual(verb: &str, offers_tls: bool) -> &'static str {
    match verb {
        "EHLO" if offers_tls => "250-sink\r\n250-8BITMIME\r\n250 STARTTLS",
        "STARTTLS" if offers_tls => "220 go on",
        "EHLO" => "250-sink\r\n250 8BITMIME",
        "DATA" => "354 go on",
        "QUIT" => "221 bye",
        "HELO" | "MAIL" | "RCPT" | "NOOP" | "RSET" => "250 well",
        _ => "502 what?",
    }
}

/// Keeps a line, and counts those of the same verb before it.
fn note(seen: &Mutex<Seen>, line: &str, verb: &str) -> usize {
    let mut seen = seen.lock().unwrap();
    let before = seen.lines.iter().filter(|line| line.split([' ', ':']).next() == Some(verb)).count();
    seen.lines.push(line.to_owned());
    before
}

async fn read_line<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> Option<String> {
    let mut line = Vec::new();
    stream.read_until(b'\n', &mut line).await.ok()?;
    let line = line.strip_suffix(b"\r\n")?;
    Some(String::from_utf8_lossy(line).into_owned())
}

/// The lines up to a single dot, without the dots that protect dots.
async fn read_data<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> Option<String> {
    let mut data = String::new();
    loop {
        let line = read_line(stream).await?;
        if line == "." {
            return Some(data);
        }
        data.push_str(line.strip_prefix('.').unwrap_or(&line));
        data.push_str("\r\n");
    }
}

/// Says nothing until the peer goes away.
async fn hear_out<S: AsyncRead + Unpin>(stream: &mut S) -> Option<End> {
    let mut buffer = [0; 1024];
    while stream.read(&mut buffer).await.ok()? > 0 {}
    None
}
