//! What happens to messages unasked, on each instance: their words go into the search, and what is older than the installation keeps it goes.

use std::time::Duration;

use chrono::TimeDelta;
use quartet_chassis::db::DbError;
use quartet_chassis::parts::{Faults, Parts};

use crate::store::Store;

/// How often it is looked for messages that another instance or an earlier run has left.
const PERIOD: Duration = Duration::from_millis(500);
/// How many messages go into the search in one transaction.
const WORDS: i64 = 64;
/// How often it is looked for old messages …
const RETENTION: Duration = Duration::from_secs(2);
/// … and how many of them go in one transaction.
const OLD: i64 = 256;

/// Starts what goes on until the process stops. Of 0 days everything is kept.
pub fn start(store: &Store, retention_days: u32, parts: &Parts) {
    parts.spawn(index(store.clone(), parts.faults.clone()));
    if retention_days > 0 {
        let days = TimeDelta::days(i64::from(retention_days));
        parts.spawn(expire(store.clone(), days, parts.faults.clone()));
    }
}

async fn index(store: Store, faults: Faults) {
    loop {
        match faults.within("message index", store.index_messages(WORDS)).await {
            Ok(count) if count as i64 == WORDS => continue,
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "messages can't be indexed"),
        }
        tokio::select! {
            () = store.unindexed.notified() => {}
            () = tokio::time::sleep(PERIOD) => {}
        }
    }
}

async fn expire(store: Store, days: TimeDelta, faults: Faults) {
    loop {
        if let Err(error) = faults.within("message retention", expire_all(&store, days)).await {
            tracing::debug!(%error, "old messages can't be removed");
        }
        tokio::time::sleep(RETENTION).await;
    }
}

async fn expire_all(store: &Store, days: TimeDelta) -> Result<(), DbError> {
    while store.expire_messages(store.now() - days, OLD).await? {}
    Ok(())
}
