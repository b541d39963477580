//! The copy of accounts, and what waits to be told about those that were deleted.

use std::collections::{BTreeMap, HashSet};

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::faults::Faults;
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::enrolment::{reorder, students_among};
use super::invitation::{follow, forget_address};
use super::person::hold_alone;
use super::{Store, course_erasure};
use crate::people::email_key;
use crate::schema::{account, account_cursor, erasure};

/// The cursor in identity's feed.
pub(super) const CURSOR: &str = "account";
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
    pub email_verified: bool,
}

impl AccountRow {
    /// Whether they can sign in.
    pub fn is_active(&self) -> bool {
        self.state == "ACTIVE"
    }

    /// The key of the address that is theirs; empty when they have only claimed it.
    pub fn own_email_key(&self) -> String {
        if self.email_verified { email_key(&self.email) } else { String::new() }
    }
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

impl Change {
    fn id(&self) -> Id {
        match self {
            Change::Known(row) => row.id,
            Change::Erased { id, .. } => *id,
        }
    }
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
            .bulk(async |conn| {
                let here = account_cursor::table.find(CURSOR).filter(account_cursor::number.eq(from));
                let there = account_cursor::number.eq(to);
                if on!(conn, |db| diesel::update(here).set(there).execute(db).await)? == 0 {
                    return Ok(false);
                }
                self.apply(conn, changes).await?;
                Ok::<_, DbError>(true)
            })
            .await
    }

    async fn apply(&self, conn: &mut Conn, changes: &[Change]) -> Result<(), DbError> {
        let ids: Vec<Id> = changes.iter().map(Change::id).collect();
        let known = hold_alone(conn, &ids).await?;
        // Who was not known may take courses already.
        let new: Vec<Id> = ids.into_iter().filter(|id| !known.contains_key(id)).collect();
        let students = students_among(conn, &new).await?;
        for change in changes {
            let old = known.get(&change.id());
            match change {
                Change::Known(row) => put_account(conn, row, old, &students).await?,
                Change::Erased { erasure_id, .. } => self.begin_erasure(conn, change.id(), old, *erasure_id).await?,
            }
        }
        Ok(())
    }

    /// Forgets an account. What else there is of it is removed behind this, bit by bit, before identity is told.
    async fn begin_erasure(
        &self,
        conn: &mut Conn,
        id: Id,
        old: Option<&AccountRow>,
        erasure_id: Id,
    ) -> Result<(), DbError> {
        let accounts = on!(conn, |db| diesel::delete(account::table.find(id)).execute(db).await)?;
        let mut removed = Removed::from([("account".to_owned(), i32::try_from(accounts).unwrap_or(i32::MAX))]);
        let invitations = forget_address(conn, &old.map(AccountRow::own_email_key).unwrap_or_default()).await?;
        course_erasure::count(&mut removed, "invitation", invitations);
        let row = (
            erasure::id.eq(erasure_id),
            erasure::removed.eq(written(&removed)),
            erasure::create_time.eq(self.clock.now()),
            erasure::account_id.eq(Some(id)),
        );
        let insert = diesel::insert_into(erasure::table).values(row).on_conflict_do_nothing();
        on!(conn, |db| insert.execute(db).await).map(drop)
    }

    /// Carries out the erasures that have begun, whoever has begun them.
    pub async fn carry_out_erasures(&self, faults: &Faults) -> Result<(), DbError> {
        while let Some(id) = self.open_erasure().await? {
            while !faults.within("erasure courses", self.erase_some(id)).await? {}
        }
        Ok(())
    }

    async fn open_erasure(&self) -> Result<Option<Id>, DbError> {
        let conn = &mut self.db.read().await?;
        let open = erasure::table.filter(erasure::account_id.is_not_null()).order(erasure::id).select(erasure::id);
        on!(conn, |db| open.first(db).await.optional())
    }

    /// A step of an erasure, with the count of what it removes. True when nothing is left.
    async fn erase_some(&self, id: Id) -> Result<bool, DbError> {
        self.db
            .bulk(async |conn| {
                // Whoever else carries it out waits.
                let open = erasure::table.find(id).filter(erasure::account_id.is_not_null());
                let lock = diesel::update(open).set(erasure::create_time.eq(erasure::create_time));
                let lock = lock.returning((erasure::account_id, erasure::removed));
                let open: Option<(Option<Id>, String)> = on!(conn, |db| lock.get_result(db).await.optional())?;
                let Some((Some(account_id), removed)) = open else { return Ok(true) };
                let mut removed = read(&removed);
                let done = course_erasure::erase_some(conn, account_id, self.clock.now(), &mut removed).await?;
                let left = (!done).then_some(account_id);
                let set = (erasure::removed.eq(written(&removed)), erasure::account_id.eq(left));
                on!(conn, |db| diesel::update(erasure::table.find(id)).set(set).execute(db).await)?;
                Ok::<_, DbError>(done)
            })
            .await
    }

    /// What was removed for erasures that are done and that identity has not been told of yet.
    pub async fn untold_erasures(&self) -> Result<Vec<(Id, Removed)>, DbError> {
        let conn = &mut self.db.read().await?;
        let done = erasure::table.filter(erasure::account_id.is_null());
        let query = done.select((erasure::id, erasure::removed)).order(erasure::id).limit(TURN);
        let rows: Vec<(Id, String)> = on!(conn, |db| query.load(db).await)?;
        Ok(rows.into_iter().map(|(id, removed)| (id, read(&removed))).collect())
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
}

fn written(removed: &Removed) -> String {
    serde_json::Value::from_iter(removed.clone()).to_string()
}

fn read(removed: &str) -> Removed {
    serde_json::from_str(removed).unwrap_or_default()
}

async fn put_account(
    conn: &mut Conn,
    row: &AccountRow,
    old: Option<&AccountRow>,
    students: &HashSet<Id>,
) -> Result<(), DbError> {
    let old_key = old.map(AccountRow::own_email_key).unwrap_or_default();
    if !old_key.is_empty() && old_key != email_key(&row.email) {
        follow(conn, row.id, &old_key).await?;
    }
    let name = |row: &AccountRow| (row.first_name.clone(), row.last_name.clone());
    if old.map_or(students.contains(&row.id), |old| name(old) != name(row)) {
        reorder(conn, row.id, &row.first_name, &row.last_name).await?;
    }
    on!(conn, |db| {
        diesel::insert_into(account::table).values(row).on_conflict(account::id).do_update().set(row).execute(db).await
    })
    .map(drop)
}
