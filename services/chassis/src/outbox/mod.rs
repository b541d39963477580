//! What is to happen after a transaction, as rows of that transaction: mails, pushes. A worker carries them out at least once, with
//! retries; each has an id that stays the same at every attempt, and goes when it is done.
//!
//! Each service has a table `outbox` of its own, made by its migrations.

mod work;

use std::time::Duration;

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use self::work::Lane;
use crate::clock::{Clock, Time};
use crate::crypt::{SealBroken, Sealer};
use crate::db::{Conn, Db, DbError};
use crate::faults::Faults;
use crate::id::Id;
use crate::on;
use crate::parts::Parts;

diesel::table! {
    /// What waits to be carried out.
    outbox (id) {
        id -> Binary,
        /// What it is, as the service names it.
        kind -> Text,
        /// Sealed.
        payload -> Binary,
        /// Not before then.
        due_time -> Timestamp,
        attempts -> Integer,
        /// A worker is at it until then.
        lease_time -> Nullable<Timestamp>,
        create_time -> Timestamp,
        /// Earlier versions kept what was done.
        done_time -> Nullable<Timestamp>,
        /// Whom it is about: it goes with the account.
        account_id -> Nullable<Binary>,
    }
}

/// How many rows of earlier versions go in one transaction.
const SOME: i64 = 500;

/// A service's outbox.
#[derive(Clone)]
pub struct Outbox {
    db: Db,
    clock: Clock,
    sealer: Sealer,
    filled: watch::Sender<()>,
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

/// A job that is not done yet.
#[derive(Debug, Clone)]
pub struct Open {
    pub id: Id,
    pub account_id: Option<Id>,
    pub payload: Vec<u8>,
    /// A worker is at it.
    pub is_taken: bool,
    due_time: Time,
    /// The payload as it lies in the row.
    sealed: Vec<u8>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = outbox)]
struct OpenRow {
    id: Id,
    payload: Vec<u8>,
    due_time: Time,
    lease_time: Option<Time>,
    account_id: Option<Id>,
}

/// A job failed, and whoever refused it has said when to come again.
#[derive(Debug, thiserror::Error)]
#[error("not before {} s from now", .0.as_secs())]
pub struct Later(pub Duration);

/// It is not a job's time yet: nothing was tried, and nothing has failed.
#[derive(Debug, thiserror::Error)]
#[error("looked at again in {} s", .0.as_secs())]
pub struct NotYet(pub Duration);

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
        Outbox { db, clock, sealer, filled: watch::Sender::new(()), stopping, faults }
    }

    /// Adds a job to the transaction of `conn`, about an account or not. Call [`wake`](Self::wake) once it is committed.
    pub async fn insert(
        &self,
        conn: &mut Conn,
        kind: &str,
        account: Option<Id>,
        payload: &[u8],
    ) -> Result<Id, OutboxError> {
        self.insert_for(conn, kind, account, payload, self.clock.now()).await
    }

    /// The same for a job that nobody is to begin before a time.
    pub async fn insert_for(
        &self,
        conn: &mut Conn,
        kind: &str,
        account: Option<Id>,
        payload: &[u8],
        due: Time,
    ) -> Result<Id, OutboxError> {
        let id = Id::new(&self.clock);
        let sealed = self.sealer.seal(id.as_bytes(), payload)?;
        let row = (
            outbox::id.eq(id),
            outbox::kind.eq(kind),
            outbox::payload.eq(sealed),
            outbox::due_time.eq(due),
            outbox::attempts.eq(0),
            outbox::create_time.eq(self.clock.now()),
            outbox::account_id.eq(account),
        );
        on!(conn, |db| diesel::insert_into(outbox::table).values(row).execute(db).await)?;
        Ok(id)
    }

    /// Lets the workers look at once instead of at their next turn.
    pub fn wake(&self) {
        self.filled.send_replace(());
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

    /// The jobs of a kind about these accounts that are not done yet, those with the oldest news first.
    pub async fn open_about(&self, conn: &mut Conn, kind: &str, accounts: Vec<Id>) -> Result<Vec<Open>, OutboxError> {
        let open = outbox::table.filter(outbox::account_id.eq_any(accounts)).filter(outbox::kind.eq(kind));
        let open = open.filter(outbox::done_time.is_null()).order(outbox::create_time);
        let rows: Vec<OpenRow> = on!(conn, |db| open.select(OpenRow::as_select()).load(db).await)?;
        rows.into_iter().map(|row| self.opened(row)).collect()
    }

    fn opened(&self, row: OpenRow) -> Result<Open, OutboxError> {
        let OpenRow { id, payload: sealed, due_time, lease_time, account_id } = row;
        let payload = self.sealer.open(id.as_bytes(), &sealed)?;
        let is_taken = lease_time.is_some_and(|until| until > self.clock.now());
        Ok(Open { id, account_id, payload, is_taken, due_time, sealed })
    }

    /// Gives a job something newer to carry, and makes it due then or when it is already. A worker that is at it ends what it carries and then
    /// carries that. False when it was done, or somebody else was faster.
    pub async fn replace(&self, conn: &mut Conn, open: &Open, payload: &[u8], due: Time) -> Result<bool, OutboxError> {
        let sealed = self.sealer.seal(open.id.as_bytes(), payload)?;
        let same = outbox::table.find(open.id).filter(outbox::payload.eq(&open.sealed));
        let newer = (
            outbox::payload.eq(sealed),
            outbox::due_time.eq(due.min(open.due_time)),
            // The patience with it begins anew.
            outbox::create_time.eq(self.clock.now()),
        );
        Ok(on!(conn, |db| diesel::update(same).set(newer).execute(db).await)? == 1)
    }

    /// Drops a job that no worker is at.
    pub async fn drop_open(&self, conn: &mut Conn, id: Id) -> Result<(), DbError> {
        let now = self.clock.now();
        let free = outbox::lease_time.is_null().or(outbox::lease_time.le(now));
        on!(conn, |db| diesel::delete(outbox::table.find(id).filter(free)).execute(db).await).map(drop)
    }

    /// Drops the jobs about an account that wait and that no worker is at; how many there were.
    pub async fn drop_waiting(&self, conn: &mut Conn, account: Id) -> Result<usize, DbError> {
        let now = self.clock.now();
        let open = outbox::table.filter(outbox::account_id.eq(account)).filter(outbox::done_time.is_null());
        let free = outbox::lease_time.is_null().or(outbox::lease_time.le(now));
        on!(conn, |db| diesel::delete(open.filter(free)).execute(db).await)
    }

    /// Forgets every job about an account; how many there were.
    pub async fn forget(&self, conn: &mut Conn, account: Id) -> Result<usize, DbError> {
        let all = outbox::table.filter(outbox::account_id.eq(account));
        on!(conn, |db| diesel::delete(all).execute(db).await)
    }

    /// Forgets what earlier versions have kept of jobs that were done.
    pub async fn sweep(&self) -> Result<usize, DbError> {
        let mut count = 0;
        loop {
            let dropped = self.db.transaction(drop_done).await?;
            count += dropped;
            if (dropped as i64) < SOME {
                return Ok(count);
            }
        }
    }
}

async fn drop_done(conn: &mut Conn) -> Result<usize, DbError> {
    let done = outbox::table.filter(outbox::done_time.is_not_null()).limit(SOME).select(outbox::id);
    let done: Vec<Id> = on!(conn, |db| done.load(db).await)?;
    if done.is_empty() {
        return Ok(0);
    }
    on!(conn, |db| diesel::delete(outbox::table.filter(outbox::id.eq_any(done))).execute(db).await)
}

#[cfg(test)]
mod tests;
