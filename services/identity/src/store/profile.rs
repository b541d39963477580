//! Profiles: who people are.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::clock::Time;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::Store;
use crate::profile::sort_key;
use crate::schema::profile;

#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = profile)]
pub struct ProfileRow {
    pub account_id: Id,
    pub first_name: String,
    pub last_name: String,
    pub gender: String,
    pub date_of_birth: String,
    pub info: String,
    pub avatar_url: String,
    pub avatar_media_id: String,
    pub listed: bool,
    pub update_time: Time,
}

/// What an owner changes of a profile; what is none stays.
#[derive(Debug, Default, AsChangeset)]
#[diesel(table_name = profile)]
pub struct ProfileChange {
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    pub gender: Option<&'static str>,
    pub date_of_birth: Option<String>,
    pub info: Option<String>,
    pub avatar_url: Option<String>,
    pub avatar_media_id: Option<String>,
}

impl ProfileChange {
    fn has_name(&self) -> bool {
        self.first_name.is_some() || self.last_name.is_some()
    }

    /// Whether others see it: then it goes into the feed.
    fn is_public(&self) -> bool {
        self.has_name() || self.avatar_url.is_some() || self.avatar_media_id.is_some()
    }
}

impl Store {
    pub async fn profile(&self, account_id: Id) -> Result<Option<ProfileRow>, DbError> {
        let conn = &mut self.db.read().await?;
        let query = profile::table.find(account_id);
        on!(conn, |db| query.select(ProfileRow::as_select()).first(db).await.optional())
    }

    /// Changes a profile and answers what it has become.
    pub async fn change_profile(&self, account_id: Id, change: &ProfileChange) -> Result<Option<ProfileRow>, DbError> {
        let now = self.now();
        self.db
            .transaction(async |conn| {
                self.hold_account(conn, account_id).await?;
                let update =
                    diesel::update(profile::table.find(account_id)).set((change, profile::update_time.eq(now)));
                let changed: Option<ProfileRow> =
                    on!(conn, |db| update.returning(ProfileRow::as_returning()).get_result(db).await.optional())?;
                let Some(row) = changed else { return Ok(None) };
                if change.has_name() {
                    file(conn, &row).await?;
                }
                if change.is_public() {
                    self.publish(conn, account_id).await?;
                }
                Ok(Some(row))
            })
            .await
    }
}

/// Gives a profile its place in the directory, which hangs on both names: on those of the row as it is now, not as it was asked for.
async fn file(conn: &mut Conn, row: &ProfileRow) -> Result<(), DbError> {
    let key = profile::sort_key.eq(sort_key(&row.first_name, &row.last_name));
    on!(conn, |db| diesel::update(profile::table.find(row.account_id)).set(key).execute(db).await).map(drop)
}
