//! Bytes that are stored once per owner, and what becomes of those that nothing refers to any more.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::clock::Time;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::on;

use crate::schema::{blob, garbage, media};

/// Stored bytes.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = blob)]
pub struct BlobRow {
    pub id: Id,
    pub owner_id: Option<Id>,
    pub sha256: Vec<u8>,
    pub size_bytes: i64,
    pub object_key: String,
    pub inline_type: String,
    pub create_time: Time,
}

/// The blob with these bytes of this owner, locked, so that it stays until something refers to it. Both come in the order of the house:
/// the owner's usage is locked before.
pub async fn of_owner(conn: &mut Conn, owner: Id, sha256: &[u8]) -> Result<Option<BlobRow>, DbError> {
    let same = blob::table.filter(blob::owner_id.eq(owner)).filter(blob::sha256.eq(sha256));
    // An update that changes nothing locks a row on both engines.
    let lock = diesel::update(same).set(blob::size_bytes.eq(blob::size_bytes));
    on!(conn, |db| lock.returning(BlobRow::as_returning()).get_result(db).await.optional())
}

pub async fn insert(conn: &mut Conn, row: &BlobRow) -> Result<(), DbError> {
    on!(conn, |db| diesel::insert_into(blob::table).values(row).execute(db).await).map(drop)
}

/// Under which type a browser may show these bytes.
pub async fn set_inline_type(conn: &mut Conn, id: Id, inline_type: &str) -> Result<(), DbError> {
    let set = blob::inline_type.eq(inline_type);
    on!(conn, |db| diesel::update(blob::table.find(id)).set(set).execute(db).await).map(drop)
}

/// Removes a blob when no file has its bytes any more; then its object is garbage. `owner` is whose bytes they were: their erasure waits
/// until the object is gone. True when it was removed.
pub async fn release(conn: &mut Conn, id: Id, owner: Option<Id>, now: Time) -> Result<bool, DbError> {
    let lock = diesel::update(blob::table.find(id)).set(blob::size_bytes.eq(blob::size_bytes));
    let found: Option<BlobRow> =
        on!(conn, |db| lock.returning(BlobRow::as_returning()).get_result(db).await.optional())?;
    let Some(row) = found else { return Ok(false) };
    let left = media::table.filter(media::blob_id.eq(id)).count();
    let left: i64 = on!(conn, |db| left.get_result(db).await)?;
    if left > 0 {
        return Ok(false);
    }
    on!(conn, |db| diesel::delete(blob::table.find(id)).execute(db).await)?;
    throw_away(
        conn,
        Thrown { id, object_key: row.object_key, store_id: String::new(), account_id: owner, due_time: now },
        now,
    )
    .await?;
    Ok(true)
}

/// An object, finished or only begun, that nothing refers to any more. Its row is written in the transaction that takes the last reference
/// away, so that no object is forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thrown {
    /// That of the blob or upload whose object it was: each throws its object away once.
    pub id: Id,
    pub object_key: String,
    pub store_id: String,
    /// Whose bytes they were. The erasure of their account waits until the object is gone.
    pub account_id: Option<Id>,
    /// Not to be removed before: somebody may be at it.
    pub due_time: Time,
}

pub async fn throw_away(conn: &mut Conn, thrown: Thrown, now: Time) -> Result<(), DbError> {
    let values = (
        garbage::id.eq(thrown.id),
        garbage::object_key.eq(thrown.object_key),
        garbage::store_id.eq(thrown.store_id),
        garbage::account_id.eq(thrown.account_id),
        garbage::due_time.eq(thrown.due_time),
        garbage::attempts.eq(0),
        garbage::create_time.eq(now),
    );
    on!(conn, |db| diesel::insert_into(garbage::table).values(values).execute(db).await).map(drop)
}
