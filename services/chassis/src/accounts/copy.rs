//! The copy of accounts, which changes together with the number up to which identity's feed was taken over.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_proto::identity::v1::{AccountChange, AccountState};

use super::Keeper;
use super::erasure::{Removed, begin};
use super::hold::{People, forget, hold_alone};
use super::table::{AccountRow, account, account_cursor};
use crate::clock::Clock;
use crate::db::{Conn, Db, DbError};
use crate::id::Id;
use crate::on;
use crate::page;

/// The cursor in identity's feed.
pub(super) const CURSOR: &str = "account";

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
    /// What the feed tells, or nothing where it tells of no account.
    pub fn of(told: &AccountChange) -> Option<Change> {
        let id = told.account_id.parse().ok()?;
        if told.state() == AccountState::Erasing {
            return told.erasure_id.parse().ok().map(|erasure_id| Change::Erased { id, erasure_id });
        }
        Some(Change::Known(AccountRow::new(id, told)))
    }

    fn id(&self) -> Id {
        match self {
            Change::Known(row) => row.id,
            Change::Erased { id, .. } => *id,
        }
    }
}

/// A service's copy of accounts.
pub struct Copied<K> {
    pub db: Db,
    pub clock: Clock,
    pub keeper: K,
}

impl<K: Keeper> Copied<K> {
    /// The number of the last change that was taken over.
    pub async fn cursor(&self) -> Result<i64, DbError> {
        let conn = &mut self.db.read().await?;
        on!(conn, |db| account_cursor::table.find(CURSOR).select(account_cursor::number).first(db).await)
    }

    /// Takes changes over, with the cursor: all or nothing. False when another instance has moved the cursor meanwhile.
    pub async fn apply(&self, from: i64, to: i64, changes: &[Change]) -> Result<bool, DbError> {
        self.db
            .bulk(async |conn| {
                let here = account_cursor::table.find(CURSOR).filter(account_cursor::number.eq(from));
                let there = account_cursor::number.eq(to);
                if on!(conn, |db| diesel::update(here).set(there).execute(db).await)? == 0 {
                    return Ok(false);
                }
                self.take_over(conn, changes).await?;
                Ok::<_, DbError>(true)
            })
            .await
    }

    async fn take_over(&self, conn: &mut Conn, changes: &[Change]) -> Result<(), DbError> {
        let ids: Vec<Id> = changes.iter().map(Change::id).collect();
        let known = hold_alone(conn, &ids).await?;
        self.keeper.changed(conn, &differences(changes, &known)).await?;
        for change in changes {
            match change {
                Change::Known(row) => put(conn, row).await?,
                Change::Erased { id, erasure_id } => self.forget(conn, *id, known.get(id), *erasure_id).await?,
            }
        }
        Ok(())
    }

    /// Forgets an account. What else there is of it is removed behind this, bit by bit, before identity is told.
    async fn forget(&self, conn: &mut Conn, id: Id, old: Option<&AccountRow>, erasure_id: Id) -> Result<(), DbError> {
        let accounts = forget(conn, id, self.clock.now()).await?;
        let mut removed = Removed::from([("account".to_owned(), page::count(accounts))]);
        if let Some(old) = old {
            self.keeper.begin_erasure(conn, old, &mut removed).await?;
        }
        begin(conn, erasure_id, id, &removed, self.clock.now()).await
    }
}

fn differences(changes: &[Change], known: &People) -> Vec<(AccountRow, Option<AccountRow>)> {
    let difference = |change: &Change| match change {
        Change::Known(row) => Some((row.clone(), known.get(&row.id).cloned())),
        Change::Erased { .. } => None,
    };
    changes.iter().filter_map(difference).collect()
}

async fn put(conn: &mut Conn, row: &AccountRow) -> Result<(), DbError> {
    on!(conn, |db| {
        diesel::insert_into(account::table).values(row).on_conflict(account::id).do_update().set(row).execute(db).await
    })
    .map(drop)
}
