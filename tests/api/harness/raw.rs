//! Any rpc by its path, with bytes instead of messages.

use std::time::Duration;

use bytes::{Buf as _, BufMut as _, Bytes};
use http::uri::PathAndQuery;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;
use tonic::{Request, Status};

use super::world::Bearer;

/// Calls an rpc with one message and answers the first message of the reply, whatever kind of rpc it is.
pub async fn call(channel: Channel, path: &str, token: Option<&str>, message: Vec<u8>) -> Result<Bytes, Status> {
    call_with(channel, path, token, message, MetadataMap::new()).await
}

/// Calls an rpc with these headers too.
pub async fn call_with(
    channel: Channel,
    path: &str,
    token: Option<&str>,
    message: Vec<u8>,
    metadata: MetadataMap,
) -> Result<Bytes, Status> {
    let mut client = tonic::client::Grpc::new(Bearer::new(channel, token));
    client.ready().await.map_err(|error| Status::unavailable(format!("no connection: {error}")))?;
    let mut request = Request::new(tokio_stream::once(Bytes::from(message)));
    *request.metadata_mut() = metadata;
    request.set_timeout(Duration::from_secs(20));
    let path = PathAndQuery::try_from(path).unwrap();
    let mut answers = client.streaming(request, path, Raw).await?.into_inner();
    answers.message().await?.ok_or_else(|| Status::ok("no message"))
}

/// Leaves messages as they are.
#[derive(Debug, Clone, Copy, Default)]
pub struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Raw;
    type Decoder = Raw;

    fn encoder(&mut self) -> Raw {
        Raw
    }

    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::default()
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        let length = buffer.remaining();
        Ok(Some(buffer.copy_to_bytes(length)))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::default()
    }
}
