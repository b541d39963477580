//! The bytes in the messages of a download, passed on as they come: nothing is copied and nothing gathered. Whoever reads slowly slows down
//! the service, message by message.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use prost::Message as _;
use quartet_proto::media::v1::{DownloadHeader, DownloadResponse, download_response};
use tonic::body::Body;
use tonic::{Code, Status};

/// A flag byte and a length of four bytes.
const PREFIX: usize = 5;
/// A longer header is none.
const HEADER: usize = 64 * 1024;
/// The tag of `data`, of length and bytes.
const DATA: u8 = 0x12;

/// Waits for a download's header. What follows it is its bytes.
pub async fn begin(mut body: Body) -> Result<(DownloadHeader, Payload), Status> {
    let mut begun = BytesMut::new();
    loop {
        if let Some(header) = header(&mut begun)? {
            let left = u64::try_from(header.length).unwrap_or_default();
            let frames = Frames::Prefix { have: 0, bytes: [0; PREFIX] };
            return Ok((header, Payload { body, piece: begun.freeze(), frames, left }));
        }
        match body.frame().await {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => begun.extend_from_slice(&data),
                Err(frame) => return Err(ended(frame.trailers_ref())),
            },
            Some(Err(status)) => return Err(status),
            None => return Err(ended(None)),
        }
    }
}

/// The first message, once all of it is there.
fn header(begun: &mut BytesMut) -> Result<Option<DownloadHeader>, Status> {
    let Some(prefix) = begun.first_chunk::<PREFIX>() else { return Ok(None) };
    let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]) as usize;
    if prefix[0] != 0 || length > HEADER {
        return Err(strange());
    }
    if begun.len() < PREFIX + length {
        return Ok(None);
    }
    begun.advance(PREFIX);
    // The messages of both kinds of downloads have the same fields.
    let message = DownloadResponse::decode(begun.split_to(length)).map_err(|_| strange())?;
    match message.content {
        Some(download_response::Content::Header(header)) => Ok(Some(header)),
        _ => Err(strange()),
    }
}

/// What trailers say of a download that has ended before it should.
fn ended(trailers: Option<&HeaderMap>) -> Status {
    let said = trailers.and_then(Status::from_header_map);
    said.filter(|status| status.code() != Code::Ok).unwrap_or_else(strange)
}

fn strange() -> Status {
    Status::internal("an internal error occurred")
}

/// Where in the messages we are.
#[derive(Debug)]
enum Frames {
    Prefix {
        have: usize,
        bytes: [u8; PREFIX],
    },
    /// In a message that has so many bytes left: the tag comes.
    Tag(u32),
    /// The length of the data, which is built up of seven bits each.
    Length {
        message: u32,
        length: u32,
        shift: u32,
    },
    Data(u32),
}

/// The bytes of a download.
pub struct Payload {
    body: Body,
    piece: Bytes,
    frames: Frames,
    /// How many bytes are still to come.
    left: u64,
}

impl Payload {
    /// The next bytes in what has come; `None` when more must come.
    fn next(&mut self) -> io::Result<Option<Bytes>> {
        while !self.piece.is_empty() {
            match &mut self.frames {
                Frames::Data(rest) => {
                    let data = self.piece.split_to(self.piece.len().min(*rest as usize));
                    *rest -= data.len() as u32;
                    if *rest == 0 {
                        self.frames = Frames::Prefix { have: 0, bytes: [0; PREFIX] };
                    }
                    self.left =
                        self.left.checked_sub(data.len() as u64).ok_or_else(|| broken("more than announced"))?;
                    return Ok(Some(data));
                }
                frames => {
                    let byte = self.piece.get_u8();
                    frames.take(byte)?;
                }
            }
        }
        Ok(None)
    }
}

impl Frames {
    /// Takes a byte that is none of the data.
    fn take(&mut self, byte: u8) -> io::Result<()> {
        match self {
            Frames::Prefix { have, bytes } => {
                bytes[*have] = byte;
                *have += 1;
                if *have == PREFIX {
                    let [flag, a, b, c, d] = *bytes;
                    let message = u32::from_be_bytes([a, b, c, d]);
                    if flag != 0 || message < 2 {
                        return Err(broken("not a message of a download"));
                    }
                    *self = Frames::Tag(message - 1);
                }
            }
            Frames::Tag(message) => {
                if byte != DATA {
                    return Err(broken("not data"));
                }
                *self = Frames::Length { message: *message, length: 0, shift: 0 };
            }
            Frames::Length { message, length, shift } => {
                *length |= u32::from(byte & 0x7f) << *shift;
                *shift += 7;
                *message = message.checked_sub(1).ok_or_else(|| broken("a wrong length"))?;
                if byte & 0x80 == 0 {
                    let length = *length;
                    if length != *message {
                        return Err(broken("a wrong length"));
                    }
                    let empty = Frames::Prefix { have: 0, bytes: [0; PREFIX] };
                    *self = if length == 0 { empty } else { Frames::Data(length) };
                } else if *shift > 21 {
                    return Err(broken("a wrong length"));
                }
            }
            Frames::Data(_) => return Err(broken("data")),
        }
        Ok(())
    }
}

fn broken(what: &'static str) -> io::Error {
    io::Error::other(format!("the download broke off: {what}"))
}

impl http_body::Body for Payload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        loop {
            if self.left == 0 {
                return Poll::Ready(None);
            }
            if let Some(data) = self.next()? {
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.piece = data,
                    // The client sees that it is not all: fewer bytes have come than were announced.
                    Err(frame) => {
                        let status = ended(frame.trailers_ref());
                        tracing::debug!(code = ?status.code(), "a download broke off");
                        return Poll::Ready(Some(Err(broken("the service ended it"))));
                    }
                },
                Some(Err(status)) => return Poll::Ready(Some(Err(io::Error::other(status)))),
                None => return Poll::Ready(Some(Err(broken("it ends too soon")))),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "what a test stands on must be there")]
mod tests {
    use std::convert::Infallible;

    use futures_util::stream;
    use http_body_util::StreamBody;
    use quartet_proto::media::v1::download_response::Content;

    use super::*;

    fn message(content: Content) -> Vec<u8> {
        let message = DownloadResponse { content: Some(content) }.encode_to_vec();
        let length = u32::try_from(message.len()).expect("a short message");
        [&[0][..], &length.to_be_bytes(), &message].concat()
    }

    fn body(bytes: &[u8], piece: usize) -> Body {
        let pieces: Vec<_> =
            bytes.chunks(piece).map(|piece| Ok::<_, Infallible>(Frame::data(Bytes::copy_from_slice(piece)))).collect();
        Body::new(StreamBody::new(stream::iter(pieces)))
    }

    fn download(lengths: &[usize], announced: i64) -> Vec<u8> {
        let header = DownloadHeader { length: announced, ..DownloadHeader::default() };
        let mut bytes = message(Content::Header(header));
        for length in lengths {
            bytes.extend(message(Content::Data(vec![7; *length].into())));
        }
        bytes
    }

    async fn read(bytes: &[u8], piece: usize) -> Result<usize, String> {
        let (header, payload) = begin(body(bytes, piece)).await.map_err(|status| status.to_string())?;
        assert_eq!(http_body::Body::size_hint(&payload).exact(), u64::try_from(header.length).ok());
        let all = payload.collect().await.map_err(|error| error.to_string())?.to_bytes();
        assert!(all.iter().all(|byte| *byte == 7));
        Ok(all.len())
    }

    #[tokio::test]
    async fn m7_the_bytes_are_found_wherever_messages_are_cut() {
        let bytes = download(&[0, 1, 127, 128, 70_000], 70_256);
        for piece in [1, 2, 3, 5, 7, 64, 1000, 1 << 20] {
            assert_eq!(read(&bytes, piece).await, Ok(70_256), "pieces of {piece}");
        }
    }

    #[tokio::test]
    async fn m7_a_download_that_ends_too_soon_is_no_whole_file() {
        assert!(read(&download(&[10], 11), 4).await.is_err());
        assert!(read(&download(&[12], 11), 4).await.is_err());
        assert!(read(&download(&[], 1), 4).await.is_err());
        assert!(read(&[], 4).await.is_err());
        assert_eq!(read(&download(&[], 0), 4).await, Ok(0));
    }

    #[tokio::test]
    async fn m7_what_is_no_message_of_a_download_is_refused() {
        let mut compressed = download(&[10], 10);
        compressed[0] = 1;
        assert!(read(&compressed, 64).await.is_err());
        let twice = [download(&[], 10), download(&[], 10)].concat();
        assert!(read(&twice, 64).await.is_err());
        let endless =
            [&download(&[], 10)[..], &[0, 0, 0, 0, 9, DATA, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 1]].concat();
        assert!(read(&endless, 64).await.is_err());
    }
}
