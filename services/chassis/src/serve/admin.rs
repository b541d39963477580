//! The admin port: is the process alive, can it serve, and its metrics. For the cluster's own network, never the public one (S-38).

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;

use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;

use super::connection::{ConnectionLimits, drive};
use super::{Drain, Health, accept};

/// Writes the metrics in the text format of Prometheus.
pub type Render = Arc<dyn Fn() -> String + Send + Sync>;

/// Serves `/livez`, `/readyz` and `/metrics` for as long as it is polled: also while the process drains, when `/readyz` answers 503.
pub async fn admin(listener: TcpListener, health: Health, render: Render) {
    let limits = ConnectionLimits { streams: 16, ..ConnectionLimits::internal() };
    let service = Admin { health, render };
    let never = CancellationToken::new();
    let each = |(stream, _)| {
        tokio::spawn(drive(stream, None, service.clone(), limits.clone(), Drain::new(never.clone())));
    };
    accept(&never, |cx| listener.poll_accept(cx), each).await;
}

#[derive(Clone)]
struct Admin {
    health: Health,
    render: Render,
}

impl hyper::service::Service<Request<Incoming>> for Admin {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let (status, body) = match (request.method(), request.uri().path()) {
            (&Method::GET | &Method::HEAD, "/livez") => (StatusCode::OK, "alive\n".to_owned()),
            (&Method::GET | &Method::HEAD, "/readyz") if self.health.is_ready() => {
                (StatusCode::OK, "ready\n".to_owned())
            }
            (&Method::GET | &Method::HEAD, "/readyz") => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n".to_owned()),
            (&Method::GET | &Method::HEAD, "/metrics") => (StatusCode::OK, (self.render)()),
            _ => (StatusCode::NOT_FOUND, "not found\n".to_owned()),
        };
        let mut response = Response::new(Body::new(Full::from(body)));
        *response.status_mut() = status;
        let text = header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, text);
        ready(Ok(response))
    }
}
