//! I16: an account is erased: what it has said becomes tombstones, and nothing tells any more who it was.

use super::contact::call;
use super::meet::{direct, get, group, known, said, say, text};
use super::participant::participants;
use crate::harness::prelude::*;
use crate::identity::erasure::{completed, copied, delete, removed};

/// Reacts to a message.
async fn react(world: &World, person: &Person, id: &str, seq: i64) {
    let asked = SetReactionRequest {
        conversation_id: id.to_owned(),
        seq,
        emoji: "wow".to_owned(),
        present: true,
        ..Default::default()
    };
    person.messages(world).set_reaction(asked).await.expect("no reaction");
}

#[tokio::test]
async fn i16_what_an_erased_account_has_said_is_gone_and_its_numbers_stay() {
    let world = World::own().await;
    let (ada, bob, eve) = (world.sign_up("ada").await, world.sign_up("bob").await, world.sign_up("eve").await);
    call(&world, &ada, "Ada", "Byron").await;
    copied(&world).await;
    known(&world, &eve, &bob).await;
    let two = direct(&world, &ada, &bob).await.conversation_id;
    let id = group(&world, &ada, "Holiday", &[&bob, &eve]).await.conversation_id;
    let secret = format!("from {}", ada.email);
    say(&world, &ada, &two, &secret).await;
    say(&world, &bob, &two, "his own").await;
    let first = say(&world, &ada, &id, &secret).await;
    let mention = SendMessageRequest { mentioned_account_ids: vec![ada.account_id.clone()], ..text(&id, "You!") };
    let second = bob.messages(&world).send_message(mention).await.unwrap().into_inner().message.unwrap();
    react(&world, &ada, &id, second.seq).await;
    react(&world, &bob, &id, second.seq).await;
    let edit = EditMessageRequest {
        conversation_id: id.clone(),
        seq: first.seq,
        body: format!("again {secret}"),
        ..Default::default()
    };
    ada.messages(&world).edit_message(edit).await.unwrap();
    let told = completed(&world, &delete(&world, &ada).await).await;
    let counts = ["account", "member", "message", "reaction", "mention"].map(|kind| removed(&told, "messaging", kind));
    assert_eq!(counts, [1, 2, 2, 1, 1], "{told:?}");

    let stored = world.stored().await;
    assert_eq!(stored.traces(&ada.email, &ada.account_id), [""; 0]);
    let seen = said(&world, &bob, &id).await;
    assert_eq!(seen.len(), 2, "numbers stay: {seen:?}");
    assert!(seen[0].deleted && seen[0].body.is_empty() && seen[0].sender_account_id.is_empty(), "{seen:?}");
    assert_eq!((seen[1].body.as_str(), seen[1].mentioned_account_ids.len()), ("You!", 0));
    let reactions: Vec<_> = seen[1].reactions.iter().map(|one| (one.count, one.account_ids.clone())).collect();
    assert_eq!(reactions, [(1, vec![bob.account_id.clone()])]);
    let owners = participants(&world, &eve, &id).await;
    assert_eq!(owners.len(), 2);
    assert_eq!(owners.iter().filter(|one| one.role() == ParticipantRole::Owner).count(), 1, "it is handed over");

    let left = get(&world, &bob, &two).await.unwrap();
    assert_eq!((left.participant_count, left.participants.len(), left.display_name.as_str()), (1, 0, ""));
    let refused = refusal(bob.messages(&world).send_message(text(&two, "Are you there?")).await);
    assert_eq!(refused.is(), (Code::FailedPrecondition, "PEER_GONE"));
    let texts: Vec<String> = said(&world, &bob, &two).await.into_iter().map(|message| message.body).collect();
    assert_eq!(texts, ["", "his own"], "what is there can be read");
}
