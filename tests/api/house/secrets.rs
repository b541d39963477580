//! No secret is in what the program tells of itself, nor in the clear in what it keeps (S-58).

use std::collections::HashMap;
use std::path::Path;

use prost::Message as _;
use tonic::metadata::MetadataMap;

use super::everything::Life;
use super::reflection::{filled, method};
use super::rpcs;
use crate::harness::prelude::*;
use crate::harness::{raw, wire};

/// A secret that somebody puts where it does not belong.
const MISPLACED: &str = "Kanarienvogel1!4b616e617269656e766f67656c";

/// Puts a secret into every field of every rpc, and into headers that carry secrets elsewhere.
async fn misplace(world: &World, person: &Person) {
    // What these two take becomes part of a profile, which is to be seen.
    let shown = ["UpdateProfile", "SetAvatar"];
    for rpc in rpcs().into_iter().filter(|rpc| rpc.is_public_api() && rpc.rule.is_unary()) {
        for message in filled(&method(&rpc.path).input(), &|_| MISPLACED.to_owned()) {
            let mut headers = MetadataMap::new();
            for name in ["cookie", "x-api-key", "x-auth-token", "proxy-authorization", "x-forwarded-for"] {
                headers.insert(name, MISPLACED.parse().unwrap());
            }
            for token in [None, Some(MISPLACED), Some(person.access_token.as_str())] {
                if token == Some(&person.access_token) && shown.iter().any(|name| rpc.path.ends_with(name)) {
                    continue;
                }
                let message = message.encode_to_vec();
                let answer = raw::call_with(world.channel(), &rpc.path, token, message, headers.clone()).await;
                // What is wrong with what might be a secret is said in words of ours. A movie that there is not is named.
                let said = answer.map_err(|status| String::from_utf8_lossy(status.details()).into_owned());
                let repeats = said.is_err_and(|said| said.contains(MISPLACED));
                assert!(!repeats || rpc.context() == "catalogue", "{} repeats what was sent", rpc.path);
            }
        }
    }
}

/// Makes calls fail that bring a secret.
async fn fail(world: &World, person: &Person) {
    for fault in [Fault::Panic, Fault::Store, Fault::Mail] {
        world.fault(fault, true).await;
        for _ in 0..2 {
            let _ = world.try_sign_in(&person.email, MISPLACED).await;
            let _ = world.try_refresh(&person.refresh_token).await;
            let asked = RequestPasswordResetRequest { email: person.email.clone() };
            let _ = world.accounts().request_password_reset(asked).await;
        }
        world.fault(fault, false).await;
    }
}

/// Waits until what came before stands in the logs.
async fn settle(world: &World, person: &Person) {
    let mut asked = Request::new(SignInRequest {
        email: person.email.clone(),
        password: "Wrong1!horse".to_owned(),
        ..Default::default()
    });
    asked.metadata_mut().insert("x-request-id", "the-last-call".parse().unwrap());
    refusal(world.sessions().sign_in(asked).await);
    eventually("the last call is in a log", async || {
        world.traces().await.iter().any(|traces| traces.log.contains("the-last-call")).then_some(())
    })
    .await;
}

/// What the program tells of itself, with where it is.
async fn told(world: &World) -> Vec<(String, String)> {
    let mut places = Vec::new();
    for (number, traces) in world.traces().await.into_iter().enumerate() {
        places.push((format!("the log of process {number}"), traces.log));
        places.push((format!("the output of process {number}"), traces.output));
        places.push((format!("the arguments of process {number}"), traces.arguments));
    }
    for port in world.admin_ports() {
        let metrics = wire::send(port, "GET", "/metrics", &[], b"").await.text();
        assert!(metrics.contains("# TYPE"), "{metrics}");
        places.push(("the metrics".to_owned(), metrics));
    }
    places
}

/// What the program keeps, with where it is.
async fn kept(world: &World) -> Vec<(String, String)> {
    let mut places = Vec::new();
    if let Some(data) = world.data() {
        files(&data, &mut places);
    }
    if let Some(fleet) = world.fleet() {
        for database in ["identity", "catalogue", "media", "messaging"].map(|name| fleet.grounds.database(name)) {
            let dump = fleet.grounds.postgres.dump(&database).await;
            places.push((format!("the database {database}"), dump));
        }
        let redis = &fleet.grounds.redis;
        let keys = redis.command("KEYS *").await.unwrap();
        for key in keys.lines().map(str::trim).filter(|line| !line.starts_with(['$', '*', '+', ':', '-'])) {
            for command in ["GET", "HGETALL", "SMEMBERS"] {
                places.push((format!("Redis, {key}"), redis.command(&format!("{command} {key}")).await.unwrap()));
            }
            for command in ["ZRANGE", "LRANGE"] {
                let command = format!("{command} {key} 0 -1");
                places.push((format!("Redis, {key}"), redis.command(&command).await.unwrap()));
            }
        }
        places.push(("Redis, the keys".to_owned(), keys));
    }
    places
}

/// The files below a folder, but for the mails: they bring their owners what these need.
fn files(folder: &Path, places: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "mail") {
                files(&path, places);
            }
        } else if let Ok(bytes) = std::fs::read(&path) {
            places.push((path.display().to_string(), String::from_utf8_lossy(&bytes).into_owned()));
        }
    }
}

/// How many bytes of a secret are looked up at each place of a text.
const HEAD: usize = 12;

/// Which secret is where. All of them are looked for in one pass over each text.
fn search(places: &[(String, String)], secrets: &[(String, String)]) -> Vec<String> {
    let mut heads: HashMap<Vec<u8>, Vec<(&str, Vec<u8>)>> = HashMap::new();
    for (what, secret) in secrets {
        // PostgreSQL shows bytes as hexadecimal digits.
        for bytes in [secret.as_bytes().to_vec(), hex::encode(secret).into_bytes()] {
            heads.entry(bytes[..HEAD].to_vec()).or_default().push((what, bytes));
        }
    }
    let mut found = Vec::new();
    for (place, text) in places {
        for at in 0..text.len().saturating_sub(HEAD - 1) {
            let rest = &text.as_bytes()[at..];
            let alike = heads.get(&rest[..HEAD]).into_iter().flatten();
            found.extend(
                alike.filter(|(_, bytes)| rest.starts_with(bytes)).map(|(what, _)| format!("{what} is in {place}")),
            );
        }
    }
    found
}

#[test]
fn s58_the_search_finds_what_there_is() {
    let named = |name: &str, text: &str| vec![(name.to_owned(), text.to_owned())];
    let secrets = named("it", "Kanari1!secret");
    let places = [named("plain", "x Kanari1!secret"), named("bytes", "4b616e61726931217365637265740a")].concat();
    assert_eq!(search(&places, &secrets), ["it is in plain", "it is in bytes"]);
    assert!(search(&named("else", "Kanari1!secre"), &secrets).is_empty());
}

#[tokio::test]
async fn s58_no_secret_is_in_logs_metrics_arguments_subjects_or_in_the_clear_in_a_store() {
    // Codes of twelve digits: shorter ones are found in any long text.
    let world =
        World::apart(&["--log", "trace", "--identity-code-digits", "12", "--identity-mails-per-hour", "100"]).await;
    let person = world.sign_up("bystander").await;
    let mut life = Life::new(&world);
    life.stay().await;
    // Before the account is erased, and what is kept of it.
    let mut places = kept(&world).await;
    life.leave().await;
    misplace(&world, &person).await;
    fail(&world, &person).await;
    settle(&world, &person).await;

    let mut secrets = life.secrets;
    secrets.push(("a misplaced secret".to_owned(), MISPLACED.to_owned()));
    secrets.push(("a bystander's access token".to_owned(), person.access_token.clone()));
    secrets.push(("a bystander's refresh token".to_owned(), person.refresh_token.clone()));
    assert!(secrets.len() > 40, "{}", secrets.len());
    places.extend(kept(&world).await);
    places.extend(told(&world).await);
    let subjects = world.mails(&person.email).await.into_iter().map(|mail| mail.subject);
    let subjects: Vec<String> = subjects.chain(life.subjects).collect();
    assert!(subjects.len() > 10, "{subjects:?}");
    places.push(("the subjects of mails".to_owned(), subjects.join("\n")));

    assert!(places.iter().any(|(_, text)| text.contains(r#""target":"security""#)), "there is a log");
    let found = search(&places, &secrets);
    assert!(found.is_empty(), "{}", found.join("\n"));
    // The search would find one.
    assert!(
        places
            .iter()
            .any(|(_, text)| text.contains(&person.account_id.replace('-', "")) || text.contains(&person.email))
    );
}
