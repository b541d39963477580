//! A connection from its first byte to its last.

use std::sync::Arc;
use std::time::Duration;

use metrics::gauge;
use quartet_chassis::serve::{ConnectionLimits, Protocol, drive};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::config::Config;
use crate::edge::Edge;
use crate::front::Front;
use crate::limit::{Client, Connected};

/// How long a peer may take to shake hands, to begin to speak, and to send its headers (S-44).
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection that was taken in, on its way to the thread that serves it.
pub struct Arrival<S> {
    pub stream: S,
    pub client: Client,
    pub connected: Connected,
}

/// Serves a connection.
pub async fn serve_connection(edge: Arc<Edge>, arrival: Arrival<TcpStream>) {
    let Arrival { stream, client, connected } = arrival;
    let open = gauge!("quartet_gateway_connections");
    open.increment(1);
    // Without it small answers wait for the peer's acknowledgement. A socket that refuses the option still works.
    let _ = stream.set_nodelay(true);
    let limits = limits(&edge.shared.config);
    let drain = edge.shared.drain.clone();
    let tls = edge.shared.tls.clone();
    let front = Front { edge, client: Arc::new(client) };
    match tls {
        None => drive(stream, None, front, limits, drain).await,
        Some(tls) => match tokio::time::timeout(PATIENCE, tls.acceptor.accept(stream)).await {
            Ok(Ok(stream)) => {
                let protocol = agreed(&stream);
                drive(stream, protocol, front, limits, drain).await;
            }
            Ok(Err(error)) => tracing::debug!(%error, "a handshake failed"),
            Err(_) => tracing::debug!("a handshake took too long"),
        },
    }
    open.decrement(1);
    drop(connected);
}

/// What TLS agreed on. A client that does not know how to agree is listened to.
fn agreed(stream: &TlsStream<TcpStream>) -> Option<Protocol> {
    match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => Some(Protocol::Http2),
        Some(_) => Some(Protocol::Http1),
        None => None,
    }
}

fn limits(config: &Config) -> ConnectionLimits {
    ConnectionLimits {
        streams: config.streams_per_connection,
        header_bytes: 16 * 1024,
        stream_window: 512 * 1024,
        // Half of it is what h2 lets small frames waste while they wait: see docs/OPERATIONS.md, frames of `Connect`.
        connection_window: 1 << 20,
        send_buffer: 256 * 1024,
        patience: PATIENCE,
        stall: Duration::from_secs(config.stall_seconds.into()),
        age: Duration::from_secs(3600),
    }
}
