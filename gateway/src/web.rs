//! gRPC-web, and what browsers ask before they use it.

use std::convert::Infallible;

use anyhow::Context as _;
use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{HeaderName, HeaderValue, Method, Request, Response, header};
use tonic::body::Body;
use tonic::codegen::Service as _;
use tonic_web::GrpcWebLayer;
use tower::{Layer as _, service_fn};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer, ExposeHeaders};

use crate::front::Front;
use crate::headers::strip_connection;

/// How long a browser may remember the answer to its question, in seconds.
const REMEMBER: u64 = 3600;
/// What a page may read of an answer.
const EXPOSED: [&str; 10] = [
    "grpc-status",
    "grpc-message",
    "grpc-status-details-bin",
    "x-request-id",
    "accept-ranges",
    "content-disposition",
    "content-length",
    "content-range",
    "etag",
    "last-modified",
];

/// The rules for pages of other origins: exactly those that are named, or all; never with cookies (S-56).
pub fn cors(origins: &[String]) -> anyhow::Result<CorsLayer> {
    let origin = if origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        let origins = origins.iter().filter(|origin| !origin.is_empty()).map(|origin| {
            HeaderValue::from_str(origin.trim_end_matches('/')).with_context(|| format!("`{origin}` is not an origin"))
        });
        AllowOrigin::list(origins.collect::<Result<Vec<_>, _>>()?)
    };
    Ok(CorsLayer::new()
        .allow_origin(origin)
        .allow_methods([Method::POST, Method::GET, Method::HEAD])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(ExposeHeaders::list(EXPOSED.map(HeaderName::from_static)))
        .max_age(std::time::Duration::from_secs(REMEMBER)))
}

/// Answers a request that came from a page.
pub async fn with_cors(front: Front, request: Request<Body>) -> Result<Response<Body>, Infallible> {
    let cors = front.edge.shared.cors.clone();
    cors.layer(service_fn(move |request: Request<Body>| front.clone().answer(request))).call(request).await
}

/// Answers a gRPC-web call: translated to gRPC, handled like one, and translated back.
pub async fn answer<B>(front: Front, mut request: Request<B>) -> Result<Response<Body>, Infallible>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + std::fmt::Display,
{
    let headers = request.headers_mut();
    strip_connection(headers);
    // Who asks in text and does not say what it accepts gets text.
    let accepts_grpc =
        headers.get(header::ACCEPT).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc-web"));
    if !accepts_grpc && let Some(content) = headers.get(header::CONTENT_TYPE).cloned() {
        headers.insert(header::ACCEPT, content);
    }
    let inner =
        service_fn(move |request: Request<Body>| front.edge.handle(&front.client, request).map(Ok::<_, Infallible>));
    GrpcWebLayer::new().layer(inner).call(request).await
}
