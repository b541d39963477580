//! Every kind of mail: what is in it whatever the caller says, and that each comes once whatever the mail server does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::{HeaderMap, HeaderName, HeaderValue};
use quartet_proto::identity::v1::issue_token_request::Form;
use tonic::transport::Endpoint;

use crate::harness::prelude::*;
use crate::harness::smtp::{Handed, Reply, Smtp};
use crate::harness::{Bearer, Clients};

const FRONTEND: &str = "https://app.example.com/quartet";
const OTHER: &str = "Other2!battery";

/// Somebody who calls with headers and words of their own.
struct Caller<'a> {
    world: &'a World,
    smtp: &'a Smtp,
    bearer: Bearer,
    /// What is written wherever a text goes.
    words: String,
}

impl<'a> Caller<'a> {
    fn new(
        world: &'a World,
        smtp: &'a Smtp,
        authority: &str,
        agent: &str,
        headers: HeaderMap,
        words: &str,
    ) -> Caller<'a> {
        let endpoint = Endpoint::from_shared(format!("http://{}", world.gateway())).unwrap();
        let endpoint = endpoint.origin(format!("http://{authority}").parse().unwrap());
        let channel = endpoint.user_agent(HeaderValue::from_bytes(agent.as_bytes()).unwrap()).unwrap().connect_lazy();
        Caller { world, smtp, bearer: Bearer::new(channel, None).with_headers(headers), words: words.to_owned() }
    }

    fn clients(&self, token: Option<&str>) -> Clients {
        Clients::of(self.bearer.clone().with_token(token))
    }

    /// The last mail to an address whose subject is this, once it is there.
    async fn mail(&self, to: &str, subject: &str) -> Handed {
        eventually(subject, async || self.smtp.taken(to).into_iter().rfind(|mail| mail.header("Subject") == [subject]))
            .await
    }

    async fn code(&self, to: &str, subject: &str) -> String {
        match self.mail(to, subject).await.code() {
            Some(activate_request::Proof::Code(code)) => code,
            other => panic!("{other:?}"),
        }
    }

    async fn sign_in(&self, email: &str, password: &str) -> SignInResponse {
        let asked = SignInRequest {
            email: email.into(),
            password: password.into(),
            device_name: self.words.chars().filter(|c| !c.is_control()).take(100).collect(),
            ..Default::default()
        };
        self.clients(None).sessions().sign_in(asked).await.unwrap().into_inner()
    }

    /// Makes identity write every kind of mail that it can write, and answers to whom, about what.
    async fn every_letter(&self) -> Vec<(String, &'static str)> {
        let mut sent = Vec::new();
        let (email, moved) = (self.world.address("letters"), self.world.address("moved"));
        let anonymous = self.clients(None);
        let (mut accounts, mut sessions) = (anonymous.accounts(), anonymous.sessions());
        let mut note = |to: &str, subject| sent.push((to.to_owned(), subject));

        accounts.register(RegisterRequest { email: email.clone(), password: PASSWORD.into() }).await.unwrap();
        note(&email, "Activate your account");
        self.mail(&email, "Activate your account").await;
        accounts.resend_activation(ResendActivationRequest { email: email.clone() }).await.unwrap();
        note(&email, "Activate your account");
        eventually("the second one", async || (self.smtp.taken(&email).len() == 2).then_some(())).await;
        let proof = Some(activate_request::Proof::Code(self.code(&email, "Activate your account").await));
        accounts.activate(ActivateRequest { email: email.clone(), proof }).await.unwrap();

        let first = self.sign_in(&email, PASSWORD).await;
        sessions.request_sign_in_code(RequestSignInCodeRequest { email: email.clone() }).await.unwrap();
        note(&email, "Sign in to your account");
        let code = self.code(&email, "Sign in to your account").await;
        let proof = Some(sign_in_with_code_request::Proof::Code(code));
        let asked = SignInWithCodeRequest { email: email.clone(), proof, ..Default::default() };
        sessions.sign_in_with_code(asked).await.unwrap();

        let owner = self.clients(Some(&first.access_token));
        let asked = UpdatePasswordRequest { current_password: PASSWORD.into(), new_password: OTHER.into() };
        owner.accounts().update_password(asked).await.unwrap();
        note(&email, "Your password was changed");

        accounts.request_password_reset(RequestPasswordResetRequest { email: email.clone() }).await.unwrap();
        note(&email, "Reset your password");
        let code = self.code(&email, "Reset your password").await;
        let granted = accounts.verify_reset_code(VerifyResetCodeRequest { email: email.clone(), code }).await.unwrap();
        let grant = granted.into_inner().reset_grant;
        let proof = Some(complete_password_reset_request::Proof::ResetGrant(grant));
        let asked = CompletePasswordResetRequest { email: email.clone(), proof, password: PASSWORD.into() };
        accounts.complete_password_reset(asked).await.unwrap();
        note(&email, "Your password was reset");

        let owner = self.sign_in(&email, PASSWORD).await;
        let owner = self.clients(Some(&owner.access_token));
        let asked = RequestEmailChangeRequest { new_email: moved.clone(), password: PASSWORD.into() };
        owner.email_changes().request_email_change(asked).await.unwrap();
        note(&email, "Your address is to be changed");
        note(&moved, "Confirm your new address");
        let code = self.code(&moved, "Confirm your new address").await;
        let proof = Some(confirm_email_change_request::Proof::Code(code));
        let asked = ConfirmEmailChangeRequest { email: moved.clone(), proof };
        owner.email_changes().confirm_email_change(asked).await.unwrap();
        note(&email, "Your address was changed");

        owner.accounts().deactivate(DeactivateRequest { password: PASSWORD.into() }).await.unwrap();
        note(&moved, "Your account was deactivated");
        let mut asked = ReactivateRequest { email: moved.clone(), password: PASSWORD.into(), proof: None };
        accounts.reactivate(asked.clone()).await.unwrap();
        note(&moved, "Take your account into use again");
        let code = self.code(&moved, "Take your account into use again").await;
        asked.proof = Some(reactivate_request::Proof::Code(code));
        accounts.reactivate(asked).await.unwrap();
        note(&moved, "Your account is in use again");

        let owner = self.sign_in(&moved, PASSWORD).await;
        self.administrators_letters(&moved, &owner.account_id, &mut note).await;
        // Those that wait go with the account.
        for subject in ["An administrator acts for you", "Your account was suspended", "Your account is open again"] {
            self.mail(&moved, subject).await;
        }
        let owner = self.sign_in(&moved, PASSWORD).await;
        let owner = self.clients(Some(&owner.access_token));
        owner.accounts().delete_account(DeleteAccountRequest { password: PASSWORD.into() }).await.unwrap();
        note(&moved, "Your account is being deleted");
        sent
    }

    async fn administrators_letters(&self, to: &str, account_id: &str, note: &mut impl FnMut(&str, &'static str)) {
        let admin = self.world.admin().await;
        let admin = self.clients(Some(&admin.access_token));
        let form = |reason: &str| {
            let form = ImpersonateToken { account_id: account_id.into(), reason: reason.to_owned() };
            IssueTokenRequest { form: Some(Form::Impersonate(form)), ..Default::default() }
        };
        let mut reason: String = format!("a reason: {}", self.words).chars().take(500).collect();
        if let Err(status) = admin.sessions().issue_token(form(&reason)).await {
            assert_eq!(Refusal::from(status).fields, ["reason"], "line ends and the like are refused");
            reason.retain(|c| !c.is_control() && !"\u{2028}\u{2029}".contains(c));
            admin.sessions().issue_token(form(&reason)).await.unwrap();
        }
        note(to, "An administrator acts for you");
        for (state, subject) in [
            (AccountState::Suspended, "Your account was suspended"),
            (AccountState::Active, "Your account is open again"),
        ] {
            let (account_id, reason) = (account_id.to_owned(), reason.clone());
            let asked = SetAccountStatusRequest { account_id, state: state.into(), reason };
            admin.roles().set_account_status(asked).await.unwrap();
            note(to, subject);
        }
    }

    /// Waits until all of these mails have come, and gives what has come to these people, newly seen devices included.
    async fn all(&self, sent: &[(String, &'static str)]) -> Vec<Handed> {
        for (to, subject) in sent {
            self.mail(to, subject).await;
        }
        self.smtp
            .handed()
            .into_iter()
            .filter(|mail| mail.taken && sent.iter().any(|(to, _)| mail.to[0] == *to))
            .collect()
    }
}

async fn world_with(smtp: &Smtp) -> World {
    let port = smtp.port.to_string();
    // Long enough that none is sent again which was taken late.
    let smtp = ["--smtp-host", "127.0.0.1", "--smtp-port", &port, "--smtp-tls", "none", "--smtp-timeout-seconds", "20"];
    World::with(&[&smtp[..], &["--frontend-url", FRONTEND]].concat()).await
}

/// A mail's parts as a reader sees them: without the line breaks that a transfer has put in.
fn read(mail: &Handed) -> String {
    let text = mail.data.replace("=\r\n", "");
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let code = tail.get(..2).and_then(|code| std::str::from_utf8(code).ok());
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()).filter(|_| *first == b'=') {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Every address of a page in a mail.
fn links(text: &str) -> Vec<&str> {
    let begins = text
        .match_indices("://")
        .map(|(at, _)| text[..at].rfind(|c: char| !c.is_ascii_alphabetic()).map_or(0, |at| at + 1));
    begins.map(|at| text[at..].split(|c: char| c.is_whitespace() || "\"'<>`".contains(c)).next().unwrap()).collect()
}

#[tokio::test]
async fn s39_no_header_of_a_request_gets_into_a_mail() {
    let smtp = Smtp::start().await;
    let world = world_with(&smtp).await;
    let poison = [
        ("forwarded", "for=1.2.3.4;host=evil.example;proto=http"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-port", "6666"),
        ("x-forwarded-prefix", "/evil.example"),
        ("x-forwarded-server", "evil.example"),
        ("x-host", "evil.example"),
        ("x-original-host", "evil.example"),
        ("x-original-url", "http://evil.example/"),
        ("x-rewrite-url", "http://evil.example/"),
        ("referer", "http://evil.example/"),
        ("origin", "http://evil.example"),
    ];
    let headers = poison.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
    let headers = headers.into_iter().collect();
    let caller =
        Caller::new(&world, &smtp, "evil.example", "http://evil.example/agent", headers, "a reason to be told");
    let sent = caller.every_letter().await;
    let mails = caller.all(&sent).await;
    assert!(mails.len() >= sent.len(), "{} mails of {}", mails.len(), sent.len());
    let mut linked = 0;
    for mail in mails {
        let said = read(&mail);
        for link in links(&said) {
            assert!(link.starts_with(&format!("{FRONTEND}/")), "{link} in\n{said}");
            linked += 1;
        }
        let headers = said.split("\r\n\r\n").next().unwrap();
        assert!(!headers.contains("evil.example") && !said.contains(":6666"), "{said}");
    }
    assert!(linked >= 2 * 6, "each mail with a link has it as text and as a page: {linked}");
}

/// What has broken mails: line ends of every kind, the end of a mail, folded headers, commands, letters of other alphabets, long lines.
fn corpus() -> Vec<String> {
    let mut texts: Vec<String> = [
        "one\r\nBcc: eve@example.net",
        "one\nBcc: eve@example.net",
        "one\rBcc: eve@example.net",
        "one\r\n Bcc: eve@example.net",
        "one\r\n\r\n<html>eve</html>",
        "one\r\n.\r\nMAIL FROM:<eve@example.net>\r\nRCPT TO:<eve@example.net>\r\nDATA\r\n",
        "one\n.\nMAIL FROM:<eve@example.net>",
        ".",
        "..",
        "one\u{2028}Bcc: eve@example.net\u{2029}\u{85}Bcc: eve@example.net",
        "=?utf-8?q?eve=0D=0ABcc:_eve@example.net?=",
        "--boundary\r\nContent-Type: text/html\r\n\r\n<b>eve</b>",
        "<script>eve()</script><img src=x onerror=eve()>",
        "пример.испытание 例え.テスト",
        "\u{202e}moc.elpmaxe",
        "one\0two\u{1b}[31m\u{7f}",
    ]
    .map(str::to_owned)
    .to_vec();
    texts.push("long ".repeat(400));
    texts.push("x".repeat(2000));
    texts
}

#[tokio::test]
async fn s57_no_text_of_anybody_becomes_a_header_a_recipient_or_a_command_of_a_mail() {
    let smtp = Smtp::start().await;
    let world = world_with(&smtp).await;
    // All of them at once in the words of one person is as much as each alone: none may get through.
    for (number, words) in corpus().into_iter().enumerate() {
        let agent: String = words.chars().filter(|c| (' '..='~').contains(c)).take(256).collect();
        let caller = Caller::new(&world, &smtp, "app.example.com", &agent, HeaderMap::new(), &words);
        let sent = if number == 0 { caller.every_letter().await } else { told(&caller).await };
        for mail in caller.all(&sent).await {
            is_whole(&mail, &sent);
        }
    }
    for words in corpus() {
        let email = format!("{}@example.com", words.replace(' ', "."));
        match world.accounts().register(RegisterRequest { email: email.clone(), password: PASSWORD.into() }).await {
            Err(status) => assert_eq!(Refusal::from(status).fields, ["email"], "{email:?}"),
            // Letters of other alphabets before the `@` are beyond a server that knows ASCII alone.
            Ok(_) if !email.is_ascii() => {}
            Ok(_) => is_whole(&eventually("its mail", async || smtp.taken(&email).pop()).await, &[(email, "")]),
        }
    }
    assert_eq!(smtp.count("RCPT TO:<eve"), 0);
    assert_eq!(smtp.count("MAIL FROM:<eve"), 0);
    assert_eq!(smtp.count("MAIL"), smtp.count("RCPT"), "one recipient each");
}

/// The mails that carry what somebody has written.
async fn told(caller: &Caller<'_>) -> Vec<(String, &'static str)> {
    let owner = caller.world.register("told").await;
    let proof = Some(activate_request::Proof::Code(caller.code(&owner.email, "Activate your account").await));
    caller.world.accounts().activate(ActivateRequest { email: owner.email.clone(), proof }).await.unwrap();
    caller.sign_in(&owner.email, PASSWORD).await;
    let mut sent = Vec::new();
    let mut note = |to: &str, subject| sent.push((to.to_owned(), subject));
    caller.administrators_letters(&owner.email, &owner.account_id, &mut note).await;
    sent
}

/// A mail has the headers that every mail has, each once, one recipient, and lines that a server takes.
fn is_whole(mail: &Handed, sent: &[(String, &'static str)]) {
    assert_eq!(mail.to.len(), 1, "{}", mail.data);
    assert!(sent.iter().any(|(to, _)| *to == mail.to[0]));
    let (headers, body) = mail.data.split_once("\r\n\r\n").unwrap();
    let names: Vec<&str> =
        headers.split("\r\n").filter_map(|line| line.split_once(": ").map(|(name, _)| name)).collect();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    names.iter().filter(|name| !name.starts_with([' ', '\t'])).for_each(|name| *counts.entry(name).or_default() += 1);
    let usual = ["Content-Type", "Date", "From", "MIME-Version", "Message-ID", "Subject", "To"];
    for (name, count) in counts {
        assert!(
            usual.contains(&name) || name.starts_with("Auto-") || name.starts_with("Content-"),
            "{name}: {headers}"
        );
        assert_eq!(count, 1, "{name}: {headers}");
    }
    assert_eq!(mail.header("To"), [mail.to[0].as_str()], "{headers}");
    let said = read(mail);
    let (_, page) = said.split_once("<!doctype html>").expect("no page");
    assert!(!page.contains("<script>") && !page.contains("<img") && !page.contains("<b>eve"), "{said}");
    for line in body.split("\r\n").chain(headers.split("\r\n")) {
        assert!(line.len() <= 998 && !line.contains(['\n', '\r', '\0']), "{line:?}");
    }
    let smuggled = |line: &str| ["Bcc:", "RCPT", "MAIL FROM"].iter().any(|begin| line.starts_with(begin));
    assert!(!mail.data.split("\r\n").any(smuggled), "{}", mail.data);
}

#[tokio::test]
async fn f17_an_hour_of_refusals_loses_no_mail_of_any_kind_and_sends_none_twice() {
    let down = Arc::new(AtomicBool::new(false));
    let is_down = down.clone();
    let smtp = Smtp::on(0, move |line, before| match line {
        _ if !is_down.load(Ordering::Relaxed) => Reply::Usual,
        line if line.starts_with("EHLO") && before % 5 == 0 => Reply::Say("421 come back later"),
        "." => Reply::Say("451 not now"),
        _ => Reply::Usual,
    })
    .await;
    let world = world_with(&smtp).await;
    let caller = Caller::new(&world, &smtp, "app.example.com", "tests", HeaderMap::new(), "words");
    let mut people = Vec::new();
    for name in ["ada", "bob", "cyd", "dan"] {
        let email = world.register(name).await.email;
        let proof = Some(activate_request::Proof::Code(caller.code(&email, "Activate your account").await));
        world.accounts().activate(ActivateRequest { email: email.clone(), proof }).await.unwrap();
        people.push(world.sign_in(&email, PASSWORD).await);
    }
    if world.is_fleet() {
        // The clock jumps for both instances: what the one is at the other takes for left behind.
        return;
    }
    let [ada, bob, cyd, dan] = people.try_into().unwrap();
    let moved = world.address("moved");

    // Each is tried before the clock goes on: in a quarter of an hour whoever is at it would be taken for dead.
    let tried = async |to: &str| {
        let line = format!("RCPT TO:<{to}>");
        let before = smtp.lines().matches(&line).count();
        (line, before)
    };
    let later = async |(line, before): (String, usize), minutes: u64| {
        eventually(&line, async || (smtp.lines().matches(&line).count() > before).then_some(())).await;
        world.move_clock(Duration::from_secs(minutes * 60)).await;
    };
    down.store(true, Ordering::Relaxed);
    let eve = world.register("eve").await.email;
    let seen = tried(&ada.email).await;
    let asked = UpdatePasswordRequest { current_password: PASSWORD.into(), new_password: OTHER.into() };
    ada.accounts(&world).update_password(asked).await.unwrap();
    later(seen, 15).await;
    let bob = world.sign_in(&bob.email, PASSWORD).await;
    let asked = RequestEmailChangeRequest { new_email: moved.clone(), password: PASSWORD.into() };
    let seen = tried(&moved).await;
    world.as_token(&bob.access_token).email_changes().request_email_change(asked).await.unwrap();
    later(seen, 15).await;
    let asked = RequestPasswordResetRequest { email: cyd.email.clone() };
    let seen = tried(&cyd.email).await;
    world.accounts().request_password_reset(asked).await.unwrap();
    world.register("later").await;
    later(seen, 25).await;
    world.codes_are_new().await;
    let asked = RequestSignInCodeRequest { email: dan.email.clone() };
    let seen = tried(&dan.email).await;
    world.sessions().request_sign_in_code(asked).await.unwrap();
    later(seen, 5).await;
    down.store(false, Ordering::Relaxed);

    let expected = [
        (&eve, "Activate your account"),
        (&ada.email, "Your password was changed"),
        (&bob.email, "Your address is to be changed"),
        (&moved, "Confirm your new address"),
        (&cyd.email, "Reset your password"),
        (&dan.email, "Sign in to your account"),
    ];
    // Attempts come a minute apart at most. The first minute is for most of them, a second one for those that were just being refused;
    // more than four would outlive the codes.
    let (mut polls, mut minutes) = (0, 0);
    for (to, subject) in expected {
        eventually(subject, async || {
            if smtp.taken(to).iter().any(|mail| mail.header("Subject") == [subject]) {
                return Some(());
            }
            if polls % 60 == 0 && minutes < 4 {
                world.move_clock(Duration::from_secs(61)).await;
                minutes += 1;
            }
            polls += 1;
            None
        })
        .await;
    }
    // Whatever is late comes now.
    world.mails("").await;
    for (to, subject) in expected {
        let count = smtp.taken(to).iter().filter(|mail| mail.header("Subject") == [subject]).count();
        let activated = usize::from(subject == "Activate your account" && *to != eve);
        assert_eq!(count, 1 + activated, "{subject}");
    }
    // The codes are as new as their mails.
    let proof = Some(activate_request::Proof::Code(caller.code(&eve, "Activate your account").await));
    world.accounts().activate(ActivateRequest { email: eve, proof }).await.unwrap();
    let code = caller.code(&cyd.email, "Reset your password").await;
    world.accounts().verify_reset_code(VerifyResetCodeRequest { email: cyd.email, code }).await.unwrap();
    let proof = Some(sign_in_with_code_request::Proof::Code(caller.code(&dan.email, "Sign in to your account").await));
    let asked = SignInWithCodeRequest { email: dan.email, proof, ..Default::default() };
    world.sessions().sign_in_with_code(asked).await.unwrap();
}
