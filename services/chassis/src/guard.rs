//! The layer around a service's routes: what must hold for every call before a handler sees it, and after it has answered.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::{FutureExt as _, TryFutureExt as _};
use http::{HeaderMap, Request, Response};
use quartet_proto::control::v1::Fault;
use quartet_proto::r#type::v1::ErrorReason;
use tokio::sync::Semaphore;
use tonic::body::Body;
use tonic::service::Routes;
use tonic::{Code, Status};
use tower::{Service, ServiceExt as _};
use tracing::Instrument as _;

use crate::auth::access::{Access, Rule, rules};
use crate::auth::{Claims, Refusal};
use crate::caller::{Client, Operator, ServiceCaller};
use crate::db::on_behalf;
use crate::deadline;
use crate::ending::{End, ending};
use crate::failure::Failure;
use crate::id::Id;
use crate::limits::{self, Held, Room};
use crate::message::{holder, one_message};
use crate::parts::Parts;

/// The header that carries the gateway's own token, beside which the client's address counts.
pub const GATEWAY_TOKEN: &str = "quartet-gateway-token";
/// The header that carries the address of the gateway's client.
pub const CLIENT_ADDRESS: &str = "quartet-client-address";
/// The header that carries the id of a request through logs and traces.
pub const REQUEST_ID: &str = "x-request-id";

/// A context's services behind their access rules. Calls are the same whether they come over a connection or by function call.
#[derive(Clone)]
pub struct Guard {
    inner: Arc<Inner>,
    routes: Routes,
}

struct Inner {
    context: &'static str,
    methods: HashMap<&'static str, Method>,
    permits: Arc<Semaphore>,
    /// For messages that are not small.
    room: Room,
    parts: Parts,
}

struct Method {
    rule: &'static Rule,
    message_limit: usize,
    answered: metrics::Counter,
    failed: metrics::Counter,
    seconds: metrics::Histogram,
}

impl Guard {
    /// Guards the services of a context such as `identity`. Fails when one of its rpcs states no access rule.
    pub fn new(context: &'static str, routes: Routes, parts: &Parts) -> anyhow::Result<Guard> {
        let prefix = format!("/quartet.{context}.");
        let methods = rules()?.iter().filter(|(path, _)| path.starts_with(&prefix));
        let methods = methods.map(|(path, rule)| (path.as_str(), Method::new(path, rule))).collect();
        let permits = Arc::new(Semaphore::new(parts.limits.calls));
        Ok(Guard {
            inner: Arc::new(Inner { context, methods, permits, room: Room::default(), parts: parts.clone() }),
            routes: routes.prepare(),
        })
    }

    pub fn context(&self) -> &'static str {
        self.inner.context
    }

    async fn answer(self, mut request: Request<Body>) -> Result<Response<Body>, Failure> {
        let Guard { inner, routes } = self;
        let Some((path, method)) = inner.methods.get_key_value(request.uri().path()) else {
            return Err(Failure::new(Code::Unimplemented, ErrorReason::MethodUnknown, "there is no such rpc"));
        };
        let client = inner.client(&request);
        let span = tracing::info_span!("call", method = request.uri().path(), request_id = client.request_id);
        inner.admit(&method.rule.access, &mut request).await?;
        let mut end = if method.rule.is_unary() { None } else { inner.end(&request) };
        request.extensions_mut().insert(client);
        let most = deadline::most(method.rule.is_unary(), method.message_limit);
        let limit = deadline::of(request.headers(), most).unwrap_or(Duration::MAX);
        // How long a call takes is not a thing that tests move.
        let began = Instant::now();
        let mut held = None;
        if method.rule.is_unary() {
            (request, held) = inner.receive(request, method.message_limit, limit).await?;
        }
        let permit = inner.permits.clone().try_acquire_owned().map_err(|_| overloaded())?;

        let panics = inner.parts.faults.take(Fault::Panic);
        let account = request.extensions().get::<Arc<Claims>>().map(|claims| claims.sub);
        let call = async move {
            #[expect(clippy::panic, reason = "the control service asked for one")]
            if panics {
                panic!("made to panic by the control service");
            }
            let answer = on_behalf(account, routes.oneshot(request)).await;
            drop((permit, held));
            answer
        };
        let call = AssertUnwindSafe(call).catch_unwind().inspect_err(|_| tracing::error!("a handler panicked"));
        let call = inner.parts.faults.within(path, call).instrument(span);
        let answer = if method.rule.is_unary() {
            // Spawned: a client that goes away does not drop a transaction in the middle, and a deadline only ends the waiting.
            let call = inner.parts.tasks.spawn(call);
            match tokio::time::timeout(limit.saturating_sub(began.elapsed()), call).await {
                Ok(answer) => answer.unwrap_or_else(|error| Err(Box::new(error))),
                Err(_) => return Err(deadline::exceeded()),
            }
        } else {
            before(&mut end, call).await.inspect_err(|_| method.failed.increment(1))?
        };
        match answer {
            Ok(answer) => {
                let Ok(mut answer) = answer;
                method.count(&answer, began.elapsed());
                if let Some(end) = end.filter(|_| method.rule.server_streaming) {
                    answer = answer.map(|body| ending(body, end));
                }
                Ok(answer)
            }
            Err(_) => {
                method.failed.increment(1);
                Err(Failure::new(Code::Internal, ErrorReason::Internal, "an internal error occurred"))
            }
        }
    }
}

impl Method {
    fn new(path: &'static str, rule: &'static Rule) -> Method {
        Method {
            rule,
            message_limit: limits::message(path),
            answered: metrics::counter!("quartet_calls_total", "method" => path, "outcome" => "ok"),
            failed: metrics::counter!("quartet_calls_total", "method" => path, "outcome" => "error"),
            seconds: metrics::histogram!("quartet_call_seconds", "method" => path),
        }
    }

    /// Counts an answer, which may be a refusal.
    fn count(&self, answer: &Response<Body>, took: Duration) {
        let failed = answer.headers().get(Status::GRPC_STATUS).is_some_and(|code| code != "0");
        if failed {
            self.failed.increment(1)
        } else {
            self.answered.increment(1)
        }
        self.seconds.record(took);
    }
}

impl Inner {
    /// Who is at the other end: as the gateway in this process says, or one that shows its token, or by what the request says itself.
    fn client(&self, request: &Request<Body>) -> Client {
        if let Some(client) = request.extensions().get::<Client>() {
            return client.clone();
        }
        let headers = request.headers();
        let from_gateway = text(headers, GATEWAY_TOKEN).is_some_and(|token| {
            self.parts.auth.verify_service(token, self.context).is_ok_and(|name| name == "gateway")
        });
        let address: Option<IpAddr> = text(headers, CLIENT_ADDRESS).and_then(|address| address.parse().ok());
        Client {
            address: address.filter(|_| from_gateway),
            user_agent: text(headers, "user-agent").unwrap_or_default().chars().take(256).collect(),
            request_id: match text(headers, REQUEST_ID) {
                Some(id) => id.chars().take(64).collect(),
                None => Id::new(&self.parts.clock).to_string(),
            },
        }
    }

    /// Refuses a caller that the access rule does not admit; leaves in the request who it is.
    async fn admit(&self, access: &Access, request: &mut Request<Body>) -> Result<(), Failure> {
        let operator = request.extensions().get::<Operator>().is_some();
        match access {
            Access::Public => return Ok(()),
            Access::Operator if operator => return Ok(()),
            Access::Operator => {
                return Err(Failure::new(Code::Unimplemented, ErrorReason::MethodUnknown, "there is no such rpc"));
            }
            // An operator who shows a token calls as whose it is.
            Access::Roles(_) if operator && bearer(request.headers()) == Err(Refusal::Missing) => return Ok(()),
            Access::Optional if bearer(request.headers()) == Err(Refusal::Missing) => return Ok(()),
            Access::Service => {
                let token = bearer(request.headers())?;
                let name = self.parts.auth.verify_service(token, self.context)?;
                request.extensions_mut().insert(ServiceCaller(name));
                return Ok(());
            }
            Access::Optional | Access::Account | Access::Roles(_) => {}
        }
        let claims = self.parts.auth.verify(bearer(request.headers())?, self.context).await?;
        if let Access::Roles(roles) = access
            && !claims.roles.iter().any(|role| roles.contains(role))
        {
            let message = format!("this call needs one of the roles {}", roles.join(", "));
            let failure = Failure::new(Code::PermissionDenied, ErrorReason::RoleMissing, message);
            return Err(failure.with("roles", roles.join(",")));
        }
        request.extensions_mut().insert(claims);
        Ok(())
    }

    /// Waits for the message of a unary call. Whoever holds it back holds no permit, and nothing that outlives the deadline.
    async fn receive(
        &self,
        request: Request<Body>,
        most: usize,
        limit: Duration,
    ) -> Result<(Request<Body>, Option<Held>), Failure> {
        let held = self.room.hold(holder(&request));
        let arriving = one_message(request, most, held);
        tokio::time::timeout(limit, arriving).await.map_err(|_| deadline::exceeded())?
    }

    /// What ends a stream before it ends by itself: the end of the session that has opened it (S-15).
    fn end(&self, request: &Request<Body>) -> Option<End> {
        let claims = request.extensions().get::<Arc<Claims>>()?.clone();
        Some(self.parts.auth.clone().end_of(claims).map(Failure::from).boxed())
    }
}

impl Service<Request<Body>> for Guard {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let answer = self.clone().answer(request);
        Box::pin(async move { Ok(answer.await.unwrap_or_else(|failure| Status::from(failure).into_http())) })
    }
}

fn overloaded() -> Failure {
    Failure::new(Code::ResourceExhausted, ErrorReason::Overloaded, "too many calls in progress")
}

/// Waits for the handler of a stream, unless the stream must end before.
async fn before<T>(end: &mut Option<End>, call: impl Future<Output = T>) -> Result<T, Failure> {
    match end {
        None => Ok(call.await),
        Some(end) => tokio::select! {
            biased;
            failure = end => Err(failure),
            answer = call => Ok(answer),
        },
    }
}

/// The token in `authorization: Bearer …`.
pub fn bearer(headers: &HeaderMap) -> Result<&str, Refusal> {
    let value = text(headers, "authorization").ok_or(Refusal::Missing)?;
    let (scheme, token) = value.split_once(' ').ok_or(Refusal::Invalid)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(token.trim()) } else { Err(Refusal::Invalid) }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
