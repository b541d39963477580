//! What becomes of projects whose deletion can't be taken back any more: they go bit by bit, since one may have a hundred thousand files.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::accounts::{Removed, count};
use quartet_chassis::clock::Time;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::faults::Faults;
use quartet_chassis::id::Id;
use quartet_chassis::on;
use quartet_chassis::page;
use quartet_proto::media::v1::UploadState;
use quartet_proto::r#type::v1::ErrorReason;

use super::blob::release;
use super::project::{ProjectRow, count_media, lock, purging};
use super::upload::locked;
use super::upload_end::end;
use super::{Store, usage};
use crate::schema::{blob, event, media, project, upload};

/// How many uploads a transaction removes; each may have ten thousand parts.
const UPLOADS: i64 = 10;
/// How many files.
const FILES: i64 = 200;
/// How many events.
const EVENTS: i64 = 1000;

/// Uploads with who has started them.
pub type Started = Vec<(Id, Id)>;

impl Store {
    /// Removes what is left of projects whose time is over, whoever has begun with it.
    pub async fn purge_projects(&self, faults: &Faults) -> Result<(), DbError> {
        while let Some(id) = self.due_project().await? {
            while !faults.within("project purge", self.purge_step(id)).await? {}
        }
        Ok(())
    }

    async fn due_project(&self) -> Result<Option<Id>, DbError> {
        let due = project::table.filter(project::purge_time.le(self.now())).order(project::purge_time);
        let conn = &mut self.db.read().await?;
        on!(conn, |db| due.select(project::id).first(db).await.optional())
    }

    /// Removes some of a project whose time is over; true when nothing is left.
    async fn purge_step(&self, id: Id) -> Result<bool, DbError> {
        let now = self.now();
        self.db
            .bulk(async |conn| {
                let row = lock(conn, id).await?.filter(|row| row.purge_time.is_some_and(|time| time <= now));
                let Some(row) = row else { return Ok(true) };
                give_up(conn, &row, Some(purging()), now).await?;
                remove_some(conn, &row, now, &mut Removed::new()).await
            })
            .await
    }
}

/// Sees to it that nobody finds the project any more, nor takes its deletion back, and that whoever purges projects goes on with it. One that
/// is erased has no time to be purged at: only one of the two counts what is removed.
pub async fn give_up(conn: &mut Conn, row: &ProjectRow, purge_time: Option<Time>, now: Time) -> Result<(), DbError> {
    if row.delete_time.is_some() && row.purge_time == purge_time {
        return Ok(());
    }
    let set = (project::delete_time.eq(row.delete_time.or(Some(now))), project::purge_time.eq(purge_time));
    on!(conn, |db| diesel::update(project::table.find(row.id)).set(set).execute(db).await).map(drop)
}

/// Removes some of what is in a project that the transaction holds and that is given up, at last the project, and counts it by kind. True
/// when nothing is left.
pub async fn remove_some(conn: &mut Conn, row: &ProjectRow, now: Time, removed: &mut Removed) -> Result<bool, DbError> {
    let uploads = upload::table.filter(upload::project_id.eq(row.id)).limit(UPLOADS);
    let uploads: Started = on!(conn, |db| uploads.select((upload::id, upload::account_id)).load(db).await)?;
    if !uploads.is_empty() {
        remove_uploads(conn, row, uploads, now, removed).await?;
        return Ok(false);
    }
    if remove_files(conn, row, now, removed).await? || remove_events(conn, row.id).await? {
        return Ok(false);
    }
    on!(conn, |db| diesel::delete(project::table.find(row.id)).execute(db).await)?;
    usage::sub_project(conn, row.owner_id).await?;
    count(removed, "project", 1);
    Ok(true)
}

/// Removes uploads into a project that the transaction holds. Those that are under way end with it.
pub async fn remove_uploads(
    conn: &mut Conn,
    row: &ProjectRow,
    uploads: Started,
    now: Time,
    removed: &mut Removed,
) -> Result<(), DbError> {
    let accounts: Vec<Id> = uploads.iter().map(|(_, account)| *account).chain([row.owner_id]).collect();
    usage::lock(conn, &accounts).await?;
    for (id, _) in uploads {
        let Some(upload) = locked(conn, id).await? else { continue };
        if upload.end_time.is_none() {
            end(conn, row, &upload, UploadState::Aborted, ErrorReason::Unspecified, now).await?;
            count(removed, "object", 1);
        }
        on!(conn, |db| diesel::delete(upload::table.find(id)).execute(db).await)?;
        count(removed, "upload", 1);
    }
    Ok(())
}

/// How a project that is being erased or purged has lost some files; false when it has none.
async fn remove_files(conn: &mut Conn, row: &ProjectRow, now: Time, removed: &mut Removed) -> Result<bool, DbError> {
    let files = media::table.inner_join(blob::table.on(blob::id.eq(media::blob_id)));
    let files = files.filter(media::project_id.eq(row.id)).order(media::id).limit(FILES);
    let files = files.select((media::id, media::blob_id, blob::size_bytes));
    let files: Vec<(Id, Id, i64)> = on!(conn, |db| files.load(db).await)?;
    if files.is_empty() {
        return Ok(false);
    }
    usage::give_back(conn, row, files.iter().map(|(.., size)| size).sum()).await?;
    let gone = page::count(files.len());
    count_media(conn, row.id, -gone).await?;
    count(removed, "media", gone);
    let ids: Vec<Id> = files.iter().map(|(id, ..)| *id).collect();
    on!(conn, |db| diesel::delete(media::table.filter(media::id.eq_any(ids))).execute(db).await)?;
    let mut blobs: Vec<Id> = files.iter().map(|(_, blob, _)| *blob).collect();
    blobs.sort_unstable();
    blobs.dedup();
    for blob in blobs {
        let gone = release(conn, blob, Some(row.owner_id), now).await?;
        count(removed, "object", i32::from(gone));
    }
    Ok(true)
}

async fn remove_events(conn: &mut Conn, project_id: Id) -> Result<bool, DbError> {
    let own = event::table.filter(event::project_id.eq(project_id));
    let first = own.order(event::number).select(event::number);
    let first: Option<i64> = on!(conn, |db| first.first(db).await.optional())?;
    let Some(first) = first else { return Ok(false) };
    let some = own.filter(event::number.lt(first + EVENTS));
    on!(conn, |db| diesel::delete(some).execute(db).await)?;
    Ok(true)
}
