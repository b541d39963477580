//! Files that can be read.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::clock::Time;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::on;
use quartet_proto::media::v1::MediaKind;

use super::Store;
use super::blob::release;
use super::event::{EventKind, note};
use super::project::{ProjectRow, count_media, not_found, role_in, role_locked};
use super::usage::give_back;
use crate::error::Error;
use crate::kind::kind_name;
use crate::project::Role;
use crate::schema::{blob, media, member, project};

/// What is said about a file.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = media)]
pub struct MediaRow {
    pub id: Id,
    pub project_id: Id,
    pub blob_id: Id,
    pub name: String,
    pub kind: String,
    pub content_type: String,
    /// The type under which a browser may show it; empty: none.
    pub inline_type: String,
    pub uploader_id: Option<Id>,
    pub version: i64,
    pub create_time: Time,
    pub update_time: Time,
}

/// A file's bytes: how many, which, and where they are.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = blob)]
pub struct Stored {
    pub size_bytes: i64,
    pub sha256: Vec<u8>,
    pub object_key: String,
    /// Since when the object is known to be damaged.
    pub damage_time: Option<Time>,
}

/// A file with its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    pub media: MediaRow,
    pub stored: Stored,
}

impl File {
    /// Refuses a file whose bytes are known not to be what was uploaded.
    pub fn intact(&self) -> Result<(), Error> {
        if self.stored.damage_time.is_some() { Err(Error::MediaDamaged(self.media.id.to_string())) } else { Ok(()) }
    }
}

impl From<(MediaRow, Stored)> for File {
    fn from((media, stored): (MediaRow, Stored)) -> File {
        File { media, stored }
    }
}

/// Which files of a project a page has.
#[derive(Debug, Clone, Copy)]
pub struct Listed {
    pub project_id: Id,
    pub kind: Option<MediaKind>,
    /// Only older ones than this.
    pub before: Id,
    pub size: i64,
}

/// A file that its project has, whoever asks.
pub async fn file_in(conn: &mut Conn, id: Id) -> Result<Option<File>, DbError> {
    let one = media::table.inner_join(blob::table.on(blob::id.eq(media::blob_id))).filter(media::id.eq(id));
    let row: Option<(MediaRow, Stored)> =
        on!(conn, |db| one.select((MediaRow::as_select(), Stored::as_select())).first(db).await.optional())?;
    Ok(row.map(File::from))
}

/// The files of a page, and one more if there are more, the newest first.
pub async fn files_in(conn: &mut Conn, listed: &Listed) -> Result<Vec<File>, DbError> {
    let Listed { project_id, kind, before, size } = *listed;
    let all = media::table.inner_join(blob::table.on(blob::id.eq(media::blob_id)));
    let all = all.filter(media::project_id.eq(project_id)).filter(media::id.lt(before));
    let all = all.filter(media::kind.eq_any(names(kind))).order(media::id.desc()).limit(size + 1);
    let rows: Vec<(MediaRow, Stored)> =
        on!(conn, |db| all.select((MediaRow::as_select(), Stored::as_select())).load(db).await)?;
    Ok(rows.into_iter().map(File::from).collect())
}

/// The kinds that are meant, as they are stored.
fn names(kind: Option<MediaKind>) -> Vec<&'static str> {
    const ALL: [MediaKind; 5] =
        [MediaKind::Video, MediaKind::Transcript, MediaKind::AiSummary, MediaKind::AiAudio, MediaKind::AiVideo];
    match kind {
        Some(kind) => vec![kind_name(kind)],
        None => ALL.map(kind_name).to_vec(),
    }
}

impl Store {
    /// A file for a member of its project: found and allowed by one statement.
    pub async fn file(&self, id: Id, account: Id) -> Result<Option<File>, DbError> {
        let conn = &mut self.db.read().await?;
        let seen = media::table
            .inner_join(blob::table.on(blob::id.eq(media::blob_id)))
            .inner_join(project::table.on(project::id.eq(media::project_id)))
            .inner_join(member::table.on(member::project_id.eq(media::project_id)))
            .filter(media::id.eq(id))
            .filter(member::account_id.eq(account))
            .filter(project::delete_time.is_null());
        let row: Option<(MediaRow, Stored)> =
            on!(conn, |db| seen.select((MediaRow::as_select(), Stored::as_select())).first(db).await.optional())?;
        Ok(row.map(File::from))
    }

    /// Whether a file is still there for somebody who began to read it.
    pub async fn still_reads(&self, id: Id, account: Id) -> Result<bool, DbError> {
        let conn = &mut self.db.read().await?;
        let seen = media::table
            .inner_join(project::table.on(project::id.eq(media::project_id)))
            .inner_join(member::table.on(member::project_id.eq(media::project_id)))
            .filter(media::id.eq(id))
            .filter(member::account_id.eq(account))
            .filter(project::delete_time.is_null())
            .count();
        let rows: i64 = on!(conn, |db| seen.get_result(db).await)?;
        Ok(rows > 0)
    }

    /// The newest file of a kind, for a member of the project.
    pub async fn newest(&self, project_id: Id, kind: MediaKind, account: Id) -> Result<Option<File>, Error> {
        let listed = Listed { project_id, kind: Some(kind), before: Id::MAX, size: 0 };
        self.db
            .snapshot(async |conn| {
                must_be_member(conn, project_id, account).await?;
                Ok::<_, Error>(files_in(conn, &listed).await?.into_iter().next())
            })
            .await
    }

    /// A page of a project's files, for a member of it, and how many there are in all.
    pub async fn files(&self, listed: &Listed, account: Id) -> Result<(Vec<File>, i64), Error> {
        let (listed, names) = (*listed, names(listed.kind));
        self.db
            .long_snapshot(async |conn| {
                must_be_member(conn, listed.project_id, account).await?;
                let all = media::table.filter(media::project_id.eq(listed.project_id));
                let all = all.filter(media::kind.eq_any(names)).count();
                let total: i64 = on!(conn, |db| all.get_result(db).await)?;
                Ok::<_, Error>((files_in(conn, &listed).await?, total))
            })
            .await
    }

    /// Renames a file, for an editor. `seen` is the version that it must still have.
    pub async fn rename_file(&self, id: Id, name: &str, seen: Option<i64>, account: Id) -> Result<File, Error> {
        let now = self.now();
        let file = self
            .db
            .transaction(async |conn| {
                let (_, role, file) = file_locked(conn, id, account).await?;
                role.may(Role::Editor)?;
                if seen.is_some_and(|seen| seen != file.media.version) {
                    return Err(Error::EtagStale);
                }
                if file.media.name == name {
                    return Ok(file);
                }
                let changed = (media::name.eq(name), media::version.eq(media::version + 1), media::update_time.eq(now));
                let changed = diesel::update(media::table.find(id)).set(changed);
                on!(conn, |db| changed.execute(db).await)?;
                note(conn, file.media.project_id, EventKind::Renamed, None, Some(id), now).await?;
                let version = file.media.version + 1;
                let media = MediaRow { name: name.to_owned(), version, update_time: now, ..file.media };
                Ok::<_, Error>(File { media, ..file })
            })
            .await?;
        self.bells.ring(file.media.project_id);
        Ok(file)
    }

    /// Deletes a file for good, for the project's owner, who gets its room back.
    pub async fn delete_file(&self, id: Id, account: Id) -> Result<(), Error> {
        let now = self.now();
        let project_id = self
            .db
            .transaction(async |conn| {
                let (project, role, file) = file_locked(conn, id, account).await?;
                role.may(Role::Owner)?;
                give_back(conn, &project, file.stored.size_bytes).await?;
                count_media(conn, project.id, -1).await?;
                on!(conn, |db| diesel::delete(media::table.find(id)).execute(db).await)?;
                release(conn, file.media.blob_id, Some(project.owner_id), now).await?;
                note(conn, project.id, EventKind::Deleted, None, Some(id), now).await?;
                Ok::<_, Error>(project.id)
            })
            .await?;
        self.bells.ring(project_id);
        Ok(())
    }
}

/// Refuses whoever is no member of the project. What is read of it for them belongs into the same snapshot.
async fn must_be_member(conn: &mut Conn, project_id: Id, account: Id) -> Result<(), Error> {
    role_in(conn, project_id, account).await?.map(drop).ok_or_else(|| not_found(project_id))
}

/// A file with its project, locked, and what the caller may do there.
async fn file_locked(conn: &mut Conn, id: Id, account: Id) -> Result<(ProjectRow, Role, File), Error> {
    let not_found = || Error::MediaNotFound(id.to_string());
    // A file never changes its project, so that can be asked for before the lock.
    let project_id = media::table.find(id).select(media::project_id);
    let project_id: Option<Id> = on!(conn, |db| project_id.first(db).await.optional())?;
    let (project, role) = role_locked(conn, project_id.ok_or_else(not_found)?, account).await?.ok_or_else(not_found)?;
    let file = file_in(conn, id).await?.ok_or_else(not_found)?;
    Ok((project, role, file))
}
