//! F-21: who comes and goes leaves nothing behind.

use futures_util::future::join_all;
use quartet_proto::messaging::v1::subscribe_response::Event;

use super::listener::Listener;
use super::load::{Carrier, carriers};
use super::talk::{group, read, say};
use crate::harness::prelude::*;
use crate::harness::{Clients, channel, rounds};

/// How many listen at a time, each by a connection of their own.
const LISTENERS: usize = 24;
/// What a process may grow by, in MiB: what an allocator keeps varies by a hundred, until each of its threads has seen all of it. What each
/// round left behind would be more in the long run.
const GROWTH: u64 = 200;
/// After how many rounds that is looked at first.
const FIRST: usize = 12;
/// How many files more there may be than before: connections that are kept for the next calls.
const SPARE: usize = 24;

async fn round(world: &World, people: &mut [Person], id: &str, number: usize) {
    // A long run outlives a token.
    for person in people.iter_mut().filter(|_| number % 50 == 49) {
        *person = world.sign_in(&person.email, PASSWORD).await;
    }
    let people = &*people;
    let listeners = (0..LISTENERS).map(async |place| {
        let person = &people[place % people.len()];
        let clients = Clients::new(channel(world.gateway()), Some(&person.access_token));
        let mut listener = Listener::begin(&clients, SubscribeRequest::default()).await;
        listener.until("caught up", |event| matches!(event, Event::CaughtUp(_)).then_some(())).await;
        listener
    });
    let mut listeners = join_all(listeners).await;
    let body = format!("round {number}");
    let sent = say(world, &people[number % people.len()], id, &body).await;
    for listener in &mut listeners {
        listener.change(id, sent.seq).await;
    }
    read(world, &people[0], id, 0).await;
}

fn files(carriers: &[Carrier]) -> Vec<usize> {
    carriers.iter().map(Carrier::files).collect()
}

#[tokio::test]
async fn f21_streams_that_come_and_go_leave_nothing_behind() {
    let world = World::apart(&[]).await;
    let mut people = [world.sign_up("ada").await, world.sign_up("bob").await, world.sign_up("eve").await];
    let id = group(&world, &people[0], &[&people[1], &people[2]]).await;
    let carriers = carriers(&world).await;
    for number in 0..FIRST {
        round(&world, &mut people, &id, number).await;
    }
    let (open, memory): (Vec<usize>, Vec<u64>) = (files(&carriers), carriers.iter().map(Carrier::memory).collect());
    for number in FIRST..rounds(30, 2000) {
        round(&world, &mut people, &id, number).await;
    }
    eventually("what was opened is closed", async || {
        let now = files(&carriers);
        now.iter().zip(&open).all(|(now, before)| *now <= before + SPARE).then_some(())
    })
    .await;
    for (carrier, before) in carriers.iter().zip(memory) {
        let now = carrier.memory();
        eprintln!("{}: {before} MiB, then {now} MiB", carrier.name);
        assert!(now <= before + GROWTH, "{} grew from {before} MiB to {now} MiB", carrier.name);
    }
    let log = world.data().and_then(|data| std::fs::metadata(data.join("messaging.db-wal")).ok());
    assert!(log.is_none_or(|log| log.len() <= 64 << 20), "the log of changes grows");
}
