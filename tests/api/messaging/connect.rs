//! Everything over one stream.

use quartet_proto::messaging::v1::connect_request::Frame;
use quartet_proto::messaging::v1::connect_response;
use quartet_proto::messaging::v1::subscribe_response::Event;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::begin::deaf;
use super::ended::refused_everywhere;
use super::listener::Listener;
use super::talk::{direct, newest, say, text};
use crate::harness::prelude::*;

/// How long something may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A client of Connect.
struct Line {
    frames: mpsc::Sender<ConnectRequest>,
    answers: Streaming<ConnectResponse>,
    events: Vec<Event>,
}

impl Line {
    async fn open(world: &World, person: &Person) -> Line {
        let (frames, asked) = mpsc::channel(16);
        let answers = person.messages(world).connect(ReceiverStream::new(asked)).await.unwrap().into_inner();
        Line { frames, answers, events: Vec::new() }
    }

    async fn say(&self, request_id: &str, frame: Frame) {
        let frame = ConnectRequest { request_id: request_id.to_owned(), frame: Some(frame) };
        self.frames.send(frame).await.unwrap();
    }

    async fn next(&mut self) -> Result<Option<connect_response::Frame>, tonic::Status> {
        let next = timeout(PATIENCE, self.answers.message()).await.expect("no answer")?;
        Ok(next.and_then(|answer| answer.frame))
    }

    /// The answer to a frame. What happens meanwhile is kept.
    async fn ack(&mut self, request_id: &str) -> Ack {
        let answer = async {
            loop {
                match self.next().await.unwrap().expect("the end") {
                    connect_response::Frame::Ack(ack) => return ack,
                    connect_response::Frame::Event(event) => self.events.extend(event.event),
                }
            }
        };
        let ack = timeout(PATIENCE, answer).await.expect("no answer, whatever else is told");
        assert_eq!(ack.request_id, request_id);
        ack
    }

    /// Listens until something has happened.
    async fn until<T>(&mut self, wanted: impl Fn(&Event) -> Option<T>) -> T {
        let found = async {
            loop {
                if let Some(found) = self.events.iter().find_map(&wanted) {
                    return found;
                }
                if let connect_response::Frame::Event(event) = self.next().await.unwrap().expect("the end") {
                    self.events.extend(event.event);
                }
            }
        };
        timeout(PATIENCE, found).await.expect("it never happens")
    }

    /// How it ends.
    async fn end(&mut self) -> Result<(), tonic::Status> {
        let end = async {
            while self.next().await?.is_some() {}
            Ok(())
        };
        timeout(PATIENCE, end).await.expect("no end")
    }
}

#[tokio::test]
async fn g4_everything_goes_over_one_stream() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = direct(&world, &ada, &bob).await;
    let mut his = Listener::with(&world, &bob, SubscribeRequest { typing: true, ..Default::default() }).await;
    let mut line = Line::open(&world, &ada).await;
    line.say("begin", Frame::Subscribe(SubscribeRequest::default())).await;
    assert_eq!(line.ack("begin").await.refusal, None);
    line.until(|event| matches!(event, Event::CaughtUp(_)).then_some(())).await;

    // It may be lost on its way to another instance.
    eventually("typing is heard", async || {
        line.say("type", Frame::Typing(SetTypingRequest { conversation_id: id.clone(), typing: true })).await;
        assert_eq!(line.ack("type").await.refusal, None);
        let types = |event: &Event| matches!(event, Event::Typing(typing) if typing.typing).then_some(());
        timeout(Duration::from_secs(1), his.until("typing", types)).await.ok()
    })
    .await;
    let asked = text(&id, "over the line");
    line.say("send", Frame::Send(asked.clone())).await;
    let sent = line.ack("send").await.message.expect("a message");
    assert_eq!((sent.seq, sent.client_message_id), (1, asked.client_message_id.clone()));
    his.message("over the line").await;
    // Sent again, it is the same.
    line.say("again", Frame::Send(asked)).await;
    assert_eq!(line.ack("again").await.message.map(|message| message.message_id), Some(sent.message_id));

    say(&world, &bob, &id, "answer").await;
    line.until(|event| match event {
        Event::Change(change) => super::listener::message(change).filter(|message| message.body == "answer").map(drop),
        _ => None,
    })
    .await;
    let all = |conversation_id: &str| MarkDeliveredFrame { conversation_id: conversation_id.to_owned(), up_to_seq: 0 };
    line.say("delivered", Frame::Delivered(all(&id))).await;
    assert_eq!(line.ack("delivered").await.refusal, None);
    his.receipt(&ada, 2, 1).await;
    line.say("read", Frame::Read(MarkReadFrame { conversation_id: id.clone(), up_to_seq: 2 })).await;
    assert_eq!(line.ack("read").await.refusal, None);
    his.receipt(&ada, 2, 2).await;
    line.say("focus", Frame::Focus(FocusFrame { conversation_id: id.clone() })).await;
    assert_eq!(line.ack("focus").await.refusal, None);

    // A refusal ends nothing.
    line.say("no", Frame::Delivered(all(&ada.account_id))).await;
    let refusal = line.ack("no").await.refusal.expect("a refusal");
    assert_eq!((refusal.code, refusal.reason.as_str()), (Code::NotFound as i32, "CONVERSATION_NOT_FOUND"));
    line.say("empty", Frame::Send(SendMessageRequest { conversation_id: id.clone(), ..Default::default() })).await;
    let refusal = line.ack("empty").await.refusal.expect("a refusal");
    assert_eq!((refusal.code, refusal.reason.as_str()), (Code::InvalidArgument as i32, "FIELDS_INVALID"));
    line.say("twice", Frame::Subscribe(SubscribeRequest::default())).await;
    assert!(line.ack("twice").await.refusal.is_some());
}

#[tokio::test]
async fn g4_a_line_begins_with_what_it_is_about() {
    let world = World::shared().await;
    let ada = world.sign_up("ada").await;
    let mut line = Line::open(&world, &ada).await;
    line.say("1", Frame::Focus(FocusFrame::default())).await;
    let refused = Refusal::from(line.next().await.expect_err("not refused"));
    assert_eq!((refused.code, refused.fields.as_slice()), (Code::InvalidArgument, ["subscribe".to_owned()].as_slice()));
    let mut line = Line::open(&world, &ada).await;
    line.say(&"x".repeat(65), Frame::Subscribe(SubscribeRequest::default())).await;
    let refused = Refusal::from(line.next().await.expect_err("not refused"));
    assert_eq!(refused.fields, ["request_id"]);
}

#[tokio::test]
async fn s15_a_line_ends_with_its_session() {
    let world = World::shared().await;
    let ada = world.sign_up("ada").await;
    let mut line = Line::open(&world, &ada).await;
    line.say("", Frame::Subscribe(SubscribeRequest::default())).await;
    line.until(|event| matches!(event, Event::CaughtUp(_)).then_some(())).await;
    ada.sessions(&world).sign_out(SignOutRequest {}).await.unwrap();
    assert_eq!(Refusal::from(line.end().await.expect_err("not refused")).reason, "SESSION_REVOKED");
}

#[tokio::test]
async fn s15_a_line_ends_with_its_session_though_nobody_reads_its_answers() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = direct(&world, &ada, &bob).await;
    let mut his = Listener::of(&world, &bob).await;
    let (frames, asked) = mpsc::channel(64);
    let _answers = deaf(&world, &ada).messages().connect(ReceiverStream::new(asked)).await.unwrap();
    let say_there = |frame| frames.send(ConnectRequest { request_id: "x".to_owned(), frame: Some(frame) });
    say_there(Frame::Subscribe(SubscribeRequest::default())).await.unwrap();
    say_there(Frame::Send(text(&id, "before"))).await.unwrap();
    his.message("before").await;

    ada.sessions(&world).sign_out(SignOutRequest {}).await.unwrap();
    refused_everywhere(&world, &ada).await;
    for _ in 0..20 {
        say_there(Frame::Send(text(&id, "behind the end"))).await.ok();
    }
    // More than the time that they would take.
    for number in 0..20 {
        say(&world, &bob, &id, &number.to_string()).await;
    }
    his.message("19").await;
    let bodies = newest(&world, &bob, &id).await.into_iter().map(|message| message.body);
    assert!(!bodies.chain(his.texts(&id)).any(|body| body == "behind the end"));
}
