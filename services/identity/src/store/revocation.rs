//! Revocations: written with what they revoke, told to the other processes afterwards.

use chrono::{DateTime, TimeDelta};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::auth::{Revocation, Target};
use quartet_chassis::clock::Time;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::Store;
use crate::schema::revocation;

/// How many unpublished rows are taken at once.
const BATCH: i64 = 1000;

#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = revocation)]
pub struct RevocationRow {
    pub id: Id,
    pub target: String,
    pub expire_time: Time,
}

impl RevocationRow {
    /// `None` for a row that a newer program has written in a way that this one does not know.
    pub fn revocation(&self) -> Option<Revocation> {
        let target = self.target.parse().ok()?;
        Some(Revocation { target, expire: self.expire_time })
    }
}

impl Store {
    /// Writes revocations into the transaction. [`announce`](Self::announce) what this answers once it is committed.
    pub(super) async fn revoke(&self, conn: &mut Conn, targets: Vec<Target>) -> Result<Vec<Revocation>, DbError> {
        let now = self.now();
        let expire = now + self.rules.revocation_life;
        let mut revoked = Vec::with_capacity(targets.len());
        for target in targets {
            let row = (
                revocation::id.eq(Id::new(&self.clock)),
                revocation::target.eq(target.to_string()),
                revocation::expire_time.eq(expire),
                revocation::create_time.eq(now),
                revocation::published.eq(false),
            );
            on!(conn, |db| diesel::insert_into(revocation::table).values(row).execute(db).await)?;
            revoked.push(Revocation { target, expire });
        }
        Ok(revoked)
    }

    /// Tells every process of committed revocations. What can't be told now stays unpublished, and the spreader tells it.
    pub(super) async fn announce(&self, revoked: &[Revocation]) {
        if revoked.is_empty() {
            return;
        }
        self.revocations.apply(revoked);
        if let Err(error) = self.bus.publish_revocations(revoked).await {
            tracing::warn!(%error, "revocations could not be published and will be later");
        }
    }

    /// The revocations that are still good for something; `since` leaves out what was written longer ago.
    pub async fn live_revocations(&self, since: Option<Time>) -> Result<Vec<Revocation>, DbError> {
        let since = since.unwrap_or(DateTime::UNIX_EPOCH.naive_utc());
        let conn = &mut self.db.read().await?;
        let live = revocation::table.filter(revocation::expire_time.gt(self.now()));
        let live = live.filter(revocation::create_time.ge(since));
        let rows: Vec<RevocationRow> = on!(conn, |db| live.select(RevocationRow::as_select()).load(db).await)?;
        Ok(rows.iter().filter_map(RevocationRow::revocation).collect())
    }

    /// Rows that were not published yet, the oldest first.
    pub async fn unpublished(&self) -> Result<Vec<RevocationRow>, DbError> {
        let conn = &mut self.db.read().await?;
        let open = revocation::table.filter(revocation::published.eq(false)).order(revocation::id).limit(BATCH);
        on!(conn, |db| open.select(RevocationRow::as_select()).load(db).await)
    }

    pub async fn mark_published(&self, rows: &[RevocationRow]) -> Result<(), DbError> {
        let ids: Vec<Id> = rows.iter().map(|row| row.id).collect();
        self.db
            .transaction(async |conn| {
                let told = revocation::table.filter(revocation::id.eq_any(ids));
                on!(conn, |db| diesel::update(told).set(revocation::published.eq(true)).execute(db).await).map(drop)
            })
            .await
    }

    /// Forgets revocations of what has ended by itself.
    pub async fn sweep_revocations(&self) -> Result<usize, DbError> {
        // A little later than they end, for those whose clocks are behind.
        let before = self.now() - TimeDelta::minutes(5);
        self.db
            .transaction(async |conn| {
                let over = revocation::table.filter(revocation::expire_time.le(before));
                on!(conn, |db| diesel::delete(over).execute(db).await)
            })
            .await
    }
}
