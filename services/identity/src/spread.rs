//! How revocations get from the database to where tokens are checked: by Redis, and straight to whoever asks identity.

use std::time::Duration;

use chrono::TimeDelta;
use quartet_chassis::auth::Revocation;
use quartet_chassis::bus::Bus;
use quartet_chassis::clock::Time;
use quartet_chassis::db::DbError;
use quartet_chassis::id::Id;
use tokio::time::{MissedTickBehavior, interval};

use crate::store::Store;

/// How often news are read and told, and beats sent.
pub const PERIOD: Duration = Duration::from_millis(500);
/// A transaction can't take longer than this from writing a revocation to committing it: news are read again from so long before.
const OVERLAP: TimeDelta = TimeDelta::seconds(60);
/// From time to time all are read again.
const FULL: u32 = 60;
/// Who does not come back in this time has lost the lease.
const LEASE: TimeDelta = TimeDelta::seconds(2);

/// Reads live revocations from the database: first all, then those that can be new. What was read before may come again.
pub struct Feed {
    store: Store,
    read: Option<Time>,
    turns: u32,
}

impl Feed {
    pub fn new(store: Store) -> Feed {
        Feed { store, read: None, turns: 0 }
    }

    pub async fn next(&mut self) -> Result<Vec<Revocation>, DbError> {
        let now = self.store.now();
        self.turns = (self.turns + 1) % FULL;
        // A clock that was put back would hide what is written now behind what was read before.
        let since = self.read.filter(|read| *read <= now && self.turns != 0).map(|read| read - OVERLAP);
        let news = self.store.live_revocations(since).await?;
        self.read = Some(now);
        Ok(news)
    }
}

/// Tells the other processes by Redis. Of several instances the one with the lease does, and only it sends beats: so a beat always
/// means that nothing is left untold, and no healthy instance hides a stuck one.
pub async fn spread(store: Store, bus: Bus, me: Id) {
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match store.hold("revocations", me, LEASE).await {
            Ok(true) => {
                if let Err(error) = tell(&store, &bus).await {
                    tracing::debug!(error = format!("{error:#}"), "revocations can't be spread");
                }
            }
            Ok(false) => {}
            Err(error) => tracing::debug!(%error, "the lease on revocations can't be asked for"),
        }
    }
}

async fn tell(store: &Store, bus: &Bus) -> anyhow::Result<()> {
    loop {
        let rows = store.unpublished().await?;
        if rows.is_empty() {
            break;
        }
        let news: Vec<Revocation> = rows.iter().filter_map(|row| row.revocation()).collect();
        bus.publish_revocations(&news).await?;
        store.mark_published(&rows).await?;
    }
    if !bus.is_complete().await? {
        tracing::info!("Redis holds no complete list of revocations: it is written anew");
        bus.reseed(&store.live_revocations(None).await?).await?;
    }
    bus.beat().await?;
    Ok(())
}
