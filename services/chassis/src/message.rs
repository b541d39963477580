//! The one message of a unary call, which is waited for before anything is done about it.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Buf as _, Bytes, BytesMut};
use futures_util::stream::{self, Stream};
use http::Request;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use quartet_proto::r#type::v1::ErrorReason;
use tonic::Code;
use tonic::body::Body;

use crate::auth::Claims;
use crate::caller::Client;
use crate::failure::{Failure, Fields};
use crate::id::Id;
use crate::limits::Held;

/// What gRPC puts before a message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// Up to here a message takes no room: there are no more of them than calls.
const SMALL: usize = 64 << 10;
/// What a frame costs beside its bytes.
const FRAME: usize = 256;
/// What a message that is not small is copied into. The pieces it comes in, of 16 KiB and a little, would spoil the memory around them for as
/// long as all of them are kept.
const BLOCK: usize = 1 << 20;
/// How many blocks are kept to be used again. Fresh ones, on another thread each time, would dirty memory faster than it is given back.
const KEPT: usize = 8;

/// Whose share of the room a message takes: the account's, or where there is none that of the address, of which an IPv6 client has a /64.
pub(crate) fn holder(request: &Request<Body>) -> Id {
    if let Some(claims) = request.extensions().get::<Arc<Claims>>() {
        return claims.sub;
    }
    match request.extensions().get::<Client>().and_then(|client| client.address) {
        None => Id::NIL,
        Some(IpAddr::V4(address)) => Id::from_bytes(address.to_ipv6_mapped().octets()),
        Some(IpAddr::V6(address)) => Id::from_bytes((address.to_bits() & (u128::MAX << 64)).to_be_bytes()),
    }
}

/// Waits for the message, of at most `limit` bytes. One that is not small takes room while it comes, and has it until that is dropped: it
/// need not end, and on some rpcs it needs no token.
pub(crate) async fn one_message(
    request: Request<Body>,
    limit: usize,
    mut held: Held,
) -> Result<(Request<Body>, Option<Held>), Failure> {
    let (parts, mut body) = request.into_parts();
    let blocks = held.blocks();
    let (mut gathered, mut length, mut weight, mut counted) = (Gathered::new(&blocks), 0, 0, 0);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| broken())?.into_data() else { continue };
        length += data.len();
        if length > PREFIX + limit {
            return Err(too_large(limit));
        }
        weight += data.len() + FRAME;
        if weight > SMALL {
            held.grow(weight - counted)?;
            counted = weight;
            gathered.copy(&data);
        } else {
            gathered.frames.push(data);
        }
    }
    let frames = gathered.finish();
    if length > PREFIX + announced(&frames) {
        return Err(Failure::new(Code::Unimplemented, ErrorReason::MethodUnknown, "this rpc takes one message"));
    }
    let request = Request::from_parts(parts, Body::new(StreamBody::new(one_by_one(frames, blocks))));
    Ok((request, (counted > 0).then_some(held)))
}

/// Gives frames one by one: each is gone when it is read, and its block free again.
fn one_by_one(frames: Vec<Bytes>, blocks: Blocks) -> impl Stream<Item = Result<Frame<Bytes>, Infallible>> + Send {
    stream::unfold((frames.into_iter(), Bytes::new(), blocks), |(mut frames, read, blocks)| async move {
        blocks.give_back(read);
        let frame = frames.next()?;
        Some((Ok(Frame::data(frame.clone())), (frames, frame, blocks)))
    })
}

/// Blocks that are used again.
#[derive(Clone, Default)]
pub(crate) struct Blocks(Arc<Mutex<Vec<BytesMut>>>);

impl Blocks {
    fn take(&self) -> BytesMut {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        kept.unwrap_or_else(|| BytesMut::with_capacity(BLOCK))
    }

    /// Takes back a block that nobody reads any more; anything else is dropped.
    fn give_back(&self, read: Bytes) {
        if let Ok(mut block) = read.try_into_mut()
            && block.capacity() == BLOCK
        {
            block.clear();
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() < KEPT {
                kept.push(block);
            }
        }
    }
}

/// What has come of a message: as it came while it is small, and then in blocks.
struct Gathered<'b> {
    frames: Vec<Bytes>,
    block: BytesMut,
    blocks: &'b Blocks,
}

impl<'b> Gathered<'b> {
    fn new(blocks: &'b Blocks) -> Gathered<'b> {
        Gathered { frames: Vec::new(), block: BytesMut::new(), blocks }
    }

    fn copy(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            if self.block.len() == BLOCK {
                self.close();
            }
            if self.block.is_empty() {
                self.block = self.blocks.take();
            }
            let (fitting, rest) = data.split_at(data.len().min(BLOCK - self.block.len()));
            self.block.extend_from_slice(fitting);
            data = rest;
        }
    }

    fn close(&mut self) {
        self.frames.push(std::mem::take(&mut self.block).freeze());
    }

    fn finish(mut self) -> Vec<Bytes> {
        if !self.block.is_empty() {
            self.close();
        }
        self.frames
    }
}

/// How long the message is, as its prefix says, which may be cut anywhere.
fn announced(frames: &[Bytes]) -> usize {
    let bytes = frames.iter().flat_map(|frame| frame.chunk()).skip(1).take(PREFIX - 1);
    bytes.fold(0, |length, byte| length << 8 | usize::from(*byte))
}

fn too_large(limit: usize) -> Failure {
    let message = format!("a message of this rpc has at most {limit} bytes");
    Failure::new(Code::ResourceExhausted, ErrorReason::MessageTooLarge, message).with("limit_bytes", limit)
}

/// A client that breaks off is not heard of again; this is for who counts.
fn broken() -> Failure {
    let mut fields = Fields::default();
    fields.refuse("request", "must arrive whole");
    fields.into()
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "what a test stands on must be there")]
mod tests {
    use futures_util::StreamExt as _;

    use crate::limits::{MESSAGE, Room};

    use super::*;

    fn frames(length: usize, of: usize) -> Request<Body> {
        let frames = (0..length / of).map(move |_| Ok::<_, Infallible>(Frame::data(Bytes::from(vec![0xff; of]))));
        Request::new(Body::new(StreamBody::new(stream::iter(frames))))
    }

    #[tokio::test]
    async fn s41_what_is_not_small_takes_room_whoever_sends_it() {
        let room = Room::default();
        let mut all = Vec::new();
        let refused = loop {
            match one_message(frames(4 << 20, 16 << 10), MESSAGE, room.hold(Id::NIL)).await {
                Ok((_, held)) => all.push(held.expect("it takes room")),
                Err(failure) => break failure,
            }
        };
        assert_eq!((refused.reason, all.len()), (ErrorReason::Overloaded, 15));
        // Small ones go on, and those of others; many tiny frames are not small.
        let (_, held) = one_message(frames(1 << 10, 1 << 10), MESSAGE, room.hold(Id::NIL)).await.expect("it is small");
        assert!(held.is_none());
        assert!(one_message(frames(1 << 20, 1 << 10), MESSAGE, room.hold(Id::MAX)).await.is_ok());
        let tiny = (64 << 20) / (FRAME + 1) + 1;
        assert!(one_message(frames(tiny, 1), MESSAGE, room.hold(Id::from_bytes([1; 16]))).await.is_err());
        all.clear();
        assert!(one_message(frames(4 << 20, 16 << 10), MESSAGE, room.hold(Id::NIL)).await.is_ok());
    }

    #[test]
    fn s41_without_an_account_an_address_has_the_share() {
        let from = |address: &str| {
            let mut request = Request::new(Body::empty());
            let address = Some(address.parse().expect("an address"));
            request.extensions_mut().insert(Client { address, user_agent: String::new(), request_id: String::new() });
            holder(&request)
        };
        assert_ne!(from("192.0.2.1"), from("192.0.2.2"));
        assert_eq!(from("2001:db8::1"), from("2001:db8::2"));
        assert_ne!(from("2001:db8::1"), from("2001:db8:0:1::1"));
        assert_eq!(holder(&Request::new(Body::empty())), Id::NIL);
    }

    #[tokio::test]
    async fn m6_a_long_message_is_copied_into_blocks_that_are_used_again_and_nothing_of_it_is_lost() {
        let blocks = Blocks::default();
        let mut gathered = Gathered::new(&blocks);
        let all: Vec<u8> = (0..5 * BLOCK / 2).map(|at| (at % 251) as u8).collect();
        gathered.frames.push(Bytes::copy_from_slice(&all[..100]));
        all[100..].chunks(16_393).for_each(|frame| gathered.copy(frame));
        let frames = gathered.finish();
        assert_eq!(frames.iter().map(Bytes::len).collect::<Vec<_>>(), [100, BLOCK, BLOCK, BLOCK / 2 - 100]);
        let read: Vec<Bytes> = one_by_one(frames, blocks.clone())
            .map(|frame| Bytes::copy_from_slice(frame.expect("a frame").data_ref().expect("data")))
            .collect()
            .await;
        assert!(read.concat() == all, "other bytes");
        assert_eq!(blocks.0.lock().expect("a lock").len(), 3);
    }

    #[test]
    fn s40_a_length_is_read_wherever_its_bytes_are_cut() {
        let message = [0, 0x01, 0x02, 0x03, 0x04, 9, 9];
        for at in 0..message.len() {
            let (front, back) = message.split_at(at);
            let frames = [Bytes::copy_from_slice(front), Bytes::copy_from_slice(back)];
            assert_eq!(announced(&frames), 0x0102_0304, "cut at {at}");
        }
        assert_eq!(announced(&[]), 0);
    }
}
