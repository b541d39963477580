//! What a request is, by its headers alone: gRPC, gRPC-web, or a page.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt as _};
use http::{Method, Request, Response, StatusCode, Version, header};
use hyper::body::Incoming;
use tonic::body::Body;

use crate::edge::Edge;
use crate::limit::Client;
use crate::{media, pages, web};

/// One connection's way into the gateway.
#[derive(Clone)]
pub struct Front {
    pub edge: Arc<Edge>,
    pub client: Arc<Client>,
}

type Answer = BoxFuture<'static, Result<Response<Body>, Infallible>>;

impl hyper::service::Service<Request<Incoming>> for Front {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, request: Request<Incoming>) -> Answer {
        let front = self.clone();
        if request.headers().contains_key(header::ORIGIN) {
            return Box::pin(web::with_cors(front, request.map(Body::new)));
        }
        front.answer(request)
    }
}

impl Front {
    pub fn answer<B>(self, request: Request<B>) -> Answer
    where
        B: http_body::Body<Data = Bytes> + Unpin + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + std::fmt::Display,
    {
        match RequestKind::of(&request) {
            RequestKind::Grpc => Box::pin(self.edge.handle(&self.client, request).map(Ok)),
            RequestKind::GrpcWeb => Box::pin(web::answer(self, request)),
            RequestKind::Page => {
                let request = request.map(drop);
                if request.uri().path().starts_with(media::PATH) {
                    return Box::pin(async move { Ok(media::answer(&self.edge, &self.client, &request).await) });
                }
                Box::pin(async move { Ok(pages::answer(&self.edge, &request).await) })
            }
            RequestKind::Wrong(status) => Box::pin(async move { Ok(pages::refuse(status)) }),
        }
    }
}

/// What a request wants to be.
#[derive(Debug, PartialEq, Eq)]
enum RequestKind {
    Grpc,
    GrpcWeb,
    Page,
    Wrong(StatusCode),
}

impl RequestKind {
    fn of<B>(request: &Request<B>) -> RequestKind {
        let content = request.headers().get(header::CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
        let is_post = request.method() == Method::POST;
        match content {
            _ if !is_post && content.starts_with(b"application/grpc") => {
                RequestKind::Wrong(StatusCode::METHOD_NOT_ALLOWED)
            }
            b"application/grpc-web"
            | b"application/grpc-web+proto"
            | b"application/grpc-web-text"
            | b"application/grpc-web-text+proto" => RequestKind::GrpcWeb,
            _ if is_grpc(content) && request.version() == Version::HTTP_2 => RequestKind::Grpc,
            // Without trailers there is no gRPC.
            _ if is_grpc(content) => RequestKind::Wrong(StatusCode::HTTP_VERSION_NOT_SUPPORTED),
            _ if is_post => RequestKind::Wrong(StatusCode::UNSUPPORTED_MEDIA_TYPE),
            _ => RequestKind::Page,
        }
    }
}

/// `application/grpc`, alone or with what the messages are encoded in.
fn is_grpc(content: &[u8]) -> bool {
    matches!(content.strip_prefix(b"application/grpc"), Some([] | [b'+' | b';', ..]))
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "what a test stands on must be there")]
mod tests {
    use super::*;

    #[test]
    fn s56_only_content_types_that_no_form_can_send_are_calls() {
        let kind = |method: &str, content: &str, version| {
            let request = Request::builder().method(method).header("content-type", content).version(version).body(());
            RequestKind::of(&request.expect("a request"))
        };
        assert_eq!(kind("POST", "application/grpc", Version::HTTP_2), RequestKind::Grpc);
        assert_eq!(kind("POST", "application/grpc+proto", Version::HTTP_2), RequestKind::Grpc);
        assert_eq!(kind("POST", "application/grpc-web+proto", Version::HTTP_11), RequestKind::GrpcWeb);
        assert_eq!(kind("POST", "application/grpc-web-text", Version::HTTP_2), RequestKind::GrpcWeb);
        let version = RequestKind::Wrong(StatusCode::HTTP_VERSION_NOT_SUPPORTED);
        assert_eq!(kind("POST", "application/grpc", Version::HTTP_11), version);
        for content in
            ["text/plain", "application/x-www-form-urlencoded", "application/grpc-web+json", "application/grpcx"]
        {
            let wrong = RequestKind::Wrong(StatusCode::UNSUPPORTED_MEDIA_TYPE);
            assert_eq!(kind("POST", content, Version::HTTP_2), wrong, "{content}");
        }
        assert_eq!(
            kind("GET", "application/grpc", Version::HTTP_2),
            RequestKind::Wrong(StatusCode::METHOD_NOT_ALLOWED)
        );
        assert_eq!(kind("GET", "", Version::HTTP_11), RequestKind::Page);
    }
}
