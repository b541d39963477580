//! S-44: changes are kept up to a number, and whoever has missed more begins a conversation anew.

use quartet_proto::messaging::v1::subscribe_response::Event;

use super::listener::{Listener, positions};
use super::rows;
use super::talk::{conversation, group, newest, say};
use crate::harness::prelude::*;

#[tokio::test]
async fn s44_old_changes_go_and_who_has_missed_them_begins_anew() {
    let world = World::own().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = group(&world, &ada, &[&bob]).await;
    for number in 1..=3 {
        say(&world, &ada, &id, &number.to_string()).await;
    }
    // As if very many had followed. Every 256th change takes along those that are too many.
    rows::run(&world, &id, |id| format!("update conversation set last_change = 200447 where id = {id}")).await;
    say(&world, &ada, &id, "many").await;
    let mut late = Listener::with(&world, &bob, positions(&[(&id, 2)])).await;
    let place = |wanted: fn(&Event) -> bool| late.heard.iter().position(wanted);
    let (gone, told) = (
        place(|event| matches!(event, Event::Gone(_))),
        place(|event| matches!(event, Event::Conversation(told) if told.last_change == 200_448)),
    );
    assert!(gone.is_some() && gone < told, "{:?}", late.heard);
    assert!(late.changes(&id).is_empty(), "nothing of what is not kept, and no gap");
    assert_eq!(newest(&world, &bob, &id).await.len(), 4, "messages are kept all the same");
    say(&world, &ada, &id, "next").await;
    late.message("next").await;
    // Who has the one before the first that is kept goes on from there.
    let near = Listener::with(&world, &bob, positions(&[(&id, 200_447)])).await;
    assert!(!near.heard.iter().any(|event| matches!(event, Event::Gone(_))));
    assert_eq!(near.texts(&id), ["many", "next"]);
    assert_eq!(conversation(&world, &bob, &id).await.last_change, 200_449);
}
