//! F-01: messaging is killed wherever it is, and starts again with all that it had answered.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use futures_util::future::join_all;

use super::talk::{direct, text};
use crate::harness::prelude::*;
use crate::harness::{Clients, rounds};

/// How many messages each sends in a round.
const MESSAGES: usize = 12;

/// Sends until it is answered, by the same name.
async fn answered(clients: &Clients, asked: SendMessageRequest) -> Message {
    eventually("it is answered", async || {
        let answer = clients.messages().send_message(asked.clone()).await.ok()?;
        answer.into_inner().message
    })
    .await
}

/// Kills what takes messages when so many were answered, and starts it again.
async fn kill(world: &mut World, number: usize, done: &AtomicUsize) -> Instant {
    let when = 1 + number % (MESSAGES - 1);
    eventually("some are answered", async || (done.load(Ordering::Relaxed) >= when).then_some(())).await;
    if world.is_embedded() {
        world.process().kill().await;
    } else {
        let instances = &mut world.fleet_mut().messagings;
        let victim = number % instances.len();
        instances[victim].kill().await;
        instances[victim].restart().await;
    }
    Instant::now()
}

/// Clients of both with new tokens, which a long run outlives.
async fn senders(world: &World, people: [&Person; 2]) -> Vec<Clients> {
    let signed_in = people.map(|person| world.sign_in(&person.email, PASSWORD));
    join_all(signed_in).await.iter().map(|person| world.as_token(&person.access_token)).collect()
}

#[tokio::test]
async fn f01_messaging_is_killed_again_and_again_and_what_it_answered_is_there_once() {
    let mut world = World::apart(&[]).await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = direct(&world, &ada, &bob).await;
    let mut sent = BTreeSet::new();
    for number in 0..rounds(3, 200) {
        let senders = senders(&world, [&ada, &bob]).await;
        let done = AtomicUsize::new(0);
        let talk = join_all(senders.iter().map(async |clients| {
            let mut messages = Vec::new();
            for _ in 0..MESSAGES {
                messages.push(answered(clients, text(&id, "Hello")).await);
                done.fetch_add(1, Ordering::Relaxed);
            }
            messages
        }));
        let (messages, back) = tokio::join!(talk, kill(&mut world, number, &done));
        eprintln!("round {number}: all is answered {:?} after the start", back.elapsed());
        sent.extend(messages.into_iter().flatten().map(|message| (message.seq, message.message_id)));
    }
    let senders = senders(&world, [&ada, &bob]).await;
    let mut there = Vec::new();
    let mut asked = ListMessagesRequest { conversation_id: id.clone(), page_size: 100, ..Default::default() };
    loop {
        // The gateway may not have seen yet that the process before has ended.
        let list = async || senders[0].messages().list_messages(asked.clone()).await;
        let page = patiently("listed", list).await.expect("no list").into_inner();
        there.extend(page.messages.into_iter().map(|message| (message.seq, message.message_id)));
        if !page.has_more {
            break;
        }
        asked.before_seq = there.last().map_or(0, |(seq, _)| *seq);
    }
    there.reverse();
    assert_eq!(
        there,
        sent.into_iter().collect::<Vec<_>>(),
        "nothing is lost, and nothing is there that nobody was answered"
    );
    assert!(there.iter().map(|(seq, _)| *seq).eq(1..=there.len() as i64), "numbers have no gaps");
}
