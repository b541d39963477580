//! A call's way through the gateway.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
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
use crate::limit::{Accounts, Client, Peers, SignIn};
use crate::meter::{Meter, code};
use crate::pages::Jwks;
use crate::route::{Goes, Kind, Method, Table, Token};
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

impl Edge {
    /// Answers a gRPC call.
    pub async fn handle<B>(&self, client: &Arc<Client>, mut request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Unpin + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let began = Instant::now();
        strip_ours(request.headers_mut());
        let id = self.shared.ids.of(request.headers_mut());
        let (passed, meter) = match self.shared.table.find(request.uri()) {
            Ok(method) => (self.pass(method, client, &id, request).await, &method.meter),
            Err(unknown) => (Err(unknown), &self.shared.unknown),
        };
        let mut answer = passed.unwrap_or_else(|failure| Status::from(failure).into_http());
        meter.record(answer.headers(), began.elapsed());
        answer.headers_mut().insert(REQUEST_ID.clone(), id);
        answer
    }

    async fn pass<B>(
        &self,
        method: &Method,
        client: &Arc<Client>,
        id: &HeaderValue,
        request: Request<B>,
    ) -> Result<Response<Body>, Failure>
    where
        B: http_body::Body<Data = Bytes> + Unpin + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let _permit = self.enter()?;
        let client = self.shared.peers.behind(client, request.headers());
        let sign_in = count(method.kind, &client)?;
        self.check_token(method.token, request.headers()).await?;
        let time = time(method, request.headers())?;

        let (parts, body) = request.into_parts();
        let (body, exceeded) = Limited::new(body, method.message_limit);
        let request = Request::from_parts(parts, Body::new(body));
        let deadline = time.and_then(|time| tokio::time::Instant::now().checked_add(time));
        let answer = self.forward(method.goes, request, &client, id);
        let answer = match time {
            // A unary call of this process has its deadline from its guard.
            Some(time) if !(method.is_unary && self.is_local(method.goes)) => {
                tokio::time::timeout(time.saturating_add(SLACK), answer).await.map_err(|_| deadline::exceeded())?
            }
            _ => answer.await,
        };

        let code = code(answer.headers());
        if code != Code::Ok && exceeded.load(Ordering::Relaxed) {
            return Err(too_large(method.message_limit));
        }
        if let Some(sign_in) = sign_in
            && code != Code::Unauthenticated
        {
            sign_in.forgive();
        }
        if method.has_stream_answer {
            return Ok(answer.map(|body| ending(body, deadline, &self.shared.drain)));
        }
        Ok(answer)
    }

    async fn forward(&self, goes: Goes, request: Request<Body>, client: &Client, id: &HeaderValue) -> Response<Body> {
        let Some(target) = self.target(goes) else {
            let Ok(answer) = self.shared.own.clone().call(request).await;
            return answer;
        };
        target.send(request, client, id).await
    }

    fn target(&self, goes: Goes) -> Option<&Target> {
        match goes {
            Goes::To(context) => self.targets.get(context),
            Goes::Own => None,
        }
    }

    fn is_local(&self, goes: Goes) -> bool {
        self.target(goes).is_none_or(|target| target.upstream.is_local())
    }

    /// Refuses early what the service would refuse as well, where the rpc asks for a token, and counts the account's calls.
    async fn check_token(&self, token: Token, headers: &HeaderMap) -> Result<(), Failure> {
        let token = match (token, bearer(headers)) {
            (Token::Ignored, _) | (Token::Optional, Err(Refusal::Missing)) => return Ok(()),
            (_, token) => token?,
        };
        let claims = self.shared.auth.verify(token).await?;
        self.shared.accounts.check(claims.sub)
    }

    /// Lets a call in, as long as there are not too many of them.
    fn enter(&self) -> Result<Permit<'_>, Failure> {
        let calls = &self.shared.calls;
        let permit = Permit(calls);
        if calls.fetch_add(1, Ordering::Relaxed) < self.shared.config.calls {
            return Ok(permit);
        }
        let overloaded = Failure::new(Code::ResourceExhausted, ErrorReason::Overloaded, "too many calls in progress");
        Err(overloaded.retry_after(Duration::from_millis(100)))
    }
}

/// A call in progress.
struct Permit<'a>(&'a AtomicUsize);

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Counts a call against what its client may do.
fn count(kind: Kind, client: &Client) -> Result<Option<SignIn>, Failure> {
    client.check_call()?;
    match kind {
        Kind::Plain => Ok(None),
        Kind::Mail => client.check_mail().map(|()| None),
        Kind::SignIn => client.begin_sign_in().map(Some),
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
    Ok(deadline::of(headers, method.is_unary))
}
