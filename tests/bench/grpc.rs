//! gRPC as the load speaks it: frames made once, answers looked at only as far as needed.

use anyhow::{Context as _, bail, ensure};
use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, Request, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use prost::Message;

/// A message as it travels: a byte of flags, the length, the message.
pub fn frame(message: &impl Message) -> Bytes {
    frame_bytes(&message.encode_to_vec())
}

pub fn frame_bytes(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(message.len() + 5);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap_or_default());
    frame.put_slice(message);
    frame.freeze()
}

/// What all calls of a load have in common.
#[derive(Clone)]
pub struct Head {
    uri: Uri,
    headers: HeaderMap,
    web: bool,
}

impl Head {
    pub fn new(address: std::net::SocketAddr, path: &str, web: bool, token: Option<&str>) -> anyhow::Result<Head> {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", if web { "application/grpc-web+proto" } else { "application/grpc" }.parse()?);
        headers.insert("user-agent", "quartet-bench".parse()?);
        if !web {
            headers.insert("te", "trailers".parse()?);
        }
        if let Some(token) = token {
            headers.insert("authorization", format!("Bearer {token}").parse()?);
        }
        Ok(Head { uri: format!("http://{address}{path}").parse()?, headers, web })
    }

    pub fn request(&self, frame: Bytes) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(frame));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        request
    }

    /// Reads an answer to its end and gives its message. Whatever is not OK is an error.
    pub async fn answer(&self, response: http::Response<Incoming>) -> anyhow::Result<Bytes> {
        ensure!(response.status().is_success(), "HTTP {}", response.status());
        let (parts, mut body) = response.into_parts();
        let mut data = Bytes::new();
        let mut trailers = None;
        while let Some(frame) = body.frame().await {
            match frame?.into_data() {
                Ok(piece) if data.is_empty() => data = piece,
                Ok(piece) => data = [data, piece].concat().into(),
                Err(frame) => trailers = frame.into_trailers().ok(),
            }
        }
        if self.web && !parts.headers.contains_key("grpc-status") {
            return web_answer(data);
        }
        check(trailers.as_ref().unwrap_or(&parts.headers))?;
        ensure!(data.len() >= 5, "no message");
        Ok(data.slice(5..))
    }
}

fn check(headers: &HeaderMap) -> anyhow::Result<()> {
    let status = headers.get("grpc-status").context("no grpc-status")?;
    if status != "0" {
        bail!("grpc-status {status:?}, {:?}", headers.get("grpc-message"));
    }
    Ok(())
}

/// gRPC-web carries the trailers as a last frame of the body.
fn web_answer(data: Bytes) -> anyhow::Result<Bytes> {
    let length = data.get(1..5).and_then(|length| length.try_into().ok()).map(u32::from_be_bytes);
    let end = 5 + length.context("no message")? as usize;
    let trailers = data.get(end..).context("cut off")?;
    ensure!(trailers.first() == Some(&0x80), "no trailers");
    let text = String::from_utf8_lossy(trailers.get(5..).unwrap_or_default());
    let ok = text.lines().any(|line| line.replace(' ', "").eq_ignore_ascii_case("grpc-status:0"));
    ensure!(ok, "{text}");
    Ok(data.slice(5..end))
}
