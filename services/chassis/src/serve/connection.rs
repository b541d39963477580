//! One connection: HTTP/1.1 or HTTP/2, its limits, and its end.

use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::body::Body;

use super::drain::Drain;
use super::patient::Patient;
use super::stream::{Rewound, first_bytes};

/// A peer that does not answer pings is gone after the sum of both.
const PING_EVERY: Duration = Duration::from_secs(15);
const PING_WAIT: Duration = Duration::from_secs(15);
/// How long a connection that has reached its age may still take for what it began.
const AGE_GRACE: Duration = Duration::from_secs(300);

/// What a peer may do on one connection (S-42 to S-45).
#[derive(Clone, Debug)]
pub struct ConnectionLimits {
    /// Calls at the same time.
    pub streams: u32,
    /// Bytes of a request's headers together.
    pub header_bytes: u32,
    /// Bytes that may be on their way for one call, and for all of the connection.
    pub stream_window: u32,
    pub connection_window: u32,
    /// Bytes of answers that wait for a slow reader, per call.
    pub send_buffer: usize,
    /// How long the first bytes, and each HTTP/1 header, may take.
    pub patience: Duration,
    /// How long the peer may not take what is sent to it.
    pub stall: Duration,
    /// When it is asked to connect anew, so that load spreads after scaling.
    pub age: Duration,
}

impl ConnectionLimits {
    /// Between the parts of an installation: few connections that carry everything. The connection has room for what all calls may have on
    /// their way, so that one that is not read holds up no other.
    pub fn internal() -> ConnectionLimits {
        ConnectionLimits {
            streams: 16 * 1024,
            header_bytes: 64 * 1024,
            stream_window: 1 << 20,
            connection_window: 1 << 30,
            send_buffer: 400 * 1024,
            patience: Duration::from_secs(10),
            stall: Duration::from_secs(60),
            age: Duration::from_secs(3600),
        }
    }
}

/// What a peer speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Http1,
    Http2,
}

/// Serves a connection until the peer closes it, it has reached its age, or the process stops. `protocol` is what TLS agreed on;
/// without it the peer's first bytes tell.
pub async fn drive<I, S>(io: I, protocol: Option<Protocol>, service: S, limits: ConnectionLimits, drain: Drain)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    let Some((io, protocol)) = begin(io, protocol, limits.patience, &drain).await else { return };
    let io = TokioIo::new(Patient::new(io, limits.stall));
    // The same words for two types of connection that share no trait.
    macro_rules! until_the_end {
        ($connection:expr) => {{
            let mut connection = pin!($connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => Some(ended),
                () = drain.last_words() => {
                    connection.as_mut().graceful_shutdown();
                    tokio::time::timeout(drain.period(), connection).await.ok()
                }
                () = tokio::time::sleep(limits.age) => {
                    connection.as_mut().graceful_shutdown();
                    tokio::select! {
                        ended = connection.as_mut() => Some(ended),
                        () = drain.stopping().cancelled() => tokio::time::timeout(drain.period(), connection).await.ok(),
                        () = tokio::time::sleep(AGE_GRACE) => None,
                    }
                }
            };
            match ended {
                Some(Ok(())) => {}
                Some(Err(error)) => tracing::debug!(%error, "a connection ended"),
                None => tracing::debug!("a connection was cut off"),
            }
        }};
    }
    match protocol {
        Protocol::Http2 => until_the_end!(http2(&limits).serve_connection(io, service)),
        Protocol::Http1 => until_the_end!(http1(&limits).serve_connection(io, service)),
    }
}

async fn begin<I>(
    mut io: I,
    protocol: Option<Protocol>,
    patience: Duration,
    drain: &Drain,
) -> Option<(Rewound<I>, Protocol)>
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    if let Some(protocol) = protocol {
        return Some((Rewound { first: bytes::Bytes::new(), io }, protocol));
    }
    // Nothing is owed to a peer that does not say a word.
    let (first, is_http2) = tokio::select! {
        read = tokio::time::timeout(patience, first_bytes(&mut io)) => read.ok()?.ok()?,
        () = drain.last_words() => return None,
    };
    let protocol = if is_http2 { Protocol::Http2 } else { Protocol::Http1 };
    Some((Rewound { first, io }, protocol))
}

fn http2(limits: &ConnectionLimits) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .auto_date_header(false)
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(limits.header_bytes)
        .initial_stream_window_size(limits.stream_window)
        .initial_connection_window_size(limits.connection_window)
        .max_send_buf_size(limits.send_buffer)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_WAIT);
    builder
}

fn http1(limits: &ConnectionLimits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.patience)
        .max_header_size(limits.header_bytes as usize)
        .max_headers(100);
    builder
}
