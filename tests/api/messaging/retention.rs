//! Messages go when they are older than the installation keeps them.

use quartet_proto::messaging::v1::subscribe_response::Event;

use super::listener::{Listener, positions};
use super::talk::{conversation, direct, get, newest, say};
use crate::harness::prelude::*;

#[tokio::test]
async fn g5_messages_go_when_they_are_too_old() {
    let world = World::with(&["--messaging-retention-days", "30"]).await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = direct(&world, &ada, &bob).await;
    for number in 1..=3 {
        say(&world, &ada, &id, &format!("Old {number}")).await;
    }
    world.move_clock(Duration::from_secs(20 * 24 * 3600)).await;
    let (ada, bob) = (world.sign_in(&ada.email, &ada.password).await, world.sign_in(&bob.email, &bob.password).await);
    say(&world, &ada, &id, "Younger").await;
    assert_eq!(newest(&world, &bob, &id).await.len(), 4);
    world.move_clock(Duration::from_secs(11 * 24 * 3600)).await;
    let (ada, bob) = (world.sign_in(&ada.email, &ada.password).await, world.sign_in(&bob.email, &bob.password).await);
    eventually("the old ones are gone", async || (newest(&world, &bob, &id).await.len() == 1).then_some(())).await;
    assert_eq!(newest(&world, &ada, &id).await[0].body, "Younger");
    assert_eq!(refusal(get(&world, &ada, &id, 3).await).reason, "MESSAGE_NOT_FOUND");
    let seen = conversation(&world, &bob, &id).await;
    assert_eq!((seen.unread_count, seen.hidden_seq, seen.last_seq), (1, 3, 4));
    assert_eq!(say(&world, &bob, &id, "Next").await.seq, 5, "numbers go on");
}

#[tokio::test]
async fn g4_g5_whoever_listens_is_told_what_is_kept_no_longer() {
    let world = World::with(&["--messaging-retention-days", "1"]).await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = direct(&world, &ada, &bob).await;
    for number in 1..=3 {
        say(&world, &ada, &id, &format!("Old {number}")).await;
    }
    world.move_clock(Duration::from_secs(22 * 3600)).await;
    let bob = world.sign_in(&bob.email, &bob.password).await;
    say(&world, &bob, &id, "Younger").await;
    let mut his = Listener::of(&world, &bob).await;
    assert_eq!(his.conversation(&id).await.hidden_seq, 0);
    // The stream lives as long as its session, whose tokens do not.
    world.move_clock(Duration::from_secs(4 * 3600)).await;
    let told = his
        .until("a shorter past", |event| match event {
            Event::Conversation(told) if told.conversation_id == id && told.hidden_seq > 0 => Some(told.clone()),
            _ => None,
        })
        .await;
    assert_eq!((told.hidden_seq, told.last_seq), (3, 4));
    assert_eq!(told.last_message.map(|message| message.body).as_deref(), Some("Younger"));
    let bob = world.sign_in(&bob.email, &bob.password).await;
    assert_eq!(newest(&world, &bob, &id).await.len(), 1);
    say(&world, &bob, &id, "Next").await;
    his.message("Next").await;
    // Whoever comes back from where nothing is missing is told the same.
    let late = Listener::with(&world, &bob, positions(&[(&id, 3)])).await;
    assert_eq!(late.texts(&id), ["Younger", "Next"]);
    // What told of the old ones goes with them: who has not had it begins anew.
    let late = Listener::with(&world, &bob, positions(&[(&id, 0)])).await;
    assert!(late.heard.iter().any(|event| matches!(event, Event::Gone(gone) if gone.conversation_id == id)));
    assert!(late.changes(&id).is_empty());
}
