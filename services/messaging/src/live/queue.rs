//! What waits to be sent on a stream: bounded, and drained in one write.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::Frame;
use tonic::Status;

/// How much may wait for a reader who does not take it.
const CHUNKS: usize = 1024;
const BYTES: usize = 1 << 20;
/// What is read from the database waits for its reader as soon as there is so much.
const ROOM: usize = 128 << 10;
/// How much goes into one write.
const WRITE: usize = 64 << 10;

/// A queue between those who tell and the connection that sends.
#[derive(Debug, Default)]
pub struct Queue(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    chunks: VecDeque<Bytes>,
    bytes: usize,
    end: End,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

#[derive(Debug, Default)]
enum End {
    #[default]
    Open,
    /// After what still waits, trailers.
    Soon(Option<Box<Status>>),
    Over,
}

/// What became of something that was put into a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    Done,
    /// The stream has ended or ends.
    Ended,
    /// There is no room: whoever reads is too slow.
    Full,
}

impl Queue {
    /// Adds a chunk, which is one message or more.
    pub fn put(&self, chunk: &Bytes) -> Put {
        let mut state = self.lock();
        if !matches!(state.end, End::Open) {
            return Put::Ended;
        }
        let full = state.chunks.len() >= CHUNKS || state.bytes + chunk.len() > BYTES;
        if full && !state.chunks.is_empty() {
            return Put::Full;
        }
        state.bytes += chunk.len();
        state.chunks.push_back(chunk.clone());
        wake(state.reader.take());
        Put::Done
    }

    /// Ends the stream after a last chunk, as well or with this status. What waits is sent before, unless the reader is too slow for it.
    pub fn end(&self, last: &Bytes, status: Option<Status>, forget: bool) {
        let mut state = self.lock();
        if !matches!(state.end, End::Open) {
            return;
        }
        if forget {
            state.chunks = VecDeque::new();
            state.bytes = 0;
        }
        if !last.is_empty() {
            state.bytes += last.len();
            state.chunks.push_back(last.clone());
        }
        state.end = End::Soon(status.map(Box::new));
        wake(state.reader.take());
        wake(state.writer.take());
    }

    /// The reader has gone.
    pub fn close(&self) {
        let mut state = self.lock();
        state.end = End::Over;
        state.chunks = VecDeque::new();
        state.bytes = 0;
        wake(state.writer.take());
    }

    pub fn is_open(&self) -> bool {
        matches!(self.lock().end, End::Open)
    }

    /// Waits until the reader has taken most of what waits, or the stream has ended. For the one task that reads for it.
    pub async fn drained(&self) {
        std::future::poll_fn(|cx| {
            let mut state = self.lock();
            if !matches!(state.end, End::Open) || (state.bytes < ROOM && state.chunks.len() < CHUNKS / 4) {
                return Poll::Ready(());
            }
            state.writer = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// All that waits, up to a limit, as one frame; at the end the trailers.
    pub fn poll_frame(&self, cx: &mut Context<'_>) -> Poll<Option<Frame<Bytes>>> {
        let mut state = self.lock();
        if let Some(chunk) = state.take() {
            if state.bytes < ROOM {
                wake(state.writer.take());
            }
            return Poll::Ready(Some(Frame::data(chunk)));
        }
        match std::mem::replace(&mut state.end, End::Over) {
            End::Open => {
                state.end = End::Open;
                if !state.reader.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                    state.reader = Some(cx.waker().clone());
                }
                Poll::Pending
            }
            End::Soon(status) => {
                let mut trailers = HeaderMap::new();
                status.map_or(Status::ok(""), |status| *status).add_header(&mut trailers).ok();
                Poll::Ready(Some(Frame::trailers(trailers)))
            }
            End::Over => Poll::Ready(None),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take(&mut self) -> Option<Bytes> {
        let first = self.chunks.pop_front()?;
        self.bytes -= first.len();
        let fits = |length: usize, next: Option<&Bytes>| next.is_some_and(|next| length + next.len() <= WRITE);
        if !fits(first.len(), self.chunks.front()) {
            return Some(first);
        }
        let mut chunk = BytesMut::with_capacity(WRITE.min(first.len() + self.bytes));
        chunk.extend_from_slice(&first);
        while fits(chunk.len(), self.chunks.front())
            && let Some(next) = self.chunks.pop_front()
        {
            self.bytes -= next.len();
            chunk.extend_from_slice(&next);
        }
        if self.chunks.is_empty() && self.chunks.capacity() > 32 {
            self.chunks = VecDeque::new();
        }
        Some(chunk.freeze())
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(queue: &Queue) -> Option<Frame<Bytes>> {
        match queue.poll_frame(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(frame) => frame,
            Poll::Pending => None,
        }
    }

    fn data(queue: &Queue) -> Vec<u8> {
        taken(queue).and_then(|frame| frame.into_data().ok()).unwrap_or_default().to_vec()
    }

    #[test]
    fn g4_all_that_waits_is_drained_in_one_write() {
        let queue = Queue::default();
        for text in ["a", "b", "c"] {
            assert_eq!(queue.put(&Bytes::from_static(text.as_bytes())), Put::Done);
        }
        assert_eq!(data(&queue), b"abc");
        assert!(taken(&queue).is_none() && queue.is_open());
        queue.put(&Bytes::from_static(b"d"));
        queue.end(&Bytes::from_static(b"e"), None, false);
        assert_eq!(queue.put(&Bytes::from_static(b"f")), Put::Ended);
        assert_eq!(data(&queue), b"de");
        assert!(taken(&queue).is_some_and(|frame| frame.is_trailers()));
        assert!(taken(&queue).is_none());
    }

    #[test]
    fn s44_what_waits_for_a_slow_reader_is_bounded() {
        let (queue, chunk) = (Queue::default(), Bytes::from(vec![0; 100]));
        let put = (0..CHUNKS + 5).map(|_| queue.put(&chunk)).filter(|put| *put == Put::Done).count();
        assert_eq!(put, CHUNKS);
        let queue = Queue::default();
        let chunk = Bytes::from(vec![0; BYTES / 2]);
        assert_eq!([queue.put(&chunk), queue.put(&chunk), queue.put(&chunk)], [Put::Done, Put::Done, Put::Full]);
        queue.end(&Bytes::from_static(b"slow"), None, true);
        assert_eq!(data(&queue), b"slow");
        // A single one that is longer than all of it still passes.
        let queue = Queue::default();
        assert_eq!(queue.put(&Bytes::from(vec![0; 2 * BYTES])), Put::Done);
    }
}
