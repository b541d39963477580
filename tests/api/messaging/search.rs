//! Messages are found by their words, in the searcher's own conversations alone.

use super::rows;
use super::talk::{direct, group, named, say};
use crate::harness::prelude::*;

async fn search(world: &World, person: &Person, query: &str, conversation_id: &str) -> Vec<(String, i64)> {
    let (query, conversation_id) = (query.to_owned(), conversation_id.to_owned());
    let asked = SearchMessagesRequest { query, conversation_id, ..Default::default() };
    let found = person.messages(world).search_messages(asked).await.unwrap().into_inner().messages;
    found.into_iter().map(|message| (message.conversation_id, message.seq)).collect()
}

/// Waits until the search has taken in a message that is found by this.
async fn finds(world: &World, person: &Person, query: &str, expected: &[(String, i64)]) {
    eventually("the messages are found", async || (search(world, person, query, "").await == expected).then_some(()))
        .await;
}

#[tokio::test]
async fn g5_messages_are_found_by_words_without_regard_to_case_and_accents() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = direct(&world, &ada, &bob).await;
    say(&world, &ada, &id, "Crème brûlée at eight?").await;
    say(&world, &bob, &id, "The crème is off. ' & | ! ( \" * : OR").await;
    say(&world, &ada, &id, "映画を見る").await;
    let at = |seqs: &[i64]| seqs.iter().map(|seq| (id.clone(), *seq)).collect::<Vec<_>>();
    finds(&world, &bob, "CREME", &at(&[2, 1])).await;
    finds(&world, &ada, "映画", &at(&[3])).await;
    assert_eq!(search(&world, &bob, "brulee creme", &id).await, at(&[1]));
    assert_eq!(search(&world, &bob, "creme bru", &id).await, at(&[1]), "the last word may go on");
    assert_eq!(search(&world, &bob, "cre brulee", &id).await, at(&[]));
    assert_eq!(search(&world, &bob, "creme' OR 'x", &id).await, at(&[]));
    assert_eq!(search(&world, &bob, "of or", &id).await, at(&[]));
    assert_eq!(search(&world, &bob, "creme o", &id).await, at(&[]), "one letter is a word, and no beginning of `off`");
    for query in ["", " !? ", &"x".repeat(257), &"x ".repeat(17)] {
        let asked = SearchMessagesRequest { query: query.to_owned(), ..Default::default() };
        let refused = refusal(bob.messages(&world).search_messages(asked).await);
        assert_eq!((refused.code, refused.fields), (Code::InvalidArgument, vec!["query".to_owned()]));
    }
}

#[tokio::test]
async fn s32_nobody_finds_what_they_do_not_see() {
    let world = World::shared().await;
    let (ada, bob, eve) = (world.sign_up("ada").await, world.sign_up("bob").await, world.sign_up("eve").await);
    let (two, three) = (direct(&world, &ada, &bob).await, group(&world, &ada, &[&bob]).await);
    say(&world, &ada, &two, "secret of two").await;
    say(&world, &ada, &three, "secret of the group").await;
    let asked = AddParticipantsRequest { conversation_id: three.clone(), participants: vec![named(&eve)] };
    eventually("Eve is known", async || ada.participants(&world).add_participants(asked.clone()).await.ok()).await;
    say(&world, &ada, &three, "secret for Eve").await;
    finds(&world, &bob, "secret", &[(three.clone(), 2), (three.clone(), 1), (two.clone(), 1)]).await;
    assert_eq!(search(&world, &eve, "secret", "").await, [(three.clone(), 2)]);
    assert_eq!(search(&world, &bob, "secret", &two).await, [(two.clone(), 1)]);
    let cleared = ClearHistoryRequest { conversation_id: two.clone(), up_to_seq: 0 };
    bob.conversations(&world).clear_history(cleared).await.unwrap();
    assert_eq!(search(&world, &bob, "secret", "").await, [(three.clone(), 2), (three.clone(), 1)]);
    let removed = RemoveParticipantRequest { conversation_id: three.clone(), account_id: eve.account_id.clone() };
    ada.participants(&world).remove_participant(removed).await.unwrap();
    assert!(search(&world, &eve, "secret", "").await.is_empty());
}

#[tokio::test]
async fn g5_an_edited_message_is_found_by_what_it_says_now_and_a_deleted_one_not_at_all() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = direct(&world, &ada, &bob).await;
    let sent = say(&world, &ada, &id, "Breakfast on Monday").await;
    finds(&world, &bob, "monday", &[(id.clone(), 1)]).await;
    let (conversation_id, seq, body) = (id.clone(), sent.seq, "Breakfast on Tuesday".to_owned());
    let asked = EditMessageRequest { conversation_id, seq, body, ..Default::default() };
    ada.messages(&world).edit_message(asked).await.unwrap();
    assert!(search(&world, &bob, "monday", "").await.is_empty());
    finds(&world, &bob, "tuesday", &[(id.clone(), 1)]).await;
    let asked = DeleteMessageRequest { conversation_id: id.clone(), seq };
    ada.messages(&world).delete_message(asked).await.unwrap();
    assert!(search(&world, &bob, "tuesday", "").await.is_empty());
    assert!(search(&world, &bob, "breakfast", "").await.is_empty());
}

#[tokio::test]
async fn g5_what_is_found_comes_page_by_page() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = direct(&world, &ada, &bob).await;
    for _ in 0..5 {
        say(&world, &ada, &id, "pageful").await;
    }
    let all: Vec<(String, i64)> = (1..=5).rev().map(|seq| (id.clone(), seq)).collect();
    finds(&world, &bob, "pageful", &all).await;
    let mut asked = SearchMessagesRequest { query: "pageful".to_owned(), page_size: 2, ..Default::default() };
    let mut sizes = Vec::new();
    loop {
        let page = bob.messages(&world).search_messages(asked.clone()).await.unwrap().into_inner();
        sizes.push(page.messages.iter().map(|message| message.seq).collect::<Vec<_>>());
        asked.page_token = page.next_page_token;
        if asked.page_token.is_empty() {
            break;
        }
    }
    assert_eq!(sizes, [vec![5, 4], vec![3, 2], vec![1]]);
    let wrong = SearchMessagesRequest { query: "other".to_owned(), page_token: "x".to_owned(), ..Default::default() };
    let refused = refusal(bob.messages(&world).search_messages(wrong).await);
    assert_eq!((refused.code, refused.fields), (Code::InvalidArgument, vec!["page_token".to_owned()]));
}

#[tokio::test]
async fn s48_of_very_many_conversations_the_newest_are_searched() {
    let world = World::own().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = group(&world, &ada, &[&bob]).await;
    say(&world, &ada, &id, "needle").await;
    let found = [(id.clone(), 1)];
    finds(&world, &bob, "needle", &found).await;
    // As if they had come into many others since.
    rows::run(&world, &id, |id| {
        let mut all = format!(
            "create temp table place as select * from conversation where id = {id}; \
             update place set activity_time = '2100-01-01 00:00:00'; \
             create temp table part as select * from member where conversation_id = {id};"
        );
        // Ids begin with the time: none of these is one that there is.
        let (sign, rest) = id.split_at(id.len() - 33);
        for number in 0..500 {
            let other = format!("{sign}ffff{number:04x}{}", &rest[8..]);
            all.push_str(&format!(
                "update place set id = {other}; insert into conversation select * from place; \
                 update part set conversation_id = {other}; insert into member select * from part;"
            ));
        }
        all
    })
    .await;
    assert_eq!(search(&world, &bob, "needle", "").await, []);
    assert_eq!(search(&world, &bob, "needle", &id).await, found, "the one that is named is searched");
}
