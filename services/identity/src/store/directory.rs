//! The directory: the listed profiles in the order of their names.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Binary, Bool, Text};
use diesel_async::RunQueryDsl;
use quartet_chassis::db::DbError;
use quartet_chassis::id::Id;
use quartet_chassis::names::NameList;
use quartet_chassis::on;

use super::Store;
use crate::schema::profile;

/// Somebody, as others see them.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = profile)]
pub struct UserRow {
    pub account_id: Id,
    pub first_name: String,
    pub last_name: String,
    pub avatar_url: String,
    pub avatar_media_id: String,
    pub sort_key: String,
}

impl Store {
    /// A page of people without `caller`, and one more if there are more.
    ///
    /// The place where it begins is compared as one row with the index `profile_listed`: among a million people without a name, whose
    /// keys are all the same, a page is found as fast as any other.
    pub async fn users(&self, list: &NameList<Id>, caller: Id) -> Result<Vec<UserRow>, DbError> {
        let conn = &mut self.db.read().await?;
        on!(conn, |db| {
            let behind = sql::<Bool>("(profile.sort_key, profile.account_id) > (").bind::<Text, _>(&list.from);
            let behind = behind.sql(", ").bind::<Binary, _>(list.id).sql(")");
            profile::table
                .filter(profile::listed)
                .filter(behind)
                .filter(profile::sort_key.le(&list.before))
                .filter(profile::account_id.ne(caller))
                .order((profile::sort_key, profile::account_id))
                .limit(list.size + 1)
                .select(UserRow::as_select())
                .load(db)
                .await
        })
    }
}
