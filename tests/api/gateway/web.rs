//! gRPC-web, as it stands on the wire.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message as _;

use crate::harness::prelude::*;
use crate::harness::wire::{self, Answer, frame, frames};

const ORIGIN: (&str, &str) = ("origin", "https://app.example.com");
const LIST: &str = "/quartet.catalogue.v1.MovieService/ListMovies";
const GET: &str = "/quartet.catalogue.v1.MovieService/GetMovie";
const ME: &str = "/quartet.identity.v1.AccountService/GetMe";
const IMPORT: &str = "/quartet.catalogue.v1.ImportService/ImportMovieFile";

async fn call(world: &World, path: &str, message: Vec<u8>, more: &[(&str, &str)]) -> Answer {
    let mut headers = vec![("content-type", "application/grpc-web+proto"), ("x-grpc-web", "1"), ORIGIN];
    headers.extend(more);
    wire::send(world.gateway(), "POST", path, &headers, &frame(&message)).await
}

/// The trailers in the last frame of a body.
fn trailers(frames: &[(u8, Vec<u8>)]) -> String {
    let (flag, last) = frames.last().expect("no frame at all");
    assert_eq!(*flag, 0x80, "the last frame holds the trailers");
    String::from_utf8(last.clone()).unwrap().to_lowercase()
}

fn has_status(trailers: &str, code: u8) -> bool {
    trailers.split("\r\n").any(|line| line.replace(' ', "") == format!("grpc-status:{code}"))
}

#[tokio::test]
async fn a_call_over_http_1_answers_messages_and_trailers_in_frames() {
    let world = World::shared().await;
    let answer = call(&world, LIST, ListMoviesRequest::default().encode_to_vec(), &[]).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/grpc-web+proto")));
    assert!(answer.header("access-control-allow-origin").is_some(), "{:?}", answer.headers);
    let frames = answer.frames();
    assert_eq!((frames.len(), frames[0].0), (2, 0));
    ListMoviesResponse::decode(frames[0].1.as_slice()).unwrap();
    assert!(has_status(&trailers(&frames), 0), "{}", trailers(&frames));
}

#[tokio::test]
async fn a_failed_calls_status_stands_where_a_page_can_read_it() {
    let world = World::shared().await;
    let nowhere = GetMovieRequest { movie_id: "00000000-0000-7000-8000-000000000000".into() }.encode_to_vec();
    for (path, message, code) in
        [(GET, nowhere, 5), (ME, Vec::new(), 16), ("/quartet.identity.v1.No/Such", Vec::new(), 12)]
    {
        let answer = call(&world, path, message, &[]).await;
        assert_eq!(answer.status, 200, "{path}");
        let exposed = answer.header("access-control-expose-headers").expect("nothing is exposed").to_lowercase();
        for name in ["grpc-status", "grpc-message", "grpc-status-details-bin"] {
            assert!(exposed.contains(name), "{name} is not in {exposed}");
        }
        // In the headers, or as trailers in the body: clients read both.
        match answer.header("grpc-status") {
            Some(status) => {
                assert_eq!(status, code.to_string());
                assert!(answer.header("grpc-message").is_some() && answer.header("grpc-status-details-bin").is_some());
            }
            None => assert!(has_status(&trailers(&answer.frames()), code), "{path}"),
        }
    }
}

#[tokio::test]
async fn a_token_is_taken_from_a_page_too() {
    let world = World::shared().await;
    let ada = world.sign_up("web").await;
    let bearer = format!("Bearer {}", ada.access_token);
    let answer = call(&world, ME, GetMeRequest {}.encode_to_vec(), &[("authorization", &bearer)]).await;
    let me = GetMeResponse::decode(answer.frames()[0].1.as_slice()).unwrap();
    assert_eq!(me.account.unwrap().account_id, ada.account_id);
}

#[tokio::test]
async fn text_mode_is_base64_in_both_directions() {
    let world = World::shared().await;
    let headers =
        [("content-type", "application/grpc-web-text+proto"), ("accept", "application/grpc-web-text"), ORIGIN];
    let body = STANDARD.encode(frame(&ListMoviesRequest::default().encode_to_vec()));
    let answer = wire::send(world.gateway(), "POST", LIST, &headers, body.as_bytes()).await;
    assert_eq!(answer.status, 200);
    assert!(answer.header("content-type").unwrap().starts_with("application/grpc-web-text"), "{:?}", answer.headers);
    let frames = frames(&unbase64(&answer.body));
    ListMoviesResponse::decode(frames[0].1.as_slice()).unwrap();
    assert!(has_status(&trailers(&frames), 0));
}

/// Every piece of a stream in text mode is base64 of its own, with padding.
fn unbase64(text: &[u8]) -> Vec<u8> {
    text.chunks(4).flat_map(|four| STANDARD.decode(four).expect("no base64")).collect()
}

/// A file that takes more than one step to import.
fn long_file() -> Vec<u8> {
    let mut file =
        "names,date_x,score,genre,overview,orig_title,status,orig_lang,budget_x,revenue,country\n".to_owned();
    for number in 0..3500 {
        let overview = "In space nobody hears the tests. ".repeat(2);
        file +=
            &format!("Alien {number},05/25/1979,80,Horror,{overview},Alien,Released,English,11000000,106285522,US\n");
    }
    file.into_bytes()
}

/// Checks the frames of an import: steps, each further than the one before, the end, and the trailers.
fn assert_steps(mut frames: Vec<(u8, Vec<u8>)>, stored: i32) {
    assert!(has_status(&trailers(&frames), 0), "{}", trailers(&frames));
    frames.pop();
    let messages: Vec<_> = frames
        .iter()
        .map(|(flag, message)| {
            assert_eq!(*flag, 0, "a message");
            ImportMovieFileResponse::decode(message.as_slice()).unwrap()
        })
        .collect();
    assert!(messages.len() >= 3, "{messages:?}");
    let done: Vec<bool> = messages.iter().map(|message| message.done).collect();
    assert_eq!(done.iter().position(|done| *done), Some(messages.len() - 1), "only the last is the end: {done:?}");
    let read: Vec<i32> = messages.iter().map(|message| message.summary.as_ref().unwrap().rows_read).collect();
    assert!(read.is_sorted_by(|a, b| a < b), "{read:?}");
    let last = messages.last().unwrap().summary.clone().unwrap();
    assert_eq!((last.rows_read, last.movies_stored, last.movies_unchanged), (3500, stored, 3500 - stored));
}

#[tokio::test]
async fn a_server_stream_comes_in_several_frames_binary_and_as_text() {
    let world = World::own().await;
    let admin = world.admin().await;
    let asked = ImportMovieFileRequest { content: Bytes::from(long_file()) }.encode_to_vec();
    let bearer = format!("Bearer {}", admin.access_token);
    let answer = call(&world, IMPORT, asked.clone(), &[("authorization", &bearer)]).await;
    assert_steps(answer.frames(), 3500);

    let headers = [("content-type", "application/grpc-web-text"), ("authorization", &bearer), ORIGIN];
    let body = STANDARD.encode(frame(&asked));
    let answer = wire::send(world.gateway(), "POST", IMPORT, &headers, body.as_bytes()).await;
    assert!(answer.header("content-type").unwrap().starts_with("application/grpc-web-text"), "{:?}", answer.headers);
    assert_steps(frames(&unbase64(&answer.body)), 0);
}

#[tokio::test]
async fn a_call_over_http_2_works_as_well() {
    let world = World::shared().await;
    let stream = tokio::net::TcpStream::connect(world.gateway()).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = ::http::Request::post(format!("http://{}{LIST}", world.gateway()))
        .header("content-type", "application/grpc-web+proto")
        .header(ORIGIN.0, ORIGIN.1)
        .body(Full::new(Bytes::from(frame(&ListMoviesRequest::default().encode_to_vec()))))
        .unwrap();
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/grpc-web+proto");
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(has_status(&trailers(&frames(&body)), 0));
}

#[tokio::test]
async fn a_browsers_question_before_a_call_is_answered() {
    let world = World::shared().await;
    let headers = [
        ORIGIN,
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "authorization,content-type,x-grpc-web,x-user-agent,grpc-timeout"),
    ];
    let answer = wire::send(world.gateway(), "OPTIONS", ME, &headers, b"").await;
    assert!(matches!(answer.status, 200 | 204), "{}", answer.status);
    assert!(answer.header("access-control-allow-origin").is_some());
    assert!(answer.header("access-control-allow-methods").unwrap().contains("POST"));
    let allowed = answer.header("access-control-allow-headers").unwrap().to_lowercase();
    for name in ["authorization", "content-type", "x-grpc-web", "grpc-timeout"] {
        assert!(allowed.contains(name), "{name} is not in {allowed}");
    }
    assert_eq!(answer.header("access-control-allow-credentials"), None, "cookies are never used");
}

#[tokio::test]
async fn only_the_named_origins_may_call() {
    let world = World::with(&["--gateway-cors-origins", "https://app.example.com"]).await;
    let answer = call(&world, LIST, Vec::new(), &[]).await;
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.example.com"));
    let headers = [("content-type", "application/grpc-web+proto"), ("origin", "https://evil.example.com")];
    let answer = wire::send(world.gateway(), "POST", LIST, &headers, &frame(&[])).await;
    assert_eq!(answer.header("access-control-allow-origin"), None);
}
