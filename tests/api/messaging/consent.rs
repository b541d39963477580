//! S-49, S-09: nobody is brought into conversations without end, and nobody tries out whose addresses there are.

use super::block::block;
use super::meet::{addressed, direct, get, group, known, named, say, start, starting};
use super::participant::{add, leave, participants, remove};
use crate::harness::PATIENT;
use crate::harness::prelude::*;

const LIMITED: (Code, &str) = (Code::ResourceExhausted, "RATE_LIMITED");

#[tokio::test]
async fn g11_who_has_left_a_group_is_not_added_again_for_a_week() {
    let world = World::own().await;
    let (ada, bob, eve) = (world.sign_up("ada").await, world.sign_up("bob").await, world.sign_up("eve").await);
    known(&world, &eve, &ada).await;
    let id = group(&world, &ada, "Holiday", &[&bob]).await.conversation_id;
    leave(&world, &bob, &id).await.unwrap();
    for people in [vec![&bob], vec![&eve, &bob]] {
        let refused = add(&world, &ada, &id, &people).await.unwrap_err();
        assert_eq!(refused.is(), (Code::FailedPrecondition, "PARTICIPANT_LEFT"));
        assert_eq!(refused.metadata["persons"], bob.account_id);
    }
    assert_eq!(get(&world, &ada, &id).await.unwrap().participant_count, 1, "all of them or none");
    add(&world, &ada, &id, &[&eve]).await.unwrap();
    remove(&world, &ada, &id, &eve).await.unwrap();
    assert_eq!(add(&world, &ada, &id, &[&eve]).await.unwrap().1, 1, "who was removed has not left");
    world.move_clock(Duration::from_secs(7 * 24 * 3600)).await;
    let ada = world.sign_in(&ada.email, &ada.password).await;
    assert_eq!(add(&world, &ada, &id, &[&bob]).await.unwrap().1, 1);
    let bob = world.sign_in(&bob.email, &bob.password).await;
    leave(&world, &bob, &id).await.unwrap();
    assert_eq!(add(&world, &ada, &id, &[&bob]).await.unwrap_err().reason, "PARTICIPANT_LEFT", "another week");
}

#[tokio::test]
async fn g1_s49_strangers_bring_nobody_into_conversations_without_end() {
    let world = World::with(&["--messaging-strangers-per-hour", "8", PATIENT[0], PATIENT[1]]).await;
    let ada = world.sign_up("ada").await;
    let (eve, bob) = (world.sign_up("eve").await, world.sign_up("bob").await);
    let more = [world.sign_up("dan").await, world.sign_up("joe").await];
    let last = world.sign_up("zoe").await;
    let one = async |stranger: &Person| {
        let asked = starting(ConversationKind::Group, "Come", vec![named(&ada)]);
        start(&world, stranger, asked).await.map(|made| made.conversation_id).map_err(Refusal::from)
    };
    let two = direct(&world, &eve, &ada).await.conversation_id;
    for _ in 0..3 {
        let again = direct(&world, &eve, &ada).await.conversation_id;
        assert_eq!(again, two, "what is there already brings her into nothing");
        let asked = starting(ConversationKind::Group, "", vec![named(&ada), addressed("nobody@example.com")]);
        assert_eq!(refusal(start(&world, &eve, asked).await).reason, "PERSON_NOT_FOUND");
    }
    one(&eve).await.expect("what was refused counts nothing");
    assert_eq!(one(&eve).await.unwrap_err().is(), LIMITED, "a quarter is for the same one");
    let place = group(&world, &eve, "Others", &[&bob]).await.conversation_id;
    assert_eq!(add(&world, &eve, &place, &[&ada]).await.unwrap_err().is(), LIMITED);
    assert_eq!(add(&world, &bob, &place, &[&ada]).await.unwrap().1, 1, "others are not kept away by that");
    one(&bob).await.unwrap();
    for stranger in &more {
        one(stranger).await.unwrap();
        one(stranger).await.unwrap();
    }
    one(&last).await.unwrap();
    assert_eq!(one(&last).await.unwrap_err().is(), LIMITED, "she has had enough for now");
    let teacher = world.sign_up("ann").await;
    assert_eq!(direct(&world, &teacher, &ada).await.participant_count, 2, "and can be written to all the same");
    say(&world, &ada, &two, "Hello").await;
    for _ in 0..3 {
        one(&eve).await.expect("she has written to her");
    }
    assert_eq!(direct(&world, &ada, &last).await.participant_count, 2, "whom she reaches is another matter");
}

#[tokio::test]
async fn g1_s49_a_group_that_is_asked_for_again_counts_nothing_and_reaches_nobody_anew() {
    let world = World::with(&["--messaging-strangers-per-hour", "8", PATIENT[0], PATIENT[1]]).await;
    let (ada, bob, eve) = (world.sign_up("ada").await, world.sign_up("bob").await, world.sign_up("eve").await);
    known(&world, &bob, &eve).await;
    let keyed = |key: &str, name: &str| StartConversationRequest {
        idempotency_key: key.to_owned(),
        ..starting(ConversationKind::Group, name, vec![named(&bob)])
    };
    let made = start(&world, &ada, keyed("once", "Holiday")).await.unwrap().conversation_id;
    for _ in 0..5 {
        let again = start(&world, &ada, keyed("once", "Holiday")).await.map_err(Refusal::from).unwrap();
        assert_eq!(again.conversation_id, made);
    }
    start(&world, &ada, keyed("twice", "Holiday")).await.expect("the first was counted once");
    let another = refusal(start(&world, &ada, keyed("another", "Holiday")).await);
    assert_eq!(another.is(), LIMITED, "a quarter is for the same one");
    block(&world, &bob, &ada).await.unwrap();
    let again = start(&world, &ada, keyed("once", "Holiday")).await.map_err(Refusal::from).unwrap();
    assert_eq!(again.conversation_id, made, "whoever accepts nothing from her since");
    let refused = refusal(start(&world, &ada, keyed("once", "Summer")).await);
    assert_eq!(refused.fields, ["idempotency_key"], "something else is something else");
}

#[tokio::test]
async fn s09_s49_who_names_more_than_may_be_nobodys_is_told_of_none_from_then_on() {
    let world = World::with(&["--messaging-misses-per-hour", "3", PATIENT[0], PATIENT[1]]).await;
    let (ada, bob, eve) = (world.sign_up("ada").await, world.sign_up("bob").await, world.sign_up("eve").await);
    for person in [&ada, &eve] {
        known(&world, &bob, person).await;
    }
    let group_of = |people| starting(ConversationKind::Group, "", people);
    let misses = |count: usize| (0..count).map(|number| addressed(&format!("nobody{number}@example.com"))).collect();
    // What was there takes no place, however many are named at once.
    start(&world, &ada, group_of(vec![addressed(&bob.email); 7])).await.expect("all of them are somebody's");
    assert_eq!(refusal(start(&world, &ada, group_of(misses(1))).await).reason, "PERSON_NOT_FOUND");
    let both = vec![addressed(&bob.email), addressed("nobody@example.com")];
    let refused = refusal(start(&world, &ada, group_of(both)).await);
    assert_eq!(
        (refused.reason.as_str(), refused.metadata["persons"].as_str()),
        ("PERSON_NOT_FOUND", "nobody@example.com")
    );
    // More than are left: that they are refused says whose they are not, so it takes what there is.
    for (person, count) in [(&ada, 2), (&eve, 4)] {
        let refused = refusal(start(&world, person, group_of(misses(count))).await);
        assert_eq!(refused.is(), LIMITED);
        assert!(!refused.message.contains("nobody") && !refused.metadata.contains_key("persons"), "{refused:?}");
        for address in [&bob.email, "nobody@example.com"] {
            let asked = starting(ConversationKind::Direct, "", vec![addressed(address)]);
            let refused = refusal(start(&world, person, asked).await);
            assert_eq!(refused.is(), LIMITED, "nothing is left");
        }
    }
    start(&world, &eve, group_of(vec![named(&bob)])).await.expect("ids are no addresses");
    // A place comes back in time.
    world.move_clock(Duration::from_secs(21 * 60)).await;
    let eve = world.sign_in(&eve.email, &eve.password).await;
    start(&world, &eve, group_of(vec![addressed(&bob.email)])).await.expect("one is left again");
}

#[tokio::test]
async fn s09_s49_addresses_are_not_tried_out() {
    let flags = ["--messaging-misses-per-hour", "3", "--messaging-named-per-minute", "1", PATIENT[0], PATIENT[1]];
    let world = World::with(&flags).await;
    let (ada, bob, eve) = (world.sign_up("ada").await, world.sign_up("bob").await, world.sign_up("eve").await);
    known(&world, &ada, &eve).await;
    known(&world, &bob, &eve).await;
    let group_of = |people| starting(ConversationKind::Group, "", people);
    for _ in 0..5 {
        let hit = start(&world, &ada, group_of(vec![addressed(&bob.email)])).await;
        hit.expect("who is there is no miss");
    }
    let misses = |count: usize| (0..count).map(|number| addressed(&format!("nobody{number}@example.com"))).collect();
    let refused = refusal(start(&world, &ada, group_of(misses(2))).await);
    assert_eq!(refused.metadata["persons"], "nobody0@example.com,nobody1@example.com");
    let refused = refusal(start(&world, &ada, group_of(misses(2))).await);
    assert_eq!(refused.is(), LIMITED);
    assert!(!refused.message.contains("nobody") && !refused.metadata.contains_key("persons"), "{refused:?}");
    // From then on it tells nothing of any address.
    for address in [&bob.email, "nobody@example.com"] {
        let asked = starting(ConversationKind::Direct, "", vec![addressed(address)]);
        assert_eq!(refusal(start(&world, &ada, asked).await).is(), LIMITED);
        let place = group(&world, &ada, "", &[&eve]).await.conversation_id;
        let asked = AddParticipantsRequest { conversation_id: place, participants: vec![addressed(address)] };
        assert_eq!(refusal(ada.participants(&world).add_participants(asked).await).is(), LIMITED);
    }
    let neighbour = start(&world, &bob, group_of(misses(1))).await;
    assert_eq!(refusal(neighbour).reason, "PERSON_NOT_FOUND", "each has their own number");

    // As many as make a large group are named at once, and not again right behind that.
    start(&world, &eve, group_of(vec![named(&bob); 700])).await.expect("it is not too many");
    assert_eq!(refusal(start(&world, &eve, group_of(vec![named(&bob); 700])).await).is(), LIMITED);
}

#[tokio::test]
async fn g10_s32_addresses_are_seen_by_who_has_named_them_or_was_written_to() {
    let world = World::own().await;
    let (ada, bob, eve) = (world.sign_up("ada").await, world.sign_up("bob").await, world.sign_up("eve").await);
    known(&world, &eve, &ada).await;
    let id = group(&world, &ada, "Holiday", &[&bob, &eve]).await.conversation_id;
    let seen = async |person: &Person| {
        let all = participants(&world, person, &id).await;
        let mut seen: Vec<String> = all.into_iter().map(|one| one.email).filter(|email| !email.is_empty()).collect();
        seen.sort();
        seen
    };
    let sorted = |people: &[&Person]| {
        let mut emails: Vec<String> = people.iter().map(|person| person.email.clone()).collect();
        emails.sort();
        emails
    };
    for person in [&ada, &bob, &eve] {
        assert_eq!(seen(person).await, sorted(&[person]), "strangers see their own");
    }
    let two = start(&world, &ada, starting(ConversationKind::Direct, "", vec![addressed(&bob.email.to_uppercase())]));
    let two = two.await.unwrap().conversation_id;
    assert_eq!(seen(&ada).await, sorted(&[&ada, &bob]), "she has named him by it");
    assert_eq!(seen(&bob).await, sorted(&[&bob]));
    say(&world, &ada, &two, "Hello").await;
    assert_eq!(seen(&bob).await, sorted(&[&ada, &bob]), "she has written to him");
    assert_eq!(seen(&eve).await, sorted(&[&eve]));
    let asked = AddParticipantsRequest { conversation_id: id.clone(), participants: vec![addressed(&ada.email)] };
    assert_eq!(eve.participants(&world).add_participants(asked).await.unwrap().into_inner().added, 0);
    assert_eq!(seen(&eve).await, sorted(&[&ada, &eve]), "she knows it, whether it brings anybody in or not");
}
