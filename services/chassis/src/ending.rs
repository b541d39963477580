//! Streams that would not end by themselves: each is told, in trailers, why it ends now.
//!
//! The end is waited for beside the stream and not by whoever sends it: nobody asks a body for more while its reader takes nothing, and a
//! reader who takes nothing must not outlive their session. What the body held is let go at that moment, and a handler sees its answer
//! dropped as if the client had gone.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use tokio::task::AbortHandle;
use tonic::Status;
use tonic::body::Body;

use crate::failure::Failure;

/// Comes when a stream must end, with the reason.
pub type End = BoxFuture<'static, Failure>;

/// The body of a stream's answer that ends with the stream or, with trailers of its own, when `end` comes.
pub fn ending(body: Body, end: End) -> Body {
    if http_body::Body::is_end_stream(&body) {
        return body;
    }
    let shared = Arc::new(Shared(Mutex::new(State { body: Some(body), status: None, reader: None })));
    let waiting = shared.clone();
    let wait = tokio::spawn(async move {
        let failure = end.await;
        waiting.end(failure.into());
    });
    Body::new(Ending { shared, wait: wait.abort_handle() })
}

struct Ending {
    shared: Arc<Shared>,
    wait: AbortHandle,
}

struct Shared(Mutex<State>);

struct State {
    /// None when the end has come.
    body: Option<Body>,
    /// Why, until that is said.
    status: Option<Status>,
    reader: Option<Waker>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, status: Status) {
        let (body, reader) = {
            let mut state = self.lock();
            state.status = Some(status);
            (state.body.take(), state.reader.take())
        };
        // Outside of the lock: whoever notices that it is gone may do whatever they like.
        drop(body);
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

impl http_body::Body for Ending {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let mut state = self.shared.lock();
        let State { body, status, reader } = &mut *state;
        let Some(body) = body.as_mut() else { return Poll::Ready(status.take().map(trailers)) };
        if body.is_end_stream() {
            return Poll::Ready(None);
        }
        if !reader.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *reader = Some(cx.waker().clone());
        }
        Pin::new(body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        let state = self.shared.lock();
        state.body.as_ref().map_or(state.status.is_none(), |body| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.shared.lock().body.as_ref().map(|body| body.size_hint()).unwrap_or_default()
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.wait.abort();
        let body = self.shared.lock().body.take();
        drop(body);
    }
}

fn trailers(status: Status) -> Result<Frame<Bytes>, Status> {
    let mut trailers = HeaderMap::new();
    match status.add_header(&mut trailers) {
        Ok(()) => Ok(Frame::trailers(trailers)),
        Err(_) => Err(status),
    }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "what a test stands on must be there")]
mod tests {
    use futures_util::FutureExt as _;
    use http_body::Body as _;
    use http_body_util::BodyExt as _;
    use quartet_proto::r#type::v1::ErrorReason;
    use tokio::sync::oneshot;
    use tonic::Code;

    use super::*;

    /// A body that always has more, and says when it is let go.
    struct Endless(Option<oneshot::Sender<()>>);

    impl http_body::Body for Endless {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"more")))))
        }
    }

    impl Drop for Endless {
        fn drop(&mut self) {
            self.0.take().map(|gone| gone.send(()));
        }
    }

    fn stream() -> (Body, oneshot::Sender<Failure>, oneshot::Receiver<()>) {
        let ((over, end), (gone, is_gone)) = (oneshot::channel(), oneshot::channel());
        let end = async move { end.await.expect("an end") }.boxed();
        (ending(Body::new(Endless(Some(gone))), end), over, is_gone)
    }

    fn over() -> Failure {
        Failure::new(Code::Unauthenticated, ErrorReason::SessionRevoked, "over")
    }

    #[tokio::test]
    async fn s15_a_stream_ends_with_its_session_though_nobody_reads_it() {
        let (mut body, end, is_gone) = stream();
        assert!(body.frame().await.expect("a frame").expect("data").is_data());
        end.send(over()).expect("somebody waits for it");
        // Nobody asks the body for anything meanwhile.
        is_gone.await.expect("it is let go");
        assert!(!body.is_end_stream());
        let last = body.frame().await.expect("a frame").expect("trailers").into_trailers().expect("trailers");
        assert_eq!(last.get("grpc-status").expect("a status"), "16");
        assert!(body.frame().await.is_none() && body.is_end_stream());
    }

    #[tokio::test]
    async fn s15_who_waits_for_more_is_told_of_the_end_and_who_goes_leaves_nothing() {
        let (say, end) = oneshot::channel();
        let end = async move { end.await.expect("an end") }.boxed();
        let silent = futures_util::stream::pending::<Result<Frame<Bytes>, Status>>();
        let mut body = ending(Body::new(http_body_util::StreamBody::new(silent)), end);
        let reading = tokio::spawn(async move { body.frame().await.expect("a frame").expect("no trailers") });
        tokio::task::yield_now().await;
        say.send(over()).expect("somebody waits for it");
        assert!(reading.await.expect("read").is_trailers());

        let (body, mut end, is_gone) = stream();
        drop(body);
        is_gone.await.expect("it is let go");
        end.closed().await;
    }
}
