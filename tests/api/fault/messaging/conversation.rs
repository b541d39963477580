//! The rpcs of conversations and participants.

use crate::fault::stage::{Case, Stage};
use crate::harness::prelude::*;
use crate::messaging::block::blocked;
use crate::messaging::meet::{direct, get, group, named, say, starting};
use crate::messaging::talk::{send, text};

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case { name: "ConversationService/StartConversation", run: |stage| Box::pin(start(stage)) },
        Case { name: "ConversationService/StartConversation", run: |stage| Box::pin(start_direct(stage)) },
        Case { name: "ConversationService/UpdateConversation", run: |stage| Box::pin(rename(stage)) },
        Case { name: "ConversationService/SetFavorite", run: |stage| Box::pin(favor(stage)) },
        Case { name: "ConversationService/SetPinned", run: |stage| Box::pin(pin(stage)) },
        Case { name: "ConversationService/SetMuted", run: |stage| Box::pin(mute(stage)) },
        Case { name: "ConversationService/ClearHistory", run: |stage| Box::pin(clear(stage)) },
        Case { name: "ConversationService/BlockAccount", run: |stage| Box::pin(block(stage)) },
        Case { name: "ConversationService/UnblockAccount", run: |stage| Box::pin(unblock(stage)) },
        Case { name: "ParticipantService/AddParticipants", run: |stage| Box::pin(add(stage)) },
        Case { name: "ParticipantService/RemoveParticipant", run: |stage| Box::pin(remove(stage)) },
        Case { name: "ParticipantService/SetParticipantRole", run: |stage| Box::pin(role(stage)) },
        Case { name: "ParticipantService/LeaveConversation", run: |stage| Box::pin(leave(stage)) },
    ]
}

impl Stage {
    /// A group of two people, and its id.
    async fn group(&self) -> (Person, Person, String) {
        let (ada, bob) = (self.world.sign_up("ada").await, self.world.sign_up("bob").await);
        let id = group(&self.world, &ada, "Group", &[&bob]).await.conversation_id;
        (ada, bob, id)
    }

    async fn seen(&self, person: &Person, id: &str) -> Conversation {
        get(&self.world, person, id).await.expect("no conversation")
    }
}

async fn start(stage: &mut Stage) {
    let (ada, bob, _) = stage.group().await;
    let asked = StartConversationRequest {
        idempotency_key: "once".to_owned(),
        ..starting(ConversationKind::Group, "Holiday", vec![named(&bob)])
    };
    let outcome = stage
        .call("ConversationService/StartConversation", &ada, async |clients| {
            clients.conversations().start_conversation(asked.clone()).await
        })
        .await;
    let started = outcome.unwrap().conversation.unwrap();
    let asked = ListConversationsRequest::default();
    let list = bob.conversations(&stage.world).list_conversations(asked).await.unwrap().into_inner().conversations;
    assert_eq!(list.len(), 2, "the first one, and this one once");
    assert_eq!((&list[0].conversation_id, list[0].participant_count), (&started.conversation_id, 2));
}

async fn start_direct(stage: &mut Stage) {
    let (ada, bob, _) = stage.group().await;
    let asked = starting(ConversationKind::Direct, "", vec![named(&bob)]);
    let outcome = stage
        .call("ConversationService/StartConversation", &ada, async |clients| {
            clients.conversations().start_conversation(asked.clone()).await
        })
        .await;
    let id = outcome.unwrap().conversation.unwrap().conversation_id;
    let asked = ListConversationsRequest::default();
    let list = bob.conversations(&stage.world).list_conversations(asked).await.unwrap().into_inner().conversations;
    assert_eq!((list.len(), &list[0].conversation_id), (2, &id), "this one once");
}

async fn rename(stage: &mut Stage) {
    let (ada, bob, id) = stage.group().await;
    let conversation =
        Some(Conversation { conversation_id: id.clone(), name: "Holiday".to_owned(), ..Default::default() });
    let update_mask = Some(prost_types::FieldMask { paths: vec!["name".to_owned()] });
    let asked = UpdateConversationRequest { conversation, update_mask };
    let outcome = stage
        .call("ConversationService/UpdateConversation", &bob, async |clients| {
            clients.conversations().update_conversation(asked.clone()).await
        })
        .await;
    assert_eq!(outcome.unwrap().conversation.unwrap().name, "Holiday");
    let seen = stage.seen(&ada, &id).await;
    assert_eq!((seen.name.as_str(), seen.last_change), ("Holiday", 1));
}

async fn favor(stage: &mut Stage) {
    let (ada, _, id) = stage.group().await;
    let asked = SetFavoriteRequest { conversation_id: id.clone(), favorite: true };
    let outcome = stage
        .call("ConversationService/SetFavorite", &ada, async |clients| {
            clients.conversations().set_favorite(asked.clone()).await
        })
        .await;
    assert!(outcome.unwrap().conversation.unwrap().favorite && stage.seen(&ada, &id).await.favorite);
}

async fn pin(stage: &mut Stage) {
    let (ada, _, id) = stage.group().await;
    let asked = SetPinnedRequest { conversation_id: id.clone(), pinned: true };
    let outcome = stage
        .call("ConversationService/SetPinned", &ada, async |clients| {
            clients.conversations().set_pinned(asked.clone()).await
        })
        .await;
    assert!(outcome.unwrap().conversation.unwrap().pinned && stage.seen(&ada, &id).await.pinned);
}

async fn mute(stage: &mut Stage) {
    let (ada, _, id) = stage.group().await;
    let muted_until = Some(prost_types::Timestamp { seconds: 250_000_000_000, nanos: 0 });
    let asked = SetMutedRequest { conversation_id: id.clone(), muted_until };
    let outcome = stage
        .call("ConversationService/SetMuted", &ada, async |clients| {
            clients.conversations().set_muted(asked.clone()).await
        })
        .await;
    assert!(outcome.unwrap().conversation.unwrap().muted_until.is_some());
    assert!(stage.seen(&ada, &id).await.muted_until.is_some());
}

async fn clear(stage: &mut Stage) {
    let (ada, bob, id) = stage.group().await;
    say(&stage.world, &ada, &id, "Hello").await;
    let asked = ClearHistoryRequest { conversation_id: id.clone(), up_to_seq: 0 };
    let outcome = stage
        .call("ConversationService/ClearHistory", &bob, async |clients| {
            clients.conversations().clear_history(asked.clone()).await
        })
        .await;
    assert_eq!(outcome.unwrap().conversation.unwrap().hidden_seq, 1);
    assert_eq!((stage.seen(&bob, &id).await.hidden_seq, stage.seen(&ada, &id).await.hidden_seq), (1, 0));
}

async fn block(stage: &mut Stage) {
    let (ada, bob, _) = stage.group().await;
    let id = direct(&stage.world, &ada, &bob).await.conversation_id;
    let asked = BlockAccountRequest { account_id: bob.account_id.clone() };
    let outcome = stage
        .call("ConversationService/BlockAccount", &ada, async |clients| {
            clients.conversations().block_account(asked.clone()).await
        })
        .await;
    outcome.unwrap();
    assert!(stage.seen(&ada, &id).await.blocked);
    assert_eq!(blocked(&stage.world, &ada).await, [bob.account_id.as_str()]);
    let refused = refusal(send(&stage.world, &bob, text(&id, "Hello")).await);
    assert_eq!(refused.reason, "PERSON_UNREACHABLE");
}

async fn unblock(stage: &mut Stage) {
    let (ada, bob, _) = stage.group().await;
    let id = direct(&stage.world, &ada, &bob).await.conversation_id;
    let asked = BlockAccountRequest { account_id: bob.account_id.clone() };
    ada.conversations(&stage.world).block_account(asked).await.expect("not blocked");
    let asked = UnblockAccountRequest { account_id: bob.account_id.clone() };
    let outcome = stage
        .call("ConversationService/UnblockAccount", &ada, async |clients| {
            clients.conversations().unblock_account(asked.clone()).await
        })
        .await;
    outcome.unwrap();
    assert!(!stage.seen(&ada, &id).await.blocked);
    assert_eq!(blocked(&stage.world, &ada).await, [""; 0]);
    say(&stage.world, &bob, &id, "Hello").await;
}

async fn add(stage: &mut Stage) {
    let (ada, bob, id) = stage.group().await;
    let eve = stage.world.sign_up("eve").await;
    group(&stage.world, &eve, "Hers", &[&bob]).await;
    // As soon as somebody is known, whoever came before them is.
    let joe = stage.world.sign_up("joe").await;
    group(&stage.world, &ada, "Known", &[&joe]).await;
    let asked = AddParticipantsRequest { conversation_id: id.clone(), participants: vec![named(&eve)] };
    let outcome = stage
        .call("ParticipantService/AddParticipants", &ada, async |clients| {
            clients.participants().add_participants(asked.clone()).await
        })
        .await;
    assert_eq!(outcome.unwrap().conversation.unwrap().participant_count, 3);
    let seen = stage.seen(&eve, &id).await;
    assert_eq!((seen.participant_count, seen.last_change), (3, 1));
}

async fn remove(stage: &mut Stage) {
    let (ada, bob, id) = stage.group().await;
    let asked = RemoveParticipantRequest { conversation_id: id.clone(), account_id: bob.account_id.clone() };
    let outcome = stage
        .call("ParticipantService/RemoveParticipant", &ada, async |clients| {
            clients.participants().remove_participant(asked.clone()).await
        })
        .await;
    stage.done(outcome, "PARTICIPANT_NOT_FOUND");
    let seen = stage.seen(&ada, &id).await;
    assert_eq!((seen.participant_count, seen.last_change), (1, 1));
    let refused = refusal(get(&stage.world, &bob, &id).await);
    assert_eq!(refused.reason, "CONVERSATION_NOT_FOUND");
}

async fn role(stage: &mut Stage) {
    let (ada, bob, id) = stage.group().await;
    let account_id = bob.account_id.clone();
    let role = ParticipantRole::Owner.into();
    let asked = SetParticipantRoleRequest { conversation_id: id.clone(), account_id, role };
    let outcome = stage
        .call("ParticipantService/SetParticipantRole", &ada, async |clients| {
            clients.participants().set_participant_role(asked.clone()).await
        })
        .await;
    outcome.unwrap();
    let seen = stage.seen(&bob, &id).await;
    assert_eq!((seen.role(), seen.last_change), (ParticipantRole::Owner, 1));
}

async fn leave(stage: &mut Stage) {
    let (ada, bob, id) = stage.group().await;
    let asked = LeaveConversationRequest { conversation_id: id.clone() };
    let outcome = stage
        .call("ParticipantService/LeaveConversation", &ada, async |clients| {
            clients.participants().leave_conversation(asked.clone()).await
        })
        .await;
    stage.done(outcome, "CONVERSATION_NOT_FOUND");
    let seen = stage.seen(&bob, &id).await;
    assert_eq!((seen.role(), seen.participant_count, seen.last_change), (ParticipantRole::Owner, 1, 2));
}
