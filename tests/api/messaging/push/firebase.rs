//! G13 and F-17: Firebase Cloud Messaging, with a token service and a push service that speak its protocol.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};

use super::server::{Asked, PushServer, Reply, reply};
use super::{as_time_goes, devices, phone, register, tried, until_taken};
use crate::harness::prelude::*;
use crate::messaging::talk::{direct, group, say};

pub const TOKEN: &str = "/token";
pub const SEND: &str = "/v1/projects/trial-1/messages:send";

/// A service account, with a key of its own.
pub struct Account {
    _folder: tempfile::TempDir,
    file: PathBuf,
    public: String,
}

impl Account {
    pub fn make(server: &PushServer) -> Account {
        let folder = tempfile::tempdir().unwrap();
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
        let account = json!({
            "type": "service_account",
            "project_id": "trial-1",
            "private_key_id": "key-1",
            "private_key": pair.serialize_pem(),
            "client_email": "push@trial-1.iam.example.com",
            "token_uri": server.url(TOKEN),
        });
        let file = folder.path().join("account.json");
        std::fs::write(&file, account.to_string()).unwrap();
        Account { _folder: folder, file, public: pair.public_key_pem() }
    }

    pub async fn world(&self, server: &PushServer) -> World {
        let (file, url) = (self.file.to_str().unwrap(), server.url(""));
        World::with(&["--messaging-fcm-account-file", file, "--messaging-fcm-url", &url]).await
    }
}

/// The token service's answer.
pub fn granted() -> Reply {
    let body = json!({ "access_token": "granted", "expires_in": 3600, "token_type": "Bearer" }).to_string();
    Reply { body, ..reply(200) }
}

fn failing(status: u16, details: Value) -> Reply {
    Reply { body: json!({ "error": { "code": status, "details": details } }).to_string(), ..reply(status) }
}

pub fn message(asked: &Asked) -> Value {
    asked.json()["message"].clone()
}

#[tokio::test]
async fn g13_firebase_gets_a_signed_token_once_and_each_message() {
    let server = PushServer::start(|asked, _| if asked.path == TOKEN { granted() } else { reply(200) }).await;
    let account = Account::make(&server);
    let world = account.world(&server).await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = direct(&world, &ada, &bob).await;
    let device = register(&world, &bob, phone("bobs-phone")).await;
    assert_eq!(device.kind(), PushKind::Fcm);
    let steps = tried(&world, &bob, &device.device_id).await.unwrap();
    assert_eq!(
        steps.iter().map(|step| (step.name.as_str(), step.ok)).collect::<Vec<_>>(),
        [("token", true), ("send", true)]
    );
    let body = "é".repeat(200);
    let sent = say(&world, &ada, &id, &body).await;
    until_taken(&server, SEND, 2).await;
    let asked = &server.taken(SEND)[1];
    assert_eq!(asked.header("authorization"), "Bearer granted");
    let message = message(asked);
    assert_eq!(message["token"], json!("bobs-phone"));
    assert_eq!(message["data"]["conversation_id"], json!(id));
    assert_eq!(message["data"]["seq"], json!(sent.seq.to_string()));
    assert_eq!(message["android"]["collapse_key"], json!(id));
    assert_eq!(message["notification"]["body"].as_str().unwrap().chars().count(), 100);

    for count in 3..=6 {
        say(&world, &ada, &id, "Hello").await;
        until_taken(&server, SEND, count).await;
    }
    // Each instance asks for a token of its own, and not for each push. Once, but for a call that is not answered in time.
    let tokens = server.at(TOKEN);
    assert!(tokens.len() <= 2 * world.direct("messaging").len().max(1), "{}", tokens.len());
    let body = String::from_utf8(tokens[0].body.to_vec()).unwrap();
    let signed =
        body.strip_prefix("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=").unwrap();
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_audience(&[server.url(TOKEN)]);
    let key = DecodingKey::from_rsa_pem(account.public.as_bytes()).unwrap();
    let claims = jsonwebtoken::decode::<Value>(signed, &key, &validation).unwrap();
    assert_eq!(claims.header.kid.as_deref(), Some("key-1"));
    assert_eq!(claims.claims["iss"], json!("push@trial-1.iam.example.com"));
    assert_eq!(claims.claims["scope"], json!("https://www.googleapis.com/auth/firebase.messaging"));
}

#[tokio::test]
async fn g13_a_token_that_firebase_knows_no_more_takes_the_device_with_it() {
    let server = PushServer::start(|asked, _| match asked.path.as_str() {
        TOKEN => granted(),
        _ => failing(404, json!([{ "errorCode": "UNREGISTERED" }])),
    })
    .await;
    let world = Account::make(&server).world(&server).await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = direct(&world, &ada, &bob).await;
    register(&world, &bob, phone("old")).await;
    say(&world, &ada, &id, "Hello").await;
    eventually("it is pruned", async || devices(&world, &bob).await.is_empty().then_some(())).await;
}

#[tokio::test]
async fn g13_a_token_that_was_withdrawn_is_asked_for_anew() {
    let server = PushServer::start(|asked, before| match asked.path.as_str() {
        TOKEN => granted(),
        _ if before == 0 => reply(401),
        _ => reply(200),
    })
    .await;
    let world = Account::make(&server).world(&server).await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = direct(&world, &ada, &bob).await;
    register(&world, &bob, phone("bobs-phone")).await;
    say(&world, &ada, &id, "Hello").await;
    until_taken(&server, SEND, 1).await;
    // Twice, but for calls that are not answered in time.
    let tokens = server.at(TOKEN).len();
    assert!((2..=4).contains(&tokens), "{tokens}");
}

/// The conversation and the number that a push tells of.
pub fn told(asked: &Asked) -> (String, i64) {
    let data = &message(asked)["data"];
    (data["conversation_id"].as_str().unwrap().to_owned(), data["seq"].as_str().unwrap().parse().unwrap())
}

#[tokio::test]
async fn f17_what_comes_while_the_push_service_is_down_is_sent_once_when_it_is_back() {
    // Down at first: it grants no token, asks for quiet, and fails.
    let server = PushServer::start(|asked, before| match asked.path.as_str() {
        TOKEN if before == 0 => reply(503),
        TOKEN => granted(),
        _ => match before {
            0 => Reply { headers: vec![("retry-after", "1".to_owned())], ..reply(429) },
            1 => reply(500),
            _ => reply(200),
        },
    })
    .await;
    let world = Account::make(&server).world(&server).await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let mut last = BTreeSet::new();
    register(&world, &bob, phone("bobs-phone")).await;
    for _ in 0..5 {
        let id = group(&world, &ada, &[&bob]).await;
        for number in 1..=4 {
            // Sending goes on as if nothing were wrong.
            let said = say(&world, &ada, &id, &number.to_string()).await;
            if number == 4 {
                last.insert((id.clone(), said.seq));
            }
        }
    }
    let is_told = async || {
        let taken: BTreeSet<_> = server.taken(SEND).iter().map(told).collect();
        last.is_subset(&taken).then_some(())
    };
    // How long the rests and pauses are depends on how they fall.
    crate::harness::within(Duration::from_secs(300), "the last word of each is sent", is_told).await;
    let taken: Vec<_> = server.taken(SEND).iter().map(told).collect();
    assert_eq!(taken.iter().collect::<BTreeSet<_>>().len(), taken.len(), "each at most once: {taken:?}");
    assert_eq!(devices(&world, &bob).await.len(), 1, "a device outlives its push service's troubles");
}

#[tokio::test]
async fn g13_a_wrong_project_takes_no_device_and_loses_no_push() {
    // Firebase knows no such project, until the operator has mended that.
    let is_mended = Arc::<AtomicBool>::default();
    let mended = is_mended.clone();
    let server = PushServer::start(move |asked, _| match asked.path.as_str() {
        TOKEN => granted(),
        _ if mended.load(Ordering::SeqCst) => reply(200),
        _ => reply(404),
    })
    .await;
    let world = Account::make(&server).world(&server).await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = direct(&world, &ada, &bob).await;
    let device = register(&world, &bob, phone("bobs-phone")).await;
    let steps = tried(&world, &bob, &device.device_id).await.unwrap();
    assert!(!steps.last().unwrap().ok && steps.last().unwrap().detail.contains("settings"), "{steps:?}");
    say(&world, &ada, &id, "Hello").await;
    eventually("it was tried", async || (server.at(SEND).len() > 1).then_some(())).await;
    assert_eq!(devices(&world, &bob).await.len(), 1);
    is_mended.store(true, Ordering::SeqCst);
    as_time_goes(&world, "it is pushed", || !server.taken(SEND).is_empty()).await;
}
