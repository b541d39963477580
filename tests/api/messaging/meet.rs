//! What tests of conversations have in common.

use quartet_proto::messaging::v1::{Person as Named, person};
use tonic::Status;

pub use super::talk::{named, say, started, text};
use crate::harness::prelude::*;

/// Somebody, by address.
pub fn addressed(email: &str) -> Named {
    Named { by: Some(person::By::Email(email.to_owned())) }
}

/// What starts a conversation.
pub fn starting(kind: ConversationKind, name: &str, people: Vec<Named>) -> StartConversationRequest {
    StartConversationRequest {
        kind: kind.into(),
        participants: people,
        name: name.to_owned(),
        idempotency_key: String::new(),
    }
}

pub async fn start(world: &World, person: &Person, asked: StartConversationRequest) -> Result<Conversation, Status> {
    let answer = person.conversations(world).start_conversation(asked).await?;
    Ok(answer.into_inner().conversation.unwrap())
}

/// The conversation of two people, as the first one sees it.
pub async fn direct(world: &World, one: &Person, other: &Person) -> Conversation {
    started(world, one, starting(ConversationKind::Direct, "", vec![named(other)])).await
}

/// A group of the owner's, as they see it.
pub async fn group(world: &World, owner: &Person, name: &str, others: &[&Person]) -> Conversation {
    let others = others.iter().map(|other| named(other)).collect();
    started(world, owner, starting(ConversationKind::Group, name, others)).await
}

/// Waits until it is known who somebody is; the other one has a direct conversation with them then.
pub async fn known(world: &World, person: &Person, by: &Person) {
    direct(world, by, person).await;
}

pub async fn get(world: &World, person: &Person, conversation_id: &str) -> Result<Conversation, Status> {
    let asked = GetConversationRequest { conversation_id: conversation_id.to_owned() };
    let answer = person.conversations(world).get_conversation(asked).await?;
    Ok(answer.into_inner().conversation.unwrap())
}

/// All that somebody sees of what was said, the oldest first, at most a page.
pub async fn said(world: &World, person: &Person, conversation_id: &str) -> Vec<Message> {
    let mut said = super::talk::newest(world, person, conversation_id).await;
    said.sort_by_key(|message| message.seq);
    said
}

/// The texts of messages.
pub fn bodies(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|message| message.body.as_str()).collect()
}

/// Says that somebody has read all there is.
pub async fn read(world: &World, person: &Person, conversation_id: &str) {
    super::talk::read(world, person, conversation_id, 0).await;
}
