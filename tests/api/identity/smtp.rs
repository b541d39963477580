//! Mail by SMTP.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Stdio};

use crate::harness::prelude::*;
use crate::harness::smtp::{Reply, Smtp};
use crate::harness::{Authority, Clients, channel, free_port, quartet_command};

/// A world that sends its mail to this port in clear.
async fn world_with(port: u16) -> World {
    // A mail that was taken late would be sent again.
    world_that_waits(port, "20").await
}

async fn world_that_waits(port: u16, seconds: &str) -> World {
    let port = port.to_string();
    let server = ["--smtp-host", "127.0.0.1", "--smtp-port", &port, "--smtp-tls", "none"];
    World::with(&[&server[..], &["--smtp-timeout-seconds", seconds]].concat()).await
}

/// An installation as an operator starts one, with a data directory. It ends with the test.
struct Installed {
    clients: Clients,
    folder: tempfile::TempDir,
    process: Child,
}

impl Drop for Installed {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Installed {
    /// Starts it with these flags, trusting the authorities in a file of PEM where one is named.
    async fn start(flags: &[&str], authorities: Option<&Path>) -> Installed {
        let folder = tempfile::tempdir().unwrap();
        let listen = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let (data, address) = (folder.path().join("data"), listen.to_string());
        let usual = ["--data", data.to_str().unwrap(), "--listen", &address, "--identity-bcrypt-cost", "4"];
        let mut command = quartet_command(&[&usual, flags].concat());
        if let Some(authorities) = authorities {
            command.env("SSL_CERT_FILE", authorities).env_remove("SSL_CERT_DIR");
        }
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let installed = Installed { clients: Clients::new(channel(listen), None), folder, process };
        eventually("it listens", async || std::net::TcpStream::connect(listen).ok()).await;
        installed
    }

    async fn register(&self, email: &str) {
        let asked = RegisterRequest { email: email.to_owned(), password: PASSWORD.to_owned() };
        self.clients.accounts().register(asked).await.unwrap();
    }
}

#[tokio::test]
async fn i24_an_installation_sends_the_activation_mail_by_smtp_and_its_code_activates() {
    let smtp = Smtp::start().await;
    let port = smtp.port.to_string();
    let flags = ["--smtp-host", "127.0.0.1", "--smtp-port", &port, "--smtp-tls", "none"];
    let sender = ["--smtp-from", "Quartet <post@example.com>"];
    let installed = Installed::start(&[&flags[..], &sender].concat(), None).await;
    let clients = &installed.clients;

    let email = "ada@example.org".to_owned();
    installed.register(&email).await;
    let mail = eventually("the mail", async || smtp.taken(&email).pop()).await;
    assert_eq!((mail.from.as_str(), mail.to.as_slice()), ("post@example.com", &[email.clone()][..]));
    assert_eq!(mail.header("From"), ["Quartet <post@example.com>"]);
    assert_eq!(mail.header("To"), ["ada@example.org"]);
    for header in ["Subject", "Message-ID", "Date", "MIME-Version"] {
        assert_eq!(mail.header(header).len(), 1, "{header}: {}", mail.data);
    }
    let asked = ActivateRequest { email: email.clone(), proof: mail.code() };
    clients.accounts().activate(asked).await.unwrap();
    clients
        .sessions()
        .sign_in(SignInRequest { email, password: PASSWORD.to_owned(), ..Default::default() })
        .await
        .unwrap();
    assert!(!installed.folder.path().join("data/mail").exists(), "no mail lies about in a folder");
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
    world.register("later").await;
    world.move_clock(Duration::from_secs(3600)).await;
    world.codes_are_new().await;

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
    let world = world_that_waits(smtp.port, "3").await;
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
    let said = format!("{}\n{}", smtp.lines(), mail.data);
    assert!(!said.contains("eve@example.com") && mail.header("Bcc").is_empty(), "{said}");
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

#[tokio::test]
async fn s57_mail_goes_to_a_server_with_a_good_certificate_for_its_name_and_to_no_other() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let authorities = folder.path().join("authorities.pem");
    std::fs::write(&authorities, &authority.pem).unwrap();
    let smtp = Smtp::encrypted(authority.sign()).await;
    let port = smtp.port.to_string();

    let stranger = World::with(&["--smtp-host", "localhost", "--smtp-port", &port]).await;
    stranger.register("ada").await;
    eventually("it is tried again", async || {
        stranger.move_clock(Duration::from_secs(2)).await;
        (smtp.count("STARTTLS") >= 3).then_some(())
    })
    .await;
    assert_eq!(smtp.count("MAIL"), 0, "nobody knows who signed it");
    drop(stranger);

    let smtp = Smtp::encrypted(authority.sign()).await;
    let port = smtp.port.to_string();
    let installed = Installed::start(&["--smtp-host", "127.0.0.1", "--smtp-port", &port], Some(&authorities)).await;
    installed.register("ada@example.org").await;
    eventually("it is tried again", async || (smtp.count("STARTTLS") >= 3).then_some(())).await;
    assert_eq!(smtp.count("MAIL"), 0, "it is another name's");
    drop(installed);

    let smtp = Smtp::encrypted(authority.sign()).await;
    let port = smtp.port.to_string();
    let installed = Installed::start(&["--smtp-host", "localhost", "--smtp-port", &port], Some(&authorities)).await;
    installed.register("ada@example.org").await;
    eventually("the mail", async || smtp.taken("ada@example.org").pop()).await;
    let lines = smtp.lines();
    let position = |verb: &str| lines.find(verb).unwrap_or_else(|| panic!("no {verb} in {lines}"));
    assert!(position("STARTTLS") < position("MAIL"), "{lines}");
}
