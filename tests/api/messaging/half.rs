//! S-44, S-49: of what a client says on a stream no message is too long, and none takes for ever.

use bytes::Bytes;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame as Piece;
use prost::Message as _;
use quartet_proto::messaging::v1::connect_request::Frame;
use quartet_proto::messaging::v1::subscribe_response::Event;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tonic::body::Body;
use tower::Service as _;

use super::listener::{Listener, positions};
use super::talk::{direct, newest, text};
use crate::harness::Bearer;
use crate::harness::prelude::*;
use crate::harness::wire::frame;

/// How long something may take that takes half a minute.
const PATIENCE: Duration = Duration::from_secs(300);

/// A call of Connect on which any bytes are said.
struct Line {
    said: mpsc::Sender<Result<Piece<Bytes>, Status>>,
    answers: Body,
}

impl Line {
    async fn open(world: &World, person: &Person) -> Line {
        let (said, heard) = mpsc::channel(16);
        let request = http::Request::post("/quartet.messaging.v1.MessageService/Connect")
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Body::new(StreamBody::new(ReceiverStream::new(heard))))
            .unwrap();
        let mut service = Bearer::new(world.channel(), Some(&person.access_token));
        std::future::poll_fn(|cx| service.poll_ready(cx)).await.unwrap();
        let line = Line { said, answers: service.call(request).await.unwrap().into_body() };
        line.say(&bytes(Frame::Subscribe(SubscribeRequest::default()))).await;
        line
    }

    async fn say(&self, bytes: &[u8]) {
        self.said.send(Ok(Piece::data(Bytes::copy_from_slice(bytes)))).await.unwrap();
    }

    /// Why it ends, though nothing is said any more.
    async fn end(mut self) -> Refusal {
        let end = async {
            loop {
                let piece = self.answers.frame().await.expect("no trailers").expect("no end");
                if let Ok(trailers) = piece.into_trailers() {
                    return Status::from_header_map(&trailers).expect("no status");
                }
            }
        };
        tokio::time::timeout(PATIENCE, end).await.expect("it goes on").into()
    }
}

/// A message of Connect, as it is sent.
fn bytes(said: Frame) -> Vec<u8> {
    frame(&ConnectRequest { request_id: String::new(), frame: Some(said) }.encode_to_vec())
}

#[tokio::test]
async fn s44_a_message_that_was_begun_and_never_ends_ends_its_line() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = direct(&world, &ada, &bob).await;
    let line = Line::open(&world, &ada).await;
    line.say(&bytes(Frame::Send(text(&id, "whole")))).await;
    let half = bytes(Frame::Send(text(&id, "half")));
    line.say(&half[..half.len() - 1]).await;
    assert_eq!(line.end().await.is(), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
    let said = newest(&world, &bob, &id).await;
    assert_eq!(said.iter().map(|message| message.body.as_str()).collect::<Vec<_>>(), ["whole"]);
}

#[tokio::test]
async fn s44_a_message_that_is_too_long_or_torn_ends_its_line_before_it_is_there() {
    let world = World::shared().await;
    let ada = world.sign_up("ada").await;
    let line = Line::open(&world, &ada).await;
    line.say(&[&[0], ((160u32 << 10) + 1).to_be_bytes().as_slice()].concat()).await;
    let refused = line.end().await;
    assert_eq!(refused.is(), (Code::ResourceExhausted, "MESSAGE_TOO_LARGE"));
    assert_eq!(refused.metadata["limit_bytes"], "163840");
    let line = Line::open(&world, &ada).await;
    line.say(&[0, 0, 0, 0, 2, 0xff, 0xff]).await;
    assert_eq!(line.end().await.is(), (Code::InvalidArgument, "FIELDS_INVALID"));
    let positions = vec![Position { conversation_id: ada.account_id.clone(), change_seq: i64::MAX }; 4000];
    let asked = SubscribeRequest { positions, ..Default::default() };
    let refused = refusal(ada.events(&world).subscribe(asked).await);
    assert_eq!(refused.is(), (Code::ResourceExhausted, "MESSAGE_TOO_LARGE"));
}

#[tokio::test]
async fn s49_as_many_positions_as_may_be_named_fit() {
    let world = World::shared().await;
    let ada = world.sign_up("ada").await;
    let ids: Vec<String> = (0..2000).map(|number| format!("0198b3f2-7d0c-7a51-8f0e-{number:012x}")).collect();
    let known: Vec<(&str, i64)> = ids.iter().map(|id| (id.as_str(), i64::MAX)).collect();
    let asked = SubscribeRequest { typing: true, presence: true, ..positions(&known) };
    let hers = Listener::with(&world, &ada, asked).await;
    assert_eq!(hers.heard.iter().filter(|event| matches!(event, Event::Gone(_))).count(), 2000);
}
