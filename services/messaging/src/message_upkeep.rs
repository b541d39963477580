//! What happens to messages unasked, on each instance: their words go into the search, and what is older than the installation keeps it goes, with
//! what has happened so long ago.

use std::time::Duration;

use chrono::TimeDelta;
use quartet_chassis::db::DbError;
use quartet_chassis::parts::{Faults, Parts};
use quartet_chassis::telemetry::Seldom;

use crate::store::Store;

/// How often it is looked for messages that another instance or an earlier run has left.
const PERIOD: Duration = Duration::from_millis(500);
/// How many messages go into the search in one transaction.
const WORDS: i64 = 64;
/// How often it is looked for old messages …
const RETENTION: Duration = Duration::from_secs(2);
/// … how many of them go in one transaction …
const OLD: i64 = 256;
/// … and how long one may stay beyond its time, for others to go with it: whoever listens is told of a conversation's shorter past once an hour
/// at most, and not with each of its messages.
const SLACK: TimeDelta = TimeDelta::hours(1);

/// Starts what goes on until the process stops. Of 0 days everything is kept.
pub fn start(store: &Store, retention_days: u32, parts: &Parts) {
    parts.spawn(index(store.clone(), parts.faults.clone()));
    if retention_days > 0 {
        let days = TimeDelta::days(i64::from(retention_days));
        parts.spawn(expire(store.clone(), days, parts.faults.clone()));
    }
}

async fn index(store: Store, faults: Faults) {
    let mut seldom = Seldom::default();
    loop {
        match faults.within("message index", store.index_messages(WORDS)).await {
            Ok(count) if count as i64 == WORDS => continue,
            Ok(_) => {}
            Err(error) if seldom.again() => tracing::warn!(%error, "messages can't be indexed"),
            Err(_) => {}
        }
        tokio::select! {
            () = store.unindexed.notified() => {}
            () = tokio::time::sleep(PERIOD) => {}
        }
    }
}

async fn expire(store: Store, days: TimeDelta, faults: Faults) {
    let mut seldom = Seldom::default();
    loop {
        if let Err(error) = faults.within("message retention", expire_all(&store, days)).await
            && seldom.again()
        {
            tracing::warn!(%error, "old messages can't be removed");
        }
        tokio::time::sleep(RETENTION).await;
    }
}

async fn expire_all(store: &Store, days: TimeDelta) -> Result<(), DbError> {
    let before = store.now() - days;
    loop {
        let old = match store.oldest_message(before - SLACK).await? {
            // Where nothing is said any more names and roles may have changed.
            None => store.oldest_change(before - SLACK).await?,
            message => message,
        };
        let Some(old) = old else { return Ok(()) };
        // All of it, so that there is an hour's rest in that conversation.
        while store.expire_some(old, before, OLD).await? {}
    }
}
