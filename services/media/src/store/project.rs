//! Projects, and what somebody may do in one, asked of the tables in the transaction that then does it or the snapshot that then reads it.

use chrono::{DateTime, TimeDelta};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::accounts::hold::{self, Writer};
use quartet_chassis::clock::Time;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::idempotency::{RequestKey, made_before};
use quartet_chassis::on;

use super::project_view::{ProjectView, one};
use super::{Store, usage};
use crate::error::Error;
use crate::project::{PROJECTS, Role};
use crate::schema::{member, project, upload};

/// A project.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = project)]
pub struct ProjectRow {
    pub id: Id,
    pub owner_id: Id,
    pub name: String,
    pub media_count: i32,
    pub size_bytes: i64,
    pub last_event: i64,
    pub version: i64,
    pub create_time: Time,
    pub update_time: Time,
    pub delete_time: Option<Time>,
    pub purge_time: Option<Time>,
}

impl Store {
    /// Makes a project, or answers the one that was made for this key within a day.
    pub async fn create_project(&self, owner: Id, name: &str, key: Option<&RequestKey>) -> Result<ProjectView, Error> {
        let (now, id) = (self.now(), self.new_id());
        self.db
            .transaction(async |conn| {
                if hold::writer(conn, owner).await? == Writer::Erased {
                    return Err(Error::PersonNotFound(owner.to_string()));
                }
                if let Some(key) = key
                    && let Some(made) = made_before::<Error>(conn, owner, key, id, now).await?
                {
                    let (row, role) = role_in(conn, made, owner).await?.ok_or_else(|| not_found(made))?;
                    return one(conn, row, role).await;
                }
                if !usage::add_project(conn, owner, PROJECTS).await? {
                    return Err(Error::ProjectLimit(PROJECTS));
                }
                let row = insert(conn, id, owner, name, now).await?;
                one(conn, row, Role::Owner).await
            })
            .await
    }

    /// Gives a project another name.
    pub async fn rename_project(
        &self,
        id: Id,
        caller: Id,
        seen: Option<i64>,
        name: &str,
    ) -> Result<ProjectView, Error> {
        let now = self.now();
        self.db
            .transaction(async |conn| {
                let row = owned(conn, id, caller).await?;
                if seen.is_some_and(|seen| seen != row.version) {
                    return Err(Error::EtagStale);
                }
                if row.name == name {
                    return one(conn, row, Role::Owner).await;
                }
                let row = ProjectRow { name: name.to_owned(), version: row.version + 1, update_time: now, ..row };
                let set = (project::name.eq(name), project::version.eq(row.version), project::update_time.eq(now));
                on!(conn, |db| diesel::update(project::table.find(id)).set(set).execute(db).await)?;
                one(conn, row, Role::Owner).await
            })
            .await
    }

    /// Deletes a project for everybody, and says until when that can be taken back. What is being uploaded into it has come too late.
    pub async fn delete_project(&self, id: Id, caller: Id) -> Result<Time, Error> {
        let now = self.now();
        let purge_time = now + TimeDelta::hours(i64::from(self.limits.undelete_hours));
        self.db
            .transaction(async |conn| {
                owned(conn, id, caller).await?;
                let set = (
                    project::delete_time.eq(Some(now)),
                    project::purge_time.eq(Some(purge_time)),
                    project::version.eq(project::version + 1),
                );
                on!(conn, |db| diesel::update(project::table.find(id)).set(set).execute(db).await)?;
                let open = upload::table.filter(upload::project_id.eq(id).and(upload::end_time.is_null()));
                on!(conn, |db| diesel::update(open).set(upload::expire_time.eq(now)).execute(db).await)?;
                Ok::<_, Error>(purge_time)
            })
            .await
    }

    /// Takes a deletion back as long as that is possible.
    pub async fn undelete_project(&self, id: Id, caller: Id) -> Result<ProjectView, Error> {
        let now = self.now();
        self.db
            .transaction(async |conn| {
                let row = lock(conn, id).await?.filter(|row| row.owner_id == caller);
                let row = row.ok_or_else(|| not_found(id))?;
                if row.delete_time.is_none() {
                    return one(conn, row, Role::Owner).await;
                }
                if row.purge_time.is_none_or(|time| time <= now) {
                    return Err(not_found(id));
                }
                let row = ProjectRow { version: row.version + 1, delete_time: None, purge_time: None, ..row };
                let set = (
                    project::delete_time.eq(row.delete_time),
                    project::purge_time.eq(row.purge_time),
                    project::version.eq(row.version),
                );
                on!(conn, |db| diesel::update(project::table.find(id)).set(set).execute(db).await)?;
                one(conn, row, Role::Owner).await
            })
            .await
    }
}

pub fn not_found(id: Id) -> Error {
    Error::ProjectNotFound(id.to_string())
}

/// The project and what somebody may do in it, unless it is deleted or they are no member. For reading: it may change right after.
pub async fn role_in(conn: &mut Conn, id: Id, account: Id) -> Result<Option<(ProjectRow, Role)>, DbError> {
    let query = project::table
        .inner_join(member::table.on(member::project_id.eq(project::id)))
        .filter(project::id.eq(id).and(project::delete_time.is_null()).and(member::account_id.eq(account)));
    let found: Option<(ProjectRow, String)> =
        on!(conn, |db| query.select((ProjectRow::as_select(), member::role)).first(db).await.optional())?;
    Ok(found.map(|(row, role)| (row, Role::stored(&role))))
}

/// The same, and nobody else changes the project, its members, its uploads and its files until the transaction ends: whoever does begins
/// with this. So rights and sums are those that are written upon.
pub async fn role_locked(conn: &mut Conn, id: Id, account: Id) -> Result<Option<(ProjectRow, Role)>, DbError> {
    let Some(row) = lock(conn, id).await?.filter(|row| row.delete_time.is_none()) else { return Ok(None) };
    let role = member::table.find((id, account)).select(member::role);
    let role: Option<String> = on!(conn, |db| role.first(db).await.optional())?;
    Ok(role.map(|role| (row, Role::stored(&role))))
}

/// The project for who may do in it what is for `least`, locked.
pub async fn held(conn: &mut Conn, id: Id, account: Id, least: Role) -> Result<(ProjectRow, Role), Error> {
    let (row, role) = role_locked(conn, id, account).await?.ok_or_else(|| not_found(id))?;
    role.may(least)?;
    Ok((row, role))
}

/// The project for its owner, locked.
pub async fn owned(conn: &mut Conn, id: Id, account: Id) -> Result<ProjectRow, Error> {
    held(conn, id, account, Role::Owner).await.map(|(row, _)| row)
}

/// The project, deleted or not, locked likewise, whoever asks.
pub async fn lock(conn: &mut Conn, id: Id) -> Result<Option<ProjectRow>, DbError> {
    // An update that changes nothing locks a row on both engines, where one of them has no `for update`.
    let lock = diesel::update(project::table.find(id)).set(project::version.eq(project::version));
    on!(conn, |db| lock.returning(ProjectRow::as_returning()).get_result(db).await.optional())
}

/// Counts files that have come into a project, or have gone.
pub async fn count_media(conn: &mut Conn, id: Id, more: i32) -> Result<(), DbError> {
    let set = project::media_count.eq(project::media_count + more);
    on!(conn, |db| diesel::update(project::table.find(id)).set(set).execute(db).await).map(drop)
}

/// When a project is purged whose purge has begun: no clock says that this is yet to come, so nobody takes the deletion back.
pub fn purging() -> Time {
    DateTime::UNIX_EPOCH.naive_utc()
}

async fn insert(conn: &mut Conn, id: Id, owner: Id, name: &str, now: Time) -> Result<ProjectRow, DbError> {
    let row = ProjectRow {
        id,
        owner_id: owner,
        name: name.to_owned(),
        media_count: 0,
        size_bytes: 0,
        last_event: 0,
        version: 1,
        create_time: now,
        update_time: now,
        delete_time: None,
        purge_time: None,
    };
    on!(conn, |db| diesel::insert_into(project::table).values(&row).execute(db).await)?;
    let own = (
        member::project_id.eq(id),
        member::account_id.eq(owner),
        member::role.eq(Role::Owner.name()),
        member::create_time.eq(now),
    );
    on!(conn, |db| diesel::insert_into(member::table).values(own).execute(db).await)?;
    Ok(row)
}
