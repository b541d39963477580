//! Who does one thing many times at once takes no connection from others.

use futures_util::future::join_all;

use super::talk::{self, group, list};
use crate::harness::bytes;
use crate::harness::prelude::*;

#[tokio::test]
async fn s44_what_one_sets_for_oneself_many_times_at_once_leaves_the_database_to_others() {
    let world = World::shared().await;
    // SQLite has one connection that writes, for which all wait in order.
    let Some(fleet) = world.fleet() else { return };
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = group(&world, &ada, &[&bob]).await;
    let database = fleet.grounds.database("messaging");
    let hers = format!(
        "select 1 from member where conversation_id = {} and account_id = {} for update",
        bytes(&id),
        bytes(&ada.account_id)
    );
    let held = fleet.grounds.postgres.hold(&database, &hers).await;
    let mute = async || {
        let asked = SetMutedRequest { conversation_id: id.clone(), ..Default::default() };
        ada.conversations(&world).set_muted(asked).await.ok()
    };
    let mutes = join_all((0..40).map(|_| mute()));
    let others = async {
        let waiting = "select count(*) from pg_stat_activity where datname = current_database() \
                       and wait_event_type = 'Lock' \
                       and query_start > now() - interval '15 s' and query like '%muted_until%'";
        let count = async || fleet.grounds.postgres.run(&database, waiting).await.parse::<usize>().unwrap();
        let first = eventually("one waits", async || Some(count().await).filter(|count| *count > 0)).await;
        assert!(first <= 2, "one of each instance");
        for _ in 0..20 {
            let asked = ListMessagesRequest { conversation_id: id.clone(), ..Default::default() };
            list(&world, &bob, asked).await.unwrap();
            assert!(count().await <= 2, "one of each instance");
        }
        drop(held);
    };
    tokio::join!(mutes, others);
    eventually("it goes on when the row is free", mute).await;
    assert_eq!(talk::conversation(&world, &bob, &id).await.last_seq, 0);
}
