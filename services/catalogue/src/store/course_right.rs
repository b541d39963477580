//! What somebody may do in a course, asked of the tables, in the transaction that then does it or the snapshot that then reads it.

use diesel::prelude::*;
use diesel::sql_types::Binary;
use diesel_async::RunQueryDsl;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::course::{CourseRow, not_found};
use super::course_removal::DELETED;
use crate::error::Error;
use crate::right::{Asker, Right, Ties};
use crate::schema::{course, course_teacher, enrolment};

/// The course and what the asker may do in it. It may change right after: who reads upon it does that in the same snapshot.
pub async fn right_in(conn: &mut Conn, id: Id, asker: &Asker) -> Result<Option<(CourseRow, Right)>, DbError> {
    let there = course::table.find(id).filter(course::state.ne(DELETED));
    let row: Option<CourseRow> = on!(conn, |db| there.select(CourseRow::as_select()).first(db).await.optional())?;
    with_right(conn, row, asker).await
}

/// The same, and nobody else changes the course, who teaches and takes it, or what is in it until the transaction ends: whoever does
/// begins with this. So rights and positions are those that are written upon.
pub async fn right_locked(conn: &mut Conn, id: Id, asker: &Asker) -> Result<Option<(CourseRow, Right)>, DbError> {
    let row = locked(conn, id).await?;
    with_right(conn, row, asker).await
}

/// The course, locked likewise, whoever asks.
pub async fn locked(conn: &mut Conn, id: Id) -> Result<Option<CourseRow>, DbError> {
    // An update that changes nothing locks a row on both engines, where one of them has no `for update`.
    let there = course::table.find(id).filter(course::state.ne(DELETED));
    let lock = diesel::update(there).set(course::version.eq(course::version));
    on!(conn, |db| lock.returning(CourseRow::as_returning()).get_result(db).await.optional())
}

/// The course for a teacher of it, locked.
pub async fn taught(conn: &mut Conn, id: Id, asker: &Asker) -> Result<CourseRow, Error> {
    must_teach(right_locked(conn, id, asker).await?, id)
}

/// The course for its owner, locked.
pub async fn owned(conn: &mut Conn, id: Id, asker: &Asker) -> Result<CourseRow, Error> {
    let (course, right) = must_see(right_locked(conn, id, asker).await?, id)?;
    if right.owns() { Ok(course) } else { Err(Error::CourseRightMissing) }
}

/// What the asker may do in a course that nobody else changes until the transaction ends, though others may work in it, too.
pub async fn right_shared(conn: &mut Conn, id: Id, asker: &Asker) -> Result<Option<(CourseRow, Right)>, DbError> {
    share(conn, "select 1 from course where id = $1 for share", id).await?;
    right_in(conn, id, asker).await
}

/// Runs a statement that locks a row for sharing; SQLite's transactions come one after the other anyway.
pub async fn share(conn: &mut Conn, statement: &'static str, id: Id) -> Result<(), DbError> {
    if !matches!(conn, Conn::Postgres(_)) {
        return Ok(());
    }
    on!(conn, |db| diesel::sql_query(statement).bind::<Binary, _>(id).execute(db).await).map(drop)
}

/// A course that the asker sees: what is not seen is not found.
pub fn must_see(found: Option<(CourseRow, Right)>, id: Id) -> Result<(CourseRow, Right), Error> {
    found.filter(|(_, right)| right.sees()).ok_or_else(|| not_found(id))
}

/// A course that the asker teaches: what is seen and not taught is refused.
pub fn must_teach(found: Option<(CourseRow, Right)>, id: Id) -> Result<CourseRow, Error> {
    let (course, right) = must_see(found, id)?;
    if right.teaches() { Ok(course) } else { Err(Error::CourseRightMissing) }
}

async fn with_right(
    conn: &mut Conn,
    row: Option<CourseRow>,
    asker: &Asker,
) -> Result<Option<(CourseRow, Right)>, DbError> {
    let Some(row) = row else { return Ok(None) };
    let ties = ties(conn, &row, asker).await?;
    let right = Right::of(row.state(), asker, ties);
    Ok(Some((row, right)))
}

async fn ties(conn: &mut Conn, row: &CourseRow, asker: &Asker) -> Result<Ties, DbError> {
    let Some(account) = asker.account_id else { return Ok(Ties::default()) };
    let teachers = course_teacher::table.find((row.id, account)).count();
    let teachers: i64 = on!(conn, |db| teachers.get_result(db).await)?;
    let students = enrolment::table.find((row.id, account)).filter(enrolment::active.eq(true)).count();
    let students: i64 = on!(conn, |db| students.get_result(db).await)?;
    Ok(Ties { owner: row.owner_id == account, teacher: teachers > 0, student: students > 0 })
}
