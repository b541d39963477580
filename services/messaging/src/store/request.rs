//! What was asked for with a key, for a day: the same request again has the same answer.

use aws_lc_rs::digest::{Context, SHA256};
use chrono::TimeDelta;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::clock::Time;
use quartet_chassis::db::Conn;
use quartet_chassis::failure::Fields;
use quartet_chassis::id::Id;
use quartet_chassis::on;

use crate::error::Error;
use crate::schema::request;

/// How long a request with a key is remembered.
pub const KEPT: TimeDelta = TimeDelta::days(1);

/// How a request to make something is told from others.
pub struct RequestKey {
    pub key: String,
    /// Tells requests with one key apart without keeping them.
    pub body_hash: Vec<u8>,
}

impl RequestKey {
    /// A request with this key that asks for this. It is the same on every instance.
    pub fn new<'a>(key: String, body: impl IntoIterator<Item = &'a str>) -> RequestKey {
        let mut digest = Context::new(&SHA256);
        for part in body {
            digest.update(&(part.len() as u64).to_le_bytes());
            digest.update(part.as_bytes());
        }
        RequestKey { key, body_hash: digest.finish().as_ref().to_vec() }
    }
}

/// What was made for this key, or nothing when `new` is to be made now. Who asks at the same time waits for the first.
pub async fn made_before(
    conn: &mut Conn,
    account: Id,
    asked: &RequestKey,
    new: Id,
    now: Time,
) -> Result<Option<Id>, Error> {
    let here = request::table.find((account, &asked.key));
    let old = here.filter(request::create_time.lt(now - KEPT));
    on!(conn, |db| diesel::delete(old).execute(db).await)?;
    let values = (
        request::account_id.eq(account),
        request::idempotency_key.eq(&asked.key),
        request::body_hash.eq(&asked.body_hash),
        request::conversation_id.eq(new),
        request::create_time.eq(now),
    );
    let insert = diesel::insert_into(request::table).values(values).on_conflict_do_nothing();
    let inserted: usize = on!(conn, |db| insert.execute(db).await)?;
    if inserted > 0 {
        return Ok(None);
    }
    let before = request::table.find((account, &asked.key)).select((request::body_hash, request::conversation_id));
    let (body_hash, made): (Vec<u8>, Id) = on!(conn, |db| before.first(db).await)?;
    if body_hash != asked.body_hash {
        let mut fields = Fields::default();
        fields.refuse("idempotency_key", "was used for something else within the last day");
        return Err(fields.into());
    }
    Ok(Some(made))
}
