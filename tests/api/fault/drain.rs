//! A process that is told to stop while clients do their worst.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use rustix::process::Signal;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tonic::codegen::Bytes;

use crate::harness::prelude::*;
use crate::harness::{Clients, Fleet, Postgres, Process, channel, is_quiet, promised, raw};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// An HTTP/2 SETTINGS frame without settings.
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
/// How long what is under way may go on in a process that ends.
const DRAIN: Duration = Duration::from_secs(8);

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
async fn watching(address: SocketAddr) -> Vec<JoinHandle<()>> {
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

/// What is called while the process ends.
#[derive(Clone, Copy)]
enum Load {
    Movies,
    Keys,
}

impl Load {
    async fn call(self, clients: &Clients) -> Result<(), tonic::Status> {
        match self {
            Load::Movies => clients.movies().list_movies(ListMoviesRequest::default()).await.map(drop),
            Load::Keys => clients.keys().get_jwks(GetJwksRequest {}).await.map(drop),
        }
    }
}

/// Calls without end until told to stop, and answers what failed.
async fn caller(clients: Clients, load: Load, stop: Arc<AtomicBool>, finished: Arc<AtomicU64>) -> Vec<tonic::Status> {
    let mut failures = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        match load.call(&clients).await {
            Ok(()) => drop(finished.fetch_add(1, Ordering::Relaxed)),
            Err(status) => {
                failures.push(status);
                // A client that hammers a closed door would only take the processor from the passwords.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        tokio::task::yield_now().await;
    }
    failures
}

/// Ends a process under load. With `slow`, a sign-in is in the middle of its password then, and must come to its end.
async fn ends_under_load(process: &mut Process, load: Load, slow: bool) {
    let address = process.started.listen;
    let hostile = hostile(address).await;
    let streams = watching(address).await;
    let (stop, finished) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let callers: Vec<_> = (0..8)
        .map(|_| tokio::spawn(caller(Clients::new(channel(address), None), load, stop.clone(), finished.clone())))
        .collect();
    eventually("calls go through", async || (finished.load(Ordering::Relaxed) > 50).then_some(())).await;
    let sign_in = match slow {
        true => Some(slow_sign_in(address, load).await),
        false => None,
    };

    let told = Instant::now();
    process.signal(Signal::TERM);
    let status = process.ended(promised(Duration::from_secs(10))).await.expect("it has not ended");
    assert!(status.success(), "{status:?}");
    let took = told.elapsed();
    if let Some(sign_in) = sign_in {
        let refused = refusal(sign_in.await.unwrap());
        let is_checked = refused.is() == (Code::Unauthenticated, "CREDENTIALS_INVALID");
        // On a busy machine a password, which comes last there, may take longer than what is under way is given.
        let is_cut_off = refused.reason.is_empty() && !is_quiet() && took >= DRAIN;
        assert!(is_checked || is_cut_off, "it was begun before the end: {refused:?} after {took:?}");
    }
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        for failure in caller.await.unwrap() {
            // The connection is refused or closed, or the server says so itself: never a call that was begun and broken.
            let refused = Refusal::from(failure);
            let nobody_home = refused.reason.is_empty() && refused.code != Code::Internal;
            assert!(nobody_home || refused.code == Code::Unavailable, "{refused:?}");
        }
    }
    drop(hostile);
    for stream in streams {
        stream.abort();
    }
}

/// Begins a sign-in that takes a while, and returns when the server has certainly read it: a call that follows it on the same
/// connection has been answered.
async fn slow_sign_in(address: SocketAddr, load: Load) -> JoinHandle<Result<SignInResponse, tonic::Status>> {
    eventually("a sign-in is in its middle", async || {
        let clients = Clients::new(channel(address), None);
        load.call(&clients).await.unwrap();
        let mut sessions = clients.sessions();
        let (began, begins) = tokio::sync::oneshot::channel();
        let call = tokio::spawn(async move {
            let _ = began.send(());
            let asked =
                SignInRequest { email: "nobody@example.com".into(), password: PASSWORD.into(), ..Default::default() };
            sessions.sign_in(asked).await.map(tonic::Response::into_inner)
        });
        begins.await.unwrap();
        tokio::task::yield_now().await;
        for _ in 0..3 {
            load.call(&clients).await.unwrap();
        }
        // This test may have been off the processor until it was over.
        (!call.is_finished()).then_some(call)
    })
    .await
}

/// The cost of a password that takes half a second or more.
const SLOW: [&str; 2] = ["--identity-bcrypt-cost", "13"];

#[tokio::test]
async fn f12_a_process_that_is_told_to_stop_ends_within_ten_seconds_whatever_its_clients_do() {
    if World::shared().await.is_embedded() {
        let arguments = [&["--ephemeral", "--exit-with-stdin"], SLOW.as_slice()].concat();
        let arguments: Vec<String> = arguments.into_iter().map(str::to_owned).collect();
        let mut process = Process::start(&arguments).await;
        ends_under_load(&mut process, Load::Movies, true).await;
        assert!(!process.started.data.exists(), "its data directory is gone with it");
        return;
    }
    let mut fleet = Fleet::start_on(Postgres::of_this_run(), &SLOW).await;
    ends_under_load(&mut fleet.gateway, Load::Movies, true).await;
    ends_under_load(&mut fleet.catalogue, Load::Movies, false).await;
    ends_under_load(&mut fleet.identities[1], Load::Keys, true).await;
}
