//! The copy of accounts, and what waits to be told about those that were deleted.

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::enrolment::reorder;
use super::invitation::follow;
use super::{Store, course_erasure};
use crate::people::email_key;
use crate::schema::{account, account_cursor, erasure};

/// The cursor in identity's feed.
const CURSOR: &str = "account";
/// How many erasures are told in one turn.
const TURN: i64 = 100;

/// An account as it is known here.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Insertable, AsChangeset)]
#[diesel(table_name = account)]
pub struct AccountRow {
    pub id: Id,
    pub email: String,
    pub first_name: String,
    pub last_name: String,
    pub avatar_url: String,
    pub avatar_media_id: String,
    pub state: String,
}

/// What has become of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Known(AccountRow),
    /// Everything of it is to be removed for this erasure.
    Erased {
        id: Id,
        erasure_id: Id,
    },
}

/// How many rows of each kind were removed.
pub type Removed = BTreeMap<String, i32>;

impl Store {
    /// The number of the last change that was taken over.
    pub async fn account_cursor(&self) -> Result<i64, DbError> {
        let conn = &mut self.db.read().await?;
        on!(conn, |db| account_cursor::table.find(CURSOR).select(account_cursor::number).first(db).await)
    }

    /// Takes changes over, with the cursor: all or nothing. False when another instance has moved the cursor meanwhile.
    pub async fn apply_changes(&self, from: i64, to: i64, changes: &[Change]) -> Result<bool, DbError> {
        self.db
            .transaction(async |conn| {
                let here = account_cursor::table.find(CURSOR).filter(account_cursor::number.eq(from));
                let there = account_cursor::number.eq(to);
                if on!(conn, |db| diesel::update(here).set(there).execute(db).await)? == 0 {
                    return Ok(false);
                }
                for change in changes {
                    match change {
                        Change::Known(row) => put_account(conn, row).await?,
                        Change::Erased { id, erasure_id } => self.erase_account(conn, *id, *erasure_id).await?,
                    }
                }
                Ok::<_, DbError>(true)
            })
            .await
    }

    /// What was removed for erasures that identity has not been told of yet.
    pub async fn untold_erasures(&self) -> Result<Vec<(Id, Removed)>, DbError> {
        let conn = &mut self.db.read().await?;
        let query = erasure::table.select((erasure::id, erasure::removed)).order(erasure::id).limit(TURN);
        let rows: Vec<(Id, String)> = on!(conn, |db| query.load(db).await)?;
        Ok(rows.into_iter().map(|(id, removed)| (id, serde_json::from_str(&removed).unwrap_or_default())).collect())
    }

    /// Sees to it that what was deleted has left the database's files. False when that has to be tried again.
    pub async fn forget_deleted(&self) -> Result<bool, DbError> {
        self.db.forget_deleted().await
    }

    /// Forgets an erasure that identity has been told of.
    pub async fn drop_erasure(&self, id: Id) -> Result<(), DbError> {
        self.db
            .transaction(async |conn| {
                on!(conn, |db| diesel::delete(erasure::table.find(id)).execute(db).await).map(drop)
            })
            .await
    }

    /// Removes whatever is kept here of an account. The row that waits to be told does not name it.
    async fn erase_account(&self, conn: &mut Conn, id: Id, erasure_id: Id) -> Result<(), DbError> {
        let known = account::table.find(id).select((account::email, account::state));
        let known: Option<(String, String)> = on!(conn, |db| known.first(db).await.optional())?;
        // Whoever has never answered a mail has only claimed the address.
        let email = known.filter(|(_, state)| state != "PENDING").map(|(email, _)| email);
        let accounts = on!(conn, |db| diesel::delete(account::table.find(id)).execute(db).await)?;
        let mut removed = Removed::from([("account".to_owned(), i32::try_from(accounts).unwrap_or(i32::MAX))]);
        let email_key = email_key(&email.unwrap_or_default());
        course_erasure::erase(conn, id, &email_key, self.clock.now(), &mut removed).await?;
        let removed = serde_json::Value::from_iter(removed).to_string();
        let row = (erasure::id.eq(erasure_id), erasure::removed.eq(removed), erasure::create_time.eq(self.clock.now()));
        let insert = diesel::insert_into(erasure::table).values(row).on_conflict_do_nothing();
        on!(conn, |db| insert.execute(db).await).map(drop)
    }
}

async fn put_account(conn: &mut Conn, row: &AccountRow) -> Result<(), DbError> {
    let old: Option<String> =
        on!(conn, |db| account::table.find(row.id).select(account::email).first(db).await.optional())?;
    let old_key = email_key(&old.unwrap_or_default());
    if !old_key.is_empty() && old_key != email_key(&row.email) {
        follow(conn, row.id, &old_key).await?;
    }
    reorder(conn, row.id, &row.first_name, &row.last_name).await?;
    on!(conn, |db| {
        diesel::insert_into(account::table).values(row).on_conflict(account::id).do_update().set(row).execute(db).await
    })
    .map(drop)
}
