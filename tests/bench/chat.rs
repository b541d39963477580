//! Messaging as a client sees it, with a thousand people in it.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use quartet_proto::identity::v1::SignInRequest;
use quartet_proto::identity::v1::session_service_client::SessionServiceClient;
use quartet_proto::messaging::v1::conversation_service_client::ConversationServiceClient;
use quartet_proto::messaging::v1::event_service_client::EventServiceClient;
use quartet_proto::messaging::v1::message_service_client::MessageServiceClient;
use quartet_proto::messaging::v1::subscribe_response::Event;
use quartet_proto::messaging::v1::{
    ConversationKind, Message, Person, Position, SendMessageRequest, StartConversationRequest, SubscribeRequest,
    SubscribeResponse, change, person,
};
use tonic::transport::Channel;
use tonic::{Code, Request, Streaming};

use crate::board::Board;
use crate::installation::{self, Embedded, Engine, PASSWORD};
use crate::process::quartet;

/// How many people there are, and the connections that they share.
pub const PEOPLE: usize = 1000;
const CONNECTIONS: usize = 20;
/// One address is all these people here, and nobody is held back.
const FLAGS: [&str; 20] = [
    "--identity-bcrypt-cost",
    "4",
    "--messaging-sends-per-minute",
    "0",
    "--messaging-starts-per-minute",
    "0",
    "--messaging-begins-per-minute",
    "0",
    "--messaging-streams-per-account",
    "200",
    "--gateway-streams-per-connection",
    "1000",
    "--gateway-streams-per-address",
    "20000",
    "--gateway-calls-per-address",
    "8000",
    "--gateway-rate-per-address",
    "1000000",
    "--gateway-rate-per-account",
    "1000000",
];

/// An installation with people who are signed in.
pub struct Chat {
    pub embedded: Embedded,
    channels: Vec<Channel>,
    tokens: Vec<String>,
}

/// A stream of what happens.
pub type Events = Streaming<SubscribeResponse>;

impl Chat {
    pub async fn start(engine: Engine<'_>, name: &str) -> anyhow::Result<Chat> {
        let embedded = tokio::task::block_in_place(|| {
            let embedded = Embedded::start(engine, name, &FLAGS)?;
            import(&embedded)?;
            anyhow::Ok(embedded)
        })?;
        let mut channels = Vec::new();
        for _ in 0..CONNECTIONS {
            channels.push(installation::channel(embedded.address()).await?);
        }
        let mut chat = Chat { embedded, channels, tokens: Vec::new() };
        for number in 0..=PEOPLE {
            let asked = SignInRequest { email: email(number), password: PASSWORD.to_owned(), ..Default::default() };
            let session = SessionServiceClient::new(chat.channel(number)).sign_in(asked).await?.into_inner();
            chat.tokens.push(session.access_token);
        }
        Ok(chat)
    }

    fn channel(&self, number: usize) -> Channel {
        self.channels[number % CONNECTIONS].clone()
    }

    fn request<T>(&self, number: usize, message: T) -> anyhow::Result<Request<T>> {
        with(&self.tokens[number], message)
    }

    /// Somebody's new group with others, once messaging knows them.
    pub async fn group(&self, owner: usize, others: impl Iterator<Item = usize>) -> anyhow::Result<Room> {
        let participants =
            others.map(|number| Person { by: Some(person::By::Email(email(number))) }).collect::<Vec<_>>();
        let kind = ConversationKind::Group.into();
        let asked = StartConversationRequest { kind, participants, name: "Bench".to_owned(), ..Default::default() };
        let mut conversations = ConversationServiceClient::new(self.channel(owner));
        for _ in 0..600 {
            match conversations.start_conversation(self.request(owner, asked.clone())?).await {
                Ok(answer) => {
                    let made = answer.into_inner().conversation.context("no conversation")?;
                    let messages = MessageServiceClient::new(self.channel(owner));
                    return Ok(Room { messages, token: self.tokens[owner].clone(), id: made.conversation_id });
                }
                Err(status) if status.code() == Code::NotFound => tokio::time::sleep(Duration::from_millis(100)).await,
                Err(status) => return Err(status.into()),
            }
        }
        bail!("messaging does not hear of the accounts")
    }

    /// A stream of somebody's that has caught up.
    pub async fn subscribe(&self, number: usize, channel: usize) -> anyhow::Result<Events> {
        let asked = self.request(number, SubscribeRequest::default())?;
        let mut events = EventServiceClient::new(self.channel(channel)).subscribe(asked).await?.into_inner();
        while let Some(response) = events.message().await? {
            if matches!(response.event, Some(Event::CaughtUp(_))) {
                return Ok(events);
            }
        }
        bail!("a stream has ended")
    }

    /// Hears what somebody has missed in a conversation; answers how many messages.
    pub async fn catch_up(&self, number: usize, conversation_id: &str) -> anyhow::Result<usize> {
        let position = Position { conversation_id: conversation_id.to_owned(), change_seq: 0 };
        let asked = SubscribeRequest { positions: vec![position], ..Default::default() };
        let asked = self.request(number, asked)?;
        let mut events = EventServiceClient::new(self.channel(number)).subscribe(asked).await?.into_inner();
        let mut count = 0;
        while let Some(response) = events.message().await? {
            match response.event {
                Some(Event::CaughtUp(_)) => return Ok(count),
                event => count += usize::from(sent(event).is_some()),
            }
        }
        bail!("a stream has ended")
    }
}

/// A conversation for somebody who speaks in it.
#[derive(Clone)]
pub struct Room {
    messages: MessageServiceClient<Channel>,
    token: String,
    pub id: String,
}

impl Room {
    pub async fn send(&self, number: usize, body: String) -> anyhow::Result<()> {
        let asked = SendMessageRequest {
            conversation_id: self.id.clone(),
            body,
            client_message_id: number.to_string(),
            ..Default::default()
        };
        self.messages.clone().send_message(with(&self.token, asked)?).await?;
        Ok(())
    }
}

/// Notes the messages of a stream for as long as it goes.
pub async fn listen(mut events: Events, board: Arc<Board>) -> anyhow::Result<()> {
    while let Some(response) = events.message().await? {
        if let Some(message) = sent(response.event) {
            board.arrive(&message.body)?;
        }
    }
    bail!("a stream has ended")
}

fn sent(event: Option<Event>) -> Option<Message> {
    let Some(Event::Change(change)) = event else { return None };
    let Some(change::What::Sent(message)) = change.what else { return None };
    Some(message)
}

fn with<T>(token: &str, message: T) -> anyhow::Result<Request<T>> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse()?);
    Ok(request)
}

fn email(number: usize) -> String {
    format!("person.{number}@example.com")
}

fn import(embedded: &Embedded) -> anyhow::Result<()> {
    let hash = bcrypt::hash(PASSWORD, 4)?;
    let mut csv = "email,password_hash\n".to_owned();
    for number in 0..=PEOPLE {
        let _ = writeln!(csv, "{},{hash}", email(number));
    }
    let file = embedded.server.data.join("people.csv");
    std::fs::write(&file, csv)?;
    let (data, file) = (embedded.server.data.display().to_string(), file.display().to_string());
    quartet(&["import", "accounts", &file, "--data", &data])?;
    Ok(())
}
