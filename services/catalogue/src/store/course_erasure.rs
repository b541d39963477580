//! What is removed from courses when somebody's account is erased, step by step.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::accounts::{AccountRow, Removed, count};
use quartet_chassis::clock::Time;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::course::CourseRow;
use super::course_removal::{Rows, SOME, change_some, is_deleted, mark_deleted, remove_some};
use super::course_teacher::{co_teachers, pass, take_teacher};
use super::person::hold;
use crate::schema::{course, course_teacher};

/// Whose words stay without their name: what they have said of others' work.
const WORDS: [Rows; 2] = [
    [
        "update assessment set teacher_id = null where id in (select id from assessment where teacher_id = ",
        " limit ",
        ")",
    ],
    [
        "update enrolment set override_teacher_id = null where (course_id, student_id) in \
         (select course_id, student_id from enrolment where override_teacher_id = ",
        " limit ",
        ")",
    ],
];

/// What is theirs. First the enrolments, which whoever hands something in holds: nothing comes behind what is deleted after them.
const OWN: [(&str, Rows); 7] = [
    (
        "enrolment",
        [
            "delete from enrolment where (course_id, student_id) in \
             (select course_id, student_id from enrolment where student_id = ",
            " limit ",
            ")",
        ],
    ),
    (
        "invitation",
        ["delete from invitation where id in (select id from invitation where account_id = ", " limit ", ")"],
    ),
    (
        "invitation",
        ["delete from invitation where id in (select id from invitation where follows_id = ", " limit ", ")"],
    ),
    (
        "course_request",
        [
            "delete from course_request where (account_id, idempotency_key) in \
             (select account_id, idempotency_key from course_request where account_id = ",
            " limit ",
            ")",
        ],
    ),
    (
        "assessment",
        ["delete from assessment where id in (select id from assessment where student_id = ", " limit ", ")"],
    ),
    (
        "quiz_attempt",
        ["delete from quiz_attempt where id in (select id from quiz_attempt where student_id = ", " limit ", ")"],
    ),
    (
        "submission",
        [
            "delete from submission where (block_id, student_id) in \
             (select block_id, student_id from submission where student_id = ",
            " limit ",
            ")",
        ],
    ),
];

/// Removes some of what courses keep of somebody whose account is gone, and counts it by kind; true when nothing is left. What they have
/// made for others stays without their name: courses with a co-teacher, and what they have said of others' work.
///
/// First what they teach, course by course: each is held, and so whoever teaches in it at this moment has written what they write.
pub async fn erase_some(conn: &mut Conn, id: Id, now: Time, removed: &mut Removed) -> Result<bool, DbError> {
    let owned = course::table.filter(course::owner_id.eq(id)).order(course::id).select(course::id);
    let owned: Option<Id> = on!(conn, |db| owned.first(db).await.optional())?;
    if let Some(own) = owned {
        leave(conn, own, id, now, removed).await?;
        return Ok(false);
    }
    let taught = course_teacher::table.filter(course_teacher::account_id.eq(id)).order(course_teacher::course_id);
    let taught: Option<Id> = on!(conn, |db| taught.select(course_teacher::course_id).first(db).await.optional())?;
    if let Some(taught) = taught {
        let lock = diesel::update(course::table.find(taught)).set(course::version.eq(course::version));
        on!(conn, |db| lock.execute(db).await)?;
        let taken = take_teacher(conn, taught, id).await?;
        count(removed, "course_teacher", i64::from(taken));
        return Ok(false);
    }
    let mut left = SOME;
    for rows in WORDS {
        left -= change_some(conn, rows, id, left).await?;
    }
    for (kind, rows) in OWN {
        let gone = change_some(conn, rows, id, left).await?;
        count(removed, kind, gone);
        left -= gone;
    }
    Ok(left > 0)
}

/// Gives a course of somebody to an heir, or deletes it when there is none. One that is deleted already is removed somewhat.
async fn leave(conn: &mut Conn, own: Id, id: Id, now: Time, removed: &mut Removed) -> Result<(), DbError> {
    // First the course, as everybody does who changes who teaches it. It may have been given to somebody else meanwhile.
    let still = course::table.find(own).filter(course::owner_id.eq(id));
    let lock = diesel::update(still).set(course::version.eq(course::version));
    let row: Option<CourseRow> =
        on!(conn, |db| lock.returning(CourseRow::as_returning()).get_result(db).await.optional())?;
    let Some(row) = row else { return Ok(()) };
    if !is_deleted(&row) {
        if let Some(heir) = heir(conn, own, id).await? {
            return pass(conn, &row, heir, now).await;
        }
        mark_deleted(conn, own, now).await?;
        count(removed, "course", 1);
    }
    remove_some(conn, own).await.map(drop)
}

/// Who gets the course of somebody: the one who has taught it with them for the longest and can sign in. Where nobody can, one who may
/// some day: a course that others have made too is not deleted. Nobody who is being erased.
async fn heir(conn: &mut Conn, own: Id, id: Id) -> Result<Option<Id>, DbError> {
    let teachers: Vec<Id> = co_teachers(conn, own, None, i64::MAX).await?.into_iter().map(|(id, _)| id).collect();
    let people = hold(conn, &teachers).await?;
    let known = || teachers.iter().filter(|teacher| **teacher != id).filter_map(|teacher| people.get(teacher));
    let heir: Option<&AccountRow> = known().find(|person| person.is_active()).or_else(|| known().next());
    Ok(heir.map(|person| person.id))
}
