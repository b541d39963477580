//! Events as they are sent: encoded once, and shared by all who get them.

use std::sync::OnceLock;

use bytes::{BufMut as _, Bytes, BytesMut};
use quartet_proto::messaging::v1::subscribe_response::Event;
use quartet_proto::messaging::v1::{Ack, ConnectResponse, SubscribeResponse, connect_response};

/// What gRPC puts before a message: whether it is compressed, and its length.
const PREFIX: usize = 5;
/// The field of a ConnectResponse that has the event: number 1, with a length.
const EVENT: u8 = 1 << 3 | 2;

/// What a stream's messages are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `SubscribeResponse`.
    Subscribe,
    /// `ConnectResponse`.
    Connect,
}

/// One event or more, each with its prefix.
#[derive(Debug)]
pub struct Frames {
    plain: Bytes,
    wrapped: OnceLock<Bytes>,
}

impl Frames {
    pub fn of_event(event: Event) -> Frames {
        Frames::from(prefixed(&SubscribeResponse { event: Some(event) }))
    }

    /// Several, one behind the other, in no more memory than they take.
    pub fn joined<'a>(all: impl Iterator<Item = &'a Frames> + Clone) -> Frames {
        let mut joined = BytesMut::with_capacity(all.clone().map(Frames::len).sum());
        for frames in all {
            joined.extend_from_slice(&frames.plain);
        }
        Frames::from(joined.freeze())
    }

    /// How long they are.
    pub fn len(&self) -> usize {
        self.plain.len()
    }

    /// As a stream of this kind sends them.
    pub fn of(&self, kind: Kind) -> &Bytes {
        match kind {
            Kind::Subscribe => &self.plain,
            Kind::Connect => self.wrapped.get_or_init(|| wrapped(&self.plain)),
        }
    }
}

impl From<Bytes> for Frames {
    fn from(plain: Bytes) -> Frames {
        Frames { plain, wrapped: OnceLock::new() }
    }
}

/// The answer to a client's frame.
pub fn ack(ack: Ack) -> Bytes {
    prefixed(&ConnectResponse { frame: Some(connect_response::Frame::Ack(ack)) })
}

fn prefixed(message: &impl prost::Message) -> Bytes {
    let length = message.encoded_len();
    let mut frame = BytesMut::with_capacity(PREFIX + length);
    put_prefix(&mut frame, length);
    // A buffer that grows takes everything.
    message.encode_raw(&mut frame);
    frame.freeze()
}

fn put_prefix(frame: &mut BytesMut, length: usize) {
    frame.put_u8(0);
    frame.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
}

/// The same events as messages of a Connect: each put into the one field, without being encoded anew.
fn wrapped(mut plain: &[u8]) -> Bytes {
    let mut frames = BytesMut::with_capacity(plain.len() + 16);
    while let Some((prefix, rest)) = plain.split_at_checked(PREFIX) {
        let length = prefix.iter().skip(1).fold(0, |length, byte| length << 8 | usize::from(*byte));
        let (event, rest) = rest.split_at(length.min(rest.len()));
        put_prefix(&mut frames, 1 + prost::length_delimiter_len(length) + length);
        frames.put_u8(EVENT);
        prost::encoding::encode_varint(length as u64, &mut frames);
        frames.extend_from_slice(event);
        plain = rest;
    }
    frames.freeze()
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "what a test stands on must be there")]
mod tests {
    use quartet_proto::messaging::v1::{Beat, Renamed, Typing};

    use super::*;

    fn decoded<T: prost::Message + Default>(mut frames: &[u8]) -> Vec<T> {
        let mut all = Vec::new();
        while let Some((prefix, rest)) = frames.split_at_checked(PREFIX) {
            let length = u32::from_be_bytes(prefix[1..].try_into().expect("four bytes")) as usize;
            all.push(T::decode(&rest[..length]).expect("a message"));
            frames = &rest[length..];
        }
        assert!(frames.is_empty());
        all
    }

    #[test]
    fn g4_the_frames_of_both_streams_are_the_messages_of_their_contracts() {
        let change = quartet_proto::messaging::v1::Change {
            conversation_id: "x".repeat(200),
            change_seq: 7,
            what: Some(quartet_proto::messaging::v1::change::What::Renamed(Renamed { name: "é".to_owned() })),
            ..Default::default()
        };
        let typing = Typing { typing: true, ..Default::default() };
        let events = [Event::Change(change), Event::Beat(Beat {}), Event::Typing(typing)];
        let frames: Vec<Frames> = events.iter().cloned().map(Frames::of_event).collect();
        let joined = Frames::joined(frames.iter());
        let expected: Vec<SubscribeResponse> =
            events.iter().cloned().map(|event| SubscribeResponse { event: Some(event) }).collect();
        assert_eq!(decoded::<SubscribeResponse>(joined.of(Kind::Subscribe)), expected);
        let connect =
            expected.into_iter().map(|event| ConnectResponse { frame: Some(connect_response::Frame::Event(event)) });
        assert_eq!(decoded::<ConnectResponse>(joined.of(Kind::Connect)), connect.collect::<Vec<_>>());
        let answer = Ack { request_id: "1".to_owned(), ..Default::default() };
        let answered = ConnectResponse { frame: Some(connect_response::Frame::Ack(answer.clone())) };
        assert_eq!(decoded::<ConnectResponse>(&ack(answer)), [answered]);
    }
}
