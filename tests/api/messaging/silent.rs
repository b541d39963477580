//! Whoever reads nothing at all costs little, however many they are.

use super::listener::Listener;
use super::load::carriers;
use super::talk::{group, send, text};
use crate::harness::prelude::*;
use crate::harness::{Clients, channel, rounds};

/// What a process may grow by for all of them, in MiB.
const GROWTH: u64 = 200;

#[tokio::test]
async fn s44_those_who_never_read_hold_up_nobody_and_cost_little() {
    let world = World::apart(&[]).await;
    let people = [world.sign_up("ada").await, world.sign_up("eve").await, world.sign_up("dan").await];
    let bob = world.sign_up("bob").await;
    let id = group(&world, &bob, &[&people[0], &people[1], &people[2]]).await;
    // What is there as soon as anybody listens is not theirs.
    let other = group(&world, &bob, &[&people[0]]).await;
    let mut first = Listener::of(&world, &people[0]).await;
    send(&world, &bob, text(&other, "first")).await.expect("not sent");
    first.message("first").await;
    drop(first);
    let carriers = carriers(&world).await;
    let before: Vec<u64> = carriers.iter().map(|carrier| carrier.memory()).collect();
    let mut silent = Vec::new();
    for number in 0..rounds(30, 300) {
        let clients = Clients::new(channel(world.gateway()), Some(&people[number % people.len()].access_token));
        silent.push(Listener::begin(&clients, SubscribeRequest::default()).await);
    }
    let mut quick = Listener::of(&world, &bob).await;
    let body = "x".repeat(16_000);
    for number in 0..300 {
        send(&world, &bob, text(&id, &format!("{number} {body}"))).await.expect("not sent");
        if number % 20 == 0 {
            quick.change(&id, number + 1).await;
        }
    }
    quick.change(&id, 300).await;
    assert_eq!(quick.changes(&id).len(), 300);
    for (carrier, before) in carriers.iter().zip(before) {
        let now = carrier.memory();
        eprintln!("{}: {before} MiB, then {now} MiB for {} who read nothing", carrier.name, silent.len());
        assert!(now <= before + GROWTH, "{} grew from {before} MiB to {now} MiB", carrier.name);
    }
}
