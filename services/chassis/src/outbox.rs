//! What is to happen after a transaction, as rows of that transaction: mails, pushes. A worker carries them out at least once, with
//! retries; each has an id that stays the same at every attempt.
//!
//! Each service has a table `outbox` of its own, made by its migrations.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use tokio::sync::Notify;
use tokio::task::{self, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, Time};
use crate::crypt::{SealBroken, Sealer};
use crate::db::{Conn, Db, DbError};
use crate::faults::Faults;
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
        /// Whom it is about: it goes with the account.
        account_id -> Nullable<Binary>,
    }
}

/// How often a worker looks for rows that another process or an earlier run has left.
const PERIOD: Duration = Duration::from_millis(500);
/// How long a worker may be at a row before another one takes it.
const LEASE: TimeDelta = TimeDelta::seconds(60);
/// How many rows a worker is at at once.
const AT_ONCE: usize = 16;
/// How long what is under way may go on when the process stops.
const LAST: Duration = Duration::from_secs(2);
/// The pause after the first failure; it doubles each time …
const PAUSE: i64 = 250;
/// … up to this, in milliseconds.
const LONGEST_PAUSE: i64 = 60_000;
/// How long somebody else can have a job wait.
const LONGEST_WISH: Duration = Duration::from_secs(3600);
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
    stopping: CancellationToken,
    faults: Faults,
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

/// A job failed, and whoever refused it has said when to come again.
#[derive(Debug, thiserror::Error)]
#[error("not before {} s from now", .0.as_secs())]
pub struct Later(pub Duration);

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
        let (clock, stopping, faults) = (parts.clock.clone(), parts.stopping.clone(), parts.faults.clone());
        Outbox { db, clock, sealer, filled: Arc::default(), stopping, faults }
    }

    /// Adds a job to the transaction of `conn`, about an account or not. Call [`wake`](Self::wake) once it is committed.
    pub async fn insert(
        &self,
        conn: &mut Conn,
        kind: &str,
        account: Option<Id>,
        payload: &[u8],
    ) -> Result<Id, OutboxError> {
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
            outbox::account_id.eq(account),
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

    /// How many jobs about an account are not done yet.
    pub async fn waiting_about(&self, conn: &mut Conn, account: Id) -> Result<i64, DbError> {
        let open = outbox::table.filter(outbox::account_id.eq(account)).filter(outbox::done_time.is_null());
        on!(conn, |db| open.count().get_result(db).await)
    }

    /// Drops the jobs about an account that wait and that no worker is at; how many there were.
    pub async fn drop_waiting(&self, conn: &mut Conn, account: Id) -> Result<usize, DbError> {
        let now = self.clock.now();
        let open = outbox::table.filter(outbox::account_id.eq(account)).filter(outbox::done_time.is_null());
        let free = outbox::lease_time.is_null().or(outbox::lease_time.le(now));
        on!(conn, |db| diesel::delete(open.filter(free)).execute(db).await)
    }

    /// Forgets every job about an account, done or not; how many there were.
    pub async fn forget(&self, conn: &mut Conn, account: Id) -> Result<usize, DbError> {
        let all = outbox::table.filter(outbox::account_id.eq(account));
        on!(conn, |db| diesel::delete(all).execute(db).await)
    }

    /// Carries out jobs until the process stops. `handle` may be called again for a job that it has done, when a crash came in
    /// between; an error means "again later". Each job goes its own way: a slow one holds up no other. What is not done when the
    /// process stops is left to the next one, which need not wait for this one's lease to end.
    pub async fn work<F, R>(self, handle: F)
    where
        F: Fn(Job) -> R + Send + Sync + 'static,
        R: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let (outbox, handle) = (Arc::new(self), Arc::new(handle));
        let mut running = JoinSet::new();
        let mut claimed = HashMap::new();
        while !outbox.stopping.is_cancelled() {
            // What it is at itself is not taken for dead when the clock jumps ahead (F-15).
            let at_work: Vec<Id> = claimed.values().copied().collect();
            match outbox.claim(AT_ONCE - running.len(), at_work).await {
                Ok(rows) => {
                    for row in rows {
                        let (id, outbox, handle) = (row.id, outbox.clone(), handle.clone());
                        let task = running.spawn(async move { outbox.carry_out(row, &*handle).await });
                        claimed.insert(task.id(), id);
                    }
                }
                Err(error) => tracing::debug!(%error, "the outbox can't be read"),
            }
            tokio::select! {
                () = outbox.stopping.cancelled() => {}
                Some(ended) = running.join_next_with_id() => note(ended, &mut claimed),
                () = outbox.filled.notified(), if running.len() < AT_ONCE => {}
                () = tokio::time::sleep(PERIOD) => {}
            }
        }
        let last = async {
            while let Some(ended) = running.join_next_with_id().await {
                note(ended, &mut claimed);
            }
        };
        tokio::time::timeout(LAST, last).await.ok();
        running.shutdown().await;
        if let Err(error) = outbox.release(claimed.into_values().collect()).await {
            tracing::warn!(%error, "jobs that are not done wait until their lease ends");
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

    /// Takes up to `room` jobs that are due, with a lease on each that nobody was faster at: a compare-and-swap, which needs no lock
    /// on either database.
    async fn claim(&self, room: usize, at_work: Vec<Id>) -> Result<Vec<Row>, DbError> {
        let due = if room == 0 { Vec::new() } else { self.due(room as i64, at_work).await? };
        if due.is_empty() {
            return Ok(due);
        }
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

    async fn due(&self, room: i64, at_work: Vec<Id>) -> Result<Vec<Row>, DbError> {
        let conn = &mut self.db.read().await?;
        let now = self.clock.now();
        let free = outbox::lease_time.is_null().or(outbox::lease_time.le(now));
        let due = outbox::table.filter(outbox::done_time.is_null()).filter(outbox::due_time.le(now)).filter(free);
        let due = due.filter(outbox::id.ne_all(at_work)).order(outbox::due_time).limit(room);
        on!(conn, |db| due.select(Row::as_select()).load(db).await)
    }

    /// Gives up the leases on jobs that are not done.
    async fn release(&self, ids: Vec<Id>) -> Result<(), DbError> {
        if ids.is_empty() {
            return Ok(());
        }
        self.db
            .transaction(async |conn| {
                let left = outbox::table.filter(outbox::id.eq_any(ids)).filter(outbox::done_time.is_null());
                let free = outbox::lease_time.eq(None::<Time>);
                on!(conn, |db| diesel::update(left).set(free).execute(db).await).map(drop)
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
            Ok(()) => {
                self.faults.after_send();
                self.finish(id).await
            }
            Err(error) if create_time + PATIENCE < self.clock.now() => {
                tracing::error!(job = %id, kind, attempts, error = format!("{error:#}"), "a job was given up");
                self.finish(id).await
            }
            Err(error) => {
                let asked = error.downcast_ref().map(|Later(wait)| TimeDelta::from_std((*wait).min(LONGEST_WISH)));
                if asked.is_some() {
                    // As it was asked for: nothing has failed here.
                    tracing::debug!(job = %id, kind, attempts, error = format!("{error:#}"), "a job waits");
                } else {
                    tracing::warn!(job = %id, kind, attempts, error = format!("{error:#}"), "a job failed and is tried again later");
                }
                let least = asked.and_then(Result::ok).unwrap_or_default();
                let pause = pause(attempts, u64::from_le_bytes(random::bytes()));
                self.postpone(id, if least > TimeDelta::zero() { least + pause / 4 } else { pause }).await
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

/// Notes that a job's task has ended. One that panicked or could not write its end keeps its lease for now.
fn note(ended: Result<(task::Id, Result<(), DbError>), JoinError>, claimed: &mut HashMap<task::Id, Id>) {
    match ended {
        Ok((task, Ok(()))) => drop(claimed.remove(&task)),
        Ok((task, Err(error))) => {
            tracing::debug!(job = ?claimed.remove(&task), %error, "the end of a job can't be written");
        }
        Err(error) => tracing::error!(job = ?claimed.remove(&error.id()), "a job panicked and is tried again later"),
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
    use diesel::sql_query;

    use super::*;
    use crate::crypt::MasterKey;
    use crate::db::Migrations;

    const PATIENT: Duration = Duration::from_secs(10);

    async fn outbox(folder: &tempfile::TempDir) -> anyhow::Result<Outbox> {
        let none = || diesel_migrations::EmbeddedMigrations::new(&[]);
        let url = format!("sqlite:{}", folder.path().join("test.db").display());
        let db = Db::open(&url, Migrations { postgres: none, sqlite: none }, Faults::default()).await?;
        let create = "create table if not exists outbox (id blob primary key, kind text, payload blob, due_time timestamp, \
            attempts integer, lease_time timestamp, create_time timestamp, done_time timestamp, account_id blob)";
        db.transaction(async |conn| on!(conn, |db| sql_query(create).execute(db).await)).await?;
        let sealer = MasterKey::parse(&"ab".repeat(32))?.sealer("test");
        let (filled, stopping, faults) = (Arc::default(), CancellationToken::new(), Faults::default());
        Ok(Outbox { db, clock: Clock::System, sealer, filled, stopping, faults })
    }

    async fn add(outbox: &Outbox, kind: &str) -> Result<Id, OutboxError> {
        let db = outbox.db.clone();
        let id = db.transaction(async |conn| outbox.insert(conn, kind, None, b"x").await).await;
        outbox.wake();
        id
    }

    async fn until_waiting(outbox: &Outbox, count: i64) -> anyhow::Result<()> {
        let reached = async {
            while outbox.waiting().await? != count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(PATIENT, reached).await?
    }

    /// Does quick jobs and never ends a slow one.
    async fn quick(job: Job, begun: Arc<Notify>) -> anyhow::Result<()> {
        begun.notify_one();
        if job.kind == "slow" { std::future::pending().await } else { Ok(()) }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn i24_a_slow_job_holds_up_no_other() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let outbox = outbox(&folder).await?;
        let begun = Arc::new(Notify::new());
        add(&outbox, "slow").await?;
        let begins = begun.clone();
        let worker = tokio::spawn(outbox.clone().work(move |job| quick(job, begins.clone())));
        tokio::time::timeout(PATIENT, begun.notified()).await?;
        for _ in 0..40 {
            add(&outbox, "quick").await?;
        }
        until_waiting(&outbox, 1).await?;
        worker.abort();
        Ok(())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn i24_what_a_stop_interrupts_the_next_process_begins_at_once() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let first = outbox(&folder).await?;
        let begun = Arc::new(Notify::new());
        let job = add(&first, "slow").await?;
        let begins = begun.clone();
        let worker = tokio::spawn(first.clone().work(move |job| quick(job, begins.clone())));
        tokio::time::timeout(PATIENT, begun.notified()).await?;
        first.stopping.cancel();
        tokio::time::timeout(PATIENT, worker).await??;

        let next = outbox(&folder).await?;
        let (done, mut told) = tokio::sync::mpsc::unbounded_channel();
        let worker = tokio::spawn(next.clone().work(move |job| {
            let sent = done.send(job.id);
            async move { Ok(sent?) }
        }));
        assert_eq!(tokio::time::timeout(PATIENT, told.recv()).await?, Some(job));
        worker.abort();
        Ok(())
    }

    #[test]
    fn i24_pauses_grow_and_end_growing() {
        let pauses: Vec<i64> = [0, 1, 2, 7, 8, 30, i32::MAX].map(|n| pause(n, 0).num_milliseconds()).to_vec();
        assert_eq!(pauses, [250, 500, 1000, 32_000, 60_000, 60_000, 60_000]);
        assert!(pause(0, u64::MAX) < TimeDelta::milliseconds(375));
    }
}
