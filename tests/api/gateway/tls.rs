//! TLS on the public port (S-62).

use std::path::Path;
use std::sync::Arc;

use hyper_util::rt::TokioIo;
use prost::Message as _;
use quartet_proto::catalogue::v1::movie_service_client::MovieServiceClient;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint};

use super::line::Line;
use crate::harness::prelude::*;
use crate::harness::{Authority, Pair, quartet, wire};

const LIST: &str = "/quartet.catalogue.v1.MovieService/ListMovies";

/// A client that trusts an authority and speaks one of these protocols, if it names any.
fn client(authority: &Authority, versions: &[&'static SupportedProtocolVersion], protocols: &[&str]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(authority.certificate.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

async fn shake_hands(world: &World, client: TlsConnector) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(world.gateway()).await?;
    client.connect(ServerName::try_from("localhost").unwrap(), stream).await
}

/// A connection to a world's port, by the protocols named.
async fn connect(authority: &Authority, world: &World, protocols: &[&str]) -> std::io::Result<TlsStream<TcpStream>> {
    shake_hands(world, client(authority, rustls::ALL_VERSIONS, protocols)).await
}

/// Replaces a file as an operator's tool does: it is whole at every moment.
fn put(path: &Path, text: &str) {
    let draft = path.with_extension("new");
    std::fs::write(&draft, text).unwrap();
    std::fs::rename(draft, path).unwrap();
}

/// A world whose port speaks TLS, with the files of its certificate.
struct Encrypted {
    world: World,
    authority: Authority,
    pair: Pair,
    folder: tempfile::TempDir,
}

async fn encrypted() -> Encrypted {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let pair = authority.sign();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    put(&cert, &pair.cert);
    put(&key, &pair.key);
    let flags = ["--gateway-tls-cert", cert.to_str().unwrap(), "--gateway-tls-key", key.to_str().unwrap()];
    let world = World::with(&flags).await;
    Encrypted { world, authority, pair, folder }
}

fn shown(stream: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

#[tokio::test]
async fn s62_native_grpc_goes_over_tls_that_agrees_on_http_2() {
    let Encrypted { world, authority, pair, .. } = encrypted().await;
    for (version, spoken) in
        [(&rustls::version::TLS12, ProtocolVersion::TLSv1_2), (&rustls::version::TLS13, ProtocolVersion::TLSv1_3)]
    {
        let stream = shake_hands(&world, client(&authority, &[version], &["h2", "http/1.1"])).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        assert_eq!(stream.get_ref().1.protocol_version(), Some(spoken));
        assert_eq!(shown(&stream), pair.der);
        let mut stream = Some(TokioIo::new(stream));
        let connector = tower::service_fn(move |_| std::future::ready(stream.take().ok_or(std::fmt::Error)));
        let channel: Channel =
            Endpoint::from_static("http://localhost").connect_with_connector(connector).await.unwrap();
        MovieServiceClient::new(channel).list_movies(ListMoviesRequest::default()).await.unwrap();
    }

    // A client that can't agree on anything is known by its first bytes.
    let stream = connect(&authority, &world, &[]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), None);
    Line::over(stream).await.unwrap().call(LIST, &[], &[]).await.unwrap();
}

#[tokio::test]
async fn s62_grpc_web_goes_over_tls_by_http_1() {
    let Encrypted { world, authority, .. } = encrypted().await;
    for protocols in [&["http/1.1"][..], &[]] {
        let stream = connect(&authority, &world, protocols).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), protocols.first().map(|protocol| protocol.as_bytes()));
        let headers = [("content-type", "application/grpc-web+proto"), ("origin", "https://app.example.com")];
        let answer = wire::exchange(stream, "localhost", "POST", LIST, &headers, &wire::frame(&[])).await.unwrap();
        assert_eq!(answer.status, 200);
        let frames = answer.frames();
        ListMoviesResponse::decode(frames[0].1.as_slice()).unwrap();
        assert!(String::from_utf8_lossy(&frames[1].1).replace(' ', "").contains("grpc-status:0"), "{frames:?}");
    }
}

#[tokio::test]
async fn s62_that_port_takes_nothing_in_clear() {
    let Encrypted { world, .. } = encrypted().await;
    for path in ["/healthz", LIST] {
        let answer = wire::try_send(world.gateway(), "GET", path, &[], b"").await;
        assert!(answer.is_err(), "{path}: {answer:?}");
    }
    let refused = refusal(world.movies().list_movies(ListMoviesRequest::default()).await);
    assert_eq!(refused.reason, "", "no answer of ours, only a connection that broke: {refused:?}");
}

#[tokio::test]
async fn s62_a_client_that_trusts_somebody_else_sends_nothing() {
    let Encrypted { world, .. } = encrypted().await;
    let error = connect(&Authority::new(), &world, &["h2"]).await.unwrap_err();
    assert!(error.to_string().contains("UnknownIssuer"), "{error}");
}

/// A client's first message, with ciphers and curves that every server of today takes.
fn client_hello(version: [u8; 2]) -> Vec<u8> {
    let sized = |bytes: &[u8]| [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat();
    let extension = |number: u16, bytes: &[u8]| [&number.to_be_bytes()[..], &sized(bytes)].concat();
    let curves = extension(10, &sized(&[0, 23, 0, 29]));
    let points = extension(11, &[1, 0]);
    let signatures = extension(13, &sized(&[4, 3, 8, 4, 4, 1]));
    let ciphers = sized(&[0xc0, 0x2b, 0xc0, 0x2f, 0xc0, 0x09, 0xc0, 0x13]);
    let extensions = sized(&[curves, points, signatures].concat());
    // A random number, no session, the ciphers, no compression.
    let body = [&version[..], &[7; 32], &[0], &ciphers, &[1, 0], &extensions].concat();
    let message = [&[1, 0][..], &sized(&body)].concat();
    [&[22, 3, 1][..], &sized(&message)].concat()
}

#[tokio::test]
async fn s62_nothing_older_than_tls_1_2_is_spoken() {
    let Encrypted { world, .. } = encrypted().await;
    let answer = async |version| {
        let mut stream = TcpStream::connect(world.gateway()).await.unwrap();
        stream.write_all(&client_hello(version)).await.unwrap();
        let mut record = [0; 7];
        stream.read_exact(&mut record).await.unwrap();
        record
    };
    let [kind, _, _, _, _, message, _] = answer([3, 3]).await;
    assert_eq!((kind, message), (22, 2), "TLS 1.2: the server says hello");
    for version in [[3, 2], [3, 1], [3, 0]] {
        let [kind, _, _, _, length, level, alert] = answer(version).await;
        assert_eq!((kind, length, level, alert), (21, 2, 2, 70), "{version:?}: a fatal alert, protocol_version");
    }
}

#[tokio::test]
async fn s62_a_replaced_certificate_is_used_without_a_restart_and_no_call_fails() {
    let Encrypted { world, authority, pair: first, folder } = encrypted().await;
    let old = Line::over(connect(&authority, &world, &["h2"]).await.unwrap()).await.unwrap();
    old.call(LIST, &[], &[]).await.unwrap();

    let second = authority.sign();
    put(&folder.path().join("key.pem"), &second.key);
    // For a moment the files don't belong together: the certificate of before stays in use.
    let stream = connect(&authority, &world, &["h2"]).await.unwrap();
    assert_eq!(shown(&stream), first.der);
    put(&folder.path().join("cert.pem"), &second.cert);
    eventually("the new certificate is shown", async || {
        let stream = connect(&authority, &world, &["h2"]).await.expect("handshakes go on");
        let certificate = shown(&stream);
        Line::over(stream).await.unwrap().call(LIST, &[], &[]).await.expect("calls go on");
        old.call(LIST, &[], &[]).await.expect("connections of before go on");
        (certificate == second.der).then_some(())
    })
    .await;
}

#[tokio::test]
async fn s62_files_that_are_no_pair_are_named_at_the_start() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let (one, other) = (authority.sign(), authority.sign());
    for (name, text) in [("one.pem", &one.cert), ("one.key", &one.key), ("other.key", &other.key)] {
        put(&folder.path().join(name), text);
    }
    put(&folder.path().join("empty.pem"), "");
    let start = async |cert: &str, key: Option<&str>| {
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let mut flags = vec!["--ephemeral".to_owned(), "--exit-with-stdin".to_owned()];
        flags.extend(["--gateway-tls-cert".to_owned(), path(cert)]);
        flags.extend(key.into_iter().flat_map(|key| ["--gateway-tls-key".to_owned(), path(key)]));
        tokio::task::spawn_blocking(move || quartet(&flags)).await.unwrap()
    };
    for (cert, key, named) in [
        ("missing.pem", Some("one.key"), &["missing.pem"][..]),
        ("one.pem", Some("missing.key"), &["missing.key"]),
        ("empty.pem", Some("one.key"), &["empty.pem"]),
        ("one.key", Some("one.key"), &["one.key"]),
        ("one.pem", Some("one.pem"), &["one.pem"]),
        ("one.pem", Some("other.key"), &["one.pem", "other.key"]),
        ("one.pem", None, &["--gateway-tls-key"]),
    ] {
        let ended = start(cert, key).await;
        assert!(!ended.status.success(), "{cert} and {key:?}: {ended:?}");
        for name in named {
            assert!(ended.stderr.contains(name), "{cert} and {key:?}: {}", ended.stderr);
        }
        assert!(!ended.stderr.contains("PRIVATE KEY"), "{}", ended.stderr);
    }
    let ended = start("one.pem", Some("one.key")).await;
    assert!(ended.status.success(), "a good pair starts, and ends with its standard input: {ended:?}");
}
