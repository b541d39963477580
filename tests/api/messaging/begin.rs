//! Streams that begin: many at once, for those who read nothing, and from where nobody can go on.

use futures_util::future::join_all;
use quartet_proto::messaging::v1::connect_request::Frame;
use quartet_proto::messaging::v1::subscribe_response::Event;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Endpoint;

use super::listener::{Listener, positions};
use super::load::carriers;
use super::talk::{group, say, send, text};
use crate::harness::prelude::*;
use crate::harness::{Clients, channel, rounds};

/// How many read nothing, and what a process may grow by for all of them, in MiB. What each has missed are nine: if it waited for them, that
/// would be far more. The half of this is what an allocator keeps for itself where there are many threads.
const SILENT: usize = 100;
const GROWTH: u64 = 700;

/// Clients of somebody whose program takes nothing of what it is answered.
pub fn deaf(world: &World, person: &Person) -> Clients {
    let endpoint = Endpoint::from_shared(format!("http://{}", world.gateway())).unwrap();
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
    let others = async {
        for person in &people {
            let asked = ListConversationsRequest::default();
            person.conversations(&world).list_conversations(asked).await.expect("nobody else is answered meanwhile");
        }
    };
    let both = async { tokio::join!(join_all(all), others) };
    let (all, ()) = tokio::time::timeout(Duration::from_secs(300), both).await.expect("some never get there");
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
    // As many as there will be, who have missed nothing: threads and what these keep are there.
    let known = (0..SILENT).map(async |_| {
        let clients = Clients::new(channel(world.gateway()), Some(&ada.access_token));
        let mut listener = Listener::begin(&clients, positions(&[(&id, 240)])).await;
        listener.until("caught up", |event| matches!(event, Event::CaughtUp(_)).then_some(())).await;
    });
    join_all(known).await;
    let carriers = carriers(&world).await;
    let before: Vec<u64> = carriers.iter().map(|carrier| carrier.memory()).collect();
    let mut silent = Vec::new();
    for _ in 0..SILENT {
        let clients = deaf(&world, &ada);
        silent.push(clients.events().subscribe(positions(&[(&id, 1)])).await.expect("not subscribed"));
    }
    // Who reads is held up by none of them, though it is the same account, and is told all of it.
    let told =
        tokio::time::timeout(Duration::from_secs(120), catches_up(&world.as_token(&ada.access_token), &id)).await;
    assert_eq!(told.expect("held up"), Ok(240));
    for (carrier, before) in carriers.iter().zip(before) {
        let now = carrier.memory();
        eprintln!("{}: {before} MiB, then {now} MiB for {} who read nothing", carrier.name, silent.len());
        assert!(now <= before + GROWTH, "{} grew from {before} MiB to {now} MiB", carrier.name);
    }
}

#[tokio::test]
async fn s44_who_begins_too_often_is_told_to_wait() {
    let world = World::with(&["--messaging-begins-per-minute", "1"]).await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let _first = Listener::of(&world, &ada).await;
    let refused = refusal(ada.events(&world).subscribe(SubscribeRequest::default()).await);
    assert_eq!(refused.is(), (Code::ResourceExhausted, "RATE_LIMITED"));
    let (frames, asked) = mpsc::channel(4);
    let frame = Some(Frame::Subscribe(SubscribeRequest::default()));
    frames.send(ConnectRequest { request_id: String::new(), frame }).await.unwrap();
    let mut line = ada.messages(&world).connect(ReceiverStream::new(asked)).await.unwrap().into_inner();
    let refused = Refusal::from(line.message().await.expect_err("not refused"));
    assert_eq!(refused.is(), (Code::ResourceExhausted, "RATE_LIMITED"));
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
    // As after an older state was brought back.
    let mut hers = Listener::with(&world, &ada, positions(&[(&id, 7)])).await;
    let place = |wanted: fn(&Event) -> bool| hers.heard.iter().position(wanted);
    let gone = place(|event| matches!(event, Event::Gone(_))).expect("what she has goes");
    let told = place(|event| matches!(event, Event::Conversation(_))).expect("the conversation");
    assert!(gone < told, "{:?}", hers.heard);
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
