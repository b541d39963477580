//! Subscribe and Connect: the rpcs whose answers are streams of events. They are answered here and not by generated code, for their frames
//! are encoded already, once for all who get them.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use quartet_chassis::auth::{Claims, Refusal};
use quartet_chassis::caller::Caller;
use quartet_chassis::failure::{Failure, Fields};
use quartet_chassis::parts::Parts;
use quartet_chassis::{db, faults};
use quartet_proto::messaging::v1::SubscribeRequest;
use quartet_proto::r#type::v1::ErrorReason;
use tonic::body::Body;
use tonic::codec::{BufferSettings, DecodeBuf, Decoder};
use tonic::codegen::Service;
use tonic::server::NamedService;
use tonic::{Code, Request, Status, Streaming};

use super::arriving::Arriving;
use super::connect;
use super::event::EventApi;
use super::message::MessageApi;
use super::receipt::ReceiptApi;
use crate::error::Error;
use crate::live::{self, Asked, Kind};

const SUBSCRIBE: &str = "/quartet.messaging.v1.EventService/Subscribe";
const CONNECT: &str = "/quartet.messaging.v1.MessageService/Connect";
/// The longest message of a request: a position for each of 2,000 conversations takes 98 KiB at most.
const MESSAGE: usize = 160 << 10;
/// How much is made ready for a message: most are short, and there are thousands of streams.
const BUFFER: usize = 1 << 10;
/// How long a client may take to say what it wants, and how long for a message that it has begun.
pub const PATIENCE: Duration = Duration::from_secs(10);
const ARRIVES: Duration = Duration::from_secs(30);

/// What the streams need.
#[derive(Clone)]
pub struct LiveApi {
    pub events: EventApi,
    pub messages: MessageApi,
    pub receipts: ReceiptApi,
    pub parts: Parts,
}

/// A generated server, and in front of it the rpcs of this file.
#[derive(Clone)]
pub struct Live<S> {
    inner: S,
    api: LiveApi,
}

impl<S> Live<S> {
    pub fn new(inner: S, api: &LiveApi) -> Live<S> {
        Live { inner, api: api.clone() }
    }
}

impl<S: NamedService> NamedService for Live<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<http::Request<Body>> for Live<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<http::Response<Body>, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let api = self.api.clone();
        match request.uri().path() {
            SUBSCRIBE => {
                Box::pin(async move { Ok(api.subscribe(request).await.unwrap_or_else(|status| status.into_http())) })
            }
            CONNECT => Box::pin(std::future::ready(Ok(api.connect(request).unwrap_or_else(Status::into_http)))),
            _ => Box::pin(self.inner.call(request)),
        }
    }
}

impl LiveApi {
    async fn subscribe(&self, request: http::Request<Body>) -> Result<http::Response<Body>, Status> {
        let request = Request::from_http(request);
        let caller = Caller::of(&request)?;
        let mut messages = messages::<SubscribeRequest>(request.into_inner());
        let first = tokio::time::timeout(PATIENCE, messages.message()).await.map_err(|_| nothing_said())??;
        let asked = Asked::of(first.ok_or_else(nothing_said)?)?;
        self.events.rates.begin(caller.account_id).await?;
        let store = &self.events.store;
        let (stream, body) = live::open(&store.hub, &self.parts.clock, caller.account_id, Kind::Subscribe);
        live::begin(store, &self.parts, &stream, asked)?;
        Ok(answer(Body::new(body)))
    }

    /// Answers before anything was said: some clients say nothing until then.
    fn connect(&self, request: http::Request<Body>) -> Result<http::Response<Body>, Status> {
        let request = Request::from_http(request);
        let caller = Caller::of(&request)?;
        let end = end_of(&request, &self.parts);
        let frames = messages(request.into_inner());
        let hub = &self.events.store.hub;
        let (stream, body) = live::open(hub, &self.parts.clock, caller.account_id, Kind::Connect);
        let talk = connect::talk(self.clone(), stream, frames, end);
        // Not among the workers that end with the process: what it has begun to write it ends, and it ends with the stream.
        self.parts.tasks.spawn(db::carried(faults::carried(talk)));
        Ok(answer(Body::new(body)))
    }
}

/// Comes with the end of the caller's session.
fn end_of(request: &Request<Body>, parts: &Parts) -> BoxFuture<'static, Refusal> {
    match request.extensions().get::<Arc<Claims>>() {
        Some(claims) => Box::pin(parts.auth.clone().end_of(claims.clone())),
        None => Box::pin(std::future::pending()),
    }
}

fn answer(body: Body) -> http::Response<Body> {
    let mut answer = http::Response::new(body);
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    answer
}

/// A client that has not said what it wants.
pub fn nothing_said() -> Status {
    let mut fields = Fields::default();
    fields.refuse("subscribe", "must come first");
    Error::from(fields).into()
}

fn messages<T: prost::Message + Default + 'static>(body: Body) -> Streaming<T> {
    let body = Arriving::new(body, MESSAGE, ARRIVES);
    Streaming::new_request(Decode(std::marker::PhantomData), body, None, Some(MESSAGE))
}

/// Reads messages with a small buffer.
struct Decode<T>(std::marker::PhantomData<fn() -> T>);

impl<T: prost::Message + Default> Decoder for Decode<T> {
    type Item = T;
    type Error = Status;

    fn decode(&mut self, bytes: &mut DecodeBuf<'_>) -> Result<Option<T>, Status> {
        let wrong = |_| {
            let message = "the request is not a message of this rpc";
            Status::from(Failure::new(Code::InvalidArgument, ErrorReason::FieldsInvalid, message))
        };
        T::decode(bytes).map(Some).map_err(wrong)
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(BUFFER, BUFFER)
    }
}
