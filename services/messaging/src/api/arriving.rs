//! The body of a request that is a stream of messages. What has come of one lies in memory until the rest of it is there, so none is too
//! long, and none takes for ever.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;
use quartet_chassis::failure::{Failure, Fields};
use quartet_proto::r#type::v1::ErrorReason;
use tokio::time::{Instant, Sleep, sleep};
use tonic::body::Body;
use tonic::{Code, Status};

use crate::error::Error;

/// What gRPC puts before a message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// A body whose messages have at most so many bytes and arrive in time.
pub struct Arriving {
    body: Body,
    limit: usize,
    patience: Duration,
    /// How much of the message's prefix has come, the length that it says, and how much of that is missing.
    prefix: usize,
    length: usize,
    missing: usize,
    /// For how long its rest may still be waited for. That it lies here and nobody asks for it does not count.
    left: Duration,
    waits: Option<Pin<Box<Sleep>>>,
}

impl Arriving {
    pub fn new(body: Body, limit: usize, patience: Duration) -> Arriving {
        Arriving { body, limit, patience, prefix: 0, length: 0, missing: 0, left: patience, waits: None }
    }

    /// Counts what has come. Refuses a message that is too long before more of it comes.
    fn count(&mut self, mut data: &[u8]) -> Result<(), Status> {
        while let Some((first, rest)) = data.split_first() {
            if self.prefix < PREFIX {
                self.prefix += 1;
                // The first byte is no part of the length.
                self.length = if self.prefix == 1 { 0 } else { self.length << 8 | usize::from(*first) };
                self.missing = self.length;
                data = rest;
            } else {
                let (_, rest) = data.split_at(self.missing.min(data.len()));
                self.missing -= data.len() - rest.len();
                data = rest;
            }
            if self.prefix == PREFIX && self.length > self.limit {
                return Err(too_long(self.limit));
            }
            if self.prefix == PREFIX && self.missing == 0 {
                (self.prefix, self.left) = (0, self.patience);
            }
        }
        Ok(())
    }
}

impl http_body::Body for Arriving {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(waits) = this.waits.take() {
                    this.left = waits.deadline().saturating_duration_since(Instant::now());
                }
                let counted = frame.data_ref().map_or(Ok(()), |data| this.count(data));
                Poll::Ready(Some(counted.map(|()| frame)))
            }
            Poll::Pending if this.prefix > 0 => {
                let waits = this.waits.get_or_insert_with(|| Box::pin(sleep(this.left)));
                waits.as_mut().poll(cx).map(|()| Some(Err(too_late())))
            }
            Poll::Ready(None) if this.prefix > 0 => Poll::Ready(Some(Err(torn()))),
            other => other,
        }
    }
}

fn too_long(limit: usize) -> Status {
    let message = format!("a message of this rpc has at most {limit} bytes");
    let failure = Failure::new(Code::ResourceExhausted, ErrorReason::MessageTooLarge, message);
    failure.with("limit_bytes", limit).into()
}

fn too_late() -> Status {
    let message = "the rest of a message did not come";
    Failure::new(Code::DeadlineExceeded, ErrorReason::DeadlineExceeded, message).into()
}

fn torn() -> Status {
    let mut fields = Fields::default();
    fields.refuse("request", "must arrive whole");
    Error::from(fields).into()
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "what a test stands on must be there")]
mod tests {
    use std::task::Waker;

    use http_body::Body as _;
    use tokio::sync::mpsc;

    use super::*;

    /// What comes over a channel, for as long as that is there.
    struct Coming(mpsc::UnboundedReceiver<Bytes>);

    impl http_body::Body for Coming {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            self.0.poll_recv(cx).map(|data| data.map(|data| Ok(Frame::data(data))))
        }
    }

    fn arriving(patience: Duration) -> (mpsc::UnboundedSender<Bytes>, Arriving) {
        let (sender, coming) = mpsc::unbounded_channel();
        (sender, Arriving::new(Body::new(Coming(coming)), 300, patience))
    }

    async fn next(body: &mut Arriving) -> Result<Bytes, Status> {
        let frame = std::future::poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await.expect("the end")?;
        Ok(frame.into_data().expect("no data"))
    }

    fn message(length: u32) -> Vec<u8> {
        [&[0], length.to_be_bytes().as_slice(), &vec![7; length as usize]].concat()
    }

    #[tokio::test]
    async fn s44_messages_come_through_as_they_were_however_they_are_cut() {
        let all: Vec<u8> = [0, 300, 1, 0, 0, 256].into_iter().flat_map(message).collect();
        for size in 1..all.len() {
            let (sender, mut body) = arriving(Duration::ZERO);
            all.chunks(size).for_each(|part| sender.send(Bytes::copy_from_slice(part)).expect("nobody reads"));
            let mut read = Vec::new();
            while read.len() < all.len() {
                read.extend(next(&mut body).await.expect("refused"));
            }
            assert!(read == all && body.prefix == 0, "in pieces of {size}");
            let pending = Pin::new(&mut body).poll_frame(&mut Context::from_waker(Waker::noop()));
            assert!(pending.is_pending(), "nothing has begun");
        }
    }

    #[tokio::test]
    async fn s44_a_message_that_is_too_long_is_refused_by_its_length() {
        let (sender, mut body) = arriving(Duration::from_secs(600));
        sender.send(Bytes::from(message(300))).expect("nobody reads");
        sender.send(Bytes::from(message(301)[..5].to_vec())).expect("nobody reads");
        next(&mut body).await.expect("refused");
        let refused = next(&mut body).await.expect_err("not refused");
        assert_eq!(refused.code(), Code::ResourceExhausted);
    }

    #[tokio::test]
    async fn s44_the_rest_of_a_message_is_waited_for_so_long_all_together() {
        let (sender, mut body) = arriving(Duration::from_millis(500));
        let half = message(300);
        for byte in &half[..10] {
            sender.send(Bytes::copy_from_slice(&[*byte])).expect("nobody reads");
            next(&mut body).await.expect("refused");
        }
        // A byte now and then does not put it off.
        let drips = async {
            for byte in &half[10..] {
                tokio::time::sleep(Duration::from_millis(5)).await;
                sender.send(Bytes::copy_from_slice(&[*byte])).expect("nobody reads");
            }
        };
        let ends = async {
            loop {
                if let Err(late) = next(&mut body).await {
                    return late;
                }
            }
        };
        let late = tokio::select! {
            late = ends => late,
            () = drips => panic!("all of it was waited for"),
        };
        assert_eq!(late.code(), Code::DeadlineExceeded);
    }
}
