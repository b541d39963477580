//! S-44: changes are kept up to a number, and whoever has missed more begins a conversation anew.

use quartet_proto::messaging::v1::subscribe_response::Event;

use super::begin::deaf_at;
use super::listener::{Listener, positions};
use super::rows;
use super::talk::{conversation, group, newest, say};
use crate::harness::prelude::*;
use crate::harness::{Clients, channel};

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

#[tokio::test]
async fn s44_who_reads_nothing_keeps_the_others_from_no_conversation_whose_changes_have_gone() {
    let world = World::own().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = group(&world, &ada, &[&bob]).await;
    say(&world, &ada, &id, "one").await;
    let at = world.direct("messaging").first().copied().unwrap_or(world.gateway());
    let begin = async || {
        let mut listener =
            Listener::begin(&Clients::new(channel(at), Some(&bob.access_token)), positions(&[(&id, 1)])).await;
        listener.until("caught up", |event| matches!(event, Event::CaughtUp(_)).then_some(())).await;
        listener
    };
    let _deaf = deaf_at(at, &ada).events().subscribe(positions(&[(&id, 1)])).await.unwrap();
    let mut his = begin().await;
    // As if very many had followed of which nobody here was told.
    let many = |id: &str| format!("update conversation set last_change = 300, first_change = 290 where id = {id}");
    rows::run(&world, &id, many).await;
    say(&world, &ada, &id, "many").await;
    his.end().await.expect("a good end");
    let Some(Event::Resume(resume)) = his.heard.last() else { panic!("no word of it: {:?}", his.heard.last()) };
    assert_eq!(resume.reason(), ResumeReason::Interrupted);
    let mut again = begin().await;
    for number in 0..50 {
        let body = format!("still {number}");
        say(&world, &ada, &id, &body).await;
        again.message(&body).await;
    }
    assert!(!again.heard.iter().any(|event| matches!(event, Event::Resume(_))));
}
