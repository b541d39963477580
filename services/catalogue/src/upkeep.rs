//! What the service does unasked.

use std::time::Duration;

use quartet_chassis::db::DbError;
use quartet_chassis::telemetry::Seldom;

use crate::api::watch;
use crate::store::Store;

/// How long it waits when the database can't be reached, or is not migrated yet.
const PAUSE: Duration = Duration::from_secs(1);

/// Finishes what was left over, and then looks for what other instances change.
pub async fn run(store: Store) {
    let mut seldom = Seldom::default();
    while let Err(error) = finish(&store).await {
        if seldom.again() {
            tracing::warn!(%error, "can't look after the catalogue");
        }
        tokio::time::sleep(PAUSE).await;
    }
    watch::look(store).await;
}

async fn finish(store: &Store) -> Result<(), DbError> {
    store.finish_renames().await?;
    let filled = store.fill_index().await?;
    if filled > 0 {
        tracing::info!(filled, "movies taken into the search index");
    }
    Ok(())
}
