//! How much one client may do, and for how long.

use bytes::Bytes;
use prost::Message as _;
use tonic_types::StatusExt as _;

use crate::harness::prelude::*;
use crate::harness::{raw, wire};

#[tokio::test]
async fn a_clients_deadline_ends_its_call() {
    // A password that takes a second to check, and a client that has less time.
    let world = World::with(&["--identity-bcrypt-cost", "14"]).await;
    let asked = SignInRequest { email: world.address("nobody"), password: PASSWORD.into() }.encode_to_vec();
    let headers = [("content-type", "application/grpc-web+proto"), ("grpc-timeout", "50m")];
    let path = "/quartet.identity.v1.SessionService/SignIn";
    let answer = wire::send(world.gateway(), "POST", path, &headers, &wire::frame(&asked)).await;
    let status = match answer.header("grpc-status") {
        Some(status) => status.to_owned(),
        None => String::from_utf8(answer.frames().pop().unwrap().1).unwrap(),
    };
    assert!(status.contains('4'), "{status}: DEADLINE_EXCEEDED is 4");
}

#[tokio::test]
async fn a_message_that_is_too_long_is_refused_and_the_next_call_works() {
    let world = World::shared().await;
    let long = SignInRequest { email: "a".repeat(5 << 20), password: String::new() }.encode_to_vec();
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
async fn s06_only_failed_sign_ins_count_and_the_one_too_many_says_when_to_come_back() {
    let world = World::with(&["--gateway-failed-sign-ins-per-minute", "3"]).await;
    let ada = world.activated("ada").await;
    for _ in 0..6 {
        world.sign_in(&ada.email, &ada.password).await;
    }
    for _ in 0..3 {
        let refused = refusal(world.try_sign_in(&ada.email, "Wrong1!password").await);
        assert_eq!(refused.is(), (Code::Unauthenticated, "CREDENTIALS_INVALID"));
    }
    let refused = refusal(world.try_sign_in(&ada.email, "Wrong1!password").await);
    assert_eq!(refused.is(), (Code::ResourceExhausted, "RATE_LIMITED"));
    let details = refused.status.get_error_details();
    assert!(details.retry_info().and_then(|info| info.retry_delay).is_some_and(|delay| !delay.is_zero()));
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

    let mut refused = None;
    for _ in 0..40 {
        refused = ada.accounts(&world).get_me(GetMeRequest {}).await.err().map(Refusal::from).or(refused);
    }
    assert_eq!(refused.expect("forty calls at once").is(), (Code::ResourceExhausted, "RATE_LIMITED"));
    bob.accounts(&world).get_me(GetMeRequest {}).await.expect("another account has its own limit");
}
