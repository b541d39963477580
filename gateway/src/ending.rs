//! Streams that would not end by themselves: each is told, in trailers, why it ends now.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use quartet_chassis::deadline;
use quartet_chassis::failure::Failure;
use quartet_chassis::serve::Drain;
use quartet_proto::r#type::v1::ErrorReason;
use tokio::time::Instant;
use tonic::body::Body;
use tonic::{Code, Status};

/// The body of a stream's answer that ends with the stream, at the call's deadline, or a while after the process was told to stop.
pub fn ending(body: Body, deadline: Option<Instant>, drain: &Drain) -> Body {
    let drain = drain.clone();
    let end = Box::pin(async move {
        let over = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = over => deadline::exceeded(),
            () = drain.streams_end() => shutting_down(),
        }
    });
    Body::new(Ending { body: Some(body), end })
}

struct Ending {
    body: Option<Body>,
    end: BoxFuture<'static, Failure>,
}

fn shutting_down() -> Failure {
    let message = "the server shuts down: go on with another";
    Failure::new(Code::Unavailable, ErrorReason::ShuttingDown, message).retry_after(Duration::ZERO)
}

impl http_body::Body for Ending {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Some(body) = self.body.as_mut() else { return Poll::Ready(None) };
        if let Poll::Ready(frame) = Pin::new(body).poll_frame(cx) {
            return Poll::Ready(frame);
        }
        let Poll::Ready(failure) = self.end.as_mut().poll(cx) else { return Poll::Pending };
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
