//! What watchers of a project ask.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::clock::Time;
use quartet_chassis::db::DbError;
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::Store;
use crate::schema::{event, member, project};

/// How many events go into a message.
pub const BATCH: usize = 200;

/// Something that has happened.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = event)]
pub struct EventRow {
    pub number: i64,
    pub kind: String,
    pub upload_id: Option<Id>,
    pub media_id: Option<Id>,
    pub create_time: Time,
}

impl Store {
    /// The number of the last event of a project, for a member of it.
    pub async fn last_event(&self, project_id: Id, account: Id) -> Result<Option<i64>, DbError> {
        let conn = &mut self.db.read().await?;
        let seen = project::table
            .inner_join(member::table.on(member::project_id.eq(project::id)))
            .filter(project::id.eq(project_id))
            .filter(project::delete_time.is_null())
            .filter(member::account_id.eq(account))
            .select(project::last_event);
        on!(conn, |db| seen.first(db).await.optional())
    }

    /// The next events behind one, the oldest first. Nothing for who is no member.
    pub async fn events_after(&self, project_id: Id, account: Id, number: i64) -> Result<Vec<EventRow>, DbError> {
        let conn = &mut self.db.read().await?;
        let behind = event::table
            .inner_join(project::table.on(project::id.eq(event::project_id)))
            .inner_join(member::table.on(member::project_id.eq(event::project_id)))
            .filter(event::project_id.eq(project_id))
            .filter(event::number.gt(number))
            .filter(project::delete_time.is_null())
            .filter(member::account_id.eq(account))
            .order(event::number)
            .limit(BATCH as i64);
        on!(conn, |db| behind.select(EventRow::as_select()).load(db).await)
    }
}
