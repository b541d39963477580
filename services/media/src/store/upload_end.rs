//! The ends of uploads: completed, failed, given up, expired. Each is one transaction with all that follows from it.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::clock::Time;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::failure::reason_name;
use quartet_chassis::id::Id;
use quartet_chassis::on;
use quartet_proto::media::v1::UploadState;
use quartet_proto::r#type::v1::ErrorReason;

use super::blob::{self, BlobRow};
use super::event::{EventKind, note};
use super::garbage::{Thrown, throw_away};
use super::lease::lend;
use super::media::{File, MediaRow, file_in};
use super::part::content_ids;
use super::project::{self, ProjectRow};
use super::upload::{UploadRow, locked, not_found, taken, with_sums};
use super::{Store, usage};
use crate::digest::Running;
use crate::error::Error;
use crate::project::Role;
use crate::schema::{blob as blob_table, media, project as project_table, upload, upload_part};
use crate::upload::{state_name, stored_state};

/// What is to be done to complete an upload.
pub enum Completion {
    /// It was completed before.
    Done(Box<File>),
    /// What came is not what was said: the upload has failed.
    Failed(Error),
    /// The object is to be finished.
    Finish(Box<Finish>),
}

/// An upload all of which is there.
#[derive(Debug, Clone)]
pub struct Finish {
    pub upload: UploadRow,
    pub size_bytes: i64,
    pub sha256: [u8; 32],
    /// The store's own names for its parts, in their order.
    pub parts: Vec<String>,
    pub lease: Id,
}

impl Store {
    /// Looks whether an upload can be completed, and keeps others from writing to it. `sha256` is what the file's digest has to be.
    pub async fn begin_completion(&self, id: Id, account: Id, sha256: Option<&[u8]>) -> Result<Completion, Error> {
        let (now, lease) = (self.now(), self.new_id());
        let (project_id, begun) = self
            .db
            .transaction(async |conn| {
                let (project, role, row) = starters(conn, id, account).await?;
                let begun = match stored_state(&row.state) {
                    UploadState::Completed => Completion::Done(Box::new(done(conn, &row, sha256).await?)),
                    UploadState::Failed => Completion::Failed(failed(&row)),
                    _ => {
                        row.open(now)?;
                        role.may(Role::Editor)?;
                        if self.is_leased(&row, now) {
                            return Err(Error::UploadBusy);
                        }
                        begin(conn, &project, row, sha256, (lease, now)).await?
                    }
                };
                Ok::<_, Error>((project.id, begun))
            })
            .await?;
        if let Completion::Failed(_) = begun {
            self.bells.ring(project_id);
        }
        Ok(begun)
    }

    /// Where the bytes of a finished object lie that the project's owner has already.
    pub async fn same_bytes(&self, finish: &Finish) -> Result<Option<String>, DbError> {
        let conn = &mut self.db.read().await?;
        let owner = project_table::table.find(finish.upload.project_id).select(project_table::owner_id);
        let Some(owner): Option<Id> = on!(conn, |db| owner.first(db).await.optional())? else { return Ok(None) };
        let same = blob_table::table.filter(blob_table::owner_id.eq(owner));
        let same = same.filter(blob_table::sha256.eq(&finish.sha256[..])).select(blob_table::object_key);
        on!(conn, |db| same.first(db).await.optional())
    }

    /// Makes a finished object a file of the project. Bytes that the owner has already are kept once. `lost` is an object that the store has
    /// lost.
    pub async fn complete(&self, finish: &Finish, inline_type: &str, lost: Option<&str>) -> Result<File, Error> {
        let (now, media_id, id) = (self.now(), self.new_id(), finish.upload.id);
        let file = self
            .db
            .transaction(async |conn| {
                let (project, role, row) = starters(conn, id, finish.upload.account_id).await?;
                if stored_state(&row.state) == UploadState::Completed {
                    return done(conn, &row, None).await;
                }
                row.open(now)?;
                role.may(Role::Editor)?;
                if row.lease_id != Some(finish.lease) {
                    return Err(Error::UploadBusy);
                }
                let blob_id = keep(conn, &project, &row, finish, lost, now).await?;
                let media_row = media_row(media_id, blob_id, &row, inline_type, now);
                on!(conn, |db| diesel::insert_into(media::table).values(&media_row).execute(db).await)?;
                project::count_media(conn, project.id, 1).await?;
                close(conn, &row, UploadState::Completed, "", Some(media_id), now).await?;
                note(conn, project.id, EventKind::Ready, Some(id), Some(media_id), now).await?;
                file_in(conn, media_id).await?.ok_or_else(|| Error::MediaNotFound(media_id.to_string()))
            })
            .await?;
        self.bells.ring(finish.upload.project_id);
        Ok(file)
    }

    /// Ends an upload whose object the store has lost, for who has its lease.
    pub async fn fail_upload(&self, upload: &UploadRow, lease: Id) -> Result<(), Error> {
        let now = self.now();
        self.db
            .transaction(async |conn| {
                let (project, _, row) = starters(conn, upload.id, upload.account_id).await?;
                row.open(now)?;
                if row.lease_id == Some(lease) {
                    end(conn, &project, &row, UploadState::Failed, ErrorReason::MediaDamaged, now).await?;
                }
                Ok::<_, Error>(())
            })
            .await?;
        self.bells.ring(upload.project_id);
        Ok(())
    }

    /// Gives an upload up, and answers how it stands.
    pub async fn abort_upload(&self, id: Id, account: Id) -> Result<UploadRow, Error> {
        let now = self.now();
        let row = self
            .db
            .transaction(async |conn| {
                let (project, _, row) = taken(conn, id, account).await?;
                if row.state(now) != UploadState::Open {
                    return Ok(row);
                }
                end(conn, &project, &row, UploadState::Aborted, ErrorReason::Unspecified, now).await?;
                let ended = locked(conn, id).await?;
                Ok::<_, Error>(ended.unwrap_or(row))
            })
            .await?;
        self.bells.ring(row.project_id);
        Ok(row)
    }

    /// Ends some uploads whose time is over, and answers how many there were.
    pub async fn expire_uploads(&self, most: i64) -> Result<usize, DbError> {
        let now = self.now();
        let due = upload::table.filter(upload::end_time.is_null()).filter(upload::expire_time.le(now));
        let due = due.order(upload::expire_time).select((upload::id, upload::project_id)).limit(most);
        let conn = &mut self.db.read().await?;
        let due: Vec<(Id, Id)> = on!(conn, |db| due.load(db).await)?;
        let count = due.len();
        for (id, project_id) in due {
            self.db.transaction(async |conn| expire(conn, id, project_id, now).await).await?;
            self.bells.ring(project_id);
        }
        Ok(count)
    }
}

/// Ends an open upload without a file: what it has taken is given back, and its object is garbage. The transaction holds its project, the
/// sums and itself, see [`with_sums`]. A deleted project's are ended like others.
pub async fn end(
    conn: &mut Conn,
    project: &ProjectRow,
    row: &UploadRow,
    state: UploadState,
    failure: ErrorReason,
    now: Time,
) -> Result<(), DbError> {
    let failure = if failure == ErrorReason::Unspecified { "" } else { reason_name(failure) };
    usage::give_back(conn, project, row.offset_bytes).await?;
    close(conn, row, state, failure, None, now).await?;
    // Not before whoever may still write has stopped: nothing is to come behind the removal.
    let due_time = row.lease_time.map_or(now, |until| until.max(now));
    throw_away(conn, thrown(row, Some(row.account_id), due_time), now).await?;
    note(conn, project.id, EventKind::UploadEnded, Some(row.id), None, now).await
}

async fn expire(conn: &mut Conn, id: Id, project_id: Id, now: Time) -> Result<(), DbError> {
    let Some(project) = project::lock(conn, project_id).await? else { return Ok(()) };
    let Some(row) = with_sums(conn, &project, id).await? else { return Ok(()) };
    if row.end_time.is_none() && row.expire_time <= now {
        end(conn, &project, &row, UploadState::Expired, ErrorReason::Unspecified, now).await?;
    }
    Ok(())
}

/// An upload for who started it: others may end it, but not complete it.
async fn starters(conn: &mut Conn, id: Id, account: Id) -> Result<(ProjectRow, Role, UploadRow), Error> {
    let (project, role, row) = taken(conn, id, account).await?;
    if row.account_id == account { Ok((project, role, row)) } else { Err(not_found(id)) }
}

/// What is to be done about an open upload that is to be completed.
async fn begin(
    conn: &mut Conn,
    project: &ProjectRow,
    row: UploadRow,
    sha256: Option<&[u8]>,
    (lease, now): (Id, Time),
) -> Result<Completion, Error> {
    let size = row.size_bytes.unwrap_or(row.offset_bytes);
    if row.offset_bytes != size || size == 0 {
        return Err(Error::UploadIncomplete(row.offset_bytes));
    }
    let found = Running::stored(&row.digest)?.finish();
    let said = [row.sha256.as_deref(), sha256];
    if said.into_iter().flatten().any(|said| said != found) {
        end(conn, project, &row, UploadState::Failed, ErrorReason::DigestMismatch, now).await?;
        return Ok(Completion::Failed(Error::DigestMismatch));
    }
    lend(conn, row.id, lease, now).await?;
    // Nothing more comes behind what is completed.
    let ends = diesel::update(upload::table.find(row.id)).set(upload::size_bytes.eq(Some(size)));
    on!(conn, |db| ends.execute(db).await)?;
    let parts = content_ids(conn, row.id).await?;
    Ok(Completion::Finish(Box::new(Finish { upload: row, size_bytes: size, sha256: found, parts, lease })))
}

/// The file that an upload was completed to.
async fn done(conn: &mut Conn, row: &UploadRow, sha256: Option<&[u8]>) -> Result<File, Error> {
    let id = row.media_id.unwrap_or(Id::NIL);
    let file = file_in(conn, id).await?.ok_or_else(|| Error::MediaNotFound(id.to_string()))?;
    let same = sha256.is_none_or(|sha256| sha256 == file.stored.sha256);
    if same { Ok(file) } else { Err(Error::DigestMismatch) }
}

/// As what completing an upload has failed: asked again, it is answered the same.
fn failed(row: &UploadRow) -> Error {
    match row.failure.as_str() {
        "DIGEST_MISMATCH" => Error::DigestMismatch,
        "MEDIA_DAMAGED" => Error::UploadDamaged(row.id.to_string()),
        _ => Error::UploadClosed(row.state.clone()),
    }
}

/// The blob of the upload's bytes: the one that the owner has, or a new one. What is not needed of the two is garbage; where the store has lost
/// what the owner has, or it is damaged, that is.
async fn keep(
    conn: &mut Conn,
    project: &ProjectRow,
    row: &UploadRow,
    finish: &Finish,
    lost: Option<&str>,
    now: Time,
) -> Result<Id, DbError> {
    if let Some(same) = blob::of_owner(conn, project.owner_id, &finish.sha256).await? {
        let mut needless = thrown(row, Some(project.owner_id), now);
        if lost == Some(&same.object_key) || same.damage_time.is_some() {
            blob::set_object(conn, same.id, &row.object_key, now).await?;
            needless = Thrown { object_key: same.object_key, store_id: String::new(), ..needless };
        }
        throw_away(conn, needless, now).await?;
        return Ok(same.id);
    }
    let new = BlobRow {
        id: row.id,
        owner_id: Some(project.owner_id),
        sha256: finish.sha256.to_vec(),
        size_bytes: finish.size_bytes,
        object_key: row.object_key.clone(),
        create_time: now,
        check_time: now,
        damage_time: None,
    };
    blob::insert(conn, &new).await?;
    Ok(new.id)
}

fn media_row(id: Id, blob_id: Id, row: &UploadRow, inline_type: &str, now: Time) -> MediaRow {
    MediaRow {
        id,
        project_id: row.project_id,
        blob_id,
        name: row.name.clone(),
        kind: row.kind.clone(),
        content_type: row.content_type.clone(),
        inline_type: inline_type.to_owned(),
        uploader_id: Some(row.account_id),
        version: 1,
        create_time: now,
        update_time: now,
    }
}

fn thrown(row: &UploadRow, account_id: Option<Id>, due_time: Time) -> Thrown {
    let (object_key, store_id) = (row.object_key.clone(), row.store_id.clone());
    Thrown { id: row.id, object_key, store_id, account_id, due_time }
}

/// Writes how an upload has ended. Its parts need not be known any more.
async fn close(
    conn: &mut Conn,
    row: &UploadRow,
    state: UploadState,
    failure: &str,
    media_id: Option<Id>,
    now: Time,
) -> Result<(), DbError> {
    usage::close_upload(conn, row.account_id).await?;
    let set = (
        upload::state.eq(state_name(state)),
        upload::failure.eq(failure),
        upload::media_id.eq(media_id),
        upload::digest.eq(Vec::<u8>::new()),
        upload::lease_id.eq(None::<Id>),
        upload::lease_time.eq(None::<Time>),
        upload::end_time.eq(Some(now)),
    );
    on!(conn, |db| diesel::update(upload::table.find(row.id)).set(set).execute(db).await)?;
    let parts = upload_part::table.filter(upload_part::upload_id.eq(row.id));
    on!(conn, |db| diesel::delete(parts).execute(db).await).map(drop)
}
