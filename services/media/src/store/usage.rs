//! What accounts take: bytes, projects, uploads that are open.
//!
//! Bytes count against the owner of the project that they are in, from the moment at which they are stored. Who changes the sums of more
//! than one account in a transaction begins with [`lock`].

use diesel::prelude::*;
use diesel::sql_types::{Array, Binary};
use diesel_async::RunQueryDsl;
use quartet_chassis::db::{Conn, DbError, within};
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::Limits;
use super::project::ProjectRow;
use crate::error::Quota;
use crate::schema::{project, usage};

/// Counts bytes that come into a project, which the transaction holds. Nothing is counted, and the quota told, where they have no room.
pub async fn charge(
    conn: &mut Conn,
    limits: &Limits,
    project: &ProjectRow,
    bytes: i64,
) -> Result<Result<(), Quota>, DbError> {
    if let Err(quota) = add_bytes(conn, project.owner_id, limits.account_bytes, bytes).await? {
        return Ok(Err(quota));
    }
    let most = if limits.project_bytes == 0 { i64::MAX } else { limits.project_bytes };
    let room = project::table.find(project.id).filter(project::size_bytes.le(most.saturating_sub(bytes)));
    let more = project::size_bytes.eq(project::size_bytes + bytes);
    if on!(conn, |db| diesel::update(room).set(more).execute(db).await)? > 0 {
        return Ok(Ok(()));
    }
    sub_bytes(conn, project.owner_id, bytes).await?;
    let used = project::table.find(project.id).select(project::size_bytes);
    let used_bytes: i64 = on!(conn, |db| used.first(db).await)?;
    Ok(Err(Quota { limit_bytes: limits.project_bytes, used_bytes }))
}

/// Whether so many bytes have room in a project at this moment. Nothing is reserved.
pub async fn fits(
    conn: &mut Conn,
    limits: &Limits,
    project: &ProjectRow,
    bytes: i64,
) -> Result<Result<(), Quota>, DbError> {
    let of_account = (limits.account_bytes, used_bytes(conn, project.owner_id).await?);
    let of_project = (limits.project_bytes, project.size_bytes);
    let full = |&(limit, used): &(i64, i64)| limit > 0 && used.saturating_add(bytes) > limit;
    let full = [of_account, of_project].into_iter().find(full);
    Ok(full.map_or(Ok(()), |(limit_bytes, used_bytes)| Err(Quota { limit_bytes, used_bytes })))
}

/// Takes bytes off that have left a project, which the transaction holds.
pub async fn give_back(conn: &mut Conn, project: &ProjectRow, bytes: i64) -> Result<(), DbError> {
    if bytes == 0 {
        return Ok(());
    }
    sub_bytes(conn, project.owner_id, bytes).await?;
    let less = project::size_bytes.eq(project::size_bytes - bytes);
    on!(conn, |db| diesel::update(project::table.find(project.id)).set(less).execute(db).await).map(drop)
}

/// Counts bytes that an account gets, as far as it has room for them.
pub async fn add_bytes(conn: &mut Conn, account: Id, limit: i64, bytes: i64) -> Result<Result<(), Quota>, DbError> {
    let most = if limit == 0 { i64::MAX } else { limit };
    let room = usage::table.find(account).filter(usage::size_bytes.le(most.saturating_sub(bytes)));
    let more = usage::size_bytes.eq(usage::size_bytes + bytes);
    if on!(conn, |db| diesel::update(room).set(more).execute(db).await)? > 0 {
        return Ok(Ok(()));
    }
    Ok(Err(Quota { limit_bytes: limit, used_bytes: used_bytes(conn, account).await? }))
}

pub async fn sub_bytes(conn: &mut Conn, account: Id, bytes: i64) -> Result<(), DbError> {
    let less = usage::size_bytes.eq(usage::size_bytes - bytes);
    on!(conn, |db| diesel::update(usage::table.find(account)).set(less).execute(db).await).map(drop)
}

/// How many bytes the projects of an account take.
pub async fn used_bytes(conn: &mut Conn, account: Id) -> Result<i64, DbError> {
    let query = usage::table.find(account).select(usage::size_bytes);
    let used: Option<i64> = on!(conn, |db| query.first(db).await.optional())?;
    Ok(used.unwrap_or_default())
}

/// Counts a project that an account gets; false when it has as many as it may.
pub async fn add_project(conn: &mut Conn, account: Id, most: i32) -> Result<bool, DbError> {
    touch(conn, account).await?;
    let room = usage::table.find(account).filter(usage::projects.lt(most));
    let more = usage::projects.eq(usage::projects + 1);
    let counted: usize = on!(conn, |db| diesel::update(room).set(more).execute(db).await)?;
    Ok(counted > 0)
}

pub async fn sub_project(conn: &mut Conn, account: Id) -> Result<(), DbError> {
    let less = usage::projects.eq(usage::projects - 1);
    on!(conn, |db| diesel::update(usage::table.find(account)).set(less).execute(db).await).map(drop)
}

/// Counts an upload that an account opens; false when it has as many open as it may.
pub async fn open_upload(conn: &mut Conn, account: Id, most: i32) -> Result<bool, DbError> {
    touch(conn, account).await?;
    let room = usage::table.find(account).filter(usage::open_uploads.lt(most));
    let more = usage::open_uploads.eq(usage::open_uploads + 1);
    let counted: usize = on!(conn, |db| diesel::update(room).set(more).execute(db).await)?;
    Ok(counted > 0)
}

pub async fn close_upload(conn: &mut Conn, account: Id) -> Result<(), DbError> {
    let less = usage::open_uploads.eq(usage::open_uploads - 1);
    on!(conn, |db| diesel::update(usage::table.find(account)).set(less).execute(db).await).map(drop)
}

/// Keeps others from changing the sums of these accounts, so that no two transactions wait for each other.
pub async fn lock(conn: &mut Conn, accounts: &[Id]) -> Result<(), DbError> {
    let Conn::Postgres(postgres) = conn else { return Ok(()) };
    let limit = postgres.limit();
    let statement = "select 1 from usage where account_id = any($1) order by account_id for update";
    let query = diesel::sql_query(statement).bind::<Array<Binary>, _>(accounts);
    within(limit, query.execute(postgres.inner())).await.map(drop)
}

/// The same for two accounts that may have no sums yet. The rows are made in their order, too: whoever makes one holds it.
pub async fn take(conn: &mut Conn, one: Id, other: Id) -> Result<(), DbError> {
    touch(conn, one.min(other)).await?;
    touch(conn, one.max(other)).await?;
    lock(conn, &[one, other]).await
}

/// Makes an account's row where there is none.
pub async fn touch(conn: &mut Conn, account: Id) -> Result<(), DbError> {
    let row =
        (usage::account_id.eq(account), usage::projects.eq(0), usage::size_bytes.eq(0_i64), usage::open_uploads.eq(0));
    let insert = diesel::insert_into(usage::table).values(row).on_conflict_do_nothing();
    on!(conn, |db| insert.execute(db).await).map(drop)
}
