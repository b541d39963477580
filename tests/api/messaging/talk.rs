//! What is said in tests, and how it is looked at.

use quartet_proto::messaging::v1::person;

use crate::harness::prelude::*;

/// Whom a request names.
pub fn named(person: &Person) -> quartet_proto::messaging::v1::Person {
    let by = Some(person::By::AccountId(person.account_id.clone()));
    quartet_proto::messaging::v1::Person { by }
}

/// A conversation that is there as soon as it is known who the others are.
pub async fn started(world: &World, starter: &Person, asked: StartConversationRequest) -> Conversation {
    eventually("the others are known", async || {
        match starter.conversations(world).start_conversation(asked.clone()).await {
            Ok(answer) => answer.into_inner().conversation,
            Err(status) => {
                let refused = Refusal::from(status);
                // On a PostgreSQL of the test's own nobody waits for that.
                let is_passing = ["PERSON_NOT_FOUND", "DEPENDENCY_UNAVAILABLE"].contains(&refused.reason.as_str());
                assert!(is_passing, "{refused:?}");
                None
            }
        }
    })
    .await
}

/// The id of the direct conversation of two people.
pub async fn direct(world: &World, one: &Person, other: &Person) -> String {
    let kind = ConversationKind::Direct.into();
    let asked = StartConversationRequest { kind, participants: vec![named(other)], ..Default::default() };
    started(world, one, asked).await.conversation_id
}

/// The id of a new group.
pub async fn group(world: &World, owner: &Person, others: &[&Person]) -> String {
    let participants = others.iter().map(|other| named(other)).collect();
    let kind = ConversationKind::Group.into();
    let asked = StartConversationRequest { kind, participants, name: "Group".to_owned(), ..Default::default() };
    started(world, owner, asked).await.conversation_id
}

/// A message that nobody has sent before.
pub fn text(conversation_id: &str, body: &str) -> SendMessageRequest {
    static NUMBER: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
    let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    SendMessageRequest {
        conversation_id: conversation_id.to_owned(),
        body: body.to_owned(),
        client_message_id: format!("text {number}"),
        ..Default::default()
    }
}

pub async fn send(world: &World, sender: &Person, asked: SendMessageRequest) -> Result<Message, tonic::Status> {
    sender.messages(world).send_message(asked).await.map(|answer| answer.into_inner().message.unwrap())
}

/// Says something.
pub async fn say(world: &World, sender: &Person, conversation_id: &str, body: &str) -> Message {
    send(world, sender, text(conversation_id, body)).await.expect("not sent")
}

pub async fn list(
    world: &World,
    reader: &Person,
    asked: ListMessagesRequest,
) -> Result<ListMessagesResponse, tonic::Status> {
    reader.messages(world).list_messages(asked).await.map(|answer| answer.into_inner())
}

/// The newest messages that somebody sees, the newest first.
pub async fn newest(world: &World, reader: &Person, conversation_id: &str) -> Vec<Message> {
    let asked = ListMessagesRequest { conversation_id: conversation_id.to_owned(), ..Default::default() };
    list(world, reader, asked).await.expect("no messages").messages
}

pub async fn get(
    world: &World,
    reader: &Person,
    conversation_id: &str,
    seq: i64,
) -> Result<GetMessageResponse, tonic::Status> {
    let asked = GetMessageRequest { conversation_id: conversation_id.to_owned(), seq };
    reader.messages(world).get_message(asked).await.map(|answer| answer.into_inner())
}

/// A conversation as somebody sees it.
pub async fn conversation(world: &World, reader: &Person, conversation_id: &str) -> Conversation {
    let asked = GetConversationRequest { conversation_id: conversation_id.to_owned() };
    reader.conversations(world).get_conversation(asked).await.expect("none").into_inner().conversation.unwrap()
}

/// Moves somebody's read watermark; 0 stands for the last message.
pub async fn read(world: &World, reader: &Person, conversation_id: &str, up_to_seq: i64) -> MarkReadResponse {
    let asked = MarkReadRequest { conversation_id: conversation_id.to_owned(), up_to_seq };
    reader.receipts(world).mark_read(asked).await.expect("not marked").into_inner()
}
