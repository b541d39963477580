//! Courses one by one: made, changed, deleted, and told with what belongs to them.

use chrono::TimeDelta;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::clock::Time;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::failure::Fields;
use quartet_chassis::id::Id;
use quartet_chassis::on;
use quartet_proto::catalogue::v1::{EnrolmentPolicy, PublicationState};

use super::Store;
use super::course_removal::mark_deleted;
use super::course_right::{must_see, owned, right_in, right_locked, taught};
use super::course_view::{CourseView, views};
use super::person::writer;
use crate::course::{
    CoursePatch, Entrance, NewCourse, policy_name, state_name, stored_policy, stored_state, title_key,
};
use crate::error::Error;
use crate::right::Asker;
use crate::schema::{course, course_request};

/// A course.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = course)]
pub struct CourseRow {
    pub id: Id,
    pub owner_id: Id,
    pub title: String,
    pub title_key: String,
    pub description: String,
    pub state: String,
    pub enrolment_policy: String,
    pub enrolment_code: String,
    pub version: i64,
    pub create_time: Time,
    pub update_time: Time,
}

impl CourseRow {
    pub fn new(id: Id, owner_id: Id, new: &NewCourse, now: Time) -> CourseRow {
        CourseRow {
            id,
            owner_id,
            title: new.title.clone(),
            title_key: title_key(&new.title),
            description: new.description.clone(),
            state: state_name(PublicationState::Draft).to_owned(),
            enrolment_policy: policy_name(new.entrance.policy).to_owned(),
            enrolment_code: new.entrance.code.clone(),
            version: 1,
            create_time: now,
            update_time: now,
        }
    }

    pub fn state(&self) -> PublicationState {
        stored_state(&self.state)
    }

    pub fn policy(&self) -> EnrolmentPolicy {
        stored_policy(&self.enrolment_policy)
    }

    pub fn archived(&self) -> bool {
        self.state() == PublicationState::Archived
    }

    /// Nothing, unless the course is archived.
    pub fn changeable(&self) -> Result<(), Error> {
        if self.archived() { Err(Error::CourseArchived) } else { Ok(()) }
    }

    pub fn as_given(&self) -> NewCourse {
        NewCourse {
            title: self.title.clone(),
            description: self.description.clone(),
            entrance: Entrance { policy: self.policy(), code: self.enrolment_code.clone() },
        }
    }
}

/// How a request to make something is told from others.
pub struct RequestKey {
    pub key: String,
    pub body_hash: Vec<u8>,
}

impl Store {
    /// Makes a course, or answers the one that was made for this key within a day.
    pub async fn create_course(
        &self,
        asker: &Asker,
        owner: Id,
        new: &NewCourse,
        request: Option<&RequestKey>,
    ) -> Result<CourseView, Error> {
        let row = CourseRow::new(self.new_id(), owner, new, self.now());
        self.db
            .transaction(async |conn| {
                if let Some(request) = request
                    && let Some(made) = made_before(conn, &row, request).await?
                {
                    let (row, right) = right_in(conn, made, asker).await?.ok_or_else(|| not_found(made))?;
                    // It may have become somebody else's.
                    return if right.sees() { one(conn, row, asker).await } else { Err(not_found(made)) };
                }
                insert_course(conn, &row).await?;
                one(conn, row, asker).await
            })
            .await
    }

    pub async fn course(&self, id: Id, asker: &Asker) -> Result<Option<CourseView>, DbError> {
        self.db
            .snapshot(async |conn| {
                let found = right_in(conn, id, asker).await?;
                let Some((row, _)) = found.filter(|(_, right)| right.sees()) else { return Ok(None) };
                Ok::<_, DbError>(views(conn, vec![row], asker).await?.pop())
            })
            .await
    }

    pub async fn update_course(
        &self,
        id: Id,
        seen: Option<i64>,
        patch: &CoursePatch,
        asker: &Asker,
    ) -> Result<CourseView, Error> {
        let now = self.now();
        self.db
            .transaction(async |conn| {
                let row = taught(conn, id, asker).await?;
                row.changeable()?;
                fresh(seen, row.version)?;
                let (old, new) = (row.as_given(), patch.applied_to(row.as_given())?);
                if new == old {
                    return one(conn, row, asker).await;
                }
                let changed = CourseRow {
                    version: row.version + 1,
                    create_time: row.create_time,
                    state: row.state,
                    ..CourseRow::new(id, row.owner_id, &new, now)
                };
                put(conn, &changed).await?;
                one(conn, changed, asker).await
            })
            .await
    }

    /// Deletes a course. Nobody finds it from here on; what is in it goes bit by bit behind that.
    pub async fn delete_course(&self, id: Id, seen: Option<i64>, asker: &Asker) -> Result<(), Error> {
        let now = self.now();
        self.db
            .transaction(async |conn| {
                let row = owned(conn, id, asker).await?;
                fresh(seen, row.version)?;
                mark_deleted(conn, id, now).await?;
                Ok::<_, Error>(())
            })
            .await?;
        self.deleted.notify_one();
        Ok(())
    }

    /// Sets where a course stands. Out of the archive it comes by administrators alone: moderators put courses there too.
    pub async fn set_course_state(
        &self,
        id: Id,
        seen: Option<i64>,
        state: PublicationState,
        asker: &Asker,
    ) -> Result<CourseView, Error> {
        let now = self.now();
        self.db
            .transaction(async |conn| {
                let (row, right) = must_see(right_locked(conn, id, asker).await?, id)?;
                let archives = asker.moderator && state == PublicationState::Archived;
                if !right.teaches() && !archives {
                    return Err(Error::CourseRightMissing);
                }
                fresh(seen, row.version)?;
                if row.state() == state {
                    return one(conn, row, asker).await;
                }
                if !asker.admin {
                    row.changeable()?;
                }
                let state = state_name(state).to_owned();
                let changed = CourseRow { state, version: row.version + 1, update_time: now, ..row };
                put(conn, &changed).await?;
                one(conn, changed, asker).await
            })
            .await
    }
}

pub fn not_found(id: Id) -> Error {
    Error::CourseNotFound(id.to_string())
}

/// Nothing, unless the caller has seen another state.
pub fn fresh(seen: Option<i64>, version: i64) -> Result<(), Error> {
    if seen.is_some_and(|seen| seen != version) { Err(Error::EtagStale) } else { Ok(()) }
}

pub async fn one(conn: &mut Conn, row: CourseRow, asker: &Asker) -> Result<CourseView, Error> {
    let id = row.id;
    views(conn, vec![row], asker).await?.pop().ok_or_else(|| not_found(id))
}

/// Makes a course of the caller's own.
pub async fn insert_course(conn: &mut Conn, row: &CourseRow) -> Result<(), Error> {
    writer(conn, row.owner_id).await?;
    on!(conn, |db| diesel::insert_into(course::table).values(row).execute(db).await)?;
    Ok(())
}

async fn put(conn: &mut Conn, row: &CourseRow) -> Result<(), DbError> {
    let set = (
        course::title.eq(&row.title),
        course::title_key.eq(&row.title_key),
        course::description.eq(&row.description),
        course::state.eq(&row.state),
        course::enrolment_policy.eq(&row.enrolment_policy),
        course::enrolment_code.eq(&row.enrolment_code),
        course::version.eq(row.version),
        course::update_time.eq(row.update_time),
    );
    on!(conn, |db| diesel::update(course::table.find(row.id)).set(set).execute(db).await).map(drop)
}

/// The course that was made for this key, or nothing when it is to be made now. Who asks at the same time waits for the first.
async fn made_before(conn: &mut Conn, row: &CourseRow, request: &RequestKey) -> Result<Option<Id>, Error> {
    let old = course_request::create_time.lt(row.create_time - TimeDelta::days(1));
    on!(conn, |db| diesel::delete(course_request::table.filter(old)).execute(db).await)?;
    let values = (
        course_request::account_id.eq(row.owner_id),
        course_request::idempotency_key.eq(&request.key),
        course_request::body_hash.eq(&request.body_hash),
        course_request::course_id.eq(row.id),
        course_request::create_time.eq(row.create_time),
    );
    let insert = diesel::insert_into(course_request::table).values(values).on_conflict_do_nothing();
    let inserted: usize = on!(conn, |db| insert.execute(db).await)?;
    if inserted > 0 {
        return Ok(None);
    }
    let before = course_request::table.find((row.owner_id, &request.key));
    let before = before.select((course_request::body_hash, course_request::course_id));
    let (body_hash, made): (Vec<u8>, Id) = on!(conn, |db| before.first(db).await)?;
    if body_hash != request.body_hash {
        let mut fields = Fields::default();
        fields.refuse("idempotency_key", "was used for another course within the last day");
        return Err(fields.into());
    }
    Ok(Some(made))
}
