//! What is removed when somebody's account is erased, step by step: what they own and what they have begun. What others own stays, without
//! their name.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::accounts::{AccountRow, Keeper, Removed, Step, count};
use quartet_chassis::clock::Time;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::idempotency;
use quartet_chassis::on;

use super::Store;
use super::project::lock;
use super::removal::{Started, give_up, remove_some, remove_uploads};
use crate::schema::{garbage, media, member, project, upload, usage};

/// How many files lose a name in one transaction.
const FILES: i64 = 1000;
/// How many uploads go in one.
const UPLOADS: i64 = 10;

impl Keeper for Store {
    /// Nothing here follows from what an account is called.
    async fn changed(&self, _: &mut Conn, _: &[(AccountRow, Option<AccountRow>)]) -> Result<(), DbError> {
        Ok(())
    }

    async fn begin_erasure(&self, _: &mut Conn, _: &AccountRow, _: &mut Removed) -> Result<(), DbError> {
        Ok(())
    }

    /// Projects and memberships come first, each under the lock of its project: whoever writes something there for them, or gives them
    /// something, has done so by then. At last their bytes have to be gone from the store, for which it waits.
    async fn erase_some(&self, conn: &mut Conn, id: Id, removed: &mut Removed) -> Result<Step, DbError> {
        let now = self.now();
        let again = remove_own(conn, id, now, removed).await?
            || leave_one(conn, id, removed).await?
            || remove_begun(conn, id, now, removed).await?
            || forget_name(conn, id, removed).await?;
        if again {
            return Ok(Step::Again);
        }
        count(removed, "request", idempotency::forget(conn, id).await?);
        on!(conn, |db| diesel::delete(usage::table.find(id)).execute(db).await)?;
        let bytes = garbage::table.filter(garbage::account_id.eq(id)).count();
        let bytes: i64 = on!(conn, |db| bytes.get_result(db).await)?;
        Ok(if bytes > 0 { Step::Later } else { Step::Done })
    }
}

/// Removes some of a project of theirs; false when they have none.
async fn remove_own(conn: &mut Conn, id: Id, now: Time, removed: &mut Removed) -> Result<bool, DbError> {
    let own = project::table.filter(project::owner_id.eq(id)).order(project::id).select(project::id);
    let own: Option<Id> = on!(conn, |db| own.first(db).await.optional())?;
    let Some(own) = own else { return Ok(false) };
    // It may have been handed over meanwhile.
    if let Some(row) = lock(conn, own).await?.filter(|row| row.owner_id == id) {
        give_up(conn, &row, None, now).await?;
        remove_some(conn, &row, now, removed).await?;
    }
    Ok(true)
}

/// Takes them out of a project of somebody else's; false when they are in none.
async fn leave_one(conn: &mut Conn, id: Id, removed: &mut Removed) -> Result<bool, DbError> {
    let joined = member::table.filter(member::account_id.eq(id)).order(member::project_id);
    let joined: Option<Id> = on!(conn, |db| joined.select(member::project_id).first(db).await.optional())?;
    let Some(joined) = joined else { return Ok(false) };
    if lock(conn, joined).await?.is_some_and(|row| row.owner_id != id) {
        let row = member::table.find((joined, id));
        let left = on!(conn, |db| diesel::delete(row).execute(db).await)?;
        count(removed, "member", left);
    }
    Ok(true)
}

/// Removes some uploads that they have begun in projects of others; false when there are none.
async fn remove_begun(conn: &mut Conn, id: Id, now: Time, removed: &mut Removed) -> Result<bool, DbError> {
    let first = upload::table.filter(upload::account_id.eq(id)).select(upload::project_id);
    let first: Option<Id> = on!(conn, |db| first.first(db).await.optional())?;
    let Some(first) = first else { return Ok(false) };
    let Some(row) = lock(conn, first).await? else { return Ok(true) };
    let begun = upload::table.filter(upload::account_id.eq(id).and(upload::project_id.eq(first))).limit(UPLOADS);
    let begun: Started = on!(conn, |db| begun.select((upload::id, upload::account_id)).load(db).await)?;
    remove_uploads(conn, &row, begun, now, removed).await?;
    Ok(true)
}

/// Takes their name off some files of others; false when it stands at none.
async fn forget_name(conn: &mut Conn, id: Id, removed: &mut Removed) -> Result<bool, DbError> {
    let files = media::table.filter(media::uploader_id.eq(id)).order(media::id).select(media::id).limit(FILES);
    let files: Vec<Id> = on!(conn, |db| files.load(db).await)?;
    if files.is_empty() {
        return Ok(false);
    }
    let named = diesel::update(media::table.filter(media::id.eq_any(files)));
    let named = on!(conn, |db| named.set(media::uploader_id.eq(None::<Id>)).execute(db).await)?;
    count(removed, "uploader", named);
    Ok(true)
}
