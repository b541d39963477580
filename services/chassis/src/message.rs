//! The one message of a unary call, which is waited for before anything is done about it.

use std::convert::Infallible;
use std::error::Error;

use bytes::{Buf as _, Bytes};
use futures_util::stream;
use http::Request;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use quartet_proto::r#type::v1::ErrorReason;
use tonic::Code;
use tonic::body::Body;

use crate::failure::{Failure, Fields};
use crate::limits::{Held, MESSAGE};

/// What gRPC puts before a message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// Waits for the message, of at most `limit` bytes. One that may be longer than others takes room while it comes, and has it until that is
/// dropped.
pub(crate) async fn one_message(
    request: Request<Body>,
    limit: usize,
    mut held: Held,
) -> Result<(Request<Body>, Option<Held>), Failure> {
    let (parts, mut body) = request.into_parts();
    let (mut frames, mut length) = (Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|error| broken(&error))?.into_data() else { continue };
        length += data.len();
        if length > PREFIX + limit {
            return Err(too_large(limit));
        }
        if limit > MESSAGE {
            held.grow(data.len())?;
        }
        frames.push(data);
    }
    if length > PREFIX + announced(&frames) {
        return Err(Failure::new(Code::Unimplemented, ErrorReason::MethodUnknown, "this rpc takes one message"));
    }
    // Frame by frame, as they came: nothing is copied together, and each is gone when it is read.
    let frames = stream::iter(frames.into_iter().map(|data| Ok::<_, Infallible>(Frame::data(data))));
    let request = Request::from_parts(parts, Body::new(StreamBody::new(frames)));
    Ok((request, (limit > MESSAGE).then_some(held)))
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
fn broken(_: &(impl Error + ?Sized)) -> Failure {
    let mut fields = Fields::default();
    fields.refuse("request", "must arrive whole");
    fields.into()
}

#[cfg(test)]
mod tests {
    use super::*;

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
