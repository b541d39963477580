//! What many do at once: numbers have no gaps, each message is there once, and nobody gets in behind their removal.

use std::collections::BTreeSet;

use futures_util::future::join_all;

use super::talk::{self, group, list, newest, say, send, text};
use crate::harness::prelude::*;

/// All messages of a conversation, the oldest first, read page by page.
async fn all(world: &World, reader: &Person, conversation_id: &str) -> Vec<Message> {
    let mut messages = newest(world, reader, conversation_id).await;
    loop {
        let before_seq = messages.last().map_or(1, |message| message.seq);
        if before_seq == 1 {
            messages.reverse();
            return messages;
        }
        let conversation_id = conversation_id.to_owned();
        let asked = ListMessagesRequest { conversation_id, before_seq, ..Default::default() };
        messages.extend(list(world, reader, asked).await.unwrap().messages);
    }
}

#[tokio::test]
async fn g3_many_who_send_at_once_are_numbered_without_gaps_and_nothing_is_there_twice() {
    let world = World::shared().await;
    let (ada, bob, eve) = (world.sign_up("ada").await, world.sign_up("bob").await, world.sign_up("eve").await);
    let id = group(&world, &ada, &[&bob, &eve]).await;
    let senders = [&ada, &bob, &eve];
    let one = async |number: usize| {
        let asked = text(&id, &number.to_string());
        // Each comes twice at once, as it does when an answer is lost.
        let (first, second) =
            tokio::join!(send(&world, senders[number % 3], asked.clone()), send(&world, senders[number % 3], asked));
        let (first, second) = (first.unwrap(), second.unwrap());
        assert_eq!((&first.message_id, first.seq), (&second.message_id, second.seq));
        first
    };
    let sent = join_all((0..90).map(one)).await;
    let seqs: BTreeSet<i64> = sent.iter().map(|message| message.seq).collect();
    assert_eq!(seqs, (1..=90).collect());
    let stored = all(&world, &bob, &id).await;
    assert_eq!(stored.iter().map(|message| message.seq).collect::<Vec<_>>(), (1..=90).collect::<Vec<_>>());
    for message in &sent {
        let same = &stored[message.seq as usize - 1];
        assert_eq!((&same.message_id, &same.body), (&message.message_id, &message.body));
    }
    let seen = talk::conversation(&world, &ada, &id).await;
    assert_eq!((seen.last_seq, seen.last_change), (90, 90), "each change has a number, and no number is left out");
}

#[tokio::test]
async fn s34_nobody_sends_behind_their_removal() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    for round in 0..20 {
        let id = group(&world, &ada, &[&bob]).await;
        let removed = RemoveParticipantRequest { conversation_id: id.clone(), account_id: bob.account_id.clone() };
        let remove = async {
            ada.participants(&world).remove_participant(removed).await.unwrap();
            say(&world, &ada, &id, "removed").await.seq
        };
        let talk = join_all((0..8).map(|number| send(&world, &bob, text(&id, &format!("{round} {number}")))));
        let (removed_seq, sent) = tokio::join!(remove, talk);
        for result in sent {
            match result {
                Ok(message) => assert!(message.seq < removed_seq, "sent behind the removal"),
                Err(status) => assert_eq!(Refusal::from(status).reason, "CONVERSATION_NOT_FOUND"),
            }
        }
        let last = newest(&world, &ada, &id).await;
        assert_eq!((last[0].seq, last[0].body.as_str()), (removed_seq, "removed"));
    }
}

#[tokio::test]
async fn g5_reactions_that_race_are_all_counted() {
    let world = World::shared().await;
    let (ada, bob, eve) = (world.sign_up("ada").await, world.sign_up("bob").await, world.sign_up("eve").await);
    let id = group(&world, &ada, &[&bob, &eve]).await;
    let sent = say(&world, &ada, &id, "React").await;
    let people = [&ada, &bob, &eve];
    let react = async |number: usize| {
        let (conversation_id, emoji) = (id.clone(), format!("e{}", number % 3));
        let asked = SetReactionRequest { conversation_id, seq: sent.seq, emoji, present: true, ..Default::default() };
        people[number / 3].messages(&world).set_reaction(asked).await.unwrap();
    };
    join_all((0..9).map(react)).await;
    let seen = talk::get(&world, &bob, &id, sent.seq).await.unwrap().message.unwrap();
    let counts: Vec<(i32, usize)> =
        seen.reactions.iter().map(|reaction| (reaction.count, reaction.account_ids.len())).collect();
    assert_eq!(counts, [(3, 3); 3]);
}
