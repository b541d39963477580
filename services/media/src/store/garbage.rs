//! Objects that nothing refers to any more, until they are gone.

use chrono::TimeDelta;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::clock::Time;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::Store;
use crate::schema::garbage;

/// After how many seconds an object is tried to be removed again. It doubles with each attempt …
const PAUSE: i64 = 60;
/// … so many times, up to a quarter of an hour.
const DOUBLINGS: i32 = 4;

/// An object that is to be removed.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = garbage)]
pub struct GarbageRow {
    pub id: Id,
    pub object_key: String,
    pub store_id: String,
    due_time: Time,
    attempts: i32,
}

impl Store {
    /// Some objects that are due, the longest waiting first.
    pub async fn due_garbage(&self, limit: i64) -> Result<Vec<GarbageRow>, DbError> {
        let conn = &mut self.db.read().await?;
        let due = garbage::table
            .filter(garbage::due_time.le(self.now()))
            .order((garbage::due_time, garbage::id))
            .limit(limit);
        on!(conn, |db| due.select(GarbageRow::as_select()).load(db).await)
    }

    /// Takes those of these objects that nobody else has taken. Whoever else asks does not get them for a while, and if their remover dies,
    /// somebody does.
    pub async fn take_garbage(&self, due: &[GarbageRow]) -> Result<Vec<GarbageRow>, DbError> {
        let now = self.now();
        self.db
            .transaction(async |conn| {
                let mut taken = Vec::with_capacity(due.len());
                for row in due {
                    let same = garbage::table.filter(garbage::id.eq(row.id)).filter(garbage::due_time.eq(row.due_time));
                    let set = (
                        garbage::due_time.eq(now + pause(row.attempts)),
                        garbage::attempts.eq(row.attempts.saturating_add(1)),
                    );
                    let changed: usize = on!(conn, |db| diesel::update(same).set(set).execute(db).await)?;
                    if changed > 0 {
                        taken.push(row.clone());
                    }
                }
                Ok(taken)
            })
            .await
    }

    /// Forgets objects that are gone.
    pub async fn forget_garbage(&self, gone: &[Id]) -> Result<(), DbError> {
        if gone.is_empty() {
            return Ok(());
        }
        self.db
            .transaction(async |conn| {
                let rows = garbage::table.filter(garbage::id.eq_any(gone));
                on!(conn, |db| diesel::delete(rows).execute(db).await).map(drop)
            })
            .await
    }
}

/// An object, finished or only begun, that nothing refers to any more. Its row is written in the transaction that takes the last reference
/// away, so that no object is forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thrown {
    /// That of the blob or upload whose object it was: each throws its object away once.
    pub id: Id,
    pub object_key: String,
    pub store_id: String,
    /// Whose bytes they were. The erasure of their account waits until the object is gone.
    pub account_id: Option<Id>,
    /// Not to be removed before: somebody may be at it.
    pub due_time: Time,
}

pub async fn throw_away(conn: &mut Conn, thrown: Thrown, now: Time) -> Result<(), DbError> {
    let values = (
        garbage::id.eq(thrown.id),
        garbage::object_key.eq(thrown.object_key),
        garbage::store_id.eq(thrown.store_id),
        garbage::account_id.eq(thrown.account_id),
        garbage::due_time.eq(thrown.due_time),
        garbage::attempts.eq(0),
        garbage::create_time.eq(now),
    );
    on!(conn, |db| diesel::insert_into(garbage::table).values(values).execute(db).await).map(drop)
}

fn pause(attempts: i32) -> TimeDelta {
    TimeDelta::seconds(PAUSE << attempts.clamp(0, DOUBLINGS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f16_an_object_is_tried_again_within_the_hour_however_often_it_failed() {
        let pauses: Vec<i64> = [0, 1, 2, 3, 4, 5, i32::MAX].map(|attempts| pause(attempts).num_seconds()).to_vec();
        assert_eq!(pauses, [60, 120, 240, 480, 960, 960, 960]);
    }
}
