//! Messages go when they are older than the installation keeps them.

use quartet_proto::messaging::v1::subscribe_response::Event;

use super::listener::{Listener, positions};
use super::talk::{conversation, direct, get, group, newest, say};
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

/// Gives a group another name; the number of that change.
async fn rename(world: &World, owner: &Person, id: &str, name: &str) -> i64 {
    let conversation = Conversation { conversation_id: id.to_owned(), name: name.to_owned(), ..Default::default() };
    let update_mask = Some(prost_types::FieldMask { paths: vec!["name".to_owned()] });
    let asked = UpdateConversationRequest { conversation: Some(conversation), update_mask };
    let renamed = owner.conversations(world).update_conversation(asked).await.expect("not renamed").into_inner();
    renamed.conversation.unwrap().last_change
}

/// Waits until who has all changes of a conversation but the last one can't go on from there.
async fn forgotten(world: &World, person: &Person, id: &str, last: i64) {
    eventually("the change is not kept", async || {
        let clients = world.as_token(&person.access_token);
        let mut late = Listener::begin(&clients, positions(&[(id, last - 1)])).await;
        // Where it goes at this very moment the stream ends, and the client is to come again.
        while !matches!(late.next().await.ok()??, Event::CaughtUp(_)) {}
        late.heard.iter().any(|event| matches!(event, Event::Gone(gone) if gone.conversation_id == id)).then_some(())
    })
    .await;
    let level = Listener::with(world, person, positions(&[(id, last)])).await;
    assert!(!level.heard.iter().any(|event| matches!(event, Event::Gone(_))), "nothing is missing");
}

#[tokio::test]
async fn g4_g5_what_has_happened_goes_when_it_is_too_old_though_no_message_goes_with_it() {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    let world = World::with(&["--messaging-retention-days", "30"]).await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let (spoken, silent) = (group(&world, &ada, &[&bob]).await, group(&world, &ada, &[&bob]).await);
    say(&world, &ada, &spoken, "Old").await;
    let of_silent = rename(&world, &ada, &silent, "Where nobody has ever said anything").await;
    world.move_clock(20 * DAY).await;
    let ada = world.sign_in(&ada.email, &ada.password).await;
    let of_spoken = rename(&world, &ada, &spoken, "Where nothing is said any more").await;
    world.move_clock(11 * DAY).await;
    let bob = world.sign_in(&bob.email, &bob.password).await;
    eventually("the old one is gone", async || newest(&world, &bob, &spoken).await.is_empty().then_some(())).await;
    forgotten(&world, &bob, &silent, of_silent).await;
    // It is younger, and still told to who has missed it.
    let late = Listener::with(&world, &bob, positions(&[(&spoken, of_spoken - 1)])).await;
    assert_eq!(late.changes(&spoken).len(), 1, "{:?}", late.heard);
    world.move_clock(20 * DAY).await;
    let (ada, bob) = (world.sign_in(&ada.email, &ada.password).await, world.sign_in(&bob.email, &bob.password).await);
    forgotten(&world, &bob, &spoken, of_spoken).await;
    // The name itself stays, and what happens next has the next number.
    assert_eq!(conversation(&world, &bob, &spoken).await.name, "Where nothing is said any more");
    let mut hers = Listener::with(&world, &ada, positions(&[(&spoken, of_spoken)])).await;
    say(&world, &bob, &spoken, "Next").await;
    assert_eq!(hers.message("Next").await.0.change_seq, of_spoken + 1);
}
