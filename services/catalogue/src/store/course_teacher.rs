//! Who teaches a course.

use chrono::DateTime;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::accounts::AccountRow;
use quartet_chassis::accounts::hold::people;
use quartet_chassis::clock::Time;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::Store;
use super::course::CourseRow;
use super::course_right::{must_see, owned, right_in, right_locked};
use super::invitation::forget_account;
use super::person::reachable;
use crate::error::Error;
use crate::right::Asker;
use crate::schema::{course, course_teacher, enrolment};

/// Somebody who teaches a course.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TeacherRow {
    pub account_id: Id,
    pub create_time: Time,
    pub owner: bool,
    /// As far as it is known here.
    pub account: Option<AccountRow>,
}

impl Store {
    /// The teachers of a course behind (`time`, `id`), or from the owner on: as many as asked for, and one more if there are more.
    pub async fn teachers(
        &self,
        course_id: Id,
        after: Option<(Time, Id)>,
        size: i64,
        asker: &Asker,
    ) -> Result<Vec<TeacherRow>, Error> {
        self.db
            .snapshot(async |conn| {
                let (course, right) = must_see(right_in(conn, course_id, asker).await?, course_id)?;
                if !right.reads() {
                    return Err(Error::CourseRightMissing);
                }
                Ok::<_, Error>(listed(conn, &course, after, size).await?)
            })
            .await
    }

    /// Makes somebody a co-teacher, who is no student from then on and needs no invitation. One of an address stays: that it went would
    /// tell whose the address is.
    pub async fn add_teacher(&self, course_id: Id, person: Id, asker: &Asker) -> Result<(), Error> {
        let now = self.now();
        self.db
            .transaction(async |conn| {
                let course = owned(conn, course_id, asker).await?;
                if person == course.owner_id {
                    return Ok(());
                }
                course.changeable()?;
                reachable(conn, &[person]).await?;
                put_teacher(conn, course_id, person, now).await?;
                forget_account(conn, course_id, person).await?;
                let student = diesel::update(enrolment::table.find((course_id, person)));
                on!(conn, |db| student.set(enrolment::active.eq(false)).execute(db).await)?;
                Ok::<_, Error>(())
            })
            .await
    }

    /// Takes that back, for the owner, or for who leaves.
    pub async fn remove_teacher(&self, course_id: Id, person: Id, asker: &Asker) -> Result<(), Error> {
        self.db
            .transaction(async |conn| {
                let (_, right) = must_see(right_locked(conn, course_id, asker).await?, course_id)?;
                if !right.owns() && !asker.is(person) {
                    return Err(Error::CourseRightMissing);
                }
                take_teacher(conn, course_id, person).await?;
                Ok::<_, Error>(())
            })
            .await
    }

    /// Gives a course to one of its co-teachers, whose place the owner takes.
    pub async fn transfer_course(&self, course_id: Id, person: Id, asker: &Asker) -> Result<(), Error> {
        let now = self.now();
        self.db
            .transaction(async |conn| {
                let course = owned(conn, course_id, asker).await?;
                if person == course.owner_id {
                    return Ok(());
                }
                reachable(conn, &[person]).await?;
                if !take_teacher(conn, course_id, person).await? {
                    return Err(Error::PersonNotFound(person.to_string()));
                }
                put_teacher(conn, course_id, course.owner_id, now).await?;
                set_owner(conn, &course, person, now).await?;
                Ok::<_, Error>(())
            })
            .await
    }
}

/// The owner first, where the list begins, and who they are.
async fn listed(
    conn: &mut Conn,
    course: &CourseRow,
    after: Option<(Time, Id)>,
    size: i64,
) -> Result<Vec<TeacherRow>, DbError> {
    let mut rows = Vec::new();
    if after.is_none() {
        rows.push((course.owner_id, course.create_time));
    }
    rows.append(&mut co_teachers(conn, course.id, after, size + 1).await?);
    rows.truncate(usize::try_from(size + 1).unwrap_or_default());
    let ids: Vec<Id> = rows.iter().map(|(id, _)| *id).collect();
    let mut accounts = people(conn, &ids).await?;
    let teacher = |(account_id, create_time)| TeacherRow {
        account_id,
        create_time,
        owner: account_id == course.owner_id,
        account: accounts.remove(&account_id),
    };
    Ok(rows.into_iter().map(teacher).collect())
}

/// The co-teachers of a course, those who came first in front.
pub async fn co_teachers(
    conn: &mut Conn,
    course_id: Id,
    after: Option<(Time, Id)>,
    most: i64,
) -> Result<Vec<(Id, Time)>, DbError> {
    // Nobody came before the first one.
    let (time, id) = after.unwrap_or((DateTime::UNIX_EPOCH.naive_utc(), Id::NIL));
    let same = course_teacher::create_time.eq(time).and(course_teacher::account_id.gt(id));
    let behind = course_teacher::create_time.gt(time).or(same);
    let query = course_teacher::table.filter(course_teacher::course_id.eq(course_id).and(behind));
    let query = query.order((course_teacher::create_time, course_teacher::account_id)).limit(most);
    let query = query.select((course_teacher::account_id, course_teacher::create_time));
    let rows: Vec<(Id, Time)> = on!(conn, |db| query.load(db).await)?;
    Ok(rows)
}

/// Gives a course to one of its co-teachers.
pub async fn pass(conn: &mut Conn, course: &CourseRow, heir: Id, now: Time) -> Result<(), DbError> {
    take_teacher(conn, course.id, heir).await?;
    set_owner(conn, course, heir, now).await
}

async fn set_owner(conn: &mut Conn, course: &CourseRow, owner: Id, now: Time) -> Result<(), DbError> {
    let set = (course::owner_id.eq(owner), course::version.eq(course.version + 1), course::update_time.eq(now));
    on!(conn, |db| diesel::update(course::table.find(course.id)).set(set).execute(db).await).map(drop)
}

/// Takes somebody off the co-teachers; false when they were none.
pub async fn take_teacher(conn: &mut Conn, course_id: Id, person: Id) -> Result<bool, DbError> {
    let row = course_teacher::table.find((course_id, person));
    let taken: usize = on!(conn, |db| diesel::delete(row).execute(db).await)?;
    Ok(taken > 0)
}

async fn put_teacher(conn: &mut Conn, course_id: Id, person: Id, now: Time) -> Result<(), DbError> {
    let row = (
        course_teacher::course_id.eq(course_id),
        course_teacher::account_id.eq(person),
        course_teacher::create_time.eq(now),
    );
    let insert = diesel::insert_into(course_teacher::table).values(row).on_conflict_do_nothing();
    on!(conn, |db| insert.execute(db).await).map(drop)
}
