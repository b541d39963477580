//! Leases on uploads: who writes, where there is more than one process. Stores of objects differ in what they make of two who write the same
//! part or finish the same object at once, so there is never more than one.
//!
//! A holder renews its lease as long as it works, and stops working when it can't. So one that is not renewed any more is nobody's, and whoever
//! waits for it sees that by itself, whatever the clocks of the two say. By the clock alone it ends much later.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::clock::Time;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::Store;
use super::upload::UploadRow;
use crate::schema::upload;

/// How long a lease holds that nobody has seen to be left.
const LEASE: TimeDelta = TimeDelta::seconds(60);
/// How often it is renewed.
pub const RENEWAL: Duration = Duration::from_secs(3);
/// How long a holder goes on without having renewed it.
pub const PATIENCE: Duration = Duration::from_secs(8);
/// When it is nobody's, as it has not been renewed for so long. Until then a holder has stopped.
const LEFT: Duration = Duration::from_secs(12);

/// The leases of others that this process has seen: which, until when they said to hold, and when that was first seen.
#[derive(Clone, Default)]
pub struct Leases(Arc<Mutex<HashMap<Id, Seen>>>);

struct Seen {
    holder: Id,
    until: Time,
    // Between processes no clock is compared; how long something has been seen is not a thing that tests move.
    since: Instant,
}

impl Leases {
    /// Whether a lease has been the same for so long that nobody holds it.
    fn is_left(&self, upload: Id, holder: Id, until: Time) -> bool {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.retain(|_, seen| seen.since.elapsed() < 10 * LEFT);
        match seen.get(&upload) {
            Some(known) if known.holder == holder && known.until == until => known.since.elapsed() > LEFT,
            _ => {
                seen.insert(upload, Seen { holder, until, since: Instant::now() });
                false
            }
        }
    }
}

impl Store {
    /// Whether somebody else writes. On SQLite there is no other process, and in this one it is the caller's turn. A lease from a time that is
    /// far from now was given by a clock that has been put back.
    pub(super) fn is_leased(&self, row: &UploadRow, now: Time) -> bool {
        let Some((holder, until)) = row.lease_id.zip(row.lease_time) else { return false };
        let holds = !self.db.is_sqlite() && until > now && until <= now + LEASE * 2;
        holds && !self.leases.is_left(row.id, holder, until)
    }

    /// Renews a lease; false when it is somebody else's by now.
    pub async fn renew_lease(&self, id: Id, lease: Id) -> Result<bool, DbError> {
        let until = self.now() + LEASE;
        self.db
            .transaction(async |conn| {
                let held = upload::table.find(id).filter(upload::lease_id.eq(lease));
                let longer = diesel::update(held).set(upload::lease_time.eq(Some(until)));
                let renewed: usize = on!(conn, |db| longer.execute(db).await)?;
                Ok(renewed > 0)
            })
            .await
    }

    /// Gives a lease back.
    pub async fn give_up_lease(&self, id: Id, lease: Id) -> Result<(), DbError> {
        self.db
            .transaction(async |conn| {
                let held = upload::table.find(id).filter(upload::lease_id.eq(lease));
                let set = (upload::lease_id.eq(None::<Id>), upload::lease_time.eq(None::<Time>));
                on!(conn, |db| diesel::update(held).set(set).execute(db).await).map(drop)
            })
            .await
    }
}

/// Gives somebody the lease, in a transaction that has found that nobody has it.
pub(super) async fn lend(conn: &mut Conn, id: Id, lease: Id, now: Time) -> Result<(), DbError> {
    let set = (upload::lease_id.eq(Some(lease)), upload::lease_time.eq(Some(now + LEASE)));
    on!(conn, |db| diesel::update(upload::table.find(id)).set(set).execute(db).await).map(drop)
}
