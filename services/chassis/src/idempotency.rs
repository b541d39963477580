//! What was asked for with a key, for a day: the same request again has the same answer.
//!
//! A service that makes things by keys has a table `request` of its own, made by its migrations.

use aws_lc_rs::digest::{Context, SHA256};
use chrono::TimeDelta;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::clock::Time;
use crate::db::{Conn, Db, DbError};
use crate::failure::Fields;
use crate::id::Id;
use crate::on;

diesel::table! {
    /// What was asked for with a key, for a day.
    request (account_id, idempotency_key) {
        account_id -> Binary,
        idempotency_key -> Text,
        body_hash -> Binary,
        /// What was made.
        object_id -> Binary,
        create_time -> Timestamp,
    }
}

/// The longest key, in characters.
const LENGTH: usize = 64;
/// How long a request with a key is remembered.
const KEPT: TimeDelta = TimeDelta::days(1);
/// Requests of so long a time go at once: the writer is not held for long, however much is left from when nobody swept.
const SPAN: TimeDelta = TimeDelta::minutes(10);

/// A key that a request gives; none is fine.
pub fn key(key: String) -> Result<Option<String>, &'static str> {
    if key.chars().count() > LENGTH || key.chars().any(char::is_control) {
        return Err("must have at most 64 characters, and no control characters");
    }
    Ok((!key.is_empty()).then_some(key))
}

/// How a request to make something is told from others.
pub struct RequestKey {
    pub key: String,
    /// Tells requests with one key apart without keeping them.
    pub body_hash: Vec<u8>,
}

impl RequestKey {
    /// A request with this key that asks for this. It is the same on every instance.
    pub fn new(key: String, body: &[&[u8]]) -> RequestKey {
        let mut digest = Context::new(&SHA256);
        for part in body {
            digest.update(&(part.len() as u64).to_le_bytes());
            digest.update(part);
        }
        RequestKey { key, body_hash: digest.finish().as_ref().to_vec() }
    }
}

/// What was made for this key, or nothing when `new` is to be made now. Who asks at the same time waits for the first.
pub async fn made_before<E: From<DbError> + From<Fields>>(
    conn: &mut Conn,
    account: Id,
    asked: &RequestKey,
    new: Id,
    now: Time,
) -> Result<Option<Id>, E> {
    let before = taken(conn, account, asked, new, now).await?;
    Ok(before.map(|before| same(asked, before)).transpose()?)
}

/// What was made for this key. For reading: it may be made right after.
pub async fn made<E: From<DbError> + From<Fields>>(
    conn: &mut Conn,
    account: Id,
    asked: &RequestKey,
    now: Time,
) -> Result<Option<Id>, E> {
    let here = request::table.find((account, &asked.key)).filter(request::create_time.ge(now - KEPT));
    let here = here.select((request::body_hash, request::object_id));
    let before: Option<(Vec<u8>, Id)> = on!(conn, |db| here.first(db).await.optional())?;
    Ok(before.map(|before| same(asked, before)).transpose()?)
}

/// What was made, if it is what is asked for again.
fn same(asked: &RequestKey, (body_hash, made): (Vec<u8>, Id)) -> Result<Id, Fields> {
    if body_hash == asked.body_hash {
        return Ok(made);
    }
    let mut fields = Fields::default();
    fields.refuse("idempotency_key", "was used for something else within the last day");
    Err(fields)
}

/// Takes the key, unless it is taken: then by what, and for what.
async fn taken(
    conn: &mut Conn,
    account: Id,
    asked: &RequestKey,
    new: Id,
    now: Time,
) -> Result<Option<(Vec<u8>, Id)>, DbError> {
    let here = request::table.find((account, &asked.key));
    let old = here.filter(request::create_time.lt(now - KEPT));
    on!(conn, |db| diesel::delete(old).execute(db).await)?;
    let values = (
        request::account_id.eq(account),
        request::idempotency_key.eq(&asked.key),
        request::body_hash.eq(&asked.body_hash),
        request::object_id.eq(new),
        request::create_time.eq(now),
    );
    let insert = diesel::insert_into(request::table).values(values).on_conflict_do_nothing();
    let inserted: usize = on!(conn, |db| insert.execute(db).await)?;
    if inserted > 0 {
        return Ok(None);
    }
    let before = request::table.find((account, &asked.key)).select((request::body_hash, request::object_id));
    let before: (Vec<u8>, Id) = on!(conn, |db| before.first(db).await)?;
    Ok(Some(before))
}

/// Forgets all requests of an account; how many there were.
pub async fn forget(conn: &mut Conn, account: Id) -> Result<usize, DbError> {
    let theirs = request::table.filter(request::account_id.eq(account));
    on!(conn, |db| diesel::delete(theirs).execute(db).await)
}

/// Forgets some requests that are too old; whether there may be more.
pub async fn sweep(db: &Db, now: Time) -> Result<bool, DbError> {
    let limit = now - KEPT;
    let oldest = request::table.order(request::create_time).select(request::create_time);
    let oldest: Option<Time> = {
        let conn = &mut db.read().await?;
        on!(conn, |db| oldest.first(db).await.optional())?
    };
    let Some(oldest) = oldest.filter(|oldest| *oldest < limit) else { return Ok(false) };
    let old = request::table.filter(request::create_time.lt(limit.min(oldest + SPAN)));
    db.transaction(async |conn| on!(conn, |db| diesel::delete(old).execute(db).await)).await?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn m3_a_key_is_short_and_printable() {
        assert_eq!(key(String::new()), Ok(None));
        assert_eq!(key("ä".repeat(LENGTH)), Ok(Some("ä".repeat(LENGTH))));
        assert!(key("a".repeat(LENGTH + 1)).is_err() && key("a\n".to_owned()).is_err());
    }

    #[test]
    fn m3_something_else_has_another_hash() {
        let hash = |body: &[&[u8]]| RequestKey::new("k".to_owned(), body).body_hash;
        assert_eq!(hash(&[b"a", b"bc"]), hash(&[b"a", b"bc"]));
        assert_ne!(hash(&[b"a", b"bc"]), hash(&[b"ab", b"c"]));
    }
}
