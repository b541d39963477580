//! Who sends into a conversation at the same time: what is stored together is answered to each by itself.

use futures_util::future::join_all;

use super::talk::{self, group, newest, say, send, text};
use crate::harness::bytes;
use crate::harness::prelude::*;

#[tokio::test]
async fn g3_many_messages_that_come_at_the_same_time_share_a_commit() {
    let world = World::shared().await;
    // SQLite's transactions share commits whatever they do.
    let Some(fleet) = world.fleet() else { return };
    let ada = world.sign_up("ada").await;
    let bob = world.sign_up("bob").await;
    let id = group(&world, &ada, &[&bob]).await;
    let database = fleet.grounds.database("messaging");
    let again = text(&id, "again");
    let first = send(&world, &bob, again.clone()).await.unwrap();
    eventually("some are stored together, and who sends again is among them", async || {
        let people = [&ada, &bob];
        let all = join_all((0..16).map(|number| say(&world, people[number % 2], &id, "at once")));
        let (sent, same) = tokio::join!(all, send(&world, &bob, again.clone()));
        assert_eq!(same.unwrap().seq, first.seq);
        let numbers: Vec<String> = sent.iter().map(|message| message.seq.to_string()).collect();
        let transactions = format!(
            "select count(distinct xmin::text) from message where conversation_id = {} and seq in ({})",
            bytes(&id),
            numbers.join(", ")
        );
        let transactions = fleet.grounds.postgres.run(&database, &transactions).await;
        (transactions.trim().parse::<usize>().unwrap() < sent.len() / 2).then_some(())
    })
    .await;
}

#[tokio::test]
async fn g3_what_is_refused_holds_up_nobody_who_sends_at_the_same_time() {
    let world = World::shared().await;
    let (ada, bob, eve) = (world.sign_up("ada").await, world.sign_up("bob").await, world.sign_up("eve").await);
    let id = group(&world, &ada, &[&bob]).await;
    let before = say(&world, &ada, &id, "before").await;
    let again = SendMessageRequest { body: "before".to_owned(), ..text(&id, "") };
    let again = SendMessageRequest { client_message_id: before.client_message_id.clone(), ..again };
    let one = async |number: usize| {
        let asked = text(&id, &number.to_string());
        match number % 6 {
            0 => {
                let reply = SendMessageRequest { reply_to_seq: 1_000_000, ..asked };
                assert_eq!(refusal(send(&world, &bob, reply).await).reason, "MESSAGE_NOT_FOUND");
                None
            }
            1 => {
                let mentions = vec![eve.account_id.clone()];
                let mention = SendMessageRequest { mentioned_account_ids: mentions, ..asked };
                assert_eq!(refusal(send(&world, &ada, mention).await).fields, ["mentioned_account_ids"]);
                None
            }
            2 => {
                assert_eq!(refusal(send(&world, &eve, asked).await).reason, "CONVERSATION_NOT_FOUND");
                None
            }
            3 => {
                let same = send(&world, &ada, again.clone()).await.unwrap();
                assert_eq!((&same.message_id, same.seq), (&before.message_id, before.seq));
                None
            }
            _ => Some((asked.body.clone(), send(&world, [&ada, &bob][number % 2], asked).await.unwrap())),
        }
    };
    let sent = join_all((0..60).map(one)).await;
    let mut sent: Vec<_> = sent.into_iter().flatten().collect();
    sent.sort_by_key(|(_, message)| message.seq);
    assert!(sent.iter().map(|(_, message)| message.seq).eq(2..=21), "numbers have no gaps");
    assert!(sent.iter().all(|(body, message)| *body == message.body), "each has the answer to what it sent");
    let seen = talk::conversation(&world, &bob, &id).await;
    assert_eq!((seen.last_seq, seen.last_change), (21, 21));
    let stored: Vec<_> = newest(&world, &bob, &id).await.into_iter().rev().map(|message| message.message_id).collect();
    let answered = std::iter::once(&before).chain(sent.iter().map(|(_, message)| message));
    assert!(answered.map(|message| &message.message_id).eq(&stored));
}
