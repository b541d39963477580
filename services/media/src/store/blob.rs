//! Bytes that are stored once per owner, until nothing refers to them any more.

use diesel::prelude::*;
use diesel::sql_types::Binary;
use diesel_async::RunQueryDsl;
use quartet_chassis::clock::Time;
use quartet_chassis::db::{Conn, DbError, within};
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::garbage::{Thrown, throw_away};
use crate::schema::{blob, media};

/// Stored bytes.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = blob)]
pub struct BlobRow {
    pub id: Id,
    pub owner_id: Option<Id>,
    pub sha256: Vec<u8>,
    pub size_bytes: i64,
    pub object_key: String,
    pub create_time: Time,
    pub check_time: Time,
    pub damage_time: Option<Time>,
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

/// Gives a blob another object of the same bytes.
pub async fn set_object(conn: &mut Conn, id: Id, object_key: &str, now: Time) -> Result<(), DbError> {
    let set = (blob::object_key.eq(object_key), blob::check_time.eq(now), blob::damage_time.eq(None::<Time>));
    on!(conn, |db| diesel::update(blob::table.find(id)).set(set).execute(db).await).map(drop)
}

/// Locks the blobs of a project by their ids: others of its owner's projects may have the same, and whoever locks some goes by their ids.
pub async fn lock_blobs(conn: &mut Conn, project_id: Id) -> Result<(), DbError> {
    let Conn::Postgres(postgres) = conn else { return Ok(()) };
    let limit = postgres.limit();
    let statement =
        "select 1 from blob where id in (select blob_id from media where project_id = $1) order by id for update";
    let query = diesel::sql_query(statement).bind::<Binary, _>(project_id);
    within(limit, query.execute(postgres.inner())).await.map(drop)
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
