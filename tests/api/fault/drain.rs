//! A process that is told to stop while clients do their worst.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::process::Signal;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tonic::codegen::Bytes;

use crate::harness::prelude::*;
use crate::harness::{Fleet, Postgres, Process, channel, raw};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// An HTTP/2 SETTINGS frame without settings.
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

/// Connections that never finish what they began.
async fn hostile(address: SocketAddr) -> Vec<TcpStream> {
    let mut streams = Vec::new();
    for number in 0..100 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let begun: Vec<u8> = match number % 4 {
            // Half open: nothing at all, or half of a greeting.
            0 => Vec::new(),
            1 => PREFACE[..9].to_vec(),
            // Stuck: a greeting and then silence, or a request whose end never comes.
            2 => [PREFACE, SETTINGS].concat(),
            _ => b"POST /quartet.identity.v1.SessionService/SignIn HTTP/1.1\r\nhost: x\r\ncontent-type: application/grpc-web\r\n\
                   content-length: 1000\r\n\r\nabc"
                .to_vec(),
        };
        stream.write_all(&begun).await.unwrap();
        streams.push(stream);
    }
    streams
}

/// Streams that a client keeps open: the health of the server, watched.
async fn watching(address: SocketAddr) -> Vec<tokio::task::JoinHandle<()>> {
    let mut tasks = Vec::new();
    for _ in 0..50 {
        let channel = channel(address);
        tasks.push(tokio::spawn(async move {
            let mut client = tonic::client::Grpc::new(channel);
            client.ready().await.unwrap();
            let path = ::http::uri::PathAndQuery::from_static("/grpc.health.v1.Health/Watch");
            let request = Request::new(tokio_stream::once(Bytes::new()));
            let Ok(answer) = client.streaming(request, path, raw::Raw).await else { return };
            let mut answers = answer.into_inner();
            while let Ok(Some(_)) = answers.message().await {}
        }));
    }
    tasks
}

/// Ends a process under load, and answers what was refused by it while it was ending.
async fn ends_under_load(
    process: &mut Process,
    call: impl AsyncFn(SocketAddr) -> Result<(), tonic::Status> + Clone + 'static,
) {
    let address = process.started.listen;
    let hostile = hostile(address).await;
    let streams = watching(address).await;
    let (stop, finished) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let local = tokio::task::LocalSet::new();
    let mut callers = Vec::new();
    for _ in 0..8 {
        let (stop, finished, call) = (stop.clone(), finished.clone(), call.clone());
        callers.push(local.spawn_local(async move {
            let mut failures = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                match call(address).await {
                    Ok(()) => drop(finished.fetch_add(1, Ordering::Relaxed)),
                    Err(status) => failures.push(status),
                }
                tokio::task::yield_now().await;
            }
            failures
        }));
    }
    let failures = local
        .run_until(async {
            eventually("calls go through", async || (finished.load(Ordering::Relaxed) > 50).then_some(())).await;
            process.signal(Signal::TERM);
            let status = process.ended(Duration::from_secs(10)).await.expect("ended within ten seconds");
            assert!(status.success(), "{status:?}");
            stop.store(true, Ordering::Relaxed);
            let mut failures = Vec::new();
            for caller in callers {
                failures.extend(caller.await.unwrap());
            }
            failures
        })
        .await;
    for status in failures {
        // Nobody home any more, or about to be: never a call that was begun and broken.
        assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    }
    drop(hostile);
    for stream in streams {
        stream.abort();
    }
}

async fn list_movies(address: SocketAddr) -> Result<(), tonic::Status> {
    let mut movies = crate::harness::Clients::new(channel(address), None).movies();
    movies.list_movies(ListMoviesRequest::default()).await.map(drop)
}

async fn get_keys(address: SocketAddr) -> Result<(), tonic::Status> {
    let mut keys = crate::harness::Clients::new(channel(address), None).keys();
    keys.get_jwks(GetJwksRequest {}).await.map(drop)
}

#[tokio::test]
async fn f12_a_process_that_is_told_to_stop_ends_within_ten_seconds_whatever_its_clients_do() {
    let world = World::shared().await;
    if world.is_embedded() {
        let arguments =
            ["--ephemeral", "--exit-with-stdin", "--gateway-connections-per-address", "5000"].map(str::to_owned);
        let mut process = Process::start(&arguments).await;
        ends_under_load(&mut process, list_movies).await;
        assert!(!process.started.data.exists(), "its data directory is gone with it");
        return;
    }
    let mut fleet = Fleet::start_on(Postgres::of_this_run(), &[]).await;
    ends_under_load(&mut fleet.gateway, list_movies).await;
    ends_under_load(&mut fleet.catalogue, list_movies).await;
    ends_under_load(&mut fleet.identities[1], get_keys).await;
}
