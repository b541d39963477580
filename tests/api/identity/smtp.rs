//! Mail by SMTP, to a server that answers by a script.

use std::net::SocketAddr;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::harness::prelude::*;
use crate::harness::{Clients, channel, free_port, mail, quartet_command};

/// What the server says to a line.
enum Reply {
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
struct Handed {
    from: String,
    to: Vec<String>,
    /// Headers and body, as they came.
    data: String,
    /// Whether the server said that it has it.
    taken: bool,
}

impl Handed {
    /// The values of a header.
    fn header(&self, name: &str) -> Vec<&str> {
        let (headers, _) = self.data.split_once("\r\n\r\n").expect("no body");
        headers.split("\r\n").filter_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).collect()
    }

    fn mail(&self) -> quartet_proto::control::v1::Mail {
        let (_, body) = self.data.split_once("\r\n\r\n").expect("no body");
        quartet_proto::control::v1::Mail { text: body.to_owned(), ..Default::default() }
    }

    fn code(&self) -> Option<activate_request::Proof> {
        Some(activate_request::Proof::Code(mail::code(&self.mail())))
    }
}

/// What the server has seen.
#[derive(Default)]
struct Seen {
    lines: Vec<String>,
    mails: Vec<Handed>,
}

/// A mail server. It is gone when it is dropped.
struct Smtp {
    port: u16,
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
    async fn start() -> Smtp {
        Smtp::on(0, |_, _| Reply::Usual).await
    }

    async fn on(port: u16, script: impl Fn(&str, usize) -> Reply + Send + Sync + 'static) -> Smtp {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port))).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (seen, script) = (Arc::<Mutex<Seen>>::default(), Arc::<Script>::from(Box::new(script) as Box<Script>));
        let task = tokio::spawn({
            let seen = seen.clone();
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let (seen, script) = (seen.clone(), script.clone());
                    tokio::spawn(async move { converse(stream, &seen, &*script).await });
                }
            }
        });
        Smtp { port, seen, task }
    }

    /// All that was handed over, taken or not.
    fn handed(&self) -> Vec<Handed> {
        self.seen.lock().unwrap().mails.clone()
    }

    /// How many lines began with a verb.
    fn count(&self, verb: &str) -> usize {
        self.seen.lock().unwrap().lines.iter().filter(|line| line.starts_with(verb)).count()
    }

    /// The mails that were taken for an address.
    fn taken(&self, to: &str) -> Vec<Handed> {
        self.handed().into_iter().filter(|mail| mail.taken && mail.to == [to]).collect()
    }

    /// The first mail for an address, once it is there. Real time passes too slowly for some pauses.
    async fn mail(&self, world: &World, to: &str) -> Handed {
        eventually("the mail", async || {
            let mail = self.taken(to).into_iter().next();
            if mail.is_none() {
                world.move_clock(Duration::from_secs(2)).await;
            }
            mail
        })
        .await
    }
}

/// One connection, from its greeting to its end.
async fn converse<S: AsyncRead + AsyncWrite + Unpin>(stream: S, seen: &Mutex<Seen>, script: &Script) -> Option<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 sink ESMTP\r\n").await.ok()?;
    let (mut from, mut to) = (String::new(), Vec::new());
    loop {
        let line = read_line(&mut stream).await?;
        let verb = line.split([' ', ':']).next().unwrap_or_default().to_owned();
        let before = note(seen, &line, &verb);
        let answer = match script(&line, before) {
            Reply::Usual => usual(&verb),
            Reply::Say(answer) => answer,
            Reply::Silence => return hear_out(&mut stream).await,
        };
        stream.write_all(format!("{answer}\r\n").as_bytes()).await.ok()?;
        let path = || line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
        match verb.as_str() {
            "MAIL" => (from, to) = (path(), Vec::new()),
            "RCPT" if answer.starts_with('2') => to.push(path()),
            "DATA" if answer.starts_with('3') => {
                let data = read_data(&mut stream).await?;
                let before = note(seen, ".", ".");
                let answer = match script(".", before) {
                    Reply::Usual => "250 taken",
                    Reply::Say(answer) => answer,
                    Reply::Silence => return hear_out(&mut stream).await,
                };
                let taken = answer.starts_with('2');
                let handed = Handed { from: from.clone(), to: to.clone(), data, taken };
                seen.lock().unwrap().mails.push(handed);
                stream.write_all(format!("{answer}\r\n").as_bytes()).await.ok()?;
            }
            "QUIT" => return Some(()),
            _ => {}
        }
        if answer.starts_with("421") {
            return Some(());
        }
    }
}

fn usual(verb: &str) -> &'static str {
    match verb {
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
async fn hear_out<S: AsyncRead + Unpin>(stream: &mut S) -> Option<()> {
    let mut buffer = [0; 1024];
    while stream.read(&mut buffer).await.ok()? > 0 {}
    None
}

/// A world that sends its mail to this port in clear.
async fn world_with(port: u16) -> World {
    let port = port.to_string();
    let flags = ["--smtp-host", "127.0.0.1", "--smtp-port", &port, "--smtp-tls", "none", "--smtp-timeout-seconds", "1"];
    World::with(&flags).await
}

/// A process that ends with the test.
struct Kept(Child);

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn i24_an_installation_sends_the_activation_mail_by_smtp_and_its_code_activates() {
    let (smtp, folder) = (Smtp::start().await, tempfile::tempdir().unwrap());
    let data = folder.path().join("data");
    let listen = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let mut command = quartet_command(&[
        "--data",
        data.to_str().unwrap(),
        "--listen",
        &listen.to_string(),
        "--smtp-host",
        "127.0.0.1",
        "--smtp-port",
        &smtp.port.to_string(),
        "--smtp-tls",
        "none",
        "--smtp-from",
        "Quartet <post@example.com>",
        "--identity-bcrypt-cost",
        "4",
    ]);
    let _server = Kept(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    eventually("it listens", async || std::net::TcpStream::connect(listen).ok()).await;
    let clients = Clients::new(channel(listen), None);

    let (email, password) = ("ada@example.org".to_owned(), PASSWORD.to_owned());
    let asked = RegisterRequest { email: email.clone(), password: password.clone() };
    clients.accounts().register(asked).await.unwrap();
    let mail = eventually("the mail", async || smtp.taken(&email).pop()).await;
    assert_eq!((mail.from.as_str(), mail.to.as_slice()), ("post@example.com", &[email.clone()][..]));
    assert_eq!(mail.header("From"), ["Quartet <post@example.com>"]);
    assert_eq!(mail.header("To"), ["ada@example.org"]);
    for header in ["Subject", "Message-ID", "Date", "MIME-Version"] {
        assert_eq!(mail.header(header).len(), 1, "{header}: {}", mail.data);
    }
    let asked = ActivateRequest { email: email.clone(), proof: mail.code() };
    clients.accounts().activate(asked).await.unwrap();
    clients.sessions().sign_in(SignInRequest { email, password }).await.unwrap();
    assert!(!data.join("mail").exists(), "no mail lies about in a folder");
}

#[tokio::test]
async fn f17_an_hour_without_a_mail_server_fails_no_registration_and_every_mail_arrives_once_it_is_back() {
    let port = free_port();
    let world = world_with(port).await;
    let mut registered = Vec::new();
    for name in ["ada", "bob", "eve"] {
        registered.push(world.register(name).await);
    }
    for one in &registered {
        let refused = refusal(world.try_sign_in(&one.email, &one.password).await);
        assert_eq!(refused.is(), (Code::PermissionDenied, "ACCOUNT_NOT_ACTIVATED"), "the account is there");
    }
    world.move_clock(Duration::from_secs(3600)).await;

    let smtp = Smtp::on(port, |_, _| Reply::Usual).await;
    for one in registered {
        let proof = smtp.mail(&world, &one.email).await.code();
        world.accounts().activate(ActivateRequest { email: one.email.clone(), proof }).await.unwrap();
        world.sign_in(&one.email, &one.password).await;
        assert_eq!(smtp.taken(&one.email).len(), 1, "one mail, not one for each attempt");
    }
}

#[tokio::test]
async fn i24_a_mail_that_is_put_off_comes_again_with_the_same_message_id() {
    let later = |line: &str, before| match (line, before) {
        (".", 0) => Reply::Say("421 try again later"),
        (".", 1) => Reply::Say("451 not now"),
        _ => Reply::Usual,
    };
    let smtp = Smtp::on(0, later).await;
    let world = world_with(smtp.port).await;
    let registered = world.register("ada").await;
    let mail = smtp.mail(&world, &registered.email).await;
    let handed = smtp.handed();
    assert_eq!(handed.iter().map(|mail| mail.taken).collect::<Vec<_>>(), [false, false, true]);
    for attempt in &handed {
        assert_eq!(attempt.header("Message-ID"), mail.header("Message-ID"));
        assert_eq!(attempt.code(), mail.code());
    }
    world.accounts().activate(ActivateRequest { email: registered.email, proof: mail.code() }).await.unwrap();
}

#[tokio::test]
async fn f17_a_recipient_who_is_refused_and_a_server_that_falls_silent_hold_up_nobody_else() {
    let difficult = |line: &str, before| match line {
        line if line.starts_with("RCPT TO:<refused") => Reply::Say("550 no such mailbox"),
        "." if before == 0 => Reply::Silence,
        _ => Reply::Usual,
    };
    let smtp = Smtp::on(0, difficult).await;
    let world = world_with(smtp.port).await;
    let refused = world.register("refused").await;
    eventually("the mailbox is refused", async || (smtp.count("RCPT TO:<refused") > 0).then_some(())).await;
    let (ada, bob) = (world.register("ada").await, world.register("bob").await);
    for one in [ada, bob] {
        let proof = smtp.mail(&world, &one.email).await.code();
        world.accounts().activate(ActivateRequest { email: one.email, proof }).await.unwrap();
    }
    assert!(smtp.taken(&refused.email).is_empty());
    let error = refusal(world.try_sign_in(&refused.email, &refused.password).await);
    assert_eq!(error.is(), (Code::PermissionDenied, "ACCOUNT_NOT_ACTIVATED"));
}

#[tokio::test]
async fn s57_no_address_becomes_a_header_or_a_command() {
    let smtp = Smtp::start().await;
    let world = world_with(smtp.port).await;
    for email in [
        "a@example.com\r\nBcc: eve@example.com",
        "a@example.com\nBcc: eve@example.com",
        "a@example.com\r",
        "a@example.com\r\n.\r\nMAIL FROM:<eve@example.com>",
        "a@example.com>\r\nRCPT TO:<eve@example.com",
        "a@example.com, eve@example.com",
        "a@example.com> NOTIFY=SUCCESS",
        "<a@example.com>",
        "Eve <eve@example.com>",
        "\"a\r\n\"@example.com",
        "a@exam\u{2028}ple.com",
        "a\0@example.com",
        "a@example.com\r\n Bcc: eve@example.com",
    ] {
        let asked = RegisterRequest { email: email.to_owned(), password: PASSWORD.to_owned() };
        let refused = refusal(world.accounts().register(asked).await);
        assert_eq!((refused.code, &refused.fields), (Code::InvalidArgument, &vec!["email".to_owned()]), "{email:?}");
        let asked = RequestPasswordResetRequest { email: email.to_owned() };
        let refused = refusal(world.accounts().request_password_reset(asked).await);
        assert_eq!(refused.code, Code::InvalidArgument, "{email:?}");
    }
    let last = world.register("ada").await;
    let mail = smtp.mail(&world, &last.email).await;
    assert_eq!(mail.header("To"), [last.email.as_str()]);
    assert_eq!(smtp.handed().len(), 1, "the one good address, and nobody else");
    let lines = smtp.seen.lock().unwrap().lines.join("\n");
    assert!(!lines.contains("eve") && !mail.data.to_lowercase().contains("bcc"), "{lines}\n{}", mail.data);
}

#[tokio::test]
async fn s57_a_server_that_offers_no_encryption_gets_no_mail_by_default() {
    let smtp = Smtp::start().await;
    let port = smtp.port.to_string();
    let world = World::with(&["--smtp-host", "127.0.0.1", "--smtp-port", &port]).await;
    world.register("ada").await;
    eventually("it is tried again", async || {
        world.move_clock(Duration::from_secs(2)).await;
        (smtp.count("EHLO") >= 3).then_some(())
    })
    .await;
    assert_eq!((smtp.count("MAIL"), smtp.handed().len()), (0, 0));
}
