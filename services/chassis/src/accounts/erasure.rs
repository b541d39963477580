//! What is removed when an account is deleted: in steps, whoever has begun it, and with the count of each.

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::Keeper;
use super::copy::Copied;
use super::table::erasure;
use crate::clock::Time;
use crate::db::{Conn, DbError};
use crate::faults::Faults;
use crate::id::Id;
use crate::on;
use crate::page;

/// How many erasures are told in one turn.
const TURN: i64 = 100;

/// How many rows of each kind were removed.
pub type Removed = BTreeMap<String, i32>;

/// How far an erasure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// There is more to remove.
    Again,
    /// What is left is removed by others, later.
    Later,
    /// Nothing is left.
    Done,
}

/// Adds to what was removed.
pub fn count(removed: &mut Removed, kind: &str, rows: impl TryInto<i32>) {
    let rows = page::count(rows);
    if rows > 0 {
        let sum = removed.entry(kind.to_owned()).or_default();
        *sum = sum.saturating_add(rows);
    }
}

impl<K: Keeper> Copied<K> {
    /// Carries out the erasures that have begun, whoever has begun them.
    pub async fn carry_out_erasures(&self, faults: &Faults) -> Result<(), DbError> {
        let mut before = Id::NIL;
        while let Some(id) = self.open_erasure(before).await? {
            while faults.within("erasure step", self.step(id)).await? == Step::Again {}
            before = id;
        }
        Ok(())
    }

    async fn open_erasure(&self, before: Id) -> Result<Option<Id>, DbError> {
        let conn = &mut self.db.read().await?;
        let open = erasure::table.filter(erasure::account_id.is_not_null().and(erasure::id.gt(before)));
        let open = open.order(erasure::id).select(erasure::id);
        on!(conn, |db| open.first(db).await.optional())
    }

    /// A step of an erasure, with the count of what it removes.
    async fn step(&self, id: Id) -> Result<Step, DbError> {
        self.db
            .bulk(async |conn| {
                // Whoever else carries it out waits.
                let open = erasure::table.find(id).filter(erasure::account_id.is_not_null());
                let lock = diesel::update(open).set(erasure::create_time.eq(erasure::create_time));
                let lock = lock.returning((erasure::account_id, erasure::removed));
                let open: Option<(Option<Id>, String)> = on!(conn, |db| lock.get_result(db).await.optional())?;
                let Some((Some(account_id), removed)) = open else { return Ok(Step::Done) };
                let mut removed = read(&removed);
                let step = self.keeper.erase_some(conn, account_id, &mut removed).await?;
                let left = (step != Step::Done).then_some(account_id);
                let set = (erasure::removed.eq(written(&removed)), erasure::account_id.eq(left));
                on!(conn, |db| diesel::update(erasure::table.find(id)).set(set).execute(db).await)?;
                Ok::<_, DbError>(step)
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

    /// Forgets an erasure that identity has been told of.
    pub async fn drop_erasure(&self, id: Id) -> Result<(), DbError> {
        let told = diesel::delete(erasure::table.find(id));
        self.db.transaction(async |conn| on!(conn, |db| told.execute(db).await).map(drop)).await
    }
}

/// Writes down that an account's erasure has begun. Once is enough.
pub(super) async fn begin(
    conn: &mut Conn,
    erasure_id: Id,
    account_id: Id,
    removed: &Removed,
    now: Time,
) -> Result<(), DbError> {
    let row = (
        erasure::id.eq(erasure_id),
        erasure::removed.eq(written(removed)),
        erasure::create_time.eq(now),
        erasure::account_id.eq(Some(account_id)),
    );
    let insert = diesel::insert_into(erasure::table).values(row).on_conflict_do_nothing();
    on!(conn, |db| insert.execute(db).await).map(drop)
}

fn written(removed: &Removed) -> String {
    serde_json::Value::from_iter(removed.clone()).to_string()
}

fn read(removed: &str) -> Removed {
    serde_json::from_str(removed).unwrap_or_default()
}
