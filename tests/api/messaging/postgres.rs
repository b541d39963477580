//! F-04: PostgreSQL is away, and whoever talks and listens goes on when it is back.

use std::collections::HashSet;
use std::time::Instant;

use futures_util::future::join_all;

use super::listener::Listener;
use super::talk::{direct, list, send, text};
use crate::harness::prelude::*;
use crate::harness::{Fleet, OwnPostgres, promised};

/// Two who talk, on a PostgreSQL for which nobody waits.
struct Talk {
    world: World,
    postgres: OwnPostgres,
    ada: Person,
    bob: Person,
    id: String,
}

impl Talk {
    async fn begin() -> Option<Talk> {
        if World::shared().await.is_embedded() {
            return None;
        }
        let postgres = OwnPostgres::start().await;
        let world = World::from_fleet(Fleet::start_on(postgres.server.clone(), &[]).await);
        let (ada, bob) = (world.sign_up_at_last("ada").await, world.sign_up_at_last("bob").await);
        let id = direct(&world, &ada, &bob).await;
        Some(Talk { world, postgres, ada, bob, id })
    }

    async fn hers(&self) -> Listener {
        Listener::going_on(&self.world.as_token(&self.ada.access_token), &self.ada, &self.id).await
    }

    /// Something that is said while the database is there.
    async fn say(&self, person: &Person, body: &str) {
        let asked = text(&self.id, body);
        patiently("it is sent", async || send(&self.world, person, asked.clone()).await).await.expect("not sent");
    }
}

#[tokio::test]
async fn f04_who_listens_goes_on_when_postgresql_is_back() {
    let Some(talk) = Talk::begin().await else { return };
    let mut hers = talk.hers().await;
    let Talk { world, postgres, bob, id, .. } = &talk;
    talk.say(bob, "before").await;
    hers.message("before").await;
    for round in 0..2 {
        let asked = text(id, &format!("round {round}"));
        postgres.act("stop").await;
        let begin = Instant::now();
        let listed = ListMessagesRequest { conversation_id: id.clone(), ..Default::default() };
        for refused in [refusal(send(world, bob, asked.clone()).await), refusal(list(world, bob, listed).await)] {
            assert_eq!(refused.is(), (Code::Unavailable, "DEPENDENCY_UNAVAILABLE"), "{refused:?}");
        }
        assert!(begin.elapsed() < promised(Duration::from_secs(4)), "two calls, none longer than two seconds");
        postgres.act("start").await;
        let sent = eventually("it is stored", async || send(world, bob, asked.clone()).await.ok()).await;
        assert_eq!(sent.seq, round + 2);
        hers.message(&asked.body).await;
    }
    assert_eq!(hers.texts(id), ["before", "round 0", "round 1"]);
}

#[tokio::test]
async fn f04_what_is_sent_while_postgresql_hangs_is_there_once() {
    let Some(talk) = Talk::begin().await else { return };
    let mut hers = talk.hers().await;
    let Talk { world, postgres, bob, id, .. } = &talk;
    postgres.act("freeze").await;
    let asked = text(id, "hung");
    let begin = Instant::now();
    let mut request = Request::new(asked.clone());
    request.set_timeout(Duration::from_secs(2));
    let refused = refusal(bob.messages(world).send_message(request).await);
    assert!(matches!(refused.code, Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled), "{refused:?}");
    assert!(begin.elapsed() < promised(Duration::from_secs(4)));
    postgres.act("thaw").await;
    let sent = eventually("it is stored", async || send(world, bob, asked.clone()).await.ok()).await;
    assert_eq!(sent.seq, 1);
    hers.message("hung").await;
    talk.say(bob, "after").await;
    hers.message("after").await;
    assert_eq!(hers.texts(id), ["hung", "after"]);
}

#[tokio::test]
async fn f04_many_who_send_while_postgresql_hangs_are_refused_together() {
    let Some(talk) = Talk::begin().await else { return };
    let Talk { world, postgres, ada, bob, id } = &talk;
    talk.say(ada, "before").await;
    let all: Vec<_> = (0..20).map(|number| text(id, &format!("hung {number}"))).collect();
    postgres.act("freeze").await;
    let begin = Instant::now();
    let refused = join_all(all.iter().map(|asked| send(world, bob, asked.clone()))).await;
    assert!(begin.elapsed() < promised(Duration::from_secs(6)), "not one after the other");
    for refused in refused {
        assert_eq!(refusal(refused).is(), (Code::Unavailable, "DEPENDENCY_UNAVAILABLE"));
    }
    postgres.act("thaw").await;
    talk.say(ada, "thawed").await;
    for asked in all {
        patiently("it is sent", async || send(world, bob, asked.clone()).await).await.expect("not sent");
    }
    let asked = ListMessagesRequest { conversation_id: id.clone(), page_size: 100, ..Default::default() };
    let listed = patiently("they are listed", async || list(world, ada, asked.clone()).await).await.unwrap();
    let last = listed.messages.iter().map(|message| message.seq).max();
    let bodies: HashSet<&str> = listed.messages.iter().map(|message| message.body.as_str()).collect();
    assert_eq!((bodies.len(), last), (22, Some(22)), "each is there once");
}
