//! What is deleted is nowhere any more, the words that it was found by included.

use super::talk::{direct, say};
use crate::harness::prelude::*;
use crate::harness::unique;
use crate::identity::erasure::{completed, copied, delete};

/// Waits until a message is found by a word.
async fn found(world: &World, person: &Person, word: &str) {
    eventually("it is found", async || {
        let asked = SearchMessagesRequest { query: word.to_owned(), ..Default::default() };
        let found = person.messages(world).search_messages(asked).await.unwrap().into_inner().messages;
        (!found.is_empty()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn i16_g5_no_index_keeps_the_words_of_what_was_deleted() {
    let world = World::own().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    copied(&world).await;
    let id = direct(&world, &ada, &bob).await;
    // With first letters of their own, so that the index has each as a whole.
    let [deleted, edited, left, stays] =
        ["kerfuffle", "bamboozle", "wabbitish", "omphalos"].map(|word| format!("{word}{}", unique()));
    let mut seqs = Vec::new();
    for word in [&deleted, &edited, &left] {
        seqs.push(say(&world, &ada, &id, word).await.seq);
        found(&world, &bob, word).await;
    }
    say(&world, &bob, &id, &stays).await;
    found(&world, &bob, &stays).await;
    let before = world.stored().await;
    assert!([&deleted, &edited, &left, &stays].into_iter().all(|word| before.holds(word.as_bytes())));

    let asked = DeleteMessageRequest { conversation_id: id.clone(), seq: seqs[0] };
    ada.messages(&world).delete_message(asked).await.unwrap();
    let body = "something else".to_owned();
    let asked = EditMessageRequest { conversation_id: id.clone(), seq: seqs[1], body, ..Default::default() };
    ada.messages(&world).edit_message(asked).await.unwrap();
    completed(&world, &delete(&world, &ada).await).await;
    eventually("nothing holds them", async || {
        let stored = world.stored().await;
        let gone = [&deleted, &edited, &left].into_iter().all(|word| !stored.holds(word.as_bytes()));
        gone.then_some(())
    })
    .await;
    assert!(world.stored().await.holds(stays.as_bytes()), "what others have said stays");
    found(&world, &bob, &stays).await;
}
