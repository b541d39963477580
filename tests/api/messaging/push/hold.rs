//! S-49: nobody holds up the pushes of others, by a push service that takes its time or by many messages.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::Semaphore;

use super::firebase::{Account, SEND, TOKEN, granted, told};
use super::server::{PushServer, Reply, reply};
use super::{browser, phone, register, until_taken, world};
use crate::harness::prelude::*;
use crate::messaging::talk::{direct, group, say};

/// As many devices as an account may have, all at one server.
async fn many_devices(world: &World, person: &Person, server: &PushServer) {
    let mut session = person.clone();
    for number in 0..20 {
        register(world, &session, browser(&server.url(&format!("/{number}")))).await;
        session = world.sign_in(&person.email, PASSWORD).await;
    }
}

#[tokio::test]
async fn s49_a_push_service_that_takes_its_time_holds_up_no_other() {
    // It takes each push, and more than half of the time that it is given for that.
    let slow = PushServer::start(|_, _| Reply { pause: Duration::from_secs(3), ..reply(201) }).await;
    let quick = PushServer::start(|_, _| reply(201)).await;
    let world = world().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let (eve, mallory) = (world.sign_up("eve").await, world.sign_up("mallory").await);
    register(&world, &bob, browser(&quick.url("/bob"))).await;
    many_devices(&world, &mallory, &slow).await;
    let id = direct(&world, &ada, &bob).await;
    for _ in 0..5 {
        let theirs = group(&world, &eve, &[&mallory]).await;
        for number in 0..6 {
            say(&world, &eve, &theirs, &number.to_string()).await;
        }
    }
    eventually("it is at it", async || (slow.most() > 0).then_some(())).await;
    for count in 1..=3 {
        say(&world, &ada, &id, "Hello").await;
        until_taken(&quick, "/bob", count).await;
    }
    // Two jobs of an account in each instance, and perhaps two that were given up, which this server has not seen yet. An origin has eight.
    let instances = world.direct("messaging").len().max(1);
    assert!(slow.most() <= 4 * instances, "{}", slow.most());
}

#[tokio::test]
async fn s49_of_many_messages_a_device_gets_the_newest_and_not_each() {
    const COUNT: i64 = 30;
    let held = Arc::new(Semaphore::new(0));
    let holds = held.clone();
    let server = PushServer::start(move |asked, _| match asked.path.as_str() {
        TOKEN => granted(),
        _ => Reply { held: Some(holds.clone()), ..reply(200) },
    })
    .await;
    let world = Account::make(&server).world(&server).await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = direct(&world, &ada, &bob).await;
    register(&world, &bob, phone("bobs-phone")).await;
    say(&world, &ada, &id, "1").await;
    eventually("it is tried", async || (!server.at(SEND).is_empty()).then_some(())).await;
    for number in 2..=COUNT {
        say(&world, &ada, &id, &number.to_string()).await;
    }
    held.add_permits(Semaphore::MAX_PERMITS);
    let numbers = || server.at(SEND).iter().map(|asked| told(asked).1).collect::<BTreeSet<i64>>();
    eventually("the newest has come", async || numbers().contains(&COUNT).then_some(())).await;
    // Something elsewhere comes behind all of it.
    let other = group(&world, &ada, &[&bob]).await;
    say(&world, &ada, &other, "And here?").await;
    let is_other = async || server.at(SEND).iter().any(|asked| told(asked).0 == other).then_some(());
    eventually("what was said elsewhere has come", is_other).await;
    assert!((numbers().len() as i64) < COUNT, "{:?}", numbers());
}
