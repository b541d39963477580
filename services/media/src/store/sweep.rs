//! Rows that have had their time.

use chrono::TimeDelta;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::clock::Time;
use quartet_chassis::db::DbError;
use quartet_chassis::id::Id;
use quartet_chassis::idempotency;
use quartet_chassis::on;

use super::Store;
use crate::schema::{event, upload};

/// How long the events of a project can be read.
const EVENTS_KEPT: TimeDelta = TimeDelta::days(30);
/// How long an upload is remembered that has ended.
const UPLOADS_KEPT: TimeDelta = TimeDelta::days(7);
/// Rows of so long a time go at once: the writer is not held for long, however much is left from when nobody swept.
const SPAN: TimeDelta = TimeDelta::minutes(10);
/// So many uploads go at once.
const SOME: i64 = 200;

impl Store {
    /// Removes some of what is too old; whether there may be more.
    pub async fn sweep(&self) -> Result<bool, DbError> {
        let now = self.now();
        let events = self.sweep_events(now - EVENTS_KEPT).await?;
        let requests = idempotency::sweep(&self.db, now).await?;
        let uploads = self.sweep_uploads(now - UPLOADS_KEPT).await?;
        Ok(events || requests || uploads)
    }

    async fn sweep_events(&self, limit: Time) -> Result<bool, DbError> {
        let oldest = event::table.order(event::create_time).select(event::create_time);
        let conn = &mut self.db.read().await?;
        let oldest: Option<Time> = on!(conn, |db| oldest.first(db).await.optional())?;
        let Some(oldest) = oldest.filter(|oldest| *oldest < limit) else { return Ok(false) };
        let old = event::table.filter(event::create_time.lt(limit.min(oldest + SPAN)));
        self.db.transaction(async |conn| on!(conn, |db| diesel::delete(old).execute(db).await)).await?;
        Ok(true)
    }

    async fn sweep_uploads(&self, limit: Time) -> Result<bool, DbError> {
        let old =
            upload::table.filter(upload::end_time.lt(limit)).order(upload::end_time).limit(SOME).select(upload::id);
        let conn = &mut self.db.read().await?;
        let old: Vec<Id> = on!(conn, |db| old.load(db).await)?;
        if old.is_empty() {
            return Ok(false);
        }
        let rows = upload::table.filter(upload::id.eq_any(old));
        self.db.transaction(async |conn| on!(conn, |db| diesel::delete(rows).execute(db).await)).await?;
        Ok(true)
    }
}
