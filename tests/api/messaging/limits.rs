//! S-49: how much there may be of everything, and that no number of requests at once gets beyond it.

use futures_util::future::join_all;

use super::listener::Listener;
use super::meet::{direct, get, group, known, named, start, starting};
use super::participant::{add, leave};
use super::rows;
use super::talk::{say, send, text};
use crate::harness::prelude::*;

/// Has an account take part in so many conversations, as far as they are counted.
async fn set_count(world: &World, person: &Person, count: usize) {
    let sql = |id: &str| format!("update usage set conversation_count = {count} where account_id = {id}");
    rows::run(world, &person.account_id, sql).await;
}

#[tokio::test]
async fn g1_s49_an_account_begins_ten_thousand_conversations_and_no_more_however_many_it_starts_at_once() {
    let world = World::own().await;
    let (ada, bob, eve) = (world.sign_up("ada").await, world.sign_up("bob").await, world.sign_up("eve").await);
    known(&world, &bob, &ada).await;
    let place = group(&world, &bob, "Without her", &[&eve]).await.conversation_id;
    let first = group(&world, &ada, "First", &[&bob]).await.conversation_id;
    set_count(&world, &ada, 9_995).await;
    let one = |_| start(&world, &ada, starting(ConversationKind::Group, "Next", vec![named(&bob)]));
    let all = join_all((0..10).map(one)).await;
    let refused: Vec<Refusal> = all.into_iter().filter_map(Result::err).map(Refusal::from).collect();
    assert_eq!(refused.len(), 5, "{refused:?}");
    for refused in refused {
        assert_eq!(refused.is(), (Code::ResourceExhausted, "CONVERSATION_LIMIT_REACHED"));
        assert_eq!(refused.metadata["limit"], "10000");
    }
    let asked = starting(ConversationKind::Direct, "", vec![named(&eve)]);
    assert_eq!(refusal(start(&world, &ada, asked.clone()).await).reason, "CONVERSATION_LIMIT_REACHED");
    // What others begin uses up nothing of hers, and she is reached by them.
    assert_eq!(add(&world, &bob, &place, &[&ada]).await.unwrap().1, 1);
    assert_eq!(get(&world, &ada, &place).await.unwrap().participant_count, 3);
    leave(&world, &ada, &place).await.unwrap();
    assert_eq!(refusal(start(&world, &ada, asked).await).reason, "CONVERSATION_LIMIT_REACHED");
    group(&world, &bob, "With her", &[&ada, &eve]).await;
    leave(&world, &ada, &first).await.unwrap();
    assert_eq!(direct(&world, &ada, &eve).await.participant_count, 2, "there is room for one again");
    let asked = starting(ConversationKind::Group, "Next", vec![named(&bob)]);
    assert_eq!(refusal(start(&world, &ada, asked).await).reason, "CONVERSATION_LIMIT_REACHED");
}

#[tokio::test]
async fn g5_s49_of_a_message_the_last_hundred_texts_are_kept() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = direct(&world, &ada, &bob).await.conversation_id;
    let sent = say(&world, &ada, &id, "0").await;
    for number in 1..=102 {
        let (conversation_id, body) = (id.clone(), number.to_string());
        let asked = EditMessageRequest { conversation_id, seq: sent.seq, body, ..Default::default() };
        ada.messages(&world).edit_message(asked).await.unwrap();
    }
    let asked = ListEditsRequest { conversation_id: id.clone(), seq: sent.seq };
    let edits = bob.messages(&world).list_edits(asked).await.unwrap().into_inner().edits;
    let bodies: Vec<String> = edits.into_iter().map(|edit| edit.body).collect();
    assert_eq!(bodies, (2..=101).map(|number| number.to_string()).collect::<Vec<_>>());
    let long = |length: usize| EditMessageRequest {
        conversation_id: id.clone(),
        seq: sent.seq,
        body: "x".repeat(length),
        ..Default::default()
    };
    assert_eq!(refusal(ada.messages(&world).edit_message(long(16 * 1024 + 1)).await).fields, ["body"]);
    ada.messages(&world).edit_message(long(16 * 1024)).await.unwrap();
}

#[tokio::test]
async fn g3_s49_a_message_has_so_many_files_and_mentions_and_no_more() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = direct(&world, &ada, &bob).await.conversation_id;
    let link = || quartet_proto::messaging::v1::Attachment {
        source: Some(attachment::Source::Url("https://example.com/a.png".to_owned())),
        ..Default::default()
    };
    let wrong = SendMessageRequest {
        client_message_id: "x".repeat(65),
        attachments: vec![link(); 11],
        mentioned_account_ids: vec![bob.account_id.clone(); 51],
        ..text(&id, &"x".repeat(16 * 1024 + 1))
    };
    let mut fields = refusal(send(&world, &ada, wrong).await).fields;
    fields.sort();
    assert_eq!(fields, ["attachments", "body", "client_message_id", "mentioned_account_ids"]);
    let most = SendMessageRequest {
        attachments: vec![link(); 10],
        mentioned_account_ids: vec![bob.account_id.clone(); 50],
        ..text(&id, &"x".repeat(16 * 1024))
    };
    let client_message_id = format!("{:0>64}", most.client_message_id);
    assert_eq!(send(&world, &ada, SendMessageRequest { client_message_id, ..most }).await.unwrap().seq, 1);
}

#[tokio::test]
async fn s49_who_looks_around_without_end_is_held_back_alone() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = direct(&world, &ada, &bob).await.conversation_id;
    let look = async || {
        let asked = SetFocusRequest { stream_id: id.clone(), conversation_id: id.clone() };
        ada.events(&world).set_focus(asked).await.map(drop).map_err(Refusal::from)
    };
    let _hers = Listener::looking(&world, &ada, &id).await;
    // It is the same whether there is such a stream.
    let held = eventually("it is enough", async || {
        let all = join_all((0..40).map(|_| look())).await;
        all.into_iter().filter_map(Result::err).find(|refused| refused.code == Code::ResourceExhausted)
    })
    .await;
    assert_eq!(held.reason, "RATE_LIMITED");
    // The neighbour has looked at nothing.
    Listener::looking(&world, &bob, &id).await;
}

#[tokio::test]
async fn s49_who_types_without_end_is_held_back_alone() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = direct(&world, &ada, &bob).await.conversation_id;
    let typing = || SetTypingRequest { conversation_id: id.clone(), typing: true };
    let held = eventually("it is enough", async || {
        let all = join_all((0..40).map(async |_| ada.events(&world).set_typing(typing()).await)).await;
        let mut refused = all.into_iter().filter_map(Result::err).map(Refusal::from);
        refused.find(|refused| refused.code == Code::ResourceExhausted)
    })
    .await;
    assert_eq!(held.is(), (Code::ResourceExhausted, "RATE_LIMITED"));
    bob.events(&world).set_typing(typing()).await.expect("the neighbour has typed nothing");
}
