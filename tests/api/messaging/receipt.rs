//! G6: two watermarks for each participant, which only move forward, and what a sender learns of them.

use super::talk::{conversation, direct, get, group, read, say};
use crate::harness::prelude::*;

async fn delivered(world: &World, person: &Person, conversation_id: &str, up_to_seq: i64) -> (i64, i64) {
    let asked = MarkDeliveredRequest { conversation_id: conversation_id.to_owned(), up_to_seq };
    let marked = person.receipts(world).mark_delivered(asked).await.unwrap().into_inner();
    (marked.delivered_seq, marked.read_seq)
}

async fn status(world: &World, sender: &Person, message: &Message) -> MessageStatus {
    get(world, sender, &message.conversation_id, message.seq).await.unwrap().message.unwrap().status()
}

#[tokio::test]
async fn g6_watermarks_move_forward_alone() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = direct(&world, &ada, &bob).await;
    for number in 1..=5 {
        say(&world, &ada, &id, &number.to_string()).await;
    }
    assert_eq!(conversation(&world, &bob, &id).await.unread_count, 5);
    assert_eq!(delivered(&world, &bob, &id, 2).await, (2, 0));
    let marked = read(&world, &bob, &id, 3).await;
    assert_eq!((marked.delivered_seq, marked.read_seq, marked.unread_count), (3, 3, 2));
    let marked = read(&world, &bob, &id, 1).await;
    assert_eq!((marked.delivered_seq, marked.read_seq, marked.unread_count), (3, 3, 2), "it never moves back");
    assert_eq!(delivered(&world, &bob, &id, 100).await, (5, 3), "more than there are is all");
    let marked = read(&world, &bob, &id, 0).await;
    assert_eq!((marked.delivered_seq, marked.read_seq, marked.unread_count), (5, 5, 0));
    // Who writes has read what is before it.
    say(&world, &ada, &id, "6").await;
    say(&world, &bob, &id, "7").await;
    let seen = conversation(&world, &bob, &id).await;
    assert_eq!((seen.unread_count, seen.read_seq, seen.delivered_seq), (0, 7, 7));
    assert_eq!(conversation(&world, &ada, &id).await.unread_count, 1);
    let asked = MarkReadRequest { conversation_id: id.clone(), up_to_seq: -1 };
    let refused = refusal(bob.receipts(&world).mark_read(asked).await);
    assert_eq!((refused.code, refused.fields), (Code::InvalidArgument, vec!["up_to_seq".to_owned()]));
}

#[tokio::test]
async fn g6_a_message_has_come_as_far_as_the_last_of_the_others() {
    let world = World::shared().await;
    let (ada, bob, eve) = (world.sign_up("ada").await, world.sign_up("bob").await, world.sign_up("eve").await);
    let id = group(&world, &ada, &[&bob, &eve]).await;
    let sent = say(&world, &ada, &id, "To all").await;
    assert_eq!(status(&world, &ada, &sent).await, MessageStatus::Sent);
    read(&world, &bob, &id, 0).await;
    assert_eq!(status(&world, &ada, &sent).await, MessageStatus::Sent);
    delivered(&world, &eve, &id, 0).await;
    assert_eq!(status(&world, &ada, &sent).await, MessageStatus::Delivered);
    let seen = get(&world, &bob, &id, sent.seq).await.unwrap();
    assert_eq!(seen.message.unwrap().status(), MessageStatus::Unspecified, "told to the sender alone");
    assert_eq!((seen.read_by_account_ids, seen.read_count), (vec![bob.account_id.clone()], 1));
    assert_eq!((seen.delivered_to_account_ids, seen.delivered_count), (vec![eve.account_id.clone()], 2));
    read(&world, &eve, &id, 0).await;
    assert_eq!(status(&world, &ada, &sent).await, MessageStatus::Read);
    // Who has left does not count any more.
    let next = say(&world, &ada, &id, "To all").await;
    read(&world, &bob, &id, 0).await;
    let asked = LeaveConversationRequest { conversation_id: id.clone() };
    eve.participants(&world).leave_conversation(asked).await.unwrap();
    assert_eq!(status(&world, &ada, &next).await, MessageStatus::Read);
}

#[tokio::test]
async fn g6_watermarks_that_race_end_at_the_highest() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = direct(&world, &ada, &bob).await;
    for number in 1..=20 {
        say(&world, &ada, &id, &number.to_string()).await;
    }
    let marks = (1..=20).map(|seq| read(&world, &bob, &id, 21 - seq));
    for marked in futures_util::future::join_all(marks).await {
        assert_eq!(marked.delivered_seq, marked.read_seq);
    }
    let seen = conversation(&world, &bob, &id).await;
    assert_eq!((seen.read_seq, seen.delivered_seq, seen.unread_count), (20, 20, 0));
}
