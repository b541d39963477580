//! F-04: PostgreSQL is away, and whoever talks and listens goes on when it is back.

use std::time::Instant;

use super::listener::Listener;
use super::talk::{direct, list, say, send, text};
use crate::harness::prelude::*;
use crate::harness::{Fleet, OwnPostgres, promised};

async fn fleet() -> Option<(World, OwnPostgres)> {
    if World::shared().await.is_embedded() {
        return None;
    }
    let postgres = OwnPostgres::start().await;
    let world = World::from_fleet(Fleet::start_on(postgres.server.clone(), &[]).await);
    Some((world, postgres))
}

#[tokio::test]
async fn f04_who_listens_goes_on_when_postgresql_is_back() {
    let Some((world, postgres)) = fleet().await else { return };
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = direct(&world, &ada, &bob).await;
    let mut hers = Listener::of(&world, &ada).await;
    say(&world, &bob, &id, "before").await;
    hers.message("before").await;
    for round in 0..2 {
        let asked = text(&id, &format!("round {round}"));
        postgres.act("stop").await;
        let begin = Instant::now();
        let listed = ListMessagesRequest { conversation_id: id.clone(), ..Default::default() };
        for refused in [refusal(send(&world, &bob, asked.clone()).await), refusal(list(&world, &bob, listed).await)] {
            assert_eq!(refused.is(), (Code::Unavailable, "DEPENDENCY_UNAVAILABLE"), "{refused:?}");
        }
        assert!(begin.elapsed() < promised(Duration::from_secs(4)), "two calls, none longer than two seconds");
        postgres.act("start").await;
        let sent = eventually("it is stored", async || send(&world, &bob, asked.clone()).await.ok()).await;
        assert_eq!(sent.seq, round + 2);
        hers.message(&asked.body).await;
    }
    assert_eq!(hers.texts(&id), ["before", "round 0", "round 1"]);
}

#[tokio::test]
async fn f04_what_is_sent_while_postgresql_hangs_is_there_once() {
    let Some((world, postgres)) = fleet().await else { return };
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = direct(&world, &ada, &bob).await;
    let mut hers = Listener::of(&world, &ada).await;
    postgres.act("freeze").await;
    let asked = text(&id, "hung");
    let begin = Instant::now();
    let mut request = Request::new(asked.clone());
    request.set_timeout(Duration::from_secs(2));
    let refused = refusal(bob.messages(&world).send_message(request).await);
    assert!(matches!(refused.code, Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled), "{refused:?}");
    assert!(begin.elapsed() < promised(Duration::from_secs(4)));
    postgres.act("thaw").await;
    let sent = eventually("it is stored", async || send(&world, &bob, asked.clone()).await.ok()).await;
    assert_eq!(sent.seq, 1);
    hers.message("hung").await;
    say(&world, &bob, &id, "after").await;
    hers.message("after").await;
    assert_eq!(hers.texts(&id), ["hung", "after"]);
}
