//! The worker: it takes what is due, in its lane, and carries it out.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use tokio::task::{self, JoinError, JoinSet};

use super::{Job, Later, NotYet, Outbox, outbox};
use crate::clock::Time;
use crate::db::DbError;
use crate::id::Id;
use crate::on;
use crate::random;

/// How often a worker looks for rows that another process or an earlier run has left.
const PERIOD: Duration = Duration::from_millis(500);
/// How long a worker may be at a row before another one takes it …
const LEASE: TimeDelta = TimeDelta::seconds(60);
/// … and when it gives up by itself, so that no two are at one.
const LONGEST: Duration = Duration::from_secs(50);
/// How long what is under way may go on when the process stops.
const LAST: Duration = Duration::from_secs(2);
/// The pause after the first failure; it doubles each time …
const PAUSE: i64 = 250;
/// … up to this, in milliseconds.
const LONGEST_PAUSE: i64 = 60_000;
/// How long somebody else can have a job wait.
const LONGEST_WISH: Duration = Duration::from_secs(600);
/// What can't be done in this time is given up.
const PATIENCE: TimeDelta = TimeDelta::hours(48);

/// What a worker takes on. Where one kind of job must not wait for another, each has a lane of its own.
#[derive(Debug, Clone, Copy)]
pub struct Lane {
    /// Jobs of this kind alone.
    pub kind: Option<&'static str>,
    /// How many at once …
    pub slots: usize,
    /// … and how many of these about one account.
    pub of_an_account: usize,
}

impl Lane {
    /// All there is.
    pub const WHOLE: Lane = Lane { kind: None, slots: 16, of_an_account: 16 };
}

/// The jobs that a worker is at, each with whom it is about.
type AtWork = HashMap<task::Id, (Id, Option<Id>)>;

#[derive(Queryable, Selectable)]
#[diesel(table_name = outbox)]
struct Row {
    id: Id,
    kind: String,
    payload: Vec<u8>,
    attempts: i32,
    create_time: Time,
    account_id: Option<Id>,
}

impl Outbox {
    /// Carries out jobs until the process stops. `handle` may be called again for a job that it has done, when a crash came in
    /// between; an error means "again later". Each job goes its own way: a slow one holds up no other. What is not done when the
    /// process stops is left to the next one, which need not wait for this one's lease to end.
    pub async fn work<F, R>(self, lane: Lane, handle: F)
    where
        F: Fn(Job) -> R + Send + Sync + 'static,
        R: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let (outbox, handle) = (Arc::new(self), Arc::new(handle));
        let mut filled = outbox.filled.subscribe();
        let mut running = JoinSet::new();
        let mut at_work = AtWork::new();
        while !outbox.stopping.is_cancelled() {
            match outbox.claim(lane, &at_work).await {
                Ok(rows) => {
                    for row in rows {
                        let (claim, outbox, handle) = ((row.id, row.account_id), outbox.clone(), handle.clone());
                        let task = running.spawn(async move { outbox.carry_out(row, &*handle).await });
                        at_work.insert(task.id(), claim);
                    }
                }
                Err(error) => tracing::debug!(%error, "the outbox can't be read"),
            }
            tokio::select! {
                () = outbox.stopping.cancelled() => {}
                Some(ended) = running.join_next_with_id() => note(ended, &mut at_work),
                Ok(()) = filled.changed(), if running.len() < lane.slots => {}
                () = tokio::time::sleep(PERIOD) => {}
            }
        }
        let last = async {
            while let Some(ended) = running.join_next_with_id().await {
                note(ended, &mut at_work);
            }
        };
        tokio::time::timeout(LAST, last).await.ok();
        running.shutdown().await;
        if let Err(error) = outbox.release(at_work.into_values().map(|(id, _)| id).collect()).await {
            tracing::warn!(%error, "jobs that are not done wait until their lease ends");
        }
    }

    /// Takes what is due and has room, with a lease on each that nobody was faster at: a compare-and-swap on either
    /// database.
    async fn claim(&self, lane: Lane, at_work: &AtWork) -> Result<Vec<Row>, DbError> {
        let mut due = self.chosen(lane, at_work).await?;
        if due.is_empty() {
            return Ok(due);
        }
        // Two workers, or one and who gives jobs something newer to carry, lock them in the same order.
        due.sort_unstable_by_key(|row| row.id);
        let now = self.clock.now();
        self.db
            .transaction(async |conn| {
                let mut mine = Vec::new();
                for row in due {
                    let free = outbox::lease_time.is_null().or(outbox::lease_time.le(now));
                    let open = outbox::table.find(row.id).filter(outbox::done_time.is_null()).filter(free);
                    // What has been given something newer since is read anew.
                    let open = open.filter(outbox::payload.eq(row.payload.clone()));
                    let lease = (outbox::lease_time.eq(now + LEASE), outbox::attempts.eq(outbox::attempts + 1));
                    if on!(conn, |db| diesel::update(open).set(lease).execute(db).await)? == 1 {
                        mine.push(row);
                    }
                }
                Ok::<_, DbError>(mine)
            })
            .await
    }

    /// What is due, and no more about one account than it may have. An account that has all of its own holds up nobody else.
    async fn chosen(&self, lane: Lane, at_work: &AtWork) -> Result<Vec<Row>, DbError> {
        // What it is at itself is not taken for dead when the clock jumps ahead (F-15).
        let mut ids: Vec<Id> = at_work.values().map(|(id, _)| *id).collect();
        let mut shares: HashMap<Id, usize> = HashMap::new();
        for account in at_work.values().filter_map(|(_, account)| *account) {
            *shares.entry(account).or_default() += 1;
        }
        let mut chosen = Vec::new();
        while ids.len() < lane.slots {
            let room = lane.slots - ids.len();
            let full = shares.iter().filter(|(_, share)| **share >= lane.of_an_account).map(|(account, _)| *account);
            let due = self.due(lane.kind, room as i64, ids.clone(), full.collect()).await?;
            let is_all = due.len() < room;
            for row in due {
                let share = row.account_id.map(|account| shares.entry(account).or_default());
                if share.as_ref().is_some_and(|share| **share >= lane.of_an_account) {
                    continue;
                }
                if let Some(share) = share {
                    *share += 1;
                }
                ids.push(row.id);
                chosen.push(row);
            }
            if is_all {
                break;
            }
        }
        Ok(chosen)
    }

    async fn due(&self, kind: Option<&str>, room: i64, at_work: Vec<Id>, full: Vec<Id>) -> Result<Vec<Row>, DbError> {
        let conn = &mut self.db.read().await?;
        let now = self.clock.now();
        let free = outbox::lease_time.is_null().or(outbox::lease_time.le(now));
        let others = outbox::account_id.is_null().or(outbox::account_id.ne_all(full));
        let due = outbox::table.filter(outbox::done_time.is_null()).filter(outbox::due_time.le(now)).filter(free);
        let due = due.filter(outbox::id.ne_all(at_work)).filter(others).order(outbox::due_time).limit(room);
        match kind {
            Some(kind) => {
                on!(conn, |db| due.filter(outbox::kind.eq(kind)).select(Row::as_select()).load(db).await)
            }
            None => on!(conn, |db| due.select(Row::as_select()).load(db).await),
        }
    }

    /// Gives up the leases on jobs that are not done.
    async fn release(&self, mut ids: Vec<Id>) -> Result<(), DbError> {
        if ids.is_empty() {
            return Ok(());
        }
        // As all lock them.
        ids.sort_unstable();
        self.db
            .transaction(async |conn| {
                for id in ids {
                    let left = outbox::table.find(id).filter(outbox::done_time.is_null());
                    let free = outbox::lease_time.eq(None::<Time>);
                    on!(conn, |db| diesel::update(left).set(free).execute(db).await)?;
                }
                Ok::<_, DbError>(())
            })
            .await
    }

    async fn carry_out<F, R>(&self, row: Row, handle: &F) -> Result<(), DbError>
    where
        F: Fn(Job) -> R,
        R: Future<Output = anyhow::Result<()>>,
    {
        let Row { id, kind, payload, attempts, create_time, .. } = row;
        let done = match self.sealer.open(id.as_bytes(), &payload) {
            Ok(opened) => {
                let job = Job { id, kind: kind.clone(), payload: opened };
                let done = tokio::time::timeout(LONGEST, handle(job)).await;
                done.unwrap_or_else(|_| Err(anyhow::anyhow!("it took longer than {} s", LONGEST.as_secs())))
            }
            Err(error) => Err(error.into()),
        };
        match done {
            Ok(()) => {
                self.faults.after_send();
                self.finish(id, payload).await
            }
            Err(error) if create_time + PATIENCE < self.clock.now() => {
                tracing::error!(job = %id, kind, attempts, error = format!("{error:#}"), "a job was given up");
                self.finish(id, payload).await
            }
            Err(error) => {
                let random = u64::from_le_bytes(random::bytes());
                if let Some(NotYet(wait)) = error.downcast_ref() {
                    return self.put_off(id, attempts, not_yet(*wait, random)).await;
                }
                let asked = error.downcast_ref().map(|Later(wait)| *wait);
                if asked.is_some() {
                    // As it was asked for: nothing has failed here.
                    tracing::debug!(job = %id, kind, attempts, error = format!("{error:#}"), "a job waits");
                } else {
                    tracing::warn!(job = %id, kind, attempts, error = format!("{error:#}"), "a job failed and is tried again later");
                }
                self.put_off(id, attempts.saturating_add(1), later(asked.unwrap_or_default(), attempts, random)).await
            }
        }
    }

    /// A job that is done goes. One that was given something newer to carry meanwhile is due with that.
    async fn finish(&self, id: Id, carried: Vec<u8>) -> Result<(), DbError> {
        self.db
            .transaction(async |conn| {
                let done = outbox::table.find(id).filter(outbox::payload.eq(&carried));
                if on!(conn, |db| diesel::delete(done).execute(db).await)? == 1 {
                    return Ok(());
                }
                let anew = (outbox::lease_time.eq(None::<Time>), outbox::attempts.eq(0));
                on!(conn, |db| diesel::update(outbox::table.find(id)).set(anew).execute(db).await).map(drop)
            })
            .await
    }

    async fn put_off(&self, id: Id, attempts: i32, pause: TimeDelta) -> Result<(), DbError> {
        let later = (
            outbox::due_time.eq(self.clock.now() + pause),
            outbox::lease_time.eq(None::<Time>),
            outbox::attempts.eq(attempts),
        );
        self.db
            .transaction(async |conn| {
                on!(conn, |db| diesel::update(outbox::table.find(id)).set(later).execute(db).await).map(drop)
            })
            .await
    }
}

/// Notes that a job's task has ended. One that panicked or could not write its end keeps its lease for now.
fn note(ended: Result<(task::Id, Result<(), DbError>), JoinError>, at_work: &mut AtWork) {
    match ended {
        Ok((task, Ok(()))) => drop(at_work.remove(&task)),
        Ok((task, Err(error))) => {
            tracing::debug!(job = ?at_work.remove(&task), %error, "the end of a job can't be written");
        }
        Err(error) => tracing::error!(job = ?at_work.remove(&error.id()), "a job panicked and is tried again later"),
    }
}

/// When a job whose time it is not yet is looked at again: a little later than that, so that they do not all come together.
fn not_yet(wait: Duration, random: u64) -> TimeDelta {
    let least = wait.min(LONGEST_WISH).as_millis() as i64;
    TimeDelta::milliseconds(least + (random % (least as u64 / 4 + 1)) as i64)
}

/// The pause after a failed attempt, and no shorter than whoever refused it has asked for.
fn later(asked: Duration, attempts: i32, random: u64) -> TimeDelta {
    let pause = pause(attempts, random);
    match asked.min(LONGEST_WISH).as_millis() as i64 {
        0 => pause,
        least => TimeDelta::milliseconds(least) + pause / 4,
    }
}

/// The pause after a failed attempt: twice the one before, and up to half of it more, so that jobs that failed together do not come
/// back together.
pub(super) fn pause(attempts: i32, random: u64) -> TimeDelta {
    let doublings = attempts.clamp(0, 16) as u32;
    let least = (PAUSE << doublings).min(LONGEST_PAUSE);
    TimeDelta::milliseconds(least + (random % (least as u64 / 2)) as i64)
}
