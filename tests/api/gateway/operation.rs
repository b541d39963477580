//! What an operator sees: liveness, readiness, metrics, logs.

use crate::harness::prelude::*;
use crate::harness::wire;

#[tokio::test]
async fn every_process_says_that_it_lives_and_is_ready_and_what_it_has_done() {
    let world = World::shared().await;
    let ada = world.sign_up("metrics").await;
    ada.accounts(&world).get_me(GetMeRequest {}).await.unwrap();
    world.movies().list_movies(ListMoviesRequest::default()).await.unwrap();
    let mut counted = String::new();
    for port in world.admin_ports() {
        assert_eq!(wire::send(port, "GET", "/livez", &[], b"").await.status, 200);
        let is_ready = async || (wire::send(port, "GET", "/readyz", &[], b"").await.status == 200).then_some(());
        eventually("it is ready", is_ready).await;
        let answer = wire::send(port, "GET", "/metrics", &[], b"").await;
        assert_eq!(answer.status, 200);
        counted.push_str(&answer.text());
    }
    for rpc in ["AccountService/Register", "AccountService/GetMe", "MovieService/ListMovies"] {
        assert!(counted.lines().any(|line| line.contains(rpc) && !line.ends_with(" 0")), "{rpc} is not counted");
    }
    assert!(!counted.contains(&ada.email) && !counted.contains(&ada.account_id), "metrics name nobody");
}

#[tokio::test]
async fn no_log_holds_a_secret_or_an_address() {
    // A code of seven digits may be part of a time or of an id.
    let world = World::with(&["--log", "debug", "--identity-code-digits", "12"]).await;
    let Some(fleet) = world.fleet() else { return };
    let ada = world.sign_up("logged").await;
    refusal(world.try_sign_in(&ada.email, "Wrong1!password").await);
    let mails = world.mails(&ada.email).await;
    let (token, code) = (crate::harness::mail::token(&mails[0]), crate::harness::mail::code(&mails[0]));
    let renewed = world.try_refresh(&ada.refresh_token).await.unwrap();
    let secrets = [ada.password, ada.access_token, ada.refresh_token, renewed.refresh_token, token, code, ada.email];
    for process in fleet.processes() {
        let log = process.log.text();
        for secret in &secrets {
            assert!(!log.contains(secret), "`{secret}` stands in a log");
        }
    }
}
