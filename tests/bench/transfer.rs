//! Long files up and down: by gRPC as clients of Quartet do it, and by plain HTTP.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use quartet_proto::media::v1::media_service_client::MediaServiceClient;
use quartet_proto::media::v1::project_service_client::ProjectServiceClient;
use quartet_proto::media::v1::upload_service_client::UploadServiceClient;
use quartet_proto::media::v1::{
    ByteRange, CompleteUploadRequest, CreateProjectRequest, DeleteMediaRequest, DownloadRequest, MediaKind,
    PutChunkRequest, StartUploadRequest, UploadHeader, UploadRequest, UploadStatus, download_response, upload_request,
};
use tokio::net::TcpStream;
use tonic::transport::Channel;

use crate::installation;

/// Bytes of a message, and of a piece of a body.
const PIECE: usize = 512 << 10;

/// A file that no other transfer has sent: all are alike but for their first bytes.
#[derive(Clone)]
pub struct Content {
    first: Bytes,
    block: Bytes,
    blocks: u64,
}

impl Content {
    /// About so many bytes.
    pub fn new(number: u64, size: u64) -> Content {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut block = Vec::with_capacity(PIECE);
        while block.len() < PIECE {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            block.extend_from_slice(&state.to_le_bytes());
        }
        let first = [number.to_le_bytes(), state.to_le_bytes()].concat().into();
        Content { first, block: block.into(), blocks: size.div_ceil(PIECE as u64) }
    }

    pub fn size(&self) -> u64 {
        self.first.len() as u64 + self.blocks * PIECE as u64
    }

    pub fn gibibytes(&self) -> f64 {
        self.size() as f64 / f64::from(1 << 30)
    }

    fn pieces(&self) -> impl Iterator<Item = Bytes> + Send + 'static {
        let (first, block, blocks) = (self.first.clone(), self.block.clone(), self.blocks);
        std::iter::once(first).chain((0..blocks).map(move |_| block.clone()))
    }
}

/// A way to Quartet, as somebody with a project.
pub struct Desk {
    pub address: SocketAddr,
    pub token: String,
    channel: Channel,
    project_id: String,
}

impl Desk {
    pub async fn open(address: SocketAddr) -> anyhow::Result<Desk> {
        let token = installation::sign_in(address).await?.access_token;
        let channel = installation::channel(address).await?;
        let mut desk = Desk { address, token, channel, project_id: String::new() };
        let asked = desk.request(CreateProjectRequest { name: "bench".to_owned(), ..Default::default() })?;
        let made = ProjectServiceClient::new(desk.channel.clone()).create_project(asked).await?.into_inner();
        desk.project_id = made.project.context("no project")?.project_id;
        Ok(desk)
    }

    fn request<T>(&self, message: T) -> anyhow::Result<tonic::Request<T>> {
        let mut request = tonic::Request::new(message);
        request.metadata_mut().insert("authorization", format!("Bearer {}", self.token).parse()?);
        Ok(request)
    }

    fn uploads(&self) -> UploadServiceClient<Channel> {
        UploadServiceClient::new(self.channel.clone())
    }

    async fn start(&self, content: &Content) -> anyhow::Result<UploadStatus> {
        let asked = StartUploadRequest {
            project_id: self.project_id.clone(),
            name: "bench.mp4".to_owned(),
            kind: MediaKind::Video.into(),
            content_type: "video/mp4".to_owned(),
            size_bytes: content.size() as i64,
            ..Default::default()
        };
        let started = self.uploads().start_upload(self.request(asked)?).await?.into_inner();
        started.upload.context("no upload")
    }

    async fn complete(&self, upload_id: String) -> anyhow::Result<String> {
        let mut asked = self.request(CompleteUploadRequest { upload_id, ..Default::default() })?;
        asked.set_timeout(Duration::from_secs(300));
        let media = self.uploads().complete_upload(asked).await?.into_inner().media;
        Ok(media.context("no media")?.media_id)
    }

    /// By one stream. The file's id.
    pub async fn upload(&self, content: &Content) -> anyhow::Result<String> {
        let upload_id = self.start(content).await?.upload_id;
        let header = UploadHeader { upload_id: upload_id.clone(), ..Default::default() };
        let contents = std::iter::once(upload_request::Content::Header(header))
            .chain(content.pieces().map(upload_request::Content::Data));
        let messages = contents.map(|content| UploadRequest { content: Some(content) });
        let answer = self.uploads().upload(self.request(tokio_stream::iter(messages))?).await?.into_inner();
        ensure!(answer.offset_bytes == content.size() as i64, "not all of it is stored");
        self.complete(upload_id).await
    }

    /// Part by part, as a browser does.
    pub async fn put_chunks(&self, content: &Content) -> anyhow::Result<String> {
        let upload = self.start(content).await?;
        let part = upload.part_size_bytes as usize;
        let (mut buffer, mut offset, mut pieces) = (Vec::with_capacity(part + PIECE), 0, content.pieces());
        loop {
            let piece = pieces.next();
            buffer.extend_from_slice(piece.as_deref().unwrap_or_default());
            while buffer.len() >= part || (piece.is_none() && !buffer.is_empty()) {
                let data: Bytes = buffer.drain(..part.min(buffer.len())).collect::<Vec<u8>>().into();
                let asked = PutChunkRequest {
                    upload_id: upload.upload_id.clone(),
                    offset_bytes: offset,
                    data,
                    ..Default::default()
                };
                offset = self.uploads().put_chunk(self.request(asked)?).await?.into_inner().offset_bytes;
            }
            if piece.is_none() {
                return self.complete(upload.upload_id).await;
            }
        }
    }

    /// The bytes that come of a stream from `offset` on, `length` of them, and when the first of them was there.
    pub async fn download(&self, media_id: &str, offset: u64, length: u64) -> anyhow::Result<(u64, Duration)> {
        let range = ByteRange { offset: offset as i64, length: length as i64, ..Default::default() };
        let asked = DownloadRequest { media_id: media_id.to_owned(), range: Some(range), ..Default::default() };
        let began = Instant::now();
        let mut stream =
            MediaServiceClient::new(self.channel.clone()).download(self.request(asked)?).await?.into_inner();
        let (mut count, mut first) = (0, None);
        while let Some(message) = stream.message().await? {
            if let Some(download_response::Content::Data(data)) = message.content {
                first.get_or_insert_with(|| began.elapsed());
                count += data.len() as u64;
            }
        }
        Ok((count, first.context("nothing came")?))
    }

    pub async fn delete(&self, media_id: &str) -> anyhow::Result<()> {
        let asked = self.request(DeleteMediaRequest { media_id: media_id.to_owned() })?;
        MediaServiceClient::new(self.channel.clone()).delete_media(asked).await?;
        Ok(())
    }
}

/// Sends a file by PUT.
pub async fn http_put(address: SocketAddr, path: &str, content: &Content) -> anyhow::Result<()> {
    let pieces = content.pieces().map(|piece| Ok::<_, std::convert::Infallible>(Frame::data(piece)));
    let request = Request::builder()
        .method(Method::PUT)
        .uri(path)
        .header("host", address.to_string())
        .header("content-length", content.size())
        .body(StreamBody::new(tokio_stream::iter(pieces)))?;
    let answer = http(address, request).await?;
    ensure!(answer.status().is_success(), "PUT: {}", answer.status());
    answer.into_body().collect().await?;
    Ok(())
}

/// A kept connection for GETs.
pub struct Getter {
    address: SocketAddr,
    token: Option<String>,
    sender: hyper::client::conn::http1::SendRequest<Full<Bytes>>,
}

impl Getter {
    pub async fn connect(address: SocketAddr, token: Option<&str>) -> anyhow::Result<Getter> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Getter { address, token: token.map(str::to_owned), sender })
    }

    /// The bytes that come, all of them or those of a range, and when the first of them was there.
    pub async fn get(&mut self, path: &str, range: Option<(u64, u64)>) -> anyhow::Result<(u64, Duration)> {
        let mut request = Request::builder().uri(path).header("host", self.address.to_string());
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if let Some((offset, length)) = range {
            request = request.header("range", format!("bytes={offset}-{}", offset + length - 1));
        }
        let began = Instant::now();
        self.sender.ready().await?;
        let answer = self.sender.send_request(request.body(Full::default())?).await?;
        let expected = if range.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
        ensure!(answer.status() == expected, "GET: {}", answer.status());
        let (mut body, mut count, mut first) = (answer.into_body(), 0, None);
        while let Some(frame) = body.frame().await {
            if let Ok(data) = frame?.into_data() {
                first.get_or_insert_with(|| began.elapsed());
                count += data.len() as u64;
            }
        }
        Ok((count, first.context("nothing came")?))
    }
}

async fn http<B>(address: SocketAddr, request: Request<B>) -> anyhow::Result<http::Response<Incoming>>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender.send_request(request).await?)
}
