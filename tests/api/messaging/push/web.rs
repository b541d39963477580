//! G13: Web Push, opened by a library that is not ours.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::server::{Asked, PushServer, reply};
use super::{PRIVATE, SECRET, VAPID, browser, devices, register, until_taken, world};
use crate::harness::prelude::*;
use crate::harness::repository;
use crate::messaging::talk::{direct, say};

/// What the browser reads; nothing without the tools of `tests/run`.
async fn opened(asked: &Asked) -> Option<Value> {
    let python = std::env::var("QUARTET_TEST_PYTHON").ok().filter(|python| !python.is_empty())?;
    let (body, authorization) = (asked.body.clone(), asked.header("authorization").to_owned());
    let run = move || {
        let mut command = Command::new(python);
        command.arg(repository("tests/foreign/web_push.py")).args([PRIVATE, SECRET, &authorization]);
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().unwrap();
        child.stdin.take().unwrap().write_all(&body).unwrap();
        child.wait_with_output().unwrap()
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

#[tokio::test]
async fn g13_who_is_away_gets_what_their_browser_alone_can_open() {
    let server = PushServer::start(|_, _| reply(201)).await;
    let flags = ["--messaging-push-loopback", "--messaging-vapid-key", VAPID];
    let world = World::with(&[&flags[..], &["--messaging-push-contact", "mailto:ops@example.com"]].concat()).await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = direct(&world, &ada, &bob).await;
    register(&world, &bob, browser(&server.url("/bob"))).await;
    register(&world, &ada, browser(&server.url("/ada"))).await;
    let sent = say(&world, &ada, &id, "Hello Bob").await;
    until_taken(&server, "/bob", 1).await;
    let asked = &server.taken("/bob")[0];
    let names = ["content-encoding", "ttl", "urgency"];
    assert_eq!(names.map(|name| asked.header(name)), ["aes128gcm", "86400", "high"]);
    assert!(asked.body.len() <= 4096 && (1..=32).contains(&asked.header("topic").len()));
    assert!(!asked.headers.contains_key("referer") && !asked.headers.contains_key("cookie"));
    if let Some(opened) = opened(asked).await {
        let note = &opened["note"];
        assert_eq!(note["type"], json!("message"));
        assert_eq!((&note["conversation_id"], &note["seq"]), (&json!(id), &json!(sent.seq.to_string())));
        assert_eq!(note["text"], json!("Hello Bob"));
        let claims = &opened["claims"];
        assert_eq!(claims["aud"], json!(format!("http://{}", server.address)));
        assert_eq!(claims["sub"], json!("mailto:ops@example.com"));
    }
    eventually("it is noted", async || devices(&world, &bob).await[0].push_time).await;
    // Later ones take the place of earlier ones.
    say(&world, &ada, &id, "Bob?").await;
    until_taken(&server, "/bob", 2).await;
    let topics: Vec<String> = server.taken("/bob").iter().map(|asked| asked.header("topic").to_owned()).collect();
    assert_eq!(topics[0], topics[1]);
    assert!(server.at("/ada").is_empty(), "who writes knows");
}

#[tokio::test]
async fn g13_pushes_hold_no_text_where_the_operator_wants_none() {
    let server = PushServer::start(|_, _| reply(201)).await;
    let flags = ["--messaging-push-loopback", "--messaging-vapid-key", VAPID, "--messaging-push-text", "false"];
    let world = World::with(&flags).await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = direct(&world, &ada, &bob).await;
    register(&world, &bob, browser(&server.url("/bob"))).await;
    say(&world, &ada, &id, "Secret").await;
    until_taken(&server, "/bob", 1).await;
    if let Some(opened) = opened(&server.taken("/bob")[0]).await {
        assert!(opened["note"].get("text").is_none(), "{opened}");
    }
}

#[tokio::test]
async fn g13_a_subscription_that_is_gone_takes_the_device_with_it() {
    for status in [404, 410] {
        let server = PushServer::start(move |_, _| reply(status)).await;
        let fence = PushServer::start(|_, _| reply(201)).await;
        let world = world().await;
        let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
        let id = direct(&world, &ada, &bob).await;
        register(&world, &bob, browser(&server.url("/bob"))).await;
        say(&world, &ada, &id, "Hello").await;
        eventually("it is pruned", async || devices(&world, &bob).await.is_empty().then_some(())).await;
        let before = server.at("/bob").len();
        // Once more where an instance did not come to prune it.
        assert!(before <= 2, "{before} for one message");
        // Once another device has the next message it is decided who gets it.
        register(&world, &bob, browser(&fence.url("/bob"))).await;
        say(&world, &ada, &id, "Hello?").await;
        until_taken(&fence, "/bob", 1).await;
        assert_eq!(server.at("/bob").len(), before);
    }
}
