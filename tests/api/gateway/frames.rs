//! HTTP/2 by hand, for what no library's client would send.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub const DATA: u8 = 0;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
const HEADERS: u8 = 1;

const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// A connection as frames.
pub struct Frames {
    stream: TcpStream,
    unread: Vec<(u8, u8, u32, Vec<u8>)>,
}

impl Frames {
    pub async fn open(stream: TcpStream) -> Frames {
        let mut frames = Frames { stream, unread: Vec::new() };
        frames.stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        frames.send(SETTINGS, 0, 0, &[]).await;
        frames
    }

    pub async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = &(payload.len() as u32).to_be_bytes()[1..];
        let frame = [length, &[kind, flags], &stream.to_be_bytes(), payload].concat();
        self.stream.write_all(&frame).await.unwrap();
    }

    /// Begins a gRPC call without its message.
    pub async fn begin_call(&mut self, stream: u32, path: &str) {
        let headers = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", path),
            (":authority", "localhost"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
        ];
        // Literal fields that no table remembers.
        let field = |(name, value): (&str, &str)| {
            [&[0, name.len() as u8], name.as_bytes(), &[value.len() as u8], value.as_bytes()].concat()
        };
        let fields: Vec<u8> = headers.into_iter().flat_map(field).collect();
        self.send(HEADERS, END_HEADERS, stream, &fields).await;
    }

    /// Sends an empty message, and that it was the last.
    pub async fn finish_call(&mut self, stream: u32) {
        self.send(DATA, END_STREAM, stream, &[0; 5]).await;
    }

    /// The payload of the next frame of a kind on a stream. Others are kept.
    pub async fn expect(&mut self, kind: u8, stream: u32) -> Vec<u8> {
        let is_it = |frame: &(u8, u8, u32, Vec<u8>)| (frame.0, frame.2) == (kind, stream);
        loop {
            if let Some(at) = self.unread.iter().position(is_it) {
                return self.unread.remove(at).3;
            }
            let frame = self.read().await;
            if frame.0 != SETTINGS || frame.1 & ACK == 0 {
                self.unread.push(frame);
            }
        }
    }

    async fn read(&mut self) -> (u8, u8, u32, Vec<u8>) {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).await.expect("the connection ended");
        let [a, b, c, kind, flags, stream @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.stream.read_exact(&mut payload).await.expect("the connection ended");
        let frame = (kind, flags, u32::from_be_bytes(stream), payload);
        if frame.0 == SETTINGS && frame.1 & ACK == 0 {
            self.send(SETTINGS, ACK, 0, &[]).await;
        }
        frame
    }
}
