//! Streams that begin: many at once, for those who read nothing, and from where nobody can go on.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::SocketAddr;

use futures_util::future::join_all;
use quartet_proto::messaging::v1::connect_request::Frame;
use quartet_proto::messaging::v1::subscribe_response::Event;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Endpoint;

use super::listener::{Listener, positions};
use super::load::{Carrier, carriers};
use super::talk::{group, say, send, text};
use crate::harness::prelude::*;
use crate::harness::{Clients, PATIENT, channel, rounds};

/// How many read nothing before memory is looked at, so that threads and what an allocator keeps for these are there; how many come beside them;
/// and what the processes of a kind may grow by for all of those, in MiB. One for each is promised, they take 35 to 75 together, and what they have
/// missed are nine hundred.
const FIRST: usize = 60;
const SILENT: usize = 100;
const GROWTH: u64 = 150;

/// Clients of somebody whose program takes nothing of what it is answered.
pub fn deaf(world: &World, person: &Person) -> Clients {
    deaf_at(world.gateway(), person)
}

/// The same at an address.
pub fn deaf_at(address: SocketAddr, person: &Person) -> Clients {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    Clients::new(endpoint.initial_stream_window_size(0u32).connect_lazy(), Some(&person.access_token))
}

/// Subscribes, and reads until everything that had happened before has been told.
async fn catches_up(clients: &Clients, id: &str) -> Result<usize, String> {
    let asked = positions(&[(id, 0)]);
    let mut stream = clients.events().subscribe(asked).await.map_err(|status| format!("{status:?}"))?.into_inner();
    let mut changes = 0;
    while let Some(next) = stream.message().await.map_err(|status| format!("{status:?}"))? {
        match next.event {
            Some(Event::CaughtUp(_)) => return Ok(changes),
            Some(Event::Change(_)) => changes += 1,
            Some(Event::Resume(resume)) => return Err(format!("{resume:?}")),
            _ => {}
        }
    }
    Err("the end".to_owned())
}

/// So many more who have missed everything behind the first change and read nothing of it. Who reads is held up by none of them at any instance,
/// though it is the same account, and is told all of it; by then each has had a turn.
async fn deaf_ones(world: &World, person: &Person, id: &str, count: usize) -> Vec<tonic::Streaming<SubscribeResponse>> {
    let mut silent = Vec::new();
    for _ in 0..count {
        let clients = deaf(world, person);
        silent.push(clients.events().subscribe(positions(&[(id, 1)])).await.expect("not subscribed"));
    }
    let mut instances = world.direct("messaging");
    instances.push(world.gateway());
    for at in instances {
        let clients = Clients::new(channel(at), Some(&person.access_token));
        let told = tokio::time::timeout(Duration::from_secs(120), catches_up(&clients, id)).await;
        assert_eq!(told.expect("held up"), Ok(240));
    }
    silent.into_iter().map(tonic::Response::into_inner).collect()
}

/// What the processes of each kind hold together, in MiB.
fn memory(carriers: &[Carrier]) -> BTreeMap<&'static str, u64> {
    let mut sums = BTreeMap::new();
    for carrier in carriers {
        *sums.entry(carrier.name).or_default() += carrier.memory();
    }
    sums
}

#[tokio::test]
async fn s44_many_who_begin_at_once_all_get_there() {
    let world = World::own().await;
    let names = ["ada", "bob", "eve", "dan", "fay", "gus", "hal", "ida", "jim", "kim"];
    let people = join_all(names.map(|name| world.sign_up(name))).await;
    let id = group(&world, &people[0], &people[1..].iter().collect::<Vec<_>>()).await;
    for person in &people {
        say(&world, person, &id, "Hello").await;
    }
    let count = rounds(500, 2000);
    // On several connections: each has room for some streams only.
    let connections: Vec<_> = (0..count.div_ceil(50)).map(|_| channel(world.gateway())).collect();
    let all = (0..count).map(async |number| {
        let token = &people[number % people.len()].access_token;
        catches_up(&Clients::new(connections[number % connections.len()].clone(), Some(token)), &id).await
    });
    let is_over = Cell::new(false);
    let all = async {
        let all = join_all(all).await;
        is_over.set(true);
        all
    };
    let others = async {
        let mut answered = 0;
        for person in people.iter().cycle() {
            let asked = ListConversationsRequest::default();
            person.conversations(&world).list_conversations(asked).await.unwrap();
            if is_over.get() {
                break;
            }
            answered += 1;
        }
        answered
    };
    let both = async { tokio::join!(all, others) };
    let (all, answered) = tokio::time::timeout(Duration::from_secs(300), both).await.expect("some never get there");
    assert!(answered >= 3, "nobody else is answered meanwhile: {answered}");
    let wrong: Vec<_> = all.iter().filter(|told| told.as_ref() != Ok(&people.len())).collect();
    assert!(wrong.is_empty(), "{} of {count}: {:?}", wrong.len(), wrong.first());
}

#[tokio::test]
async fn s44_what_was_missed_costs_little_while_nobody_reads_it() {
    let world = World::apart(&[]).await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = group(&world, &bob, &[&ada]).await;
    let url = format!("https://example.com/{}", "x".repeat(1900));
    let attached = Attachment { source: Some(attachment::Source::Url(url)), name: "x".into(), ..Default::default() };
    let body = "x".repeat(16_000);
    for number in 0..40 {
        let asked = SendMessageRequest { attachments: vec![attached.clone(); 10], ..text(&id, &body) };
        let sent = send(&world, &bob, asked).await.expect("not sent");
        for edit in 0..5 {
            let body = format!("{number} {edit} {}", &body[100..]);
            let edit = EditMessageRequest { conversation_id: id.clone(), seq: sent.seq, body, ..Default::default() };
            bob.messages(&world).edit_message(edit).await.expect("not edited");
        }
    }
    let carriers = carriers(&world).await;
    let none = memory(&carriers);
    let first = deaf_ones(&world, &ada, &id, FIRST).await;
    let before = memory(&carriers);
    let others = deaf_ones(&world, &ada, &id, SILENT).await;
    for (name, now) in memory(&carriers) {
        let (none, before) = (none[name], before[name]);
        eprintln!(
            "{name}: {none} MiB, {before} with {} who read nothing, {now} with {} more",
            first.len(),
            others.len()
        );
        assert!(now <= before + GROWTH, "{name} grew from {before} MiB to {now} MiB");
    }
}

#[tokio::test]
async fn s44_who_begins_too_often_is_told_to_wait() {
    let world = World::with(&["--messaging-begins-per-minute", "1", PATIENT[0], PATIENT[1]]).await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let _first = Listener::of(&world, &ada).await;
    let refused = refusal(ada.events(&world).subscribe(SubscribeRequest::default()).await);
    assert_eq!(refused.is(), (Code::ResourceExhausted, "RATE_LIMITED"));
    let (frames, asked) = mpsc::channel(4);
    let frame = Some(Frame::Subscribe(SubscribeRequest::default()));
    frames.send(ConnectRequest { request_id: String::new(), frame }).await.unwrap();
    let mut line = ada.messages(&world).connect(ReceiverStream::new(asked)).await.unwrap().into_inner();
    assert_eq!(refusal(line.message().await).is(), (Code::ResourceExhausted, "RATE_LIMITED"));
    Listener::of(&world, &bob).await;
}

#[tokio::test]
async fn s44_a_line_that_ends_before_it_has_begun_leaves_nothing() {
    let world = World::with(&["--messaging-streams-per-account", "1"]).await;
    let ada = world.sign_up("ada").await;
    let at = world.direct("messaging").first().copied().unwrap_or(world.gateway());
    for _ in 0..3 {
        let tokens = world.try_sign_in(&ada.email, &ada.password).await.unwrap();
        let here = Person::new(&ada.email, &ada.password, tokens);
        let clients = Clients::new(channel(at), Some(&here.access_token));
        let (frames, asked) = mpsc::channel(4);
        let mut line = clients.messages().connect(ReceiverStream::new(asked)).await.unwrap().into_inner();
        here.sessions(&world).sign_out(SignOutRequest {}).await.unwrap();
        let ended = tokio::time::timeout(Duration::from_secs(30), line.message()).await.expect("it goes on");
        assert_eq!(Refusal::from(ended.expect_err("not refused")).reason, "SESSION_REVOKED");
        let frame = Some(Frame::Subscribe(SubscribeRequest::default()));
        frames.send(ConnectRequest { request_id: String::new(), frame }).await.ok();
    }
    let tokens = world.try_sign_in(&ada.email, &ada.password).await.unwrap();
    let clients = Clients::new(channel(at), Some(&Person::new(&ada.email, &ada.password, tokens).access_token));
    Listener::begin(&clients, SubscribeRequest::default()).await;
}

#[tokio::test]
async fn g4_who_is_ahead_of_the_database_begins_anew() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = group(&world, &ada, &[&bob]).await;
    say(&world, &bob, &id, "one").await;
    // As after an older state was brought back, or as nobody ever was.
    let mut listeners = Vec::new();
    for ahead in [i64::MAX, 2, 7] {
        let hers = Listener::with(&world, &ada, positions(&[(&id, ahead)])).await;
        let place = |wanted: fn(&Event) -> bool| hers.heard.iter().position(wanted);
        let gone = place(|event| matches!(event, Event::Gone(_))).expect("what she has goes");
        let told = place(|event| matches!(event, Event::Conversation(_))).expect("the conversation");
        assert!(gone < told, "{:?}", hers.heard);
        listeners.push(hers);
    }
    let mut hers = listeners.pop().unwrap();
    assert_eq!(hers.conversation(&id).await.last_change, 1);
    for body in ["two", "three"] {
        say(&world, &bob, &id, body).await;
        hers.message(body).await;
    }
    assert_eq!(hers.changes(&id).iter().map(|change| change.change_seq).collect::<Vec<_>>(), [2, 3]);
    // Who has all of it goes on.
    let again = Listener::with(&world, &ada, positions(&[(&id, 3)])).await;
    assert!(!again.heard.iter().any(|event| matches!(event, Event::Gone(_))));
}
