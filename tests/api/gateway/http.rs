//! What the port answers to plain HTTP, and what it adds to every call.

use crate::harness::prelude::*;
use crate::harness::wire;

#[tokio::test]
async fn the_port_says_that_it_is_alive_and_ready() {
    let world = World::shared().await;
    let answer = wire::send(world.gateway(), "GET", "/healthz", &[], b"").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    eventually("it is ready", async || {
        (wire::send(world.gateway(), "GET", "/readyz", &[], b"").await.status == 200).then_some(())
    })
    .await;
    let answer = wire::send(world.gateway(), "GET", "/nothing", &[], b"").await;
    assert_eq!(answer.status, 404);
}

#[tokio::test]
async fn every_answer_has_the_id_of_its_request() {
    let world = World::shared().await;
    let answer = world.movies().list_movies(ListMoviesRequest::default()).await.unwrap();
    let made = answer.metadata().get("x-request-id").expect("an id").to_str().unwrap().to_owned();
    assert!(!made.is_empty());

    let mut asked = Request::new(GetMovieRequest { movie_id: "x".into() });
    asked.metadata_mut().insert("x-request-id", "mine-1.2:3".parse().unwrap());
    let refused = refusal(world.movies().get_movie(asked).await);
    assert_eq!(refused.status.metadata().get("x-request-id").unwrap(), "mine-1.2:3");

    let mut asked = Request::new(ListMoviesRequest::default());
    asked.metadata_mut().insert("x-request-id", "x".repeat(200).parse().unwrap());
    let answer = world.movies().list_movies(asked).await.unwrap();
    assert!(answer.metadata().get("x-request-id").unwrap().len() <= 64, "a foolish one is replaced");
}

#[tokio::test]
async fn s61_nobody_tells_the_services_who_they_are_by_a_header() {
    let world = World::shared().await;
    let ada = world.activated("ada").await;
    let mut asked = Request::new(SignInRequest { email: ada.email, password: ada.password, ..Default::default() });
    for (name, value) in [
        ("quartet-client-address", "203.0.113.9"),
        ("quartet-gateway-token", "x"),
        ("quartet-account-id", "00000000-0000-7000-8000-000000000000"),
        ("x-forwarded-for", "203.0.113.9"),
    ] {
        asked.metadata_mut().insert(name, value.parse().unwrap());
    }
    let session = world.sessions().sign_in(asked).await.unwrap().into_inner();
    let mut sessions = world.as_token(&session.access_token).sessions();
    let listed = sessions.list_sessions(ListSessionsRequest::default()).await.unwrap().into_inner().sessions;
    assert_eq!(listed[0].client_address, "127.0.0.1");
}
