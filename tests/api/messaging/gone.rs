//! A direct conversation whose other account is gone: it is read, and nothing is said there any more.

use quartet_proto::messaging::v1::change::What;
use quartet_proto::messaging::v1::subscribe_response::Event;

use super::listener::Listener;
use super::meet::{addressed, direct, get, known, named, said, say, start, starting, text};
use super::participant::{add, leave, remove, set_role};
use crate::harness::prelude::*;
use crate::identity::erasure::{completed, copied, delete};

/// Somebody who is left in a conversation, and what was said there by both.
struct Left {
    world: World,
    bob: Person,
    eve: Person,
    ada: Person,
    id: String,
}

impl Left {
    async fn behind() -> Left {
        let world = World::own().await;
        let (ada, bob, eve) = (world.sign_up("ada").await, world.sign_up("bob").await, world.sign_up("eve").await);
        copied(&world).await;
        known(&world, &eve, &bob).await;
        let id = direct(&world, &bob, &ada).await.conversation_id;
        say(&world, &ada, &id, "hers").await;
        say(&world, &bob, &id, "his").await;
        say(&world, &ada, &id, "unread").await;
        Left { world, bob, eve, ada, id }
    }
}

/// What comes of each way to say something, or to have something said.
async fn all_writes(left: &Left) -> Vec<(&'static str, Refusal)> {
    let mut messages = left.bob.messages(&left.world);
    let conversation_id = left.id.clone();
    let edit =
        EditMessageRequest { conversation_id: conversation_id.clone(), seq: 2, body: "!".into(), ..Default::default() };
    let reaction = |present| SetReactionRequest {
        conversation_id: conversation_id.clone(),
        seq: 2,
        emoji: "wow".to_owned(),
        present,
        ..Default::default()
    };
    vec![
        ("send", refusal(messages.send_message(text(&left.id, "Are you there?")).await)),
        ("edit", refusal(messages.edit_message(edit).await)),
        ("react", refusal(messages.set_reaction(reaction(true)).await)),
        ("react no more", refusal(messages.set_reaction(reaction(false)).await)),
    ]
}

#[tokio::test]
async fn g3_g11_where_the_other_is_gone_nothing_is_said_any_more_and_nobody_comes() {
    let left = Left::behind().await;
    let Left { world, bob, eve, ada, id } = &left;
    let mut his = Listener::of(world, bob).await;
    completed(world, &delete(world, ada).await).await;
    let gone = his
        .until("her going", |event| match event {
            Event::Change(Change { what: Some(What::Left(left)), conversation_id, .. }) if conversation_id == id => {
                Some(left.participants.clone())
            }
            _ => None,
        })
        .await;
    assert!(gone.iter().all(|one| one.account_id.is_empty() && one.first_name.is_empty()), "{gone:?}");
    for (what, refused) in all_writes(&left).await {
        assert_eq!(refused.is(), (Code::FailedPrecondition, "PEER_GONE"), "{what}");
    }
    for outcome in [
        add(world, bob, id, &[eve]).await.map(drop),
        remove(world, bob, id, bob).await,
        leave(world, bob, id).await,
        set_role(world, bob, id, bob, ParticipantRole::Owner).await,
    ] {
        assert_eq!(outcome.unwrap_err().is(), (Code::FailedPrecondition, "CONVERSATION_IS_DIRECT"));
    }
    for again in [named(ada), addressed(&ada.email)] {
        let refused = refusal(start(world, bob, starting(ConversationKind::Direct, "", vec![again])).await);
        assert_eq!(refused.is(), (Code::NotFound, "PERSON_NOT_FOUND"));
    }
    assert_eq!(get(world, bob, id).await.unwrap().last_seq, 3, "nothing has come of any of it");
}

#[tokio::test]
async fn g2_g5_g6_where_the_other_is_gone_all_is_read_and_put_in_order_as_before() {
    let left = Left::behind().await;
    let Left { world, bob, ada, id, .. } = &left;
    completed(world, &delete(world, ada).await).await;
    let list = bob.conversations(world).list_conversations(ListConversationsRequest::default()).await.unwrap();
    let list = list.into_inner().conversations;
    let shown = list.iter().find(|one| one.conversation_id == *id).expect("it is listed");
    assert_eq!((shown.kind(), shown.participant_count, shown.unread_count), (ConversationKind::Direct, 1, 1));
    assert_eq!((shown.display_name.as_str(), shown.name.as_str(), shown.participants.len()), ("", "", 0));
    let bodies: Vec<(String, bool)> =
        said(world, bob, id).await.into_iter().map(|one| (one.body, one.deleted)).collect();
    assert_eq!(bodies, [(String::new(), true), ("his".to_owned(), false), (String::new(), true)]);
    let contacts = bob.conversations(world).list_contacts(ListContactsRequest::default()).await.unwrap().into_inner();
    assert!(contacts.contacts.iter().all(|contact| contact.conversation_id != *id), "{contacts:?}");

    let marked = super::talk::read(world, bob, id, 0).await;
    assert_eq!((marked.read_seq, marked.unread_count), (3, 0));
    let asked = MarkDeliveredRequest { conversation_id: id.clone(), up_to_seq: 0 };
    bob.receipts(world).mark_delivered(asked).await.unwrap();
    let asked = SetTypingRequest { conversation_id: id.clone(), typing: true };
    bob.events(world).set_typing(asked).await.expect("nobody hears it");
    Listener::looking(world, bob, id).await;

    let mut conversations = bob.conversations(world);
    let asked = SetFavoriteRequest { conversation_id: id.clone(), favorite: true };
    assert!(conversations.set_favorite(asked).await.unwrap().into_inner().conversation.unwrap().favorite);
    let asked = SetPinnedRequest { conversation_id: id.clone(), pinned: true };
    assert!(conversations.set_pinned(asked).await.unwrap().into_inner().conversation.unwrap().pinned);
    conversations.set_muted(SetMutedRequest { conversation_id: id.clone(), muted_until: None }).await.unwrap();
    // What one has said oneself can still be taken back, and all of it be cleared away.
    let asked = DeleteMessageRequest { conversation_id: id.clone(), seq: 2 };
    assert!(bob.messages(world).delete_message(asked).await.unwrap().into_inner().message.unwrap().deleted);
    let asked = ClearHistoryRequest { conversation_id: id.clone(), up_to_seq: 0 };
    assert_eq!(conversations.clear_history(asked).await.unwrap().into_inner().conversation.unwrap().hidden_seq, 3);
    assert!(said(world, bob, id).await.is_empty());
}
