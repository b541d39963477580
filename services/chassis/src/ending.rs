//! Streams that would not end by themselves: each is told, in trailers, why it ends now.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;

use crate::failure::Failure;

/// Comes when a stream must end, with the reason.
pub type End = BoxFuture<'static, Failure>;

/// The body of a stream's answer that ends with the stream or, with trailers of its own, when `end` comes.
pub fn ending(body: Body, end: End) -> Body {
    Body::new(Ending { body: Some(body), end })
}

struct Ending {
    body: Option<Body>,
    end: End,
}

impl http_body::Body for Ending {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Some(body) = self.body.as_mut() else { return Poll::Ready(None) };
        if body.is_end_stream() {
            return Poll::Ready(None);
        }
        // First the end: a stream that always has something to say would never hear of it.
        let Poll::Ready(failure) = self.end.as_mut().poll(cx) else {
            let Some(body) = self.body.as_mut() else { return Poll::Ready(None) };
            return Pin::new(body).poll_frame(cx);
        };
        self.body = None;
        let status = Status::from(failure);
        let mut trailers = HeaderMap::new();
        match status.add_header(&mut trailers) {
            Ok(()) => Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
            Err(_) => Poll::Ready(Some(Err(status))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(|body| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(|body| body.size_hint()).unwrap_or_default()
    }
}
