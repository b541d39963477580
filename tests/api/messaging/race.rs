//! S-34: rights are those that are written upon: who is taken out says nothing behind it, and a group keeps an owner, however many ask at once.

use std::collections::BTreeSet;

use futures_util::future::join_all;

use super::meet::{direct, get, group, known, text};
use super::participant::{add, leave, participants, remove, set_role};
use crate::harness::prelude::*;
use crate::harness::rounds;

/// Everything that has happened in a conversation, as somebody sees it who has been there from the beginning.
async fn changes(world: &World, person: &Person, id: &str) -> Vec<Change> {
    let positions = vec![Position { conversation_id: id.to_owned(), change_seq: 0 }];
    let asked = SubscribeRequest { positions, ..Default::default() };
    let mut stream = person.events(world).subscribe(asked).await.expect("no events").into_inner();
    let mut changes = Vec::new();
    while let Some(event) = stream.message().await.expect("the stream breaks off") {
        match event.event {
            Some(subscribe_response::Event::Change(change)) if change.conversation_id == id => changes.push(change),
            Some(subscribe_response::Event::CaughtUp(_)) => return changes,
            _ => {}
        }
    }
    panic!("the stream has ended");
}

#[tokio::test]
async fn s34_who_is_taken_out_says_nothing_behind_it() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = group(&world, &ada, "Holiday", &[&bob]).await.conversation_id;
    for _ in 0..rounds(20, 200) {
        let mut all: Vec<_> = (0..4).map(|_| bob.messages(&world)).collect();
        let sends = join_all(all.iter_mut().map(|client| client.send_message(text(&id, "Hello"))));
        let (sent, removed) = tokio::join!(sends, remove(&world, &ada, &id, &bob));
        removed.unwrap();
        for refused in sent.into_iter().filter_map(Result::err).map(Refusal::from) {
            assert_eq!(refused.is(), (Code::NotFound, "CONVERSATION_NOT_FOUND"));
        }
        let refused = refusal(bob.messages(&world).send_message(text(&id, "Still here")).await);
        assert_eq!(refused.is(), (Code::NotFound, "CONVERSATION_NOT_FOUND"));
        add(&world, &ada, &id, &[&bob]).await.unwrap();
    }
    let mut there: BTreeSet<String> = [ada.account_id.clone(), bob.account_id.clone()].into();
    for (place, change) in changes(&world, &ada, &id).await.into_iter().enumerate() {
        assert_eq!(change.change_seq, place as i64 + 1, "numbers have no gaps");
        let people = |people: Participants| people.participants.into_iter().map(|one| one.account_id);
        match change.what.unwrap() {
            change::What::Sent(message) => assert!(there.contains(&message.sender_account_id), "{message:?}"),
            change::What::Joined(joined) => there.extend(people(joined)),
            change::What::Left(left) => people(left).for_each(|one| assert!(there.remove(&one))),
            other => panic!("nobody has done this: {other:?}"),
        }
    }
}

#[tokio::test]
async fn s34_a_group_keeps_an_owner_whoever_leaves_at_once() {
    let world = World::shared().await;
    let (ada, bob, eve) = (world.sign_up("ada").await, world.sign_up("bob").await, world.sign_up("eve").await);
    for _ in 0..rounds(10, 100) {
        let id = group(&world, &ada, "Holiday", &[&bob, &eve]).await.conversation_id;
        set_role(&world, &ada, &id, &bob, ParticipantRole::Owner).await.unwrap();
        let (left, given_up) =
            tokio::join!(leave(&world, &ada, &id), set_role(&world, &bob, &id, &bob, ParticipantRole::Member));
        left.unwrap();
        if let Err(refused) = given_up {
            assert_eq!(refused.reason, "LAST_OWNER");
        }
        let all = participants(&world, &eve, &id).await;
        let owners = all.iter().filter(|one| one.role() == ParticipantRole::Owner).count();
        assert!(all.len() == 2 && owners >= 1, "{all:?}");
        let (one, other) = tokio::join!(leave(&world, &bob, &id), leave(&world, &eve, &id));
        one.unwrap();
        other.unwrap();
    }
}

#[tokio::test]
async fn s34_two_owners_who_remove_each_other_do_not_both() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    for _ in 0..rounds(10, 100) {
        let id = group(&world, &ada, "Holiday", &[&bob]).await.conversation_id;
        set_role(&world, &ada, &id, &bob, ParticipantRole::Owner).await.unwrap();
        let (one, other) = tokio::join!(remove(&world, &ada, &id, &bob), remove(&world, &bob, &id, &ada));
        let (stays, late) = match (one, other) {
            (Ok(()), Err(late)) => (&ada, late),
            (Err(late), Ok(())) => (&bob, late),
            both => panic!("both, or none of them: {both:?}"),
        };
        assert_eq!(late.reason, "CONVERSATION_NOT_FOUND");
        assert_eq!(get(&world, stays, &id).await.unwrap().participant_count, 1);
    }
}

#[tokio::test]
async fn s34_who_is_added_by_many_at_once_comes_once() {
    let world = World::shared().await;
    let (ada, bob, eve) = (world.sign_up("ada").await, world.sign_up("bob").await, world.sign_up("eve").await);
    known(&world, &eve, &ada).await;
    direct(&world, &bob, &eve).await;
    let id = group(&world, &ada, "Holiday", &[&bob]).await.conversation_id;
    let adds = (0..6).map(|turn| if turn % 2 == 0 { &ada } else { &bob });
    let adds = join_all(adds.map(async |caller| add(&world, caller, &id, &[&eve]).await.unwrap().1)).await;
    assert_eq!(adds.iter().sum::<i32>(), 1, "{adds:?}");
    assert_eq!(get(&world, &eve, &id).await.unwrap().participant_count, 3);
}
