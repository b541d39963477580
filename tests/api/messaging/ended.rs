//! S-15: whoever is suspended or deleted hears and says nothing more, from that moment on.

use quartet_proto::messaging::v1::connect_request::Frame;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::listener::Listener;
use super::talk::{direct, newest, say, send, text};
use crate::harness::prelude::*;
use crate::harness::{Clients, channel, promised, refused_at_last};
use crate::identity::erasure::{copied, delete};

/// What somebody listens by.
struct Streams {
    subscribed: Listener,
    connected: Streaming<ConnectResponse>,
    /// The stream goes on as long as this is there.
    _frames: mpsc::Sender<ConnectRequest>,
}

impl Streams {
    async fn open(world: &World, person: &Person) -> Streams {
        let subscribed = Listener::of(world, person).await;
        let (frames, asked) = mpsc::channel(4);
        let begin = Some(Frame::Subscribe(SubscribeRequest::default()));
        frames.send(ConnectRequest { request_id: "begin".to_owned(), frame: begin }).await.unwrap();
        let mut connected = person.messages(world).connect(ReceiverStream::new(asked)).await.unwrap().into_inner();
        connected.message().await.expect("refused").expect("an answer");
        Streams { subscribed, connected, _frames: frames }
    }

    /// Why both end.
    async fn ends(mut self) -> [Refusal; 2] {
        let subscribed = loop {
            match self.subscribed.next().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("no end but of its own"),
                Err(status) => break Refusal::from(status),
            }
        };
        let connected = loop {
            match self.connected.message().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("no end but of its own"),
                Err(status) => break Refusal::from(status),
            }
        };
        [subscribed, connected]
    }
}

/// Waits until whichever instance is asked knows that a token counts no more.
pub async fn refused_everywhere(world: &World, person: &Person) {
    for at in world.direct("messaging").into_iter().chain([world.gateway()]) {
        let clients = Clients::new(channel(at), Some(&person.access_token));
        let mut conversations = clients.conversations();
        let refused =
            refused_at_last(async || conversations.list_conversations(ListConversationsRequest::default()).await);
        assert_eq!(refused.await.code, Code::Unauthenticated);
    }
}

/// Both streams end as they should, and nothing else that the token opened is open.
async fn is_out(world: &World, person: &Person, streams: Streams, id: &str) {
    let ends = timeout(promised(Duration::from_secs(5)), streams.ends()).await.expect("a stream goes on");
    refused_everywhere(world, person).await;
    let subscribed = person.events(world).subscribe(SubscribeRequest::default()).await;
    let sent = send(world, person, text(id, "Still here")).await;
    for refused in ends.into_iter().chain([refusal(subscribed), refusal(sent)]) {
        assert_eq!(refused.code, Code::Unauthenticated, "{refused:?}");
        assert!(["SESSION_REVOKED", "TOKEN_STALE"].contains(&refused.reason.as_str()), "{refused:?}");
    }
}

async fn set_state(world: &World, admin: &Person, person: &Person, state: AccountState) {
    let account_id = person.account_id.clone();
    let asked = SetAccountStatusRequest { account_id, state: state.into(), reason: "A trial".to_owned() };
    admin.roles(world).set_account_status(asked).await.expect("no new state");
}

#[tokio::test]
async fn s15_who_is_suspended_hears_nothing_more_and_reads_it_when_they_are_back() {
    let world = World::shared().await;
    let (ada, bob, admin) = (world.sign_up("ada").await, world.sign_up("bob").await, world.admin().await);
    let id = direct(&world, &ada, &bob).await;
    let (streams, mut his) = (Streams::open(&world, &ada).await, Listener::of(&world, &bob).await);
    set_state(&world, &admin, &ada, AccountState::Suspended).await;
    is_out(&world, &ada, streams, &id).await;
    say(&world, &bob, &id, "Where are you?").await;
    his.message("Where are you?").await;
    set_state(&world, &admin, &ada, AccountState::Active).await;
    let back = eventually("she is back", async || {
        let tokens = world.try_sign_in(&ada.email, &ada.password).await.ok()?;
        let back = Person::new(&ada.email, &ada.password, tokens);
        back.conversations(&world).list_conversations(ListConversationsRequest::default()).await.ok()?;
        Some(back)
    })
    .await;
    let bodies: Vec<String> = newest(&world, &back, &id).await.into_iter().map(|message| message.body).collect();
    assert_eq!(bodies, ["Where are you?"]);
}

#[tokio::test]
async fn s15_who_is_deleted_hears_nothing_more() {
    let world = World::own().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    copied(&world).await;
    let id = direct(&world, &ada, &bob).await;
    let streams = Streams::open(&world, &ada).await;
    delete(&world, &ada).await;
    is_out(&world, &ada, streams, &id).await;
}
