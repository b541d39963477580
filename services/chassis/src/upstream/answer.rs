//! What comes back from an instance, and what is said when nothing does.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use quartet_proto::r#type::v1::ErrorReason;
use tonic::body::Body;
use tonic::{Code, Status};

use crate::failure::Failure;

/// No instance took the call.
pub(super) fn unavailable() -> Response<Body> {
    Status::from(Failure::unavailable("service")).into_http()
}

/// The call went out and its connection broke.
fn broken() -> Status {
    let message = "the connection to the service broke; the call's effect is unknown";
    Failure::new(Code::Unavailable, ErrorReason::DependencyUnavailable, message).with("part", "service").into()
}

pub(super) fn failed(error: &hyper::Error) -> Response<Body> {
    tracing::debug!(%error, "a call to an upstream failed");
    broken().into_http()
}

pub(super) fn answered(response: Response<Incoming>) -> Response<Body> {
    response.map(|body| Body::new(Answer { body, ended: false }))
}

/// The body of an instance's answer. If it breaks off, the caller gets trailers that say so in place of a stream that is reset.
struct Answer {
    body: Incoming,
    ended: bool,
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(Some(Err(error))) => {
                tracing::debug!(%error, "an upstream's answer broke off");
                self.ended = true;
                let mut trailers = HeaderMap::new();
                match broken().add_header(&mut trailers) {
                    Ok(()) => Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
                    Err(_) => Poll::Ready(Some(Err(error))),
                }
            }
            other => other,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
