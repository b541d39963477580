//! The connection to a server, with or without TLS.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(10);
/// How soon it is noticed that nobody is at the other end any more: after this, and as long again.
const BEAT: Duration = Duration::from_secs(15);
/// Bytes under way, for lines that are long and wide.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 8 << 20;

/// Connects, and again whenever the connection is lost.
pub async fn open(server: &Uri) -> anyhow::Result<Channel> {
    let endpoint = Endpoint::from(server.clone())
        .user_agent(concat!("quartet/", env!("CARGO_PKG_VERSION")))?
        .connect_timeout(CONNECT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(BEAT)
        .keep_alive_timeout(BEAT)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    let channel = if server.scheme_str() == Some("https") {
        let connector = connector()?;
        endpoint.connect_with_connector(service_fn(move |uri| secured(connector.clone(), uri))).await
    } else {
        endpoint.connect().await
    };
    channel.with_context(|| format!("can't reach {server}"))
}

/// Trusts whom this machine trusts.
fn connector() -> anyhow::Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    let (usable, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    anyhow::ensure!(usable > 0, "this machine trusts no certificate authority: `SSL_CERT_FILE` may name some");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

async fn secured(connector: TlsConnector, uri: Uri) -> std::io::Result<TokioIo<TlsStream<TcpStream>>> {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let stream = TcpStream::connect((host.as_str(), uri.port_u16().unwrap_or(443))).await?;
    stream.set_nodelay(true)?;
    let name = ServerName::try_from(host).map_err(std::io::Error::other)?;
    Ok(TokioIo::new(connector.connect(name, stream).await?))
}
