//! What is to happen after a transaction, as rows of that transaction: mails, pushes. A worker carries them out at least once, with
//! retries; each has an id that stays the same at every attempt.
//!
//! Each service has a table `outbox` of its own, made by its migrations.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use futures_util::future::join_all;
use tokio::sync::Notify;

use crate::clock::{Clock, Time};
use crate::crypt::{SealBroken, Sealer};
use crate::db::{Conn, Db, DbError};
use crate::id::Id;
use crate::on;
use crate::parts::Parts;
use crate::random;

diesel::table! {
    /// What waits to be carried out, and for a while what was.
    outbox (id) {
        id -> Binary,
        /// What it is, as the service names it.
        kind -> Text,
        /// Sealed; empty once it is done.
        payload -> Binary,
        /// Not before then.
        due_time -> Timestamp,
        attempts -> Integer,
        /// A worker is at it until then.
        lease_time -> Nullable<Timestamp>,
        create_time -> Timestamp,
        done_time -> Nullable<Timestamp>,
    }
}

/// How often a worker looks for rows that another process or an earlier run has left.
const PERIOD: Duration = Duration::from_millis(500);
/// How long a worker may be at a row before another one takes it.
const LEASE: TimeDelta = TimeDelta::seconds(60);
/// How many rows a worker takes at once.
const BATCH: i64 = 16;
/// The pause after the first failure; it doubles each time …
const PAUSE: i64 = 250;
/// … up to this, in milliseconds.
const LONGEST_PAUSE: i64 = 60_000;
/// What can't be done in this time is given up.
const PATIENCE: TimeDelta = TimeDelta::hours(48);
/// How long a done row is kept.
const KEPT: TimeDelta = TimeDelta::days(7);

/// A service's outbox.
#[derive(Clone)]
pub struct Outbox {
    db: Db,
    clock: Clock,
    sealer: Sealer,
    filled: Arc<Notify>,
}

/// A row to carry out.
#[derive(Debug, Clone)]
pub struct Job {
    pub id: Id,
    pub kind: String,
    pub payload: Vec<u8>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = outbox)]
struct Row {
    id: Id,
    kind: String,
    payload: Vec<u8>,
    attempts: i32,
    create_time: Time,
}

/// A row could not be written.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    #[error(transparent)]
    Db(#[from] DbError),
    #[error(transparent)]
    Seal(#[from] SealBroken),
}

impl Outbox {
    /// The outbox in `db`, of the service named `service`.
    pub fn new(service: &str, db: Db, parts: &Parts) -> Outbox {
        let sealer = parts.master.sealer(&format!("{service} outbox"));
        Outbox { db, clock: parts.clock.clone(), sealer, filled: Arc::default() }
    }

    /// Adds a job to the transaction of `conn`. Call [`wake`](Self::wake) once it is committed.
    pub async fn insert(&self, conn: &mut Conn, kind: &str, payload: &[u8]) -> Result<Id, OutboxError> {
        let id = Id::new(&self.clock);
        let now = self.clock.now();
        let sealed = self.sealer.seal(id.as_bytes(), payload)?;
        let row = (
            outbox::id.eq(id),
            outbox::kind.eq(kind),
            outbox::payload.eq(sealed),
            outbox::due_time.eq(now),
            outbox::attempts.eq(0),
            outbox::create_time.eq(now),
        );
        on!(conn, |db| diesel::insert_into(outbox::table).values(row).execute(db).await)?;
        Ok(id)
    }

    /// Lets the worker look at once instead of at its next turn.
    pub fn wake(&self) {
        self.filled.notify_one();
    }

    /// How many jobs are not done yet.
    pub async fn waiting(&self) -> Result<i64, DbError> {
        let conn = &mut self.db.read().await?;
        on!(conn, |db| outbox::table.filter(outbox::done_time.is_null()).count().get_result(db).await)
    }

    /// Carries out jobs for ever. `handle` may be called again for a job that it has done, when a crash came in between; an error
    /// means "again later".
    pub async fn work<F, R>(self, handle: F)
    where
        F: Fn(Job) -> R + Send + Sync,
        R: Future<Output = anyhow::Result<()>> + Send,
    {
        loop {
            match self.turn(&handle).await {
                Ok(0) => {
                    tokio::time::timeout(PERIOD, self.filled.notified()).await.ok();
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!(%error, "the outbox can't be read");
                    tokio::time::sleep(PERIOD).await;
                }
            }
        }
    }

    /// Forgets what was done long ago.
    pub async fn sweep(&self) -> Result<usize, DbError> {
        let before = self.clock.now() - KEPT;
        self.db
            .transaction(async |conn| {
                on!(conn, |db| diesel::delete(outbox::table.filter(outbox::done_time.lt(before))).execute(db).await)
            })
            .await
    }

    /// Carries out what is due, and says how many jobs that was.
    async fn turn<F, R>(&self, handle: &F) -> Result<usize, DbError>
    where
        F: Fn(Job) -> R + Send + Sync,
        R: Future<Output = anyhow::Result<()>> + Send,
    {
        let due = self.due().await?;
        if due.is_empty() {
            return Ok(0);
        }
        let mine = self.claim(due).await?;
        let count = mine.len();
        let ended = join_all(mine.into_iter().map(|row| self.carry_out(row, handle))).await;
        ended.into_iter().collect::<Result<Vec<()>, DbError>>()?;
        Ok(count)
    }

    async fn due(&self) -> Result<Vec<Row>, DbError> {
        let conn = &mut self.db.read().await?;
        let now = self.clock.now();
        let free = outbox::lease_time.is_null().or(outbox::lease_time.le(now));
        let due = outbox::table.filter(outbox::done_time.is_null()).filter(outbox::due_time.le(now)).filter(free);
        let due = due.order(outbox::due_time).limit(BATCH);
        on!(conn, |db| due.select(Row::as_select()).load(db).await)
    }

    /// Takes a lease on each row that nobody was faster at: a compare-and-swap, which needs no lock on either database.
    async fn claim(&self, due: Vec<Row>) -> Result<Vec<Row>, DbError> {
        let now = self.clock.now();
        self.db
            .transaction(async |conn| {
                let mut mine = Vec::new();
                for row in due {
                    let free = outbox::lease_time.is_null().or(outbox::lease_time.le(now));
                    let open = outbox::table.find(row.id).filter(outbox::done_time.is_null()).filter(free);
                    let lease = (outbox::lease_time.eq(now + LEASE), outbox::attempts.eq(outbox::attempts + 1));
                    if on!(conn, |db| diesel::update(open).set(lease).execute(db).await)? == 1 {
                        mine.push(row);
                    }
                }
                Ok::<_, DbError>(mine)
            })
            .await
    }

    async fn carry_out<F, R>(&self, row: Row, handle: &F) -> Result<(), DbError>
    where
        F: Fn(Job) -> R + Send + Sync,
        R: Future<Output = anyhow::Result<()>> + Send,
    {
        let Row { id, kind, payload, attempts, create_time } = row;
        let done = match self.sealer.open(id.as_bytes(), &payload) {
            Ok(payload) => handle(Job { id, kind: kind.clone(), payload }).await,
            Err(error) => Err(error.into()),
        };
        match done {
            Ok(()) => self.finish(id).await,
            Err(error) if create_time + PATIENCE < self.clock.now() => {
                tracing::error!(job = %id, kind, attempts, error = format!("{error:#}"), "a job was given up");
                self.finish(id).await
            }
            Err(error) => {
                tracing::warn!(job = %id, kind, attempts, error = format!("{error:#}"), "a job failed and is tried again later");
                self.postpone(id, pause(attempts, u64::from_le_bytes(random::bytes()))).await
            }
        }
    }

    /// Notes that a job is done, and blanks what it held.
    async fn finish(&self, id: Id) -> Result<(), DbError> {
        let done = (outbox::done_time.eq(self.clock.now()), outbox::payload.eq(Vec::<u8>::new()));
        self.db
            .transaction(async |conn| {
                on!(conn, |db| diesel::update(outbox::table.find(id)).set(done).execute(db).await).map(drop)
            })
            .await
    }

    async fn postpone(&self, id: Id, pause: TimeDelta) -> Result<(), DbError> {
        let later = (outbox::due_time.eq(self.clock.now() + pause), outbox::lease_time.eq(None::<Time>));
        self.db
            .transaction(async |conn| {
                on!(conn, |db| diesel::update(outbox::table.find(id)).set(later).execute(db).await).map(drop)
            })
            .await
    }
}

/// The pause after a failed attempt: twice the one before, and up to half of it more, so that jobs that failed together do not come
/// back together.
fn pause(attempts: i32, random: u64) -> TimeDelta {
    let doublings = attempts.clamp(0, 16) as u32;
    let least = (PAUSE << doublings).min(LONGEST_PAUSE);
    TimeDelta::milliseconds(least + (random % (least as u64 / 2)) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i24_pauses_grow_and_end_growing() {
        let pauses: Vec<i64> = [0, 1, 2, 7, 8, 30, i32::MAX].map(|n| pause(n, 0).num_milliseconds()).to_vec();
        assert_eq!(pauses, [250, 500, 1000, 32_000, 60_000, 60_000, 60_000]);
        assert!(pause(0, u64::MAX) < TimeDelta::milliseconds(375));
    }
}
