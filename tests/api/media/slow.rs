//! Downloads that take their time: readers who stop, and readers who lose their right on the way.

use futures_util::future::join_all;
use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use super::http::link;
use super::member::{member, remove};
use super::{noise, project, uploaded, video};
use crate::harness::prelude::*;

/// More than all buffers between a store and a reader who takes nothing have room for.
const LONG: usize = 48 << 20;

async fn film(world: &World, ada: &Person) -> (Project, Media) {
    let project = project(world, ada, "Films").await;
    let bytes = noise(21, LONG);
    let media = uploaded(world, ada, video(&project.project_id, "long.mp4", &bytes), &bytes).await;
    (project, media)
}

/// A connection that has asked for a file, and reads nothing beyond the beginning.
async fn stopped(world: &World, path: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(64 * 1024).unwrap();
    let mut stream = socket.connect(world.gateway()).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await.unwrap();
    let mut head = [0; 12];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    stream
}

/// How many bytes still come until the other end closes, to one who reads so slowly that all of it would take twenty seconds.
async fn rest(stream: TcpStream) -> usize {
    let (mut buffer, mut all) = (vec![0; 64 * 1024], 0);
    eventually("the connection is closed", async || {
        match stream.try_read(&mut buffer) {
            Ok(0) => return Some(all),
            Ok(length) => all += length,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return Some(all),
        }
        None
    })
    .await
}

/// What a download ends with that is cut off. What cuts it off looks every two seconds, whether the reader reads or not; this one reads so
/// slowly, however long the pieces are, that all of it would take twenty.
async fn cut_off(mut download: tonic::Streaming<DownloadResponse>) -> Refusal {
    loop {
        match download.message().await {
            Ok(Some(piece)) => tokio::time::sleep(Duration::from_nanos(400 * piece.encoded_len() as u64)).await,
            Ok(None) => panic!("it ends as if it were whole"),
            Err(status) => return status.into(),
        }
    }
}

#[tokio::test]
async fn s54_a_download_under_way_ends_when_its_reader_is_removed() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let (project, media) = film(&world, &ada).await;
    member(&world, &ada, &project.project_id, &bob, ProjectRole::Viewer).await;
    let by_http = stopped(&world, &link(&world, &bob, &media).await).await;
    let asked = DownloadRequest { media_id: media.media_id.clone(), ..Default::default() };
    let mut by_grpc = bob.media(&world).download(asked).await.unwrap().into_inner();
    assert!(by_grpc.message().await.unwrap().is_some());

    remove(&world, &ada, &project.project_id, &bob.account_id).await.unwrap();
    let ended = cut_off(by_grpc).await;
    assert_eq!((ended.code, ended.reason.as_str()), (Code::NotFound, "MEDIA_NOT_FOUND"));
    assert!(rest(by_http).await < LONG, "all of it has come");
}

#[tokio::test]
async fn s54_a_download_under_way_ends_with_its_session_by_token_and_by_link() {
    let world = World::shared().await;
    let ada = world.sign_up("ada").await;
    let (_, media) = film(&world, &ada).await;
    let by_http = stopped(&world, &link(&world, &ada, &media).await).await;
    let asked = DownloadRequest { media_id: media.media_id.clone(), ..Default::default() };
    let mut by_grpc = ada.media(&world).download(asked).await.unwrap().into_inner();
    assert!(by_grpc.message().await.unwrap().is_some());
    ada.sessions(&world).sign_out(SignOutRequest::default()).await.unwrap();
    let ended = cut_off(by_grpc).await;
    assert_eq!((ended.code, ended.reason.as_str()), (Code::Unauthenticated, "SESSION_REVOKED"));
    assert!(rest(by_http).await < LONG, "all of it has come");
}

#[tokio::test]
async fn s44_a_reader_who_takes_nothing_is_given_up_and_others_are_served() {
    let world = World::with(&["--media-stall-seconds", "15", "--gateway-stall-seconds", "16"]).await;
    let ada = world.sign_up("ada").await;
    let (_, media) = film(&world, &ada).await;
    let path = link(&world, &ada, &media).await;
    let mut stopped_ones = Vec::new();
    for _ in 0..40 {
        stopped_ones.push(stopped(&world, &path).await);
    }
    // Forty who hold what they can hold nobody up.
    let whole = super::downloaded(&world, &ada, &media.media_id).await;
    assert!(whole == noise(21, LONG), "other bytes");
    let ends = stopped_ones.into_iter().map(async |stream| {
        // Closed by the other end while nothing is read here.
        eventually("the connection is given up", async || {
            let error = stream.take_error().unwrap();
            let closed = stream.try_write(b"\r\n").is_err() || error.is_some();
            closed.then_some(())
        })
        .await;
        assert!(rest(stream).await < LONG, "all of it has come");
    });
    join_all(ends).await;
}
