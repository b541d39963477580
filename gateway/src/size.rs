//! The size of messages, watched as they pass (S-40): lengths stand in front of messages, so nothing has to be read or kept.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use quartet_chassis::failure::Failure;
use quartet_proto::r#type::v1::ErrorReason;
use tonic::{Code, Status};

/// A flag byte and a length of four bytes.
const PREFIX: usize = 5;

/// The answer to a message that is too long.
pub fn too_large(limit: usize) -> Failure {
    let message = format!("a message of this rpc has at most {limit} bytes");
    Failure::new(Code::ResourceExhausted, ErrorReason::MessageTooLarge, message).with("limit_bytes", limit)
}

/// A request's body that fails at the first message longer than `limit`, before any of it has passed.
pub struct Limited<B> {
    body: B,
    frames: Frames,
    limit: usize,
    exceeded: Arc<AtomicBool>,
}

impl<B> Limited<B> {
    /// The flag tells the side that waits for the answer why the request broke off.
    pub fn new(body: B, limit: usize) -> (Limited<B>, Arc<AtomicBool>) {
        let exceeded = Arc::new(AtomicBool::new(false));
        (Limited { body, frames: Frames::default(), limit, exceeded: exceeded.clone() }, exceeded)
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Limited<B>
where
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let limit = self.limit;
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                if frame.data_ref().is_some_and(|data| self.frames.advance(data) > limit) {
                    self.exceeded.store(true, Ordering::Relaxed);
                    return Poll::Ready(Some(Err(Status::from(too_large(limit)).into())));
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error.into()))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    /// Nothing: a gRPC-web text body would give the length of its base64, and be held to it on the way on.
    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

/// Follows the messages in a stream of pieces that are cut anywhere.
#[derive(Default)]
struct Frames {
    prefix: [u8; PREFIX],
    have: usize,
    rest: usize,
}

impl Frames {
    /// Takes the next piece and gives the length of the longest message that begins in it.
    fn advance(&mut self, mut piece: &[u8]) -> usize {
        let mut longest = 0;
        while !piece.is_empty() {
            if self.rest > 0 {
                let step = self.rest.min(piece.len());
                self.rest -= step;
                piece.advance(step);
                continue;
            }
            let step = (PREFIX - self.have).min(piece.len());
            self.prefix[self.have..self.have + step].copy_from_slice(&piece[..step]);
            self.have += step;
            piece.advance(step);
            if self.have == PREFIX {
                let [_, a, b, c, d] = self.prefix;
                self.rest = u32::from_be_bytes([a, b, c, d]) as usize;
                self.have = 0;
                longest = longest.max(self.rest);
            }
        }
        longest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s40_lengths_are_found_wherever_the_pieces_are_cut() {
        let mut stream = Vec::new();
        for length in [0_u32, 3, 700, 1] {
            stream.push(0);
            stream.extend(length.to_be_bytes());
            stream.extend(vec![9; length as usize]);
        }
        for size in [1, 2, 4, 5, 7, 64, 1000] {
            let mut frames = Frames::default();
            let longest = stream.chunks(size).map(|piece| frames.advance(piece)).max();
            assert_eq!(longest, Some(700), "pieces of {size}");
            assert_eq!((frames.have, frames.rest), (0, 0));
        }
    }
}
