//! A call's way through the gateway.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use quartet_chassis::auth::{Auth, Refusal};
use quartet_chassis::deadline;
use quartet_chassis::failure::{Failure, Fields};
use quartet_chassis::guard::{self, bearer};
use quartet_chassis::serve::{Drain, Health};
use quartet_proto::r#type::v1::ErrorReason;
use tonic::body::Body;
use tonic::codegen::Service as _;
use tonic::service::Routes;
use tonic::{Code, Status};
use tower_http::cors::CorsLayer;

use crate::config::Config;
use crate::ending::ending;
use crate::headers::{RequestIds, strip_ours};
use crate::limit::{Accounts, Client, OpenStream, Peers, Turn};
use crate::meter::{Meter, code};
use crate::pages::Jwks;
use crate::route::{Destination, Method, Table, Token};
use crate::size::{Limited, too_large};
use crate::target::Target;
use crate::tls::Tls;

/// How much longer than its deadline a call may take to say so itself.
const SLACK: Duration = Duration::from_millis(500);

static REQUEST_ID: HeaderName = HeaderName::from_static(guard::REQUEST_ID);

/// What all threads of the gateway have in common.
pub struct Shared {
    pub config: Config,
    pub table: Table,
    pub peers: Arc<Peers>,
    pub accounts: Accounts,
    pub ids: RequestIds,
    pub auth: Auth,
    pub drain: Drain,
    pub health: Health,
    pub cors: CorsLayer,
    pub tls: Option<Tls>,
    /// What the gateway answers itself: health and reflection.
    pub own: Routes,
    /// Counts the calls to what does not exist.
    pub unknown: Meter,
    pub calls: AtomicUsize,
}

/// What a thread of the gateway has: upstreams with connections of its own.
pub struct Edge {
    pub shared: Arc<Shared>,
    pub targets: Vec<Target>,
    pub jwks: Jwks,
}

/// The answer to a call, some time later.
pub type Answer = BoxFuture<'static, Response<Body>>;

/// A call that was let in.
struct Call {
    method: Arc<Method>,
    client: Arc<Client>,
    permit: Permit,
    turn: Turn,
    stream: Option<OpenStream>,
    time: Option<Duration>,
}

impl Edge {
    /// Answers a gRPC call. All that needs no waiting is done here and now, so that what waits for the answer stays small: a future of
    /// more than a kilobyte costs the allocator more than all the checks together.
    pub fn handle<B>(self: &Arc<Edge>, client: &Arc<Client>, mut request: Request<B>) -> Answer
    where
        B: http_body::Body<Data = Bytes> + Unpin + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let began = Instant::now();
        strip_ours(request.headers_mut());
        let id = self.shared.ids.of(request.headers_mut());
        let method = match self.shared.table.find(request.uri()) {
            Ok(method) => method.clone(),
            Err(unknown) => return self.refuse(unknown, &self.shared.unknown, id, began),
        };
        let call = match self.admit(&method, client, request.headers()) {
            Ok(call) => call,
            Err(failure) => return self.refuse(failure, &method.meter, id, began),
        };
        match self.check_token(&method, request.headers()) {
            Ok(None) => Box::pin(self.pass(call, request, id, began)),
            Ok(Some(token)) => {
                let edge = self.clone();
                Box::pin(async move {
                    match edge.shared.auth.verify(&token, &method.context).await {
                        Ok(_) => edge.pass(call, request, id, began).await,
                        Err(refusal) => edge.refuse(refusal.into(), &method.meter, id, began).await,
                    }
                })
            }
            Err(failure) => self.refuse(failure, &method.meter, id, began),
        }
    }

    /// What must hold for a call before it is looked at more closely.
    fn admit(&self, method: &Arc<Method>, client: &Arc<Client>, headers: &HeaderMap) -> Result<Call, Failure> {
        let permit = self.enter()?;
        let client = self.shared.peers.behind(client, headers);
        let turn = client.begin_call()?;
        let stream = (!method.is_unary).then(|| client.begin_stream()).transpose()?;
        if method.sends_mail {
            client.check_mail()?;
        }
        let time = time(method, headers)?;
        Ok(Call { method: method.clone(), client, permit, turn, stream, time })
    }

    fn pass<B>(
        self: &Arc<Edge>,
        call: Call,
        request: Request<B>,
        id: HeaderValue,
        began: Instant,
    ) -> impl Future<Output = Response<Body>> + Send + 'static + use<B>
    where
        B: http_body::Body<Data = Bytes> + Unpin + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (parts, body) = request.into_parts();
        let (body, exceeded) = Limited::new(body, call.method.message_limit);
        let answer =
            self.forward(call.method.destination, Request::from_parts(parts, Body::new(body)), &call.client, &id);
        let edge = self.clone();
        async move {
            let method = call.method.clone();
            let answer = edge.finish(call, answer, &exceeded).await;
            edge.close(answer, &method.meter, id, began)
        }
    }

    fn forward(&self, destination: Destination, request: Request<Body>, client: &Client, id: &HeaderValue) -> Answer {
        match self.target(destination) {
            Some(target) => target.send(request, client, id),
            None => {
                let answer = self.shared.own.clone().call(request);
                Box::pin(async move {
                    let Ok(answer) = answer.await;
                    answer
                })
            }
        }
    }

    async fn finish(&self, call: Call, answer: Answer, exceeded: &AtomicBool) -> Result<Response<Body>, Failure> {
        let Call { method, permit, turn, stream, time, .. } = call;
        let deadline = time.and_then(|time| tokio::time::Instant::now().checked_add(time));
        let answer = match time {
            // A unary call of this process has its deadline from its guard.
            Some(time) if !(method.is_unary && self.is_local(method.destination)) => {
                tokio::time::timeout(time.saturating_add(SLACK), answer).await.map_err(|_| deadline::exceeded())?
            }
            _ => answer.await,
        };
        drop((permit, turn));

        let code = code(answer.headers());
        if code != Code::Ok && exceeded.load(Ordering::Relaxed) {
            return Err(too_large(method.message_limit));
        }
        if method.has_stream_answer {
            return Ok(answer.map(|body| ending(body, deadline, &self.shared.drain, stream)));
        }
        Ok(answer)
    }

    /// The last of every call: its answer is counted and says the call's id.
    fn close(
        &self,
        answer: Result<Response<Body>, Failure>,
        meter: &Meter,
        id: HeaderValue,
        began: Instant,
    ) -> Response<Body> {
        let mut answer = answer.unwrap_or_else(|failure| Status::from(failure).into_http());
        meter.record(answer.headers(), began.elapsed());
        answer.headers_mut().insert(REQUEST_ID.clone(), id);
        answer
    }

    fn refuse(&self, failure: Failure, meter: &Meter, id: HeaderValue, began: Instant) -> Answer {
        Box::pin(std::future::ready(self.close(Err(failure), meter, id, began)))
    }

    fn target(&self, destination: Destination) -> Option<&Target> {
        match destination {
            Destination::To(context) => self.targets.get(context),
            Destination::Own => None,
        }
    }

    fn is_local(&self, destination: Destination) -> bool {
        self.target(destination).is_none_or(|target| target.upstream.is_local())
    }

    /// Refuses early what the service would refuse as well, where the rpc asks for a token, and counts the account's calls. A token that
    /// memory can't judge, perhaps for a key that is new, comes back to be verified with patience.
    fn check_token(&self, method: &Method, headers: &HeaderMap) -> Result<Option<String>, Failure> {
        let token = match (method.token, bearer(headers)) {
            (Token::Ignored, _) | (Token::Optional, Err(Refusal::Missing)) => return Ok(None),
            (_, token) => token?,
        };
        match self.shared.auth.verify_now(token, &method.context) {
            Ok(claims) => self.shared.accounts.check(claims.sub).map(|()| None),
            Err(Refusal::Invalid) => Ok(Some(token.to_owned())),
            Err(refusal) => Err(refusal.into()),
        }
    }

    /// Lets a call in, as long as there are not too many of them.
    fn enter(&self) -> Result<Permit, Failure> {
        let before = self.shared.calls.fetch_add(1, Ordering::Relaxed);
        let permit = Permit(self.shared.clone());
        if before < self.shared.config.calls {
            return Ok(permit);
        }
        let overloaded = Failure::new(Code::ResourceExhausted, ErrorReason::Overloaded, "too many calls in progress");
        Err(overloaded.retry_after(Duration::from_millis(100)))
    }
}

/// A call in progress.
struct Permit(Arc<Shared>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The time that a call has. One that can't be read is the client's mistake.
fn time(method: &Method, headers: &HeaderMap) -> Result<Option<Duration>, Failure> {
    if let Some(value) = headers.get("grpc-timeout")
        && value.to_str().ok().and_then(deadline::parse).is_none()
    {
        let mut fields = Fields::default();
        fields.refuse("grpc-timeout", "must be at most 8 digits and one of the units H, M, S, m, u, n");
        return Err(fields.into());
    }
    Ok(deadline::of(headers, deadline::most(method.is_unary, method.message_limit)))
}
