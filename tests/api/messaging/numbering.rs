//! G14: what things are called.

use std::collections::BTreeSet;

use super::talk::{direct, group, newest, say};
use crate::harness::prelude::*;

#[tokio::test]
async fn g14_each_conversation_counts_its_own_messages_and_ids_are_of_no_other() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let (one, other) = (direct(&world, &ada, &bob).await, group(&world, &ada, &[&bob]).await);
    let mut ids = BTreeSet::from([one.clone(), other.clone()]);
    for (number, id) in [(1, &one), (1, &other), (2, &one), (2, &other), (3, &one)] {
        let sender = if number == 2 { &bob } else { &ada };
        let message = say(&world, sender, id, "In its place").await;
        assert_eq!((message.seq, &message.conversation_id), (number, id));
        ids.insert(message.message_id);
    }
    assert_eq!(ids.len(), 7, "no id is there twice: {ids:?}");
    for (id, count) in [(&one, 3), (&other, 2)] {
        let numbers: Vec<i64> = newest(&world, &bob, id).await.iter().map(|message| message.seq).collect();
        assert_eq!(numbers, (1..=count).rev().collect::<Vec<_>>());
    }
}
