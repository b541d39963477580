//! S-32, I-24: receipts, typing, presence and counts are of those who take part, and are told to nobody else.

use quartet_proto::messaging::v1::subscribe_response::Event;

use super::listener::Listener;
use super::live::types;
use super::meet::known;
use super::participant::{participants, remove};
use super::talk::{direct, get, group, read, say};
use crate::harness::prelude::*;

const NONE: &str = "0198b3f2-7d0c-7a51-8f0e-5b1d2c3e4f60";

/// Listens for everything that there is.
async fn all_ears(world: &World, person: &Person) -> Listener {
    Listener::with(world, person, SubscribeRequest { typing: true, presence: true, ..Default::default() }).await
}

/// What is said to somebody by each rpc of receipts and events.
async fn refused(world: &World, person: &Person, stream_id: &str, id: &str) -> Vec<(&'static str, Refusal)> {
    let conversation_id = id.to_owned();
    let (mut receipts, mut events) = (person.receipts(world), person.events(world));
    let delivered = MarkDeliveredRequest { conversation_id: conversation_id.clone(), up_to_seq: 1 };
    let marked = MarkReadRequest { conversation_id: conversation_id.clone(), up_to_seq: 1 };
    let typing = SetTypingRequest { conversation_id: conversation_id.clone(), typing: true };
    let focus = SetFocusRequest { stream_id: stream_id.to_owned(), conversation_id };
    vec![
        ("MarkDelivered", refusal(receipts.mark_delivered(delivered).await)),
        ("MarkRead", refusal(receipts.mark_read(marked).await)),
        ("SetTyping", refusal(events.set_typing(typing).await)),
        ("SetFocus", refusal(events.set_focus(focus).await)),
    ]
}

/// What was heard of a conversation, or of these people.
fn of(heard: &[Event], id: &str, people: &[&Person]) -> Vec<Event> {
    let of_people = |account_id: &str| people.iter().any(|person| person.account_id == account_id);
    let concerns = |event: &&Event| match event {
        Event::Conversation(told) => told.conversation_id == id,
        Event::Change(change) => change.conversation_id == id,
        Event::Receipt(receipt) => receipt.conversation_id == id || of_people(&receipt.account_id),
        Event::Typing(typing) => typing.conversation_id == id || of_people(&typing.account_id),
        Event::Presence(presence) => of_people(&presence.account_id),
        _ => false,
    };
    heard.iter().filter(concerns).cloned().collect()
}

#[tokio::test]
async fn s32_i24_receipts_typing_and_counts_are_of_those_who_take_part() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let (former, stranger) = (world.sign_up("eve").await, world.sign_up("dan").await);
    known(&world, &stranger, &former).await;
    let id = group(&world, &ada, &[&bob, &former]).await;
    let sent = say(&world, &ada, &id, "Secret").await;
    read(&world, &former, &id, 0).await;
    assert_eq!(get(&world, &bob, &id, sent.seq).await.unwrap().read_by_account_ids, [former.account_id.as_str()]);

    let mut hers = all_ears(&world, &ada).await;
    let (mut formers, mut strangers) = (all_ears(&world, &former).await, all_ears(&world, &stranger).await);
    remove(&world, &ada, &id, &former).await.unwrap();
    formers.gone(&id).await;
    let gone = formers.heard.len();
    let before = participants(&world, &ada, &id).await;
    for (person, stream_id) in [(&former, &formers.stream_id), (&stranger, &strangers.stream_id)] {
        for place in [id.as_str(), NONE, "x"] {
            for (rpc, refused) in refused(&world, person, stream_id, place).await {
                assert_eq!(refused.is(), (Code::NotFound, "CONVERSATION_NOT_FOUND"), "{rpc} {place}");
                assert_eq!(refused.message, "there is no such conversation", "{rpc} {place}");
            }
        }
    }
    assert_eq!(participants(&world, &ada, &id).await, before, "nothing has moved");
    let seen = get(&world, &bob, &id, sent.seq).await.unwrap();
    let counts = (seen.read_count, seen.delivered_count, seen.read_by_account_ids, seen.delivered_to_account_ids);
    assert_eq!(counts, (0, 0, vec![], vec![]), "who has gone is not counted");

    // What happens there now, those who take part hear, and the others do not.
    let typing = SetTypingRequest { conversation_id: id.clone(), typing: true };
    types(&world, &mut hers, &bob, &typing).await;
    read(&world, &bob, &id, 0).await;
    hers.receipt(&bob, 1, 1).await;
    let apart = direct(&world, &former, &stranger).await;
    say(&world, &former, &apart, "fence").await;
    formers.message("fence").await;
    strangers.message("fence").await;
    assert_eq!(of(&formers.heard[gone..], &id, &[&ada, &bob]), []);
    assert_eq!(of(&strangers.heard, &id, &[&ada, &bob]), []);
    let of_others = |event: &Event| match event {
        Event::Typing(typing) => typing.account_id != bob.account_id,
        Event::Receipt(receipt) => receipt.account_id == stranger.account_id,
        _ => false,
    };
    assert!(!hers.heard.iter().any(of_others), "nobody else types or reads there: {:?}", hers.heard);
}
