//! Uploads: begun, asked for, and held while something is decided about one.

use chrono::TimeDelta;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::accounts::hold::{self, Writer};
use quartet_chassis::clock::Time;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::idempotency::{RequestKey, made_before};
use quartet_chassis::on;
use quartet_proto::media::v1::UploadState;

use super::event::{EventKind, note};
use super::project::{self, ProjectRow, held, role_in, role_locked};
use super::{Store, usage};
use crate::error::{Error, Quota};
use crate::kind::{kind_name, stored_kind};
use crate::objects;
use crate::project::Role;
use crate::schema::{member, project as project_table, upload};
use crate::upload::{NewUpload, OPEN, Shape, longest, state_name, stored_state};

/// An upload.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = upload)]
pub struct UploadRow {
    pub id: Id,
    pub project_id: Id,
    pub account_id: Id,
    pub name: String,
    pub kind: String,
    pub content_type: String,
    pub size_bytes: Option<i64>,
    pub sha256: Option<Vec<u8>>,
    pub offset_bytes: i64,
    pub part_size_bytes: i32,
    pub state: String,
    pub failure: String,
    pub object_key: String,
    pub store_id: String,
    pub digest: Vec<u8>,
    pub lease_id: Option<Id>,
    pub lease_time: Option<Time>,
    pub media_id: Option<Id>,
    pub create_time: Time,
    pub expire_time: Time,
    pub end_time: Option<Time>,
}

impl UploadRow {
    fn new(id: Id, project_id: Id, account_id: Id, new: &NewUpload, now: Time, expire_time: Time) -> UploadRow {
        UploadRow {
            id,
            project_id,
            account_id,
            name: new.name.clone(),
            kind: kind_name(new.kind).to_owned(),
            content_type: new.content_type.clone(),
            size_bytes: new.size_bytes,
            sha256: new.sha256.clone(),
            offset_bytes: 0,
            part_size_bytes: i32::try_from(new.part_size()).unwrap_or(i32::MAX),
            state: state_name(UploadState::Open).to_owned(),
            failure: String::new(),
            object_key: objects::key(id),
            store_id: String::new(),
            digest: Vec::new(),
            lease_id: None,
            lease_time: None,
            media_id: None,
            create_time: now,
            expire_time,
            end_time: None,
        }
    }

    /// Where it stands at this moment: one whose time is over has expired, whether somebody has seen to that yet or not.
    pub fn state(&self, now: Time) -> UploadState {
        match stored_state(&self.state) {
            UploadState::Open if self.expire_time <= now => UploadState::Expired,
            state => state,
        }
    }

    /// Nothing, as long as it takes parts.
    pub fn open(&self, now: Time) -> Result<(), Error> {
        match self.state(now) {
            UploadState::Open => Ok(()),
            state => Err(Error::UploadClosed(state_name(state).to_owned())),
        }
    }

    /// How its parts lie, where a file may be as long as `most`.
    pub fn shape(&self, most: i64) -> Shape {
        let longest = longest(stored_kind(&self.kind), most);
        Shape { part_size: i64::from(self.part_size_bytes), size_bytes: self.size_bytes, longest }
    }
}

/// Which open uploads a page has.
#[derive(Debug, Clone, Copy)]
pub struct UploadList {
    pub project_id: Id,
    /// Only older ones than this.
    pub before: Id,
    pub size: i64,
}

impl Store {
    /// Begins an upload, or answers the one that was begun for this key within a day.
    pub async fn start_upload(
        &self,
        project_id: Id,
        account: Id,
        new: &NewUpload,
        key: Option<&RequestKey>,
    ) -> Result<UploadRow, Error> {
        let (now, id) = (self.now(), self.new_id());
        let row = UploadRow::new(id, project_id, account, new, now, self.expiry(now));
        let row = self
            .db
            .transaction(async |conn| {
                let (project, role) = held(conn, project_id, account, Role::Editor).await?;
                if hold::writer(conn, account).await? == Writer::Erased {
                    return Err(project::not_found(project_id));
                }
                if let Some(key) = key
                    && let Some(made) = made_before::<Error>(conn, account, key, id, now).await?
                {
                    return upload_in(conn, made).await?.ok_or_else(|| not_found(made));
                }
                usage::take(conn, project.owner_id, account).await?;
                let bytes = row.size_bytes.unwrap_or(1);
                let room = usage::fits(conn, &self.limits, &project, bytes).await?;
                room.map_err(|quota| exceeded(role, quota))?;
                if !usage::open_upload(conn, account, OPEN).await? {
                    return Err(Error::UploadLimit(OPEN));
                }
                on!(conn, |db| diesel::insert_into(upload::table).values(&row).execute(db).await)?;
                note(conn, project_id, EventKind::UploadStarted, Some(id), None, now).await?;
                Ok(row)
            })
            .await?;
        self.bells.ring(project_id);
        Ok(row)
    }

    /// An upload for who started it or owns the project, as long as they are members of it.
    pub async fn upload(&self, id: Id, account: Id) -> Result<UploadRow, Error> {
        let conn = &mut self.db.read().await?;
        let seen = upload::table
            .inner_join(project_table::table.on(project_table::id.eq(upload::project_id)))
            .inner_join(member::table.on(member::project_id.eq(upload::project_id)))
            .filter(upload::id.eq(id))
            .filter(member::account_id.eq(account))
            .filter(project_table::delete_time.is_null());
        let found: Option<(UploadRow, String)> =
            on!(conn, |db| seen.select((UploadRow::as_select(), member::role)).first(db).await.optional())?;
        let sees = |row: &UploadRow, role: &str| Role::stored(role).owns() || row.account_id == account;
        found.filter(|(row, role)| sees(row, role)).map(|(row, _)| row).ok_or_else(|| not_found(id))
    }

    /// Refuses whoever has not started the upload: for others it is not there.
    pub async fn check_starter(&self, id: Id, account: Id) -> Result<(), Error> {
        let conn = &mut self.db.read().await?;
        let own = upload::table.find(id).filter(upload::account_id.eq(account)).count();
        let own: i64 = on!(conn, |db| own.get_result(db).await)?;
        if own > 0 { Ok(()) } else { Err(not_found(id)) }
    }

    /// The open uploads of a page, the newest first, and one more if there are more: for the owner everybody's, otherwise the caller's.
    pub async fn open_uploads(&self, list: &UploadList, account: Id) -> Result<Vec<UploadRow>, Error> {
        let (list, now) = (*list, self.now());
        self.db
            .snapshot(async |conn| {
                let found = role_in(conn, list.project_id, account).await?;
                let (_, role) = found.ok_or_else(|| project::not_found(list.project_id))?;
                Ok::<_, Error>(open_in(conn, &list, (!role.owns()).then_some(account), now).await?)
            })
            .await
    }

    /// How the parts of an upload lie.
    pub fn shape(&self, row: &UploadRow) -> Shape {
        row.shape(self.limits.file_bytes)
    }

    /// Until when an upload waits to which something comes now.
    pub(super) fn expiry(&self, now: Time) -> Time {
        now + TimeDelta::hours(i64::from(self.limits.upload_hours))
    }
}

pub fn not_found(id: Id) -> Error {
    Error::UploadNotFound(id.to_string())
}

/// No room: how much there is, is for the owner to know.
pub fn exceeded(role: Role, quota: Quota) -> Error {
    Error::QuotaExceeded(role.owns().then_some(quota))
}

/// An upload, whoever asks.
async fn upload_in(conn: &mut Conn, id: Id) -> Result<Option<UploadRow>, DbError> {
    let query = upload::table.find(id);
    on!(conn, |db| query.select(UploadRow::as_select()).first(db).await.optional())
}

/// The open uploads of a page: all of the project, or those that `starter` has started.
async fn open_in(
    conn: &mut Conn,
    list: &UploadList,
    starter: Option<Id>,
    now: Time,
) -> Result<Vec<UploadRow>, DbError> {
    let open = upload::table
        .filter(upload::project_id.eq(list.project_id))
        .filter(upload::id.lt(list.before))
        .filter(upload::end_time.is_null())
        .filter(upload::expire_time.gt(now))
        .order(upload::id.desc())
        .limit(list.size + 1);
    let rows: Vec<UploadRow> = match starter {
        None => on!(conn, |db| open.select(UploadRow::as_select()).load(db).await)?,
        Some(starter) => {
            let own = open.filter(upload::account_id.eq(starter));
            on!(conn, |db| own.select(UploadRow::as_select()).load(db).await)?
        }
    };
    Ok(rows)
}

/// An upload that nobody else changes until the transaction ends, whoever asks.
pub async fn locked(conn: &mut Conn, id: Id) -> Result<Option<UploadRow>, DbError> {
    // An update that changes nothing locks a row on both engines, where one of them has no `for update`.
    let lock = diesel::update(upload::table.find(id)).set(upload::offset_bytes.eq(upload::offset_bytes));
    on!(conn, |db| lock.returning(UploadRow::as_returning()).get_result(db).await.optional())
}

/// An upload that the transaction decides about, with all that hangs on it locked in the order of the house: its project, who writes, the
/// sums of accounts, and itself. For who started it, or owns the project.
pub async fn taken(conn: &mut Conn, id: Id, account: Id) -> Result<(ProjectRow, Role, UploadRow), Error> {
    // An upload never changes its project, so that can be asked for before the lock.
    let project_id = upload::table.find(id).select(upload::project_id);
    let project_id: Option<Id> = on!(conn, |db| project_id.first(db).await.optional())?;
    let project_id = project_id.ok_or_else(|| not_found(id))?;
    let (project, role) = role_locked(conn, project_id, account).await?.ok_or_else(|| not_found(id))?;
    if hold::writer(conn, account).await? == Writer::Erased {
        return Err(not_found(id));
    }
    let row = with_sums(conn, &project, id).await?.ok_or_else(|| not_found(id))?;
    if role.owns() || row.account_id == account { Ok((project, role, row)) } else { Err(not_found(id)) }
}

/// An upload of a project that the transaction holds, with the sums that change when it ends.
pub async fn with_sums(conn: &mut Conn, project: &ProjectRow, id: Id) -> Result<Option<UploadRow>, DbError> {
    let starter = upload::table.find(id).select(upload::account_id);
    let Some(starter): Option<Id> = on!(conn, |db| starter.first(db).await.optional())? else { return Ok(None) };
    usage::lock(conn, &[project.owner_id, starter]).await?;
    locked(conn, id).await
}
