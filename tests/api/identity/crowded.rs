//! Who does one thing many times at once leaves the database to others.

use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;

use super::profile::profiles;
use crate::harness::bytes;
use crate::harness::prelude::*;

/// How many connections of a process one account's calls hold.
const SHARE: usize = 6;

#[tokio::test]
async fn s44_calls_of_one_account_that_wait_for_a_row_leave_connections_to_others() {
    let world = World::own().await;
    // SQLite has one connection that writes, for which all wait in order.
    let Some(fleet) = world.fleet() else { return };
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let (postgres, database) = (&fleet.grounds.postgres, fleet.grounds.database("identity"));
    let row = format!("select 1 from profile where account_id = {} for update", bytes(&ada.account_id));
    let held = postgres.hold(&database, &row).await;
    let is_over = AtomicBool::new(false);
    let change = async || {
        let profile = Some(Profile { info: "Engines".into(), ..Default::default() });
        let update_mask = Some(prost_types::FieldMask { paths: vec!["info".into()] });
        profiles(&world, &ada).update_profile(UpdateProfileRequest { profile, update_mask }).await
    };
    let changes = join_all((0..40).map(async |_| {
        while !is_over.load(Ordering::Relaxed) {
            change().await.ok();
        }
    }));
    let others = async {
        let waiting = "select count(*) from pg_stat_activity where datname = current_database() \
                       and wait_event_type = 'Lock' \
                       and query_start > now() - interval '15 s'";
        let count = async || postgres.run(&database, waiting).await.parse::<usize>().unwrap();
        let most = SHARE * fleet.identities.len();
        eventually("as many wait as may", async || (count().await >= most).then_some(())).await;
        for _ in 0..20 {
            bob.accounts(&world).get_me(GetMeRequest {}).await.expect("others find a connection");
            assert!(count().await <= most);
        }
        is_over.store(true, Ordering::Relaxed);
        drop(held);
    };
    tokio::join!(changes, others);
    let changed = change().await.expect("it does not go on when the row is free").into_inner();
    assert_eq!(changed.profile.unwrap().info, "Engines");
}
