//! PostgreSQL stopped, started again, frozen.

use std::time::Instant;

use crate::harness::prelude::*;
use crate::harness::{Fleet, OwnPostgres, promised, wire};

#[tokio::test]
async fn f04_without_postgresql_calls_are_unavailable_at_once_and_work_again_by_themselves() {
    if World::shared().await.is_embedded() {
        return;
    }
    let postgres = OwnPostgres::start().await;
    // Who gets no answer to a refresh asks again once the database is back.
    let flags = ["--identity-refresh-grace-seconds", "60"];
    let world = World::from_fleet(Fleet::start_on(postgres.server.clone(), &flags).await);
    let mut ada = world.sign_up_at_last("ada").await;
    for _ in 0..2 {
        postgres.act("stop").await;
        for _ in 0..5 {
            let begin = Instant::now();
            for refused in [
                refusal(world.try_sign_in(&ada.email, &ada.password).await),
                refusal(world.try_refresh(&ada.refresh_token).await),
                refusal(ada.accounts(&world).get_me(GetMeRequest {}).await),
                refusal(world.movies().list_movies(ListMoviesRequest::default()).await),
            ] {
                assert_eq!(refused.is(), (Code::Unavailable, "DEPENDENCY_UNAVAILABLE"), "{refused:?}");
            }
            assert!(begin.elapsed() < promised(Duration::from_secs(8)), "four calls, none longer than two seconds");
        }
        assert_eq!(wire::send(world.gateway(), "GET", "/healthz", &[], b"").await.status, 200);
        world.keys().get_jwks(GetJwksRequest {}).await.expect("what needs no database goes on");
        postgres.act("start").await;
        eventually("all works again", async || {
            world.movies().list_movies(ListMoviesRequest::default()).await.ok()?;
            world.try_sign_in(&ada.email, &ada.password).await.ok()?;
            ada.renewed(world.try_refresh(&ada.refresh_token).await.ok()?);
            ada.accounts(&world).get_me(GetMeRequest {}).await.ok()
        })
        .await;
    }
}

#[tokio::test]
async fn f04_a_frozen_postgresql_hangs_nobody_beyond_the_deadline() {
    if World::shared().await.is_embedded() {
        return;
    }
    let postgres = OwnPostgres::start().await;
    let world = World::from_fleet(Fleet::start_on(postgres.server.clone(), &[]).await);
    let ada = world.sign_up_at_last("ada").await;
    postgres.act("freeze").await;
    let begin = Instant::now();
    let mut asked = Request::new(ListMoviesRequest::default());
    asked.set_timeout(Duration::from_secs(2));
    let refused = refusal(world.movies().list_movies(asked).await);
    assert!(matches!(refused.code, Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled), "{refused:?}");
    assert!(begin.elapsed() < promised(Duration::from_secs(4)));
    postgres.act("thaw").await;
    eventually("all works again", async || {
        world.movies().list_movies(ListMoviesRequest::default()).await.ok()?;
        world.try_sign_in(&ada.email, &ada.password).await.ok()
    })
    .await;
}
