//! G1, X17: how conversations are started; G7, G11: what each does with one.

use super::contact::call;
use super::meet::{addressed, bodies, direct, get, group, known, named, read, said, say, start, started, starting};
use crate::harness::prelude::*;

#[tokio::test]
async fn g1_a_direct_conversation_is_there_once_for_each_pair() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let made = direct(&world, &ada, &bob).await;
    assert_eq!((made.kind(), made.name.as_str(), made.participant_count), (ConversationKind::Direct, "", 2));
    assert_eq!((made.last_seq, made.last_change, made.unread_count, made.role()), (0, 0, 0, ParticipantRole::Member));
    let others: Vec<&str> = made.participants.iter().map(|other| other.account_id.as_str()).collect();
    assert_eq!(others, [bob.account_id.as_str()], "the others, not oneself");
    let again = direct(&world, &bob, &ada).await;
    assert_eq!(again.conversation_id, made.conversation_id);
    for people in [vec![addressed(&bob.email.to_uppercase())], vec![named(&ada), named(&bob), named(&bob)]] {
        let again = started(&world, &ada, starting(ConversationKind::Direct, "", people)).await;
        assert_eq!(again.conversation_id, made.conversation_id);
    }
}

#[tokio::test]
async fn g1_s34_a_direct_conversation_that_all_start_at_once_is_one() {
    let world = World::shared().await;
    let (ada, bob, eve) = (world.sign_up("ada").await, world.sign_up("bob").await, world.sign_up("eve").await);
    known(&world, &ada, &eve).await;
    known(&world, &bob, &eve).await;
    let one = |caller, other| start(&world, caller, starting(ConversationKind::Direct, "", vec![named(other)]));
    let starts = (0..10).map(|turn| if turn % 2 == 0 { one(&ada, &bob) } else { one(&bob, &ada) });
    let all = futures_util::future::join_all(starts).await;
    let ids: Vec<String> = all.into_iter().map(|made| made.expect("not started").conversation_id).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    let asked = ListConversationsRequest::default();
    let list = ada.conversations(&world).list_conversations(asked).await.unwrap().into_inner().conversations;
    assert_eq!(list.len(), 2, "this one, and the one with Eve");
}

#[tokio::test]
async fn x17_a_direct_conversation_is_between_exactly_two() {
    let world = World::shared().await;
    let (ada, bob, eve) = (world.sign_up("ada").await, world.sign_up("bob").await, world.sign_up("eve").await);
    known(&world, &bob, &ada).await;
    known(&world, &eve, &ada).await;
    for (people, name) in [
        (vec![named(&bob), named(&eve)], "My Conversation"),
        (vec![named(&bob), named(&eve)], ""),
        (vec![named(&ada)], ""),
    ] {
        let refused = refusal(start(&world, &ada, starting(ConversationKind::Direct, name, people)).await);
        assert_eq!(refused.is(), (Code::InvalidArgument, "DIRECT_NEEDS_TWO"));
    }
    let asked = starting(ConversationKind::Direct, "Us", vec![named(&bob)]);
    assert_eq!(refusal(start(&world, &ada, asked).await).fields, ["name"]);
}

#[tokio::test]
async fn g1_a_group_has_a_name_or_is_called_by_the_others() {
    let world = World::shared().await;
    let (ada, bob, eve) = (world.sign_up("ada").await, world.sign_up("bob").await, world.sign_up("eve").await);
    for person in [&ada, &bob, &eve] {
        call(&world, person, &first_name(person), "").await;
    }
    let made = group(&world, &ada, " Holiday ", &[&bob, &eve]).await;
    assert_eq!((made.name.as_str(), made.display_name.as_str(), made.participant_count), ("Holiday", "Holiday", 3));
    assert_eq!((made.kind(), made.role()), (ConversationKind::Group, ParticipantRole::Owner));
    assert_eq!(get(&world, &bob, &made.conversation_id).await.unwrap().role(), ParticipantRole::Member);

    let nameless = group(&world, &ada, "", &[&bob, &eve]).await;
    assert_eq!(nameless.name, "");
    let called = async |person: &Person, expected: &[&Person]| {
        let mut expected: Vec<String> = expected.iter().map(|other| first_name(other)).collect();
        expected.sort();
        eventually("names are known", async || {
            let shown = get(&world, person, &nameless.conversation_id).await.unwrap().display_name;
            let mut names: Vec<String> = shown.split(" & ").map(str::to_owned).collect();
            names.sort();
            (names == expected).then_some(())
        })
        .await;
    };
    called(&ada, &[&bob, &eve]).await;
    called(&bob, &[&ada, &eve]).await;
    called(&eve, &[&ada, &bob]).await;
}

/// What somebody is called in these tests.
fn first_name(person: &Person) -> String {
    format!("Name{}", &person.account_id[30..])
}

#[tokio::test]
async fn g1_who_is_not_known_is_named_and_all_that_is_wrong_is_told_at_once() {
    let world = World::shared().await;
    let (ada, bob, pending) = (world.sign_up("ada").await, world.sign_up("bob").await, world.register("joe").await);
    known(&world, &bob, &ada).await;
    let people = vec![named(&bob), addressed("nobody@example.com"), addressed(&pending.email)];
    let refused = refusal(start(&world, &ada, starting(ConversationKind::Group, "", people)).await);
    assert_eq!(refused.is(), (Code::NotFound, "PERSON_NOT_FOUND"));
    assert_eq!(refused.metadata["persons"], format!("nobody@example.com,{}", pending.email));
    let asked = StartConversationRequest {
        kind: 7,
        participants: vec![addressed("bob"), Default::default(), named(&bob)],
        name: "x".repeat(101),
        idempotency_key: "x".repeat(65),
    };
    let refused = refusal(start(&world, &ada, asked).await);
    assert_eq!(refused.fields, ["kind", "participants[0].email", "participants[1]", "name", "idempotency_key"]);
    for people in [vec![], vec![named(&bob); 1001]] {
        let asked = starting(ConversationKind::Group, "", people);
        assert_eq!(refusal(start(&world, &ada, asked).await).fields, ["participants"]);
    }
    let alone = starting(ConversationKind::Group, "Me", vec![named(&ada)]);
    assert_eq!(refusal(start(&world, &ada, alone).await).fields, ["participants"]);
}

#[tokio::test]
async fn g1_a_group_that_is_asked_for_again_with_the_same_key_is_the_same() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let keyed = |name: &str| StartConversationRequest {
        idempotency_key: "once".to_owned(),
        ..starting(ConversationKind::Group, name, vec![named(&bob)])
    };
    let made = started(&world, &ada, keyed("Holiday")).await;
    let (one, other) = tokio::join!(start(&world, &ada, keyed("Holiday")), start(&world, &ada, keyed("Holiday")));
    for again in [one, other] {
        assert_eq!(again.unwrap().conversation_id, made.conversation_id);
    }
    assert_eq!(refusal(start(&world, &ada, keyed("Other")).await).fields, ["idempotency_key"]);
    let unkeyed = group(&world, &ada, "Holiday", &[&bob]).await;
    assert_ne!(unkeyed.conversation_id, made.conversation_id);
}

#[tokio::test]
async fn g1_s49_who_starts_too_many_is_held_back_alone() {
    let world = World::with(&["--messaging-starts-per-minute", "3"]).await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let asked = |other| starting(ConversationKind::Direct, "", vec![named(other)]);
    let held = eventually("it is enough", async || {
        let refused = Refusal::from(start(&world, &ada, asked(&bob)).await.err()?);
        (refused.reason == "RATE_LIMITED").then_some(refused)
    })
    .await;
    assert_eq!(held.code, Code::ResourceExhausted);
    let other = start(&world, &bob, asked(&ada)).await.map_err(Refusal::from);
    assert!(other.as_ref().err().is_none_or(|refused| refused.reason != "RATE_LIMITED"), "{other:?}");
}

#[tokio::test]
async fn g11_a_group_is_renamed_by_any_participant_and_a_direct_conversation_is_not() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let made = group(&world, &ada, "Holiday", &[&bob]).await;
    let rename = async |person: &Person, id: &str, name: &str, etag: &str| {
        let conversation = Conversation {
            conversation_id: id.to_owned(),
            name: name.to_owned(),
            etag: etag.to_owned(),
            ..Default::default()
        };
        let update_mask = Some(prost_types::FieldMask { paths: vec!["name".to_owned()] });
        let asked = UpdateConversationRequest { conversation: Some(conversation), update_mask };
        let answer = person.conversations(&world).update_conversation(asked).await?;
        Ok::<_, tonic::Status>(answer.into_inner().conversation.unwrap())
    };
    let renamed = rename(&bob, &made.conversation_id, "Summer", &made.etag).await.unwrap();
    assert_eq!((renamed.name.as_str(), renamed.last_change), ("Summer", 1));
    let refused = refusal(rename(&ada, &made.conversation_id, "Winter", &made.etag).await);
    assert_eq!(refused.is(), (Code::Aborted, "ETAG_STALE"));
    let same = rename(&ada, &made.conversation_id, "Summer", "").await.unwrap();
    assert_eq!((same.last_change, same.etag), (1, renamed.etag), "nothing has changed");
    assert_eq!(rename(&ada, &made.conversation_id, "", "").await.unwrap().name, "");
    for wrong in ["x".repeat(101), "Bank\n".repeat(2), "Bank \u{202e}fo".to_owned(), "\u{2066}Bank".to_owned()] {
        let refused = refusal(rename(&ada, &made.conversation_id, &wrong, "").await);
        assert_eq!((refused.code, refused.fields), (Code::InvalidArgument, vec!["conversation.name".to_owned()]));
        let asked = starting(ConversationKind::Group, &wrong, vec![named(&bob)]);
        assert_eq!(refusal(start(&world, &ada, asked).await).fields, ["name"]);
    }
    let two = direct(&world, &ada, &bob).await.conversation_id;
    let refused = refusal(rename(&ada, &two, "Us", "").await);
    assert_eq!(refused.is(), (Code::FailedPrecondition, "CONVERSATION_IS_DIRECT"));
    let wrong = UpdateConversationRequest::default();
    assert_eq!(refusal(ada.conversations(&world).update_conversation(wrong).await).fields, ["update_mask"]);
}

#[tokio::test]
async fn g7_what_one_has_cleared_the_others_keep() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = direct(&world, &ada, &bob).await.conversation_id;
    for text in ["one", "two", "three"] {
        say(&world, &ada, &id, text).await;
    }
    let clear = async |person: &Person, up_to_seq| {
        let asked = ClearHistoryRequest { conversation_id: id.clone(), up_to_seq };
        person.conversations(&world).clear_history(asked).await.map(|answer| answer.into_inner().conversation.unwrap())
    };
    let cleared = clear(&bob, 2).await.unwrap();
    assert_eq!((cleared.hidden_seq, cleared.unread_count, cleared.read_seq), (2, 1, 0), "clearing is not reading");
    assert_eq!(cleared.last_message.unwrap().body, "three");
    assert_eq!(bodies(&said(&world, &bob, &id).await), ["three"]);
    assert_eq!(bodies(&said(&world, &ada, &id).await), ["one", "two", "three"]);
    assert_eq!(clear(&bob, 1).await.unwrap().hidden_seq, 2, "what is cleared does not come back");
    let cleared = clear(&bob, 0).await.unwrap();
    assert_eq!((cleared.hidden_seq, cleared.unread_count, cleared.last_message), (3, 0, None));
    assert_eq!(clear(&bob, i64::MAX).await.unwrap().hidden_seq, 3, "what is yet to come is not cleared");
    assert_eq!(refusal(clear(&bob, -1).await).fields, ["up_to_seq"]);
    say(&world, &ada, &id, "four").await;
    assert_eq!(bodies(&said(&world, &bob, &id).await), ["four"]);
    assert_eq!(get(&world, &ada, &id).await.unwrap().hidden_seq, 0);
}

#[tokio::test]
async fn g2_what_is_unread_is_counted_for_each_and_not_where_it_is_muted() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let one = direct(&world, &ada, &bob).await.conversation_id;
    let other = group(&world, &ada, "Holiday", &[&bob]).await.conversation_id;
    say(&world, &ada, &one, "Hello").await;
    let mention =
        SendMessageRequest { mentioned_account_ids: vec![bob.account_id.clone()], ..super::meet::text(&other, "Bob!") };
    ada.messages(&world).send_message(mention).await.unwrap();
    say(&world, &ada, &other, "Well?").await;
    let unread = async |person: &Person| {
        let asked = ListConversationsRequest::default();
        let list = person.conversations(&world).list_conversations(asked).await.unwrap().into_inner();
        let all: Vec<_> = list
            .conversations
            .iter()
            .map(|each| (each.conversation_id.clone(), each.unread_count, each.unread_mention_count))
            .collect();
        (all, list.unread_count)
    };
    assert_eq!(unread(&bob).await, (vec![(other.clone(), 2, 1), (one.clone(), 1, 0)], 3));
    assert_eq!(unread(&ada).await, (vec![(other.clone(), 0, 0), (one.clone(), 0, 0)], 0), "who writes has read it");
    let mute = async |muted_until| {
        let asked = SetMutedRequest { conversation_id: other.clone(), muted_until };
        bob.conversations(&world).set_muted(asked).await.map(|answer| answer.into_inner().conversation.unwrap())
    };
    let forever = prost_types::Timestamp { seconds: 250_000_000_000, nanos: 0 };
    assert!(mute(Some(forever)).await.unwrap().muted_until.is_some());
    assert_eq!(unread(&bob).await.1, 1);
    assert!(mute(Some(prost_types::Timestamp::default())).await.unwrap().muted_until.is_none(), "that is over");
    assert_eq!(unread(&bob).await.1, 3);
    mute(Some(forever)).await.unwrap();
    assert!(mute(None).await.unwrap().muted_until.is_none());
    let wrong = prost_types::Timestamp { seconds: 1, nanos: -1 };
    assert_eq!(refusal(mute(Some(wrong)).await).fields, ["muted_until"]);
    read(&world, &bob, &other).await;
    assert_eq!(unread(&bob).await, (vec![(other, 0, 0), (one, 1, 0)], 1));
}

#[tokio::test]
async fn s32_nobody_sees_that_there_is_a_conversation_of_which_they_are_no_part() {
    let world = World::shared().await;
    let (ada, bob, eve) = (world.sign_up("ada").await, world.sign_up("bob").await, world.sign_up("eve").await);
    let made = group(&world, &ada, "Holiday", &[&bob]).await;
    say(&world, &ada, &made.conversation_id, "Secret").await;
    for id in [made.conversation_id.clone(), "x".to_owned(), String::new()] {
        for (rpc, refused) in all_refused(&world, &eve, &id, &bob).await {
            assert_eq!(refused.is(), (Code::NotFound, "CONVERSATION_NOT_FOUND"), "{rpc} {id}");
        }
    }
    let asked =
        RemoveParticipantRequest { conversation_id: made.conversation_id.clone(), account_id: bob.account_id.clone() };
    ada.participants(&world).remove_participant(asked).await.unwrap();
    for (rpc, refused) in all_refused(&world, &bob, &made.conversation_id, &ada).await {
        assert_eq!(refused.is(), (Code::NotFound, "CONVERSATION_NOT_FOUND"), "{rpc} of who was removed");
    }
    let asked = ListConversationsRequest::default();
    let list = bob.conversations(&world).list_conversations(asked).await.unwrap().into_inner();
    assert_eq!((list.conversations.len(), list.unread_count), (0, 0));
}

/// What somebody is told who takes no part, by each rpc of conversations and participants.
async fn all_refused(world: &World, person: &Person, id: &str, other: &Person) -> Vec<(&'static str, Refusal)> {
    let (mut conversations, mut participants) = (person.conversations(world), person.participants(world));
    let (conversation_id, account_id) = (id.to_owned(), other.account_id.clone());
    let conversation = Some(Conversation { conversation_id: conversation_id.clone(), ..Default::default() });
    let update_mask = Some(prost_types::FieldMask { paths: vec!["name".to_owned()] });
    macro_rules! refused {
        ($client:ident . $rpc:ident ($asked:expr)) => {
            (stringify!($rpc), refusal($client.$rpc($asked).await))
        };
    }
    let listed = ListParticipantsRequest { conversation_id: conversation_id.clone(), ..Default::default() };
    let added = AddParticipantsRequest { conversation_id: conversation_id.clone(), participants: vec![named(other)] };
    let removed = RemoveParticipantRequest { conversation_id: conversation_id.clone(), account_id: account_id.clone() };
    let role = ParticipantRole::Owner.into();
    let given = SetParticipantRoleRequest { conversation_id: conversation_id.clone(), account_id, role };
    vec![
        refused!(conversations.get_conversation(GetConversationRequest { conversation_id: conversation_id.clone() })),
        refused!(conversations.update_conversation(UpdateConversationRequest { conversation, update_mask })),
        refused!(
            conversations.set_favorite(SetFavoriteRequest { conversation_id: conversation_id.clone(), favorite: true })
        ),
        refused!(conversations.set_pinned(SetPinnedRequest { conversation_id: conversation_id.clone(), pinned: true })),
        refused!(
            conversations.set_muted(SetMutedRequest { conversation_id: conversation_id.clone(), muted_until: None })
        ),
        refused!(
            conversations.clear_history(ClearHistoryRequest { conversation_id: conversation_id.clone(), up_to_seq: 0 })
        ),
        refused!(participants.list_participants(listed)),
        refused!(participants.add_participants(added)),
        refused!(participants.remove_participant(removed)),
        refused!(participants.set_participant_role(given)),
        refused!(participants.leave_conversation(LeaveConversationRequest { conversation_id })),
    ]
}
