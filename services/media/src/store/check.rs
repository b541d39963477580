//! Which stored object is to be read again, and what was found.

use chrono::TimeDelta;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::clock::Time;
use quartet_chassis::db::DbError;
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::Store;
use crate::schema::blob;

/// When an object is looked at again that somebody began to look at and could not judge, or found damaged: it may be put back.
const AGAIN: TimeDelta = TimeDelta::days(1);

/// An object that is to be read, and what it has to be.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = blob)]
pub struct Due {
    pub id: Id,
    pub object_key: String,
    pub size_bytes: i64,
    pub sha256: Vec<u8>,
    check_time: Time,
}

impl Store {
    /// Takes the object that has waited longest, if one is due. Nobody else gets it for a day.
    pub async fn take_check(&self) -> Result<Option<Due>, DbError> {
        let now = self.now();
        let period = TimeDelta::days(i64::from(self.limits.check_days));
        let due = blob::table.filter(blob::check_time.le(now - period)).order((blob::check_time, blob::id)).limit(1);
        let found: Option<Due> = {
            let conn = &mut self.db.read().await?;
            on!(conn, |db| due.select(Due::as_select()).first(db).await.optional())?
        };
        let Some(due) = found else { return Ok(None) };
        let same = blob::table.find(due.id).filter(blob::check_time.eq(due.check_time));
        let set = blob::check_time.eq(now - period + AGAIN);
        let taken: usize =
            self.db.transaction(async |conn| on!(conn, |db| diesel::update(same).set(set).execute(db).await)).await?;
        Ok((taken > 0).then_some(due))
    }

    /// Notes that an object is whole, or damaged. False when the file has another one by now, or none.
    pub async fn note_check(&self, due: &Due, is_whole: bool) -> Result<bool, DbError> {
        let now = self.now();
        let same = blob::table.find(due.id).filter(blob::object_key.eq(&due.object_key));
        let noted: usize = self
            .db
            .transaction(async |conn| {
                if is_whole {
                    let set = (blob::check_time.eq(now), blob::damage_time.eq(None::<Time>));
                    on!(conn, |db| diesel::update(same).set(set).execute(db).await)
                } else {
                    let set = blob::damage_time.eq(Some(now));
                    on!(conn, |db| diesel::update(same).set(set).execute(db).await)
                }
            })
            .await?;
        Ok(noted > 0)
    }
}
