//! People while something is written about them: what is written together with them here is found by their erasure.
//!
//! Who erases somebody first deletes their account. So nothing about them comes behind that as long as it is written by transactions that
//! hold the account, or have seen that it was not deleted.
//!
//! Accounts are locked in the order of their ids, behind what they are to be members of, a project or a group, and before what is in it. What two
//! people have together, and is found by the two of them alone, comes behind their accounts: who makes it finds out only then that it is
//! there. The feed holds its cursor before accounts, so whoever holds both does, too: see [`begin`].

use std::collections::HashMap;

use aws_lc_rs::digest::{SHA256, digest};
use chrono::TimeDelta;
use diesel::prelude::*;
use diesel::sql_types::{Array, Binary, Text};
use diesel_async::RunQueryDsl;

use super::copy::CURSOR;
use super::table::{AccountRow, account, account_gone};
use crate::clock::Time;
use crate::db::{Conn, DbError, within};
use crate::id::Id;
use crate::on;

/// Accounts, as far as they are known.
pub type People = HashMap<Id, AccountRow>;

/// Somebody who writes something of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Writer {
    Known(AccountRow),
    /// Not told of yet.
    Unknown,
    /// Deleted, though a call of theirs may still be under way: what they write would stay.
    Erased,
}

/// What is known of people; none of it changes until the transaction ends.
pub async fn hold(conn: &mut Conn, ids: &[Id]) -> Result<People, DbError> {
    lock(conn, "select 1 from account where id = any($1) order by id for share", ids).await?;
    people(conn, ids).await
}

/// The same for who changes it.
pub async fn hold_alone(conn: &mut Conn, ids: &[Id]) -> Result<People, DbError> {
    lock(conn, "select 1 from account where id = any($1) order by id for update", ids).await?;
    people(conn, ids).await
}

/// What is known of people, for reading: it may change right after.
pub async fn people(conn: &mut Conn, ids: &[Id]) -> Result<People, DbError> {
    let query = account::table.filter(account::id.eq_any(ids));
    let rows: Vec<AccountRow> = on!(conn, |db| query.load(db).await)?;
    Ok(rows.into_iter().map(|row| (row.id, row)).collect())
}

/// Who of these is not to be found by others: only who can come is invited, or given something. `None` when all are.
pub async fn missing(conn: &mut Conn, ids: &[Id]) -> Result<Option<Id>, DbError> {
    let people = hold(conn, ids).await?;
    let active = |id: &Id| people.get(id).is_some_and(AccountRow::is_active);
    Ok(ids.iter().find(|id| !active(id)).copied())
}

/// Comes before accounts of others are held by somebody who writes something of their own: where they are not known yet, [`writer`] holds the
/// feed, and would wait for one that waits for the others.
pub async fn begin(conn: &mut Conn, id: Id) -> Result<(), DbError> {
    let is_known = people(conn, &[id]).await?.contains_key(&id);
    if is_known { Ok(()) } else { hold_feed(conn).await }
}

/// What is known of somebody who writes something of their own. They may not be known yet; who was deleted writes nothing.
pub async fn writer(conn: &mut Conn, id: Id) -> Result<Writer, DbError> {
    if let Some(known) = hold(conn, &[id]).await?.remove(&id) {
        return Ok(Writer::Known(known));
    }
    // There is no row to hold. Instead nothing is taken over from the feed until the transaction ends.
    hold_feed(conn).await?;
    if let Some(known) = hold(conn, &[id]).await?.remove(&id) {
        return Ok(Writer::Known(known));
    }
    let gone = account_gone::table.find(tag(id)).count();
    let gone: i64 = on!(conn, |db| gone.get_result(db).await)?;
    Ok(if gone > 0 { Writer::Erased } else { Writer::Unknown })
}

/// Forgets an account but for a tag that tells nobody whose it was, and answers how many rows those were. The tag is kept for longer than any
/// call takes that began before.
pub(super) async fn forget(conn: &mut Conn, id: Id, now: Time) -> Result<usize, DbError> {
    let old = account_gone::table.filter(account_gone::create_time.lt(now - TimeDelta::days(1)));
    on!(conn, |db| diesel::delete(old).execute(db).await)?;
    let gone = (account_gone::tag.eq(tag(id)), account_gone::create_time.eq(now));
    let insert = diesel::insert_into(account_gone::table).values(gone).on_conflict_do_nothing();
    on!(conn, |db| insert.execute(db).await)?;
    on!(conn, |db| diesel::delete(account::table.find(id)).execute(db).await)
}

/// The same on every instance. Half of an id is random: nobody can try all of them.
fn tag(id: Id) -> Vec<u8> {
    digest(&SHA256, &[b"quartet deleted account".as_slice(), id.as_bytes()].concat()).as_ref().to_vec()
}

/// Who can be found by an address: somebody active whose it is.
pub async fn by_address(conn: &mut Conn, key: &str) -> Result<Option<Id>, DbError> {
    let theirs = account::email_key.eq(key).and(account::email_verified.eq(true)).and(account::state.eq("ACTIVE"));
    let query = account::table.filter(theirs).select(account::id);
    on!(conn, |db| query.first(db).await.optional())
}

/// SQLite's transactions come one after the other anyway.
async fn lock(conn: &mut Conn, statement: &'static str, ids: &[Id]) -> Result<(), DbError> {
    let Conn::Postgres(postgres) = conn else { return Ok(()) };
    let limit = postgres.limit();
    let query = diesel::sql_query(statement).bind::<Array<Binary>, _>(ids);
    within(limit, query.execute(postgres.inner())).await.map(drop)
}

async fn hold_feed(conn: &mut Conn) -> Result<(), DbError> {
    if !matches!(conn, Conn::Postgres(_)) {
        return Ok(());
    }
    let query = diesel::sql_query("select 1 from account_cursor where name = $1 for share");
    on!(conn, |db| query.bind::<Text, _>(CURSOR).execute(db).await).map(drop)
}
