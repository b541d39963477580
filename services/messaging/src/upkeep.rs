//! What the service does unasked, in small turns and on each instance: it removes conversations that everybody has left, requests that nobody
//! repeats any more, and what says who has left a group long ago. All of it is known from the database.

use std::time::Duration;

use quartet_chassis::db::DbError;
use quartet_chassis::parts::{Faults, Parts};
use quartet_chassis::telemetry::Seldom;

use crate::store::Store;

/// How often it looks.
const PERIOD: Duration = Duration::from_secs(1);

/// Starts what goes on until the process stops.
pub fn start(store: &Store, parts: &Parts) {
    parts.spawn(rows(store.clone(), parts.faults.clone()));
}

async fn rows(store: Store, faults: Faults) {
    let mut seldom = Seldom::default();
    loop {
        let results =
            [store.remove_conversations(&faults).await, faults.within("messaging sweep", sweep(&store)).await];
        if let Some(error) = results.into_iter().find_map(Result::err)
            && seldom.again()
        {
            tracing::warn!(%error, "can't look after conversations");
        }
        tokio::time::sleep(PERIOD).await;
    }
}

async fn sweep(store: &Store) -> Result<(), DbError> {
    while store.sweep_requests().await? {}
    while store.sweep_departures().await? {}
    Ok(())
}
