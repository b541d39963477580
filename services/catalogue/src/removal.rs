//! Removes what is in courses that were deleted, behind the answer and whoever has deleted them.

use std::time::Duration;

use quartet_chassis::faults::Faults;
use quartet_chassis::telemetry::Seldom;
use tokio::time::timeout;

use crate::store::Store;

/// How often it is looked for what an instance that is no more has left.
const PERIOD: Duration = Duration::from_secs(2);

pub async fn run(store: Store, faults: Faults) {
    let mut seldom = Seldom::default();
    loop {
        if let Err(error) = store.remove_deleted(&faults).await
            && seldom.again()
        {
            tracing::warn!(%error, "deleted courses can't be removed");
        }
        timeout(PERIOD, store.course_deleted()).await.ok();
    }
}
