//! G5: a conversation is read page by page, in both directions.

use super::talk::{self, direct, list, say};
use crate::harness::prelude::*;

fn page(conversation_id: &str, before_seq: i64, after_seq: i64, page_size: i32) -> ListMessagesRequest {
    ListMessagesRequest { conversation_id: conversation_id.to_owned(), before_seq, after_seq, page_size }
}

fn seqs(page: &ListMessagesResponse) -> Vec<i64> {
    page.messages.iter().map(|message| message.seq).collect()
}

#[tokio::test]
async fn g5_messages_are_read_back_from_the_newest_and_on_from_any() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = direct(&world, &ada, &bob).await;
    for number in 1..=7 {
        let sender = if number % 2 == 0 { &ada } else { &bob };
        assert_eq!(say(&world, sender, &id, &number.to_string()).await.seq, number);
    }
    let read = async |before, after, size| {
        let page = list(&world, &bob, page(&id, before, after, size)).await.unwrap();
        (seqs(&page), page.has_more)
    };
    assert_eq!(read(0, 0, 0).await, (vec![7, 6, 5, 4, 3, 2, 1], false));
    assert_eq!(read(0, 0, 3).await, (vec![7, 6, 5], true));
    assert_eq!(read(5, 0, 3).await, (vec![4, 3, 2], true));
    assert_eq!(read(2, 0, 3).await, (vec![1], false));
    assert_eq!(read(1, 0, 3).await, (vec![], false));
    assert_eq!(read(0, 3, 3).await, (vec![4, 5, 6], true));
    assert_eq!(read(0, 4, 3).await, (vec![5, 6, 7], false));
    assert_eq!(read(0, 7, 3).await, (vec![], false));
    assert_eq!(read(0, i64::MAX, 3).await, (vec![], false));
}

#[tokio::test]
async fn g5_a_page_of_long_messages_is_a_short_one() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = direct(&world, &ada, &bob).await;
    let refused = refusal(list(&world, &ada, page(&id, 1, 1, -1)).await);
    let mut fields = refused.fields;
    fields.sort();
    assert_eq!((refused.code, fields), (Code::InvalidArgument, vec!["after_seq".to_owned(), "page_size".to_owned()]));
    for _ in 0..12 {
        say(&world, &ada, &id, &"é".repeat(8 * 1024)).await;
    }
    let all = list(&world, &bob, page(&id, 0, 0, 1000)).await.unwrap();
    assert_eq!((all.messages.len(), all.has_more), (12, false));
}

#[tokio::test]
async fn g7_what_somebody_has_cleared_is_hidden_from_them_and_not_from_others() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = direct(&world, &ada, &bob).await;
    for number in 1..=3 {
        say(&world, &ada, &id, &number.to_string()).await;
    }
    let asked = ClearHistoryRequest { conversation_id: id.clone(), up_to_seq: 2 };
    bob.conversations(&world).clear_history(asked).await.unwrap();
    assert_eq!(seqs(&list(&world, &bob, page(&id, 0, 0, 0)).await.unwrap()), [3]);
    assert_eq!(seqs(&list(&world, &ada, page(&id, 0, 0, 0)).await.unwrap()), [3, 2, 1]);
    assert_eq!(refusal(talk::get(&world, &bob, &id, 2).await).reason, "MESSAGE_NOT_FOUND");
}
