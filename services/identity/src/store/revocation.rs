//! Revocations: written with what they revoke, told to the other processes afterwards.

use chrono::DateTime;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Binary, Bool, Text, Timestamp};
use diesel_async::RunQueryDsl;
use quartet_chassis::auth::{KEPT, Revocation, Target};
use quartet_chassis::clock::Time;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::Store;
use crate::schema::revocation;

/// How many rows are written or taken at once.
const BATCH: usize = 1000;

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
        let (now, expire) = (self.now(), self.now() + self.rules.revocation_life);
        for part in targets.chunks(BATCH) {
            // By hand, because diesel-async has no insert of many rows on SQLite.
            let mark = if matches!(conn, Conn::Postgres(_)) { '$' } else { '?' };
            let row =
                |row: usize| (1..=5).map(|value| format!("{mark}{}", 5 * row + value)).collect::<Vec<_>>().join(", ");
            let rows = (0..part.len()).map(|number| format!("({})", row(number))).collect::<Vec<_>>().join(", ");
            let insert =
                format!("insert into revocation (id, target, expire_time, create_time, published) values {rows}");
            on!(conn, |db| {
                let mut insert = sql_query(insert).into_boxed();
                for target in part {
                    insert = insert.bind::<Binary, _>(Id::new(&self.clock)).bind::<Text, _>(target.to_string());
                    insert = insert.bind::<Timestamp, _>(expire).bind::<Timestamp, _>(now).bind::<Bool, _>(false);
                }
                insert.execute(db).await
            })?;
        }
        Ok(targets.into_iter().map(|target| Revocation { target, expire }).collect())
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

    /// The revocations that are still good for something, also to those whose clocks are wrong; `since` leaves out what was written longer ago.
    pub async fn live_revocations(&self, since: Option<Time>) -> Result<Vec<Revocation>, DbError> {
        let since = since.unwrap_or(DateTime::UNIX_EPOCH.naive_utc());
        let conn = &mut self.db.read().await?;
        let live = revocation::table.filter(revocation::expire_time.gt(self.now() - KEPT));
        let live = live.filter(revocation::create_time.ge(since));
        let rows: Vec<RevocationRow> = on!(conn, |db| live.select(RevocationRow::as_select()).load(db).await)?;
        Ok(rows.iter().filter_map(RevocationRow::revocation).collect())
    }

    /// Rows that were not published yet, the oldest first.
    pub async fn unpublished(&self) -> Result<Vec<RevocationRow>, DbError> {
        let conn = &mut self.db.read().await?;
        let open = revocation::table.filter(revocation::published.eq(false)).order(revocation::id).limit(BATCH as i64);
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

    /// Forgets revocations of what has ended by itself long ago. A clock that was ahead and is set right revives nothing (F-15).
    pub async fn sweep_revocations(&self) -> Result<usize, DbError> {
        let before = self.now() - KEPT;
        self.db
            .transaction(async |conn| {
                let over = revocation::table.filter(revocation::expire_time.le(before));
                on!(conn, |db| diesel::delete(over).execute(db).await)
            })
            .await
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn f15_a_clock_that_was_ahead_revives_nothing() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let store = Store::in_folder(folder.path()).await?;
        let session = Target::Session(Id::new(&store.clock));
        let revoke = async |conn: &mut Conn| store.revoke(conn, vec![session.clone()]).await;
        store.db.transaction(revoke).await?;

        store.clock.move_by(TimeDelta::hours(1))?;
        store.sweep_revocations().await?;
        assert_eq!(store.live_revocations(None).await?.len(), 1, "known to who starts now");
        store.clock.move_by(-TimeDelta::hours(1))?;
        assert_eq!(store.live_revocations(None).await?[0].target, session);

        store.clock.move_by(TimeDelta::hours(15))?;
        assert_eq!(store.live_revocations(None).await?, []);
        assert_eq!(store.sweep_revocations().await?, 1);
        Ok(())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn i9_many_revocations_are_written_together() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let store = Store::in_folder(folder.path()).await?;
        let targets: Vec<Target> = (0..2500).map(|number| Target::Token(format!("token {number}"))).collect();
        let revoke = async |conn: &mut Conn| store.revoke(conn, targets.clone()).await;
        let revoked = store.db.transaction(revoke).await?;
        let mut live = store.live_revocations(None).await?;
        live.sort_by_key(|revocation| revocation.target.to_string().len());
        assert_eq!((live.len(), live[0].expire), (revoked.len(), revoked[0].expire));
        Ok(())
    }
}
