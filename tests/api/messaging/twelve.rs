//! G4, G6: in a group of more people than a conversation shows, everybody hears how far everybody is.

use std::collections::HashMap;

use futures_util::future::join_all;
use quartet_proto::messaging::v1::subscribe_response::Event;

use super::listener::{Listener, positions};
use super::talk::{conversation, group, read, say};
use crate::harness::prelude::*;

/// Twelve people and the id of their group, which is the first one's.
pub async fn twelve(world: &World) -> (Vec<Person>, String) {
    let people = join_all((0..12).map(|_| world.sign_up("ada"))).await;
    let id = group(world, &people[0], &people[1..].iter().collect::<Vec<_>>()).await;
    (people, id)
}

/// Those whom the conversation does not show its first.
pub async fn unseen<'p>(world: &World, people: &'p [Person], id: &str) -> Vec<&'p Person> {
    let shown = conversation(world, &people[0], id).await.participants;
    let is_shown = |person: &&Person| shown.iter().any(|one| one.account_id == person.account_id);
    let unseen: Vec<&Person> = people[1..].iter().filter(|person| !is_shown(person)).collect();
    assert_eq!((shown.len(), unseen.len()), (8, 3));
    unseen
}

/// How far people are, as was told by receipts behind the conversation.
fn receipts(listener: &Listener, id: &str) -> HashMap<String, (i64, i64)> {
    let is_told = |event: &Event| matches!(event, Event::Conversation(told) if told.conversation_id == id);
    let told = listener.heard.iter().position(is_told).expect("the conversation");
    let mark = |event: &Event| match event {
        Event::Receipt(receipt) => Some((receipt.account_id.clone(), (receipt.delivered_seq, receipt.read_seq))),
        _ => None,
    };
    listener.heard[told..].iter().filter_map(mark).collect()
}

#[tokio::test]
async fn g4_g6_receipts_that_were_made_while_one_was_away_are_told_of_all_in_a_group_of_twelve() {
    let world = World::shared().await;
    let (people, id) = twelve(&world).await;
    let (ada, unseen) = (&people[0], unseen(&world, &people, &id).await);
    let mut first = Listener::of(&world, ada).await;
    say(&world, ada, &id, "one").await;
    first.message("one").await;
    drop(first);
    for reader in &unseen[..2] {
        read(&world, reader, &id, 0).await;
    }
    let asked = MarkDeliveredRequest { conversation_id: id.clone(), up_to_seq: 0 };
    unseen[2].receipts(&world).mark_delivered(asked).await.unwrap();

    let mut again = Listener::with(&world, ada, positions(&[(&id, 1)])).await;
    let told = receipts(&again, &id);
    let expected = [(1, 1), (1, 1), (1, 0)];
    for (person, mark) in unseen.iter().zip(expected) {
        assert_eq!(told.get(&person.account_id), Some(&mark), "{:?}", again.heard);
    }
    // What follows is told as it happens, and it is told to those, too, who are told the conversation anew.
    read(&world, unseen[2], &id, 0).await;
    again.receipt(unseen[2], 1, 1).await;
    let before = again.heard.len();
    let asked = SetFavoriteRequest { conversation_id: id.clone(), favorite: true };
    ada.conversations(&world).set_favorite(asked).await.unwrap();
    let told = |event: &Event| matches!(event, Event::Conversation(told) if told.favorite).then_some(());
    if !again.heard[before..].iter().any(|event| told(event).is_some()) {
        again.until("a favourite", told).await;
    }
    say(&world, unseen[0], &id, "two").await;
    again.message("two").await;
    let told = receipts(&again, &id);
    // That who has written it has it goes without saying, and may be told.
    assert!([(1, 1), (2, 2)].contains(&told[&unseen[0].account_id]), "{told:?}");
    assert!(unseen[1..].iter().all(|person| told[&person.account_id] == (1, 1)), "{told:?}");
    again.check_receipts();
}
