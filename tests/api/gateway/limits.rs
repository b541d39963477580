//! How much one client may do, and for how long.

use std::time::Instant;

use bytes::Bytes;
use futures_util::future::join_all;
use prost::Message as _;
use tokio::io::AsyncReadExt as _;
use tonic_types::StatusExt as _;

use super::frames::{DATA, Frames, RST_STREAM, SETTINGS};
use super::line::{self, Line};
use crate::harness::prelude::*;
use crate::harness::{raw, wire};

#[tokio::test]
async fn a_clients_deadline_ends_its_call() {
    // A password that takes a second to check, and a client that has less time.
    let world = World::with(&["--identity-bcrypt-cost", "14"]).await;
    let asked = SignInRequest { email: world.address("nobody"), password: PASSWORD.into(), ..Default::default() }
        .encode_to_vec();
    let headers = [("content-type", "application/grpc-web+proto"), ("grpc-timeout", "50m")];
    let path = "/quartet.identity.v1.SessionService/SignIn";
    let answer = wire::send(world.gateway(), "POST", path, &headers, &wire::frame(&asked)).await;
    let trailers = answer.frames().pop().map(|(_, trailers)| String::from_utf8(trailers).unwrap());
    let trailers = trailers.unwrap_or_default().replace(' ', "");
    let status = answer
        .header("grpc-status")
        .or_else(|| trailers.split("\r\n").find_map(|line| line.strip_prefix("grpc-status:")));
    assert_eq!(status, Some("4"), "DEADLINE_EXCEEDED");
}

#[tokio::test]
async fn a_message_that_is_too_long_is_refused_and_the_next_call_works() {
    let world = World::shared().await;
    let long =
        SignInRequest { email: "a".repeat(5 << 20), password: String::new(), ..Default::default() }.encode_to_vec();
    let refused = refusal(raw::call(world.channel(), "/quartet.identity.v1.SessionService/SignIn", None, long).await);
    assert_eq!(refused.is(), (Code::ResourceExhausted, "MESSAGE_TOO_LARGE"));
    world.movies().list_movies(ListMoviesRequest::default()).await.unwrap();
}

#[tokio::test]
async fn an_rpc_for_files_takes_longer_messages() {
    let world = World::shared().await;
    let ada = world.sign_up("file").await;
    let asked = ImportMovieFileRequest { content: Bytes::from(vec![b'x'; 6 << 20]) };
    let refused = refusal(ada.imports(&world).import_movie_file(asked).await);
    assert_eq!(refused.is(), (Code::PermissionDenied, "ROLE_MISSING"), "the length is no reason");
}

#[tokio::test]
async fn a_message_cut_short_or_no_message_at_all_is_a_failed_call() {
    let world = World::shared().await;
    let path = "/quartet.identity.v1.SessionService/SignIn";
    let headers = [("content-type", "application/grpc-web+proto")];
    for body in [&[][..], &[0, 0, 0], &[0, 0, 0, 0, 9, 1, 2], &[9, 0, 0, 0, 0], &[0, 0, 0, 0, 2, 255, 255]] {
        let answer = wire::send(world.gateway(), "POST", path, &headers, body).await;
        let said = format!("{:?} {}", answer.headers, answer.text());
        assert!(said.contains("grpc-status") && !said.contains("grpc-status:0"), "{body:?}: {said}");
    }
    world.movies().list_movies(ListMoviesRequest::default()).await.unwrap();
}

#[tokio::test]
async fn calls_that_send_mail_are_limited_by_address_and_an_accounts_calls_by_account() {
    let world = World::with(&["--gateway-mails-per-minute", "4", "--gateway-rate-per-account", "5"]).await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let mut refused = None;
    for _ in 0..6 {
        let asked = RequestPasswordResetRequest { email: world.address("nobody") };
        refused = world.accounts().request_password_reset(asked).await.err().map(Refusal::from).or(refused);
    }
    assert_eq!(refused.expect("six mails in a minute").is(), (Code::ResourceExhausted, "RATE_LIMITED"));

    let calls = (0..40).map(async |_| ada.accounts(&world).get_me(GetMeRequest {}).await);
    let mut refused = join_all(calls).await.into_iter().filter_map(Result::err).map(Refusal::from);
    let refused = refused.find(|refused| refused.code == Code::ResourceExhausted);
    assert_eq!(refused.expect("forty calls at once").is(), (Code::ResourceExhausted, "RATE_LIMITED"));
    bob.accounts(&world).get_me(GetMeRequest {}).await.expect("another account has its own limit");
}

const LIST: &str = "/quartet.catalogue.v1.MovieService/ListMovies";
const HOME: [u8; 4] = [127, 0, 0, 1];
const ELSEWHERE: [u8; 4] = [127, 0, 0, 2];
/// No test waits for this: it only keeps a held call alive for as long as the test may take.
const LONG: (&str, &str) = ("grpc-timeout", "30S");

fn limit_of(refused: Refusal) -> String {
    assert_eq!(refused.is(), (Code::ResourceExhausted, "RATE_LIMITED"), "{refused:?}");
    let delay = refused.status.get_error_details().retry_info().and_then(|info| info.retry_delay);
    assert!(delay.is_some_and(|delay| !delay.is_zero()), "{refused:?}");
    refused.metadata["limit"].clone()
}

#[tokio::test]
async fn s42_an_address_makes_so_many_calls_a_second_and_another_ones_are_not_counted() {
    let world = World::with(&["--gateway-rate-per-address", "1"]).await;
    let line = Line::from(HOME, world.gateway()).await;
    // One at once and one more each second: sixty calls would have to take a minute to be served all.
    let calls = join_all((0..60).map(|_| line.call(LIST, &[], &[]))).await;
    let refused: Vec<_> = calls.into_iter().filter_map(Result::err).collect();
    assert!(!refused.is_empty());
    for refused in refused {
        assert_eq!(limit_of(refused.into()), "calls");
    }
    Line::from(ELSEWHERE, world.gateway()).await.call(LIST, &[], &[]).await.expect("another address has its own");
}

#[tokio::test]
async fn s42_an_address_has_so_many_connections() {
    let world = World::with(&["--gateway-connections-per-address", "3"]).await;
    let mut lines = Vec::new();
    for _ in 0..3 {
        lines.push(Line::from(HOME, world.gateway()).await);
        lines.last().unwrap().call(LIST, &[], &[]).await.expect("it fits");
    }
    let mut stream = line::connect(world.gateway(), HOME).await.unwrap();
    let mut buffer = [0; 1];
    assert!(matches!(stream.read(&mut buffer).await, Ok(0) | Err(_)), "the fourth is closed without a word");
    Line::from(ELSEWHERE, world.gateway()).await.call(LIST, &[], &[]).await.expect("another address has its own");
    for line in &lines {
        line.call(LIST, &[], &[]).await.expect("those that were there go on");
    }
    lines.pop();
    eventually("there is room again", async || {
        let stream = line::connect(world.gateway(), HOME).await.ok()?;
        Line::over(stream).await.ok()?.call(LIST, &[], &[]).await.ok()
    })
    .await;
}

#[tokio::test]
async fn s42_a_connection_has_so_many_calls_at_once() {
    let world = World::with(&["--gateway-streams-per-connection", "2"]).await;
    let mut frames = Frames::open(line::connect(world.gateway(), HOME).await.unwrap()).await;
    let most = frames.expect(SETTINGS, 0).await;
    let most = most.chunks(6).find(|setting| setting[..2] == [0, 3]).expect("no SETTINGS_MAX_CONCURRENT_STREAMS");
    assert_eq!(most[2..], [0, 0, 0, 2]);
    for stream in [1, 3, 5] {
        frames.begin_call(stream, LIST).await;
    }
    assert_eq!(frames.expect(RST_STREAM, 5).await, [0, 0, 0, 7], "REFUSED_STREAM");
    Line::from(HOME, world.gateway()).await.call(LIST, &[], &[]).await.expect("another connection has its own");
    for stream in [1, 3] {
        frames.finish_call(stream).await;
        frames.expect(DATA, stream).await;
    }
    frames.begin_call(7, LIST).await;
    frames.finish_call(7).await;
    frames.expect(DATA, 7).await;
}

#[tokio::test]
async fn s42_an_address_has_so_many_calls_in_progress() {
    let world = World::with(&["--gateway-calls-per-address", "3"]).await;
    let line = Line::from(HOME, world.gateway()).await;
    line.call(LIST, &[], &[]).await.unwrap();
    let held: Vec<_> = (0..3).map(|_| line.hold(LIST, &[LONG], &[])).collect();
    assert_eq!(limit_of(refusal(line.call(LIST, &[], &[]).await)), "calls in progress");
    let second = Line::from(HOME, world.gateway()).await;
    assert_eq!(limit_of(refusal(second.call(LIST, &[], &[]).await)), "calls in progress", "of the address");
    let elsewhere = Line::from(ELSEWHERE, world.gateway()).await;
    elsewhere.call(LIST, &[], &[]).await.expect("another address has its own");

    for held in held {
        held.release().await.expect("what was let in is answered");
        second.call(LIST, &[], &[]).await.expect("there is room again");
    }
}

#[tokio::test]
async fn s42_an_address_has_so_many_streams_and_one_that_ends_makes_room() {
    let flags = ["--gateway-streams-per-address", "200", "--gateway-streams-per-connection", "300"];
    let world = World::with(&flags).await;
    let open = async || {
        let stream = world.movies().watch_movies(WatchMoviesRequest::default()).await?.into_inner();
        Ok::<_, tonic::Status>(stream)
    };
    let mut streams = Vec::new();
    for _ in 0..200 {
        streams.push(open().await.expect("it fits"));
    }
    assert_eq!(limit_of(refusal(open().await.map(drop))), "streams");
    world.movies().list_movies(ListMoviesRequest::default()).await.expect("other calls have their own limit");
    let watch = "/quartet.catalogue.v1.MovieService/WatchMovies";
    let elsewhere = Line::from(ELSEWHERE, world.gateway()).await;
    let refused = refusal(elsewhere.call(watch, &[("grpc-timeout", "50m")], &[]).await);
    assert_eq!(refused.is(), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"), "another address has its own");
    streams.pop();
    let again = eventually("there is room again", async || open().await.ok()).await;
    assert_eq!(limit_of(refusal(open().await.map(drop))), "streams");
    drop(again);
}

#[tokio::test]
async fn s42_there_are_so_many_calls_in_progress_in_all() {
    let world = World::with(&["--gateway-calls", "3"]).await;
    let line = Line::from(HOME, world.gateway()).await;
    line.call(LIST, &[], &[]).await.unwrap();
    let held: Vec<_> = (0..3).map(|_| line.hold(LIST, &[LONG], &[])).collect();
    assert_eq!(refusal(line.call(LIST, &[], &[]).await).is(), (Code::ResourceExhausted, "OVERLOADED"));
    for held in held {
        held.release().await.unwrap();
    }
    Line::from(ELSEWHERE, world.gateway()).await.call(LIST, &[], &[]).await.unwrap();
}

#[tokio::test]
async fn s42_behind_a_trusted_proxy_each_client_has_limits_of_its_own() {
    let proxy = [127, 0, 0, 9];
    let flags = ["--gateway-trusted-proxies", "127.0.0.9,10.0.0.0/8", "--gateway-calls-per-address", "2"];
    let world = World::with(&flags).await;
    let line = Line::from(proxy, world.gateway()).await;
    let forwarded = |chain| [("x-forwarded-for", chain), LONG];
    line.call(LIST, &forwarded("203.0.113.1"), &[]).await.unwrap();
    let held: Vec<_> = (0..2).map(|_| line.hold(LIST, &forwarded("203.0.113.1"), &[])).collect();
    for chain in ["203.0.113.1", "198.51.100.7, 203.0.113.1", "203.0.113.2, 203.0.113.1, 10.1.2.3", "x, 203.0.113.1"] {
        let refused = refusal(line.call(LIST, &forwarded(chain), &[]).await);
        assert_eq!(limit_of(refused), "calls in progress", "{chain}");
    }
    for chain in ["203.0.113.2", "203.0.113.1, 203.0.113.2", "2001:db8::1"] {
        line.call(LIST, &forwarded(chain), &[]).await.unwrap_or_else(|error| panic!("{chain}: {error}"));
    }
    // Whoever is no proxy is not believed, and is not in the way of the client that it names.
    let liar = Line::from(HOME, world.gateway()).await;
    liar.call(LIST, &forwarded("203.0.113.1"), &[]).await.unwrap();
    let lies: Vec<_> = ["203.0.113.3", "203.0.113.4"].map(|chain| liar.hold(LIST, &forwarded(chain), &[])).into();
    assert_eq!(limit_of(refusal(liar.call(LIST, &forwarded("203.0.113.5"), &[]).await)), "calls in progress");
    line.call(LIST, &forwarded("203.0.113.3"), &[]).await.unwrap();
    for held in held.into_iter().chain(lies) {
        held.release().await.unwrap();
    }

    let ada = world.activated("proxied").await;
    let asked = SignInRequest { email: ada.email, password: ada.password, ..Default::default() }.encode_to_vec();
    let path = "/quartet.identity.v1.SessionService/SignIn";
    let tokens = line.call(path, &forwarded("198.51.100.7, 203.0.113.7"), &asked).await.unwrap();
    let tokens = SignInResponse::decode(tokens).unwrap();
    let mut sessions = world.as_token(&tokens.access_token).sessions();
    let listed = sessions.list_sessions(ListSessionsRequest::default()).await.unwrap().into_inner().sessions;
    assert_eq!(listed[0].client_address, "203.0.113.7");
}

#[tokio::test]
async fn s42_calls_whose_message_never_arrives_hold_nothing_that_others_need_and_end_at_their_deadline() {
    // More than a service has in progress at once.
    let flags = ["--gateway-streams-per-connection", "6000", "--gateway-calls-per-address", "6000"];
    let world = World::with(&flags).await;
    let line = Line::from(HOME, world.gateway()).await;
    line.call(LIST, &[], &[]).await.unwrap();
    let held: Vec<_> = (0..4200).map(|_| line.hold(LIST, &[LONG], &[])).collect();
    line.call(LIST, &[], &[]).await.expect("on the same connection");
    let elsewhere = Line::from(ELSEWHERE, world.gateway()).await;
    elsewhere.call(LIST, &[], &[]).await.expect("from another address");

    let begin = Instant::now();
    let refused = refusal(line.hold(LIST, &[("grpc-timeout", "100m")], &[]).answer().await);
    assert_eq!(refused.is(), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
    assert!(begin.elapsed() >= Duration::from_millis(100), "not before its deadline");
    drop(held);
}

#[tokio::test]
async fn a_very_long_id_is_not_found_in_few_words_and_breaks_nobodys_connection() {
    let world = World::shared().await;
    let line = Line::from(HOME, world.gateway()).await;
    let other = line.hold(LIST, &[LONG], &[]);
    for letter in ["x", "%", "\u{7f}", "é", "\u{1f600}"] {
        let asked = GetMovieRequest { movie_id: letter.repeat(100_000 / letter.len()) }.encode_to_vec();
        let path = "/quartet.catalogue.v1.MovieService/GetMovie";
        let refused = refusal(line.call(path, &[], &asked).await);
        assert_eq!(refused.is(), (Code::NotFound, "MOVIE_NOT_FOUND"), "{letter}");
        assert!(refused.message.len() <= 1024 && refused.status.details().len() <= 4096, "{letter}");
        assert!(refused.metadata["movie_id"].len() < 1024, "{letter}");
    }
    other.release().await.expect("a call that was on its way all the time");
    world.movies().list_movies(ListMoviesRequest::default()).await.unwrap();
}
