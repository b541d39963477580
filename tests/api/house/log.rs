//! The log: one JSON object on each line whatever comes in, and the events that somebody who looks after security asks for (S-59).

use std::collections::{BTreeMap, BTreeSet};

use prost::Message as _;
use serde_json::Value;
use tonic::metadata::{MetadataMap, MetadataValue};

use super::everything::Life;
use super::reflection::{filled, method};
use super::rpcs;
use crate::harness::prelude::*;
use crate::harness::{raw, repository, wire};

/// What would be a line of its own, a command to a terminal, and a line to those who split at every line end of Unicode.
const FORGED: &str =
    "x\r\n{\"level\":\"ERROR\",\"message\":\"forged\"}\n\u{1b}[2J\u{1b}[31m\u{2028}forged\u{2029}\u{85}\0";

/// What only commands do.
const BY_COMMAND: [&str; 5] =
    ["accounts_imported", "administrator_created", "client_created", "client_deleted", "keys_rotated"];

/// The lines of every process.
async fn lines(world: &World) -> Vec<String> {
    let traces = world.traces().await;
    traces.iter().flat_map(|traces| traces.log.lines().map(str::to_owned)).collect()
}

/// Makes a call whose request id is then waited for in the logs.
async fn settle(world: &World, email: &str) {
    let mut asked = Request::new(SignInRequest {
        email: email.to_owned(),
        password: "Wrong1!horse".to_owned(),
        ..Default::default()
    });
    asked.metadata_mut().insert("x-request-id", "the-last-call".parse().unwrap());
    let _ = world.sessions().sign_in(asked).await;
    eventually("the last call is in a log", async || {
        lines(world).await.iter().any(|line| line.contains("the-last-call")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn s59_nothing_that_comes_in_makes_a_line_of_its_own_or_speaks_to_a_terminal() {
    let world = World::apart(&["--log", "trace"]).await;
    let ada = world.sign_up("ada").await;
    let mut headers = MetadataMap::new();
    // A header can't hold a control character; what it can is here.
    let near = "x\t{\"level\":\"ERROR\"} \u{2028}forged";
    for name in ["x-request-id", "user-agent", "x-forwarded-for", "accept-language"] {
        headers.insert(name, MetadataValue::try_from(near.as_bytes()).unwrap());
    }
    headers.insert_bin("forged-bin", MetadataValue::from_bytes(FORGED.as_bytes()));
    for rpc in rpcs().into_iter().filter(|rpc| rpc.is_public_api() && rpc.rule.is_unary()) {
        for message in filled(&method(&rpc.path).input(), &|_| FORGED.to_owned()) {
            for token in [None, Some(ada.access_token.as_str())] {
                let _ =
                    raw::call_with(world.channel(), &rpc.path, token, message.encode_to_vec(), headers.clone()).await;
            }
        }
    }
    let path = "/quartet.identity.v1.SessionService/SignIn";
    let forged_path = format!("{path}\u{1b}[2J");
    for (path, name) in [(path, "user-agent"), (path, "x-request-id"), (&forged_path, "x-request-id")] {
        let headers = [("content-type", "application/grpc-web"), (name, "\u{1b}[2J\u{2028}forged")];
        let _ = wire::try_send(world.gateway(), "POST", path, &headers, &wire::frame(b"")).await;
    }
    for fault in [Fault::Panic, Fault::Store] {
        world.fault(fault, true).await;
        let _ = world.try_sign_in(&ada.email, FORGED).await;
        world.fault(fault, false).await;
    }
    settle(&world, &ada.email).await;

    // The log of a process that panicked is another one than that of the last call.
    let lines = eventually("the panic is in a log", async || {
        let lines = lines(&world).await;
        lines.iter().any(|line| line.contains("the program panicked")).then_some(lines)
    })
    .await;
    for line in lines {
        let parsed: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(parsed.is_object() && parsed["timestamp"].is_string() && parsed["level"].is_string(), "{line}");
        let spoken = line.chars().find(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}'));
        assert!(spoken.is_none(), "{spoken:?} in {line}");
        assert_ne!(parsed["message"], "forged");
    }
}

/// The names of the events, as the source has them.
fn events() -> BTreeSet<String> {
    let source = std::fs::read_to_string(repository("services/identity/src/security.rs")).unwrap();
    let arms = source.lines().filter_map(|line| line.trim().strip_prefix("Event::"));
    let names =
        arms.filter_map(|arm| arm.split_once(" => \"")).map(|(_, name)| name.trim_end_matches("\",").to_owned());
    names.collect()
}

/// The security events that are in the logs, by name.
async fn security_events(world: &World) -> BTreeMap<String, Vec<Value>> {
    let mut found: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for line in lines(world).await {
        let line: Value = serde_json::from_str(&line).unwrap();
        if line["target"] == "security" {
            found.entry(line["event"].as_str().unwrap().to_owned()).or_default().push(line);
        }
    }
    found
}

#[tokio::test]
async fn s59_every_security_event_is_logged_with_who_when_from_where_and_what_came_of_it() {
    let world =
        World::apart(&["--identity-mails-per-hour", "100", "--identity-failed-sign-ins-per-account", "20"]).await;
    let mut life = Life::new(&world);
    let first_email = life.email.clone();
    life.all().await;
    throttled(&world).await;
    settle(&world, &world.address("nobody")).await;

    let mut known = events();
    assert!(known.len() >= 20, "{known:?}");
    if world.is_fleet() {
        // What a command does it tells on its own standard error, and the audit log.
        known.retain(|name| !BY_COMMAND.contains(&name.as_str()));
    }
    let found = eventually("every event is in a log", async || {
        let found = security_events(&world).await;
        known.iter().all(|name| found.contains_key(name)).then_some(found)
    })
    .await;
    let provoked: BTreeSet<String> = found.keys().cloned().collect();
    assert_eq!(provoked, known, "every event was provoked, and no other one logged");
    for line in found.values().flatten() {
        assert!(line["timestamp"].is_string() && !line["request_id"].as_str().unwrap().is_empty(), "{line}");
        assert!(
            line["address"].is_string() && ["done", "refused"].contains(&line["outcome"].as_str().unwrap()),
            "{line}"
        );
        // Who: the account's pseudonym, the actor, or nobody known where a stranger was refused.
        let whom = ["account", "actor"].iter().any(|name| line[name].as_str().is_some_and(|who| !who.is_empty()));
        assert!(whom || line["outcome"] == "refused" || line["actor"] == "operator", "{line}");
        let text = line.to_string();
        assert!(!text.contains(&first_email) && !text.contains(&life.email), "{text}");
    }
    // From where: the address that the gateway has seen.
    let signed_in = &found["sign_in"];
    assert!(signed_in.iter().all(|line| line["address"] == "127.0.0.1"), "{signed_in:?}");
    let outcomes: BTreeSet<&str> = signed_in.iter().map(|line| line["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, BTreeSet::from(["done", "refused"]));
}

/// Guesses passwords of somebody until nobody listens any more.
async fn throttled(world: &World) {
    let ada = world.sign_up("guessed").await;
    for _ in 0..200 {
        if let Err(status) = world.try_sign_in(&ada.email, "Wrong1!horse").await
            && status.code() == Code::ResourceExhausted
        {
            break;
        }
    }
    for _ in 0..200 {
        let asked = DeactivateRequest { password: "Wrong1!horse".to_owned() };
        if let Err(status) = ada.accounts(world).deactivate(asked).await
            && status.code() == Code::ResourceExhausted
        {
            return;
        }
    }
    panic!("nobody is throttled");
}
