//! Enrolments: who takes a course.

use std::collections::{HashMap, HashSet};

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::accounts::AccountRow;
use quartet_chassis::accounts::table::account;
use quartet_chassis::clock::Time;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::on;
use quartet_proto::catalogue::v1::{EnrolmentPolicy, PublicationState};

use super::Store;
use super::course::CourseRow;
use super::course_right::{must_see, right_in, right_locked, taught};
use super::invitation::{is_invited, use_up};
use super::person::writer;
use super::work::{Column, columns, works};
use crate::error::Error;
use crate::people::name_key;
use crate::progress::{Override, Progress, Works, progress};
use crate::right::{Asker, Right};
use crate::schema::enrolment;

/// An enrolment.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = enrolment)]
pub struct EnrolmentRow {
    pub student_id: Id,
    pub active: bool,
    pub name_key: String,
    pub create_time: Time,
    pub override_completed: Option<bool>,
    pub override_reason: String,
    pub override_teacher_id: Option<Id>,
    pub override_time: Option<Time>,
}

impl EnrolmentRow {
    fn said(&self) -> Option<Override> {
        let (completed, time) = self.override_completed.zip(self.override_time)?;
        Some(Override { completed, reason: self.override_reason.clone(), teacher_id: self.override_teacher_id, time })
    }
}

/// What is known of somebody's name and address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Name {
    pub first_name: String,
    pub last_name: String,
    pub email: String,
}

/// A student of a course with their work.
#[derive(Debug, Clone)]
pub struct Student {
    pub row: EnrolmentRow,
    pub name: Name,
    pub works: Works,
    pub progress: Progress,
}

impl Store {
    /// Enrols the caller. `knows` says whether they know a code.
    pub async fn enrol(
        &self,
        course: Id,
        student: Id,
        asker: &Asker,
        knows: &(dyn Fn(&str) -> bool + Send + Sync),
    ) -> Result<Student, Error> {
        self.db
            .transaction(async |conn| {
                let found = right_locked(conn, course, asker).await?;
                let (row, right) = must_see(found, course)?;
                may_enrol(&row, right)?;
                let before = enrolment_of(conn, course, student).await?;
                if before.is_some_and(|before| before.active) {
                    return Err(Error::AlreadyEnrolled);
                }
                let known = writer(conn, student).await?;
                let email_key = known.as_ref().map(AccountRow::own_email_key).unwrap_or_default();
                let invited = is_invited(conn, course, student, email_key).await?;
                match row.policy() {
                    EnrolmentPolicy::Invitation if !invited => return Err(Error::InvitationMissing),
                    EnrolmentPolicy::Code if !invited && !knows(&row.enrolment_code) => {
                        return Err(Error::EnrolmentCodeWrong);
                    }
                    _ => {}
                }
                use_up(conn, course, student, email_key).await?;
                put(conn, course, student, known.as_ref(), self.clock.now()).await?;
                student_in(conn, course, student).await
            })
            .await
    }

    /// Ends an enrolment and keeps the work.
    pub async fn unenrol(&self, course: Id, student: Id, asker: &Asker) -> Result<(), Error> {
        self.db
            .transaction(async |conn| {
                let found = right_locked(conn, course, asker).await?;
                let (row, right) = must_see(found, course)?;
                if !asker.is(student) && !right.teaches() {
                    return Err(Error::CourseRightMissing);
                }
                row.changeable()?;
                let own = enrolment::table.find((course, student)).filter(enrolment::active);
                let end = diesel::update(own).set(enrolment::active.eq(false));
                match on!(conn, |db| end.execute(db).await)? {
                    0 => Err(Error::EnrolmentNotFound),
                    _ => Ok(()),
                }
            })
            .await
    }

    /// How far somebody is, for themselves or a teacher. Who has left has no progress of their own any more.
    pub async fn progress(&self, course: Id, student: Id, asker: &Asker) -> Result<(Student, Vec<Column>), Error> {
        self.db
            .snapshot(async |conn| {
                let (_, right) = must_see(right_in(conn, course, asker).await?, course)?;
                if !asker.is(student) && !right.teaches() {
                    return Err(Error::CourseRightMissing);
                }
                let found = student_in(conn, course, student).await?;
                if !found.row.active && !right.teaches() {
                    return Err(Error::EnrolmentNotFound);
                }
                Ok::<_, Error>((found, columns(conn, course).await?))
            })
            .await
    }

    /// Says whether a student has completed the course, or takes that back.
    pub async fn override_completion(
        &self,
        course: Id,
        student: Id,
        asker: &Asker,
        completed: Option<bool>,
        reason: &str,
    ) -> Result<Progress, Error> {
        self.db
            .transaction(async |conn| {
                taught(conn, course, asker).await?.changeable()?;
                let said = (
                    enrolment::override_completed.eq(completed),
                    enrolment::override_reason.eq(reason),
                    enrolment::override_teacher_id.eq(completed.and(asker.account_id)),
                    enrolment::override_time.eq(completed.map(|_| self.clock.now())),
                );
                let own = enrolment::table.find((course, student)).filter(enrolment::active);
                if on!(conn, |db| diesel::update(own).set(said).execute(db).await)? == 0 {
                    return Err(Error::EnrolmentNotFound);
                }
                Ok(student_in(conn, course, student).await?.progress)
            })
            .await
    }
}

fn may_enrol(row: &CourseRow, right: Right) -> Result<(), Error> {
    if right.teaches() {
        return Err(Error::TeachesCourse);
    }
    match row.state() {
        PublicationState::Published => Ok(()),
        PublicationState::Archived => Err(Error::CourseArchived),
        // A moderator sees it; there is nothing to take yet.
        _ => Err(Error::CourseNotFound(row.id.to_string())),
    }
}

pub async fn enrolment_of(conn: &mut Conn, course: Id, student: Id) -> Result<Option<EnrolmentRow>, DbError> {
    let own = enrolment::table.find((course, student));
    on!(conn, |db| own.select(EnrolmentRow::as_select()).first(db).await.optional())
}

/// Whether somebody takes a course, asked so that nobody else of the same enrolment goes on until the transaction ends.
pub async fn lock_enrolment(conn: &mut Conn, course: Id, student: Id) -> Result<bool, DbError> {
    let own = enrolment::table.find((course, student)).filter(enrolment::active);
    let lock = diesel::update(own).set(enrolment::active.eq(true));
    Ok(on!(conn, |db| lock.execute(db).await)? > 0)
}

async fn put(conn: &mut Conn, course: Id, student: Id, known: Option<&AccountRow>, now: Time) -> Result<(), DbError> {
    let name = known.map(|known| (known.first_name.as_str(), known.last_name.as_str()));
    let (first_name, last_name) = name.unwrap_or_default();
    let key = name_key(first_name, last_name);
    let row = (
        enrolment::course_id.eq(course),
        enrolment::student_id.eq(student),
        enrolment::active.eq(true),
        enrolment::name_key.eq(&key),
        enrolment::create_time.eq(now),
        enrolment::override_reason.eq(""),
    );
    let again = (enrolment::active.eq(true), enrolment::name_key.eq(&key));
    on!(conn, |db| diesel::insert_into(enrolment::table)
        .values(row)
        .on_conflict((enrolment::course_id, enrolment::student_id))
        .do_update()
        .set(again)
        .execute(db)
        .await)
    .map(drop)
}

async fn student_in(conn: &mut Conn, course: Id, student: Id) -> Result<Student, Error> {
    let row = enrolment_of(conn, course, student).await?.ok_or(Error::EnrolmentNotFound)?;
    let columns = columns(conn, course).await?;
    let students = students(conn, course, vec![row], &columns).await?;
    students.into_iter().next().ok_or(Error::EnrolmentNotFound)
}

/// Adds to enrolments what is known of the people and their work.
pub async fn students(
    conn: &mut Conn,
    course: Id,
    rows: Vec<EnrolmentRow>,
    columns: &[Column],
) -> Result<Vec<Student>, DbError> {
    let ids: Vec<Id> = rows.iter().map(|row| row.student_id).collect();
    let blocks: Vec<Id> = columns.iter().map(|column| column.id).collect();
    let mut names = names(conn, &ids).await?;
    let mut works = works(conn, course, &ids).await?;
    let student = |row: EnrolmentRow| {
        let works = works.remove(&row.student_id).unwrap_or_default();
        let progress = progress(&blocks, &works, row.said());
        Student { name: names.remove(&row.student_id).unwrap_or_default(), works, progress, row }
    };
    Ok(rows.into_iter().map(student).collect())
}

/// What is known of the names of these people.
async fn names(conn: &mut Conn, ids: &[Id]) -> Result<HashMap<Id, Name>, DbError> {
    let rows: Vec<(Id, String, String, String)> = on!(conn, |db| account::table
        .filter(account::id.eq_any(ids))
        .select((account::id, account::first_name, account::last_name, account::email))
        .load(db)
        .await)?;
    let name = |(id, first_name, last_name, email)| (id, Name { first_name, last_name, email });
    Ok(rows.into_iter().map(name).collect())
}

/// Who of these people takes courses, or has.
pub async fn students_among(conn: &mut Conn, ids: &[Id]) -> Result<HashSet<Id>, DbError> {
    let query = enrolment::table.filter(enrolment::student_id.eq_any(ids)).select(enrolment::student_id).distinct();
    let found: Vec<Id> = on!(conn, |db| query.load(db).await)?;
    Ok(found.into_iter().collect())
}

/// Puts somebody to where their new name belongs.
pub async fn reorder(conn: &mut Conn, student: Id, first_name: &str, last_name: &str) -> Result<(), DbError> {
    let key = name_key(first_name, last_name);
    let own = enrolment::table.filter(enrolment::student_id.eq(student)).filter(enrolment::name_key.ne(&key));
    on!(conn, |db| diesel::update(own).set(enrolment::name_key.eq(&key)).execute(db).await).map(drop)
}
