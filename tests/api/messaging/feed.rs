//! G1: whoever is not known to messaging yet and the account feed do not wait for each other.

use super::block::{block, blocked};
use super::meet::{known, named, start, starting};
use super::rows;
use crate::harness::prelude::*;
use crate::harness::{Fleet, Postgres};
use crate::identity::erasure::copied;

/// Takes the feed's cursor, as a batch of the feed does, waits until somebody waits for that, and then wants an account.
const BATCH: &str = "
begin;
update account_cursor set number = number where name = 'account';
select pg_advisory_xact_lock(1);
do $$ begin
  for turn in 1..3000 loop
    exit when exists (select from pg_locks where not granted and transactionid = pg_current_xact_id()::xid);
    if turn = 3000 then raise exception 'nobody waits for the feed'; end if;
    perform pg_sleep(0.01);
  end loop;
end $$;
select 1 from account where id = '\\x{ID}' for update;
commit";

struct Feed<'a> {
    postgres: &'a Postgres,
    messaging: String,
}

impl Feed<'_> {
    fn of(fleet: &Fleet) -> Feed<'_> {
        Feed { postgres: &fleet.grounds.postgres, messaging: fleet.grounds.database("messaging") }
    }

    /// Something that somebody does while a batch of the feed changes another account.
    async fn beside<T>(&self, other: &Person, doing: impl Future<Output = T>) -> T {
        let sql = BATCH.replace("{ID}", &other.account_id.replace('-', ""));
        let batch = self.postgres.run(&self.messaging, &sql);
        let behind = async {
            let begun = "select 1 from pg_locks where locktype = 'advisory' and granted \
                         and database = (select oid from pg_database where datname = current_database())";
            let begun = async || (!self.postgres.run(&self.messaging, begun).await.is_empty()).then_some(());
            eventually("the batch has begun", begun).await;
            doing.await
        };
        tokio::join!(batch, behind).1
    }
}

#[tokio::test]
async fn g1_who_is_not_known_yet_begins_beside_a_batch_of_the_feed() {
    let world = World::own().await;
    let Some(fleet) = world.fleet() else { return };
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let eve = world.sign_up("eve").await;
    known(&world, &bob, &eve).await;
    let feed = Feed::of(fleet);
    copied(&world).await;
    rows::run(&world, &ada.account_id, |id| format!("delete from account where id = {id}")).await;
    for kind in [ConversationKind::Group, ConversationKind::Direct] {
        let started = start(&world, &ada, starting(kind, "", vec![named(&bob)]));
        feed.beside(&bob, started).await.map_err(Refusal::from).expect("not started");
    }
    feed.beside(&bob, block(&world, &ada, &bob)).await.expect("not blocked");
    assert_eq!(blocked(&world, &ada).await, [bob.account_id.as_str()]);
}
