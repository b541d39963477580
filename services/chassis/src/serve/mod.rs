//! Serving: listeners and their connections, the answer to "are you well?", and the end.
//!
//! Timeouts of calls, access rules and metrics are layers around a service (`guard`), not settings of a listener: a call from the same
//! process passes no listener.

mod accept;
mod admin;
mod connection;
mod drain;
mod health;
mod patient;
mod role;
mod stream;

use std::convert::Infallible;
use std::path::Path;

use http::{Request, Response};
use hyper::body::Incoming;
use tokio::net::{TcpListener, UnixListener};
use tonic::body::Body;
use tonic::codegen::Service;

pub use self::accept::accept;
pub use self::admin::{Render, admin};
pub use self::connection::{ConnectionLimits, Protocol, drive};
pub use self::drain::Drain;
pub use self::health::{Check, Health, services_of};
pub use self::role::{Role, own_routes};
use crate::caller::Operator;

/// Serves gRPC on a port of the installation's own network until the process stops; returns when the last connection has ended, or the
/// drain's time is over.
pub async fn tcp<S>(listener: TcpListener, service: S, drain: &Drain)
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let limits = ConnectionLimits::internal();
    let each = |(stream, _): (tokio::net::TcpStream, _)| {
        // Without it small answers wait for the peer's acknowledgement. A socket that refuses the option still works.
        let _ = stream.set_nodelay(true);
        drain.spawn(drive(stream, None, Handler(service.clone()), limits.clone(), drain.clone()));
    };
    accept(drain.stopping(), |cx| listener.poll_accept(cx), each).await;
    drop(listener);
    drain.finished().await;
}

/// The same on a unix socket. Whoever may open it is the machine's operator, and each of its calls is marked so.
pub async fn unix<S>(listener: UnixListener, service: S, drain: &Drain)
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let limits = ConnectionLimits::internal();
    let service = ByOperator(service);
    let each = |(stream, _): (tokio::net::UnixStream, _)| {
        drain.spawn(drive(stream, None, Handler(service.clone()), limits.clone(), drain.clone()));
    };
    accept(drain.stopping(), |cx| listener.poll_accept(cx), each).await;
    drop(listener);
    drain.finished().await;
}

/// A socket at `path` that only this user may open (mode 0600). One that a dead process left behind is replaced.
pub fn bind_unix(path: &Path) -> std::io::Result<UnixListener> {
    use std::os::unix::fs::PermissionsExt as _;

    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// A service as a connection calls it.
struct Handler<S>(S);

impl<S> hyper::service::Service<Request<Incoming>> for Handler<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = S::Future;

    fn call(&self, request: Request<Incoming>) -> S::Future {
        self.0.clone().call(request.map(Body::new))
    }
}

/// A service whose every caller is the operator.
#[derive(Clone)]
struct ByOperator<S>(S);

impl<S: Service<Request<Body>>> Service<Request<Body>> for ByOperator<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> S::Future {
        request.extensions_mut().insert(Operator);
        self.0.call(request)
    }
}
