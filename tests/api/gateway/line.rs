//! An HTTP/2 connection from an address of the test's choice, on which calls can be held back.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::Status;

use crate::harness::wire::{frame, frames};

/// Connects from an address of loopback.
pub async fn connect(to: SocketAddr, from: [u8; 4]) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    socket.connect(to).await
}

/// A connection. Calls begin in the order in which they are made.
#[derive(Clone)]
pub struct Line {
    sender: SendRequest<UnsyncBoxBody<Bytes, Infallible>>,
}

impl Line {
    pub async fn from(from: [u8; 4], to: SocketAddr) -> Line {
        Line::over(connect(to, from).await.unwrap()).await.unwrap()
    }

    pub async fn over<S>(stream: S) -> hyper::Result<Line>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Line { sender })
    }

    /// Calls an rpc and answers the first message of the reply.
    pub async fn call(&self, path: &str, headers: &[(&str, &str)], message: &[u8]) -> Result<Bytes, Status> {
        let body = Full::new(Bytes::from(frame(message))).boxed_unsync();
        self.begin(path, headers, body).await.unwrap()
    }

    /// Begins a call and keeps its message back.
    pub fn hold(&self, path: &str, headers: &[(&str, &str)], message: &[u8]) -> Held {
        let (release, released) = oneshot::channel();
        let message = Bytes::from(frame(message));
        let body = futures_util::stream::once(async move {
            match released.await {
                Ok(()) => Ok(Frame::data(message)),
                Err(_) => std::future::pending().await,
            }
        });
        Held { release, answer: self.begin(path, headers, StreamBody::new(body).boxed_unsync()) }
    }

    fn begin(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: UnsyncBoxBody<Bytes, Infallible>,
    ) -> JoinHandle<Result<Bytes, Status>> {
        let mut request = http::Request::post(format!("http://localhost{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        // Sent here and now; only the answer is waited for elsewhere.
        let answer = self.sender.clone().send_request(request.body(body).unwrap());
        tokio::spawn(async move {
            let answer = answer.await.map_err(|error| Status::unknown(format!("no answer: {error}")))?;
            read(answer).await
        })
    }
}

/// A call whose message has not been sent.
pub struct Held {
    release: oneshot::Sender<()>,
    answer: JoinHandle<Result<Bytes, Status>>,
}

impl Held {
    /// Sends the message and waits for the answer.
    pub async fn release(self) -> Result<Bytes, Status> {
        let _ = self.release.send(());
        self.answer.await.unwrap()
    }

    /// Waits for the answer without ever sending the message.
    pub async fn answer(self) -> Result<Bytes, Status> {
        let answer = self.answer.await.unwrap();
        drop(self.release);
        answer
    }
}

async fn read(answer: http::Response<Incoming>) -> Result<Bytes, Status> {
    let headers = answer.headers().clone();
    let body = answer.into_body().collect().await.map_err(|error| Status::unknown(format!("cut off: {error}")))?;
    let trailers = body.trailers().cloned().unwrap_or_else(HeaderMap::new);
    let status = Status::from_header_map(&headers).or_else(|| Status::from_header_map(&trailers));
    match status.unwrap_or_else(|| Status::unknown("no status")) {
        status if status.code() != tonic::Code::Ok => Err(status),
        _ => Ok(frames(&body.to_bytes()).into_iter().next().map_or_else(Bytes::new, |(_, message)| message.into())),
    }
}
