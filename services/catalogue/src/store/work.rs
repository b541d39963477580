//! The work of students, gathered from where it is handed in, tried and graded.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Integer, Nullable, Timestamp};
use diesel_async::RunQueryDsl;
use quartet_chassis::clock::Time;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::pieces::{Piece, Pieces};
use crate::course::PUBLISHED;
use crate::progress::Works;
use crate::schema::{content_block, section, submission};

/// A published block of a course, as far as progress needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    pub id: Id,
    pub title: String,
}

/// The published blocks of a course in their order.
pub async fn columns(conn: &mut Conn, course: Id) -> Result<Vec<Column>, DbError> {
    let rows: Vec<(Id, String)> = on!(conn, |db| content_block::table
        .inner_join(section::table.on(section::id.eq(content_block::section_id)))
        .filter(content_block::course_id.eq(course))
        .filter(content_block::state.eq(PUBLISHED))
        .filter(section::state.eq(PUBLISHED))
        .order((section::position, content_block::position))
        .select((content_block::id, content_block::title))
        .load(db)
        .await)?;
    Ok(rows.into_iter().map(|(id, title)| Column { id, title }).collect())
}

/// What these students, a hundred at most, have done in a course.
pub async fn works(conn: &mut Conn, course: Id, students: &[Id]) -> Result<HashMap<Id, Works>, DbError> {
    let mut works: HashMap<Id, Works> = students.iter().map(|student| (*student, Works::new())).collect();
    if students.is_empty() {
        return Ok(works);
    }
    let handed_in: Vec<(Id, Id, Option<Time>)> = on!(conn, |db| submission::table
        .filter(submission::course_id.eq(course))
        .filter(submission::student_id.eq_any(students))
        .filter(submission::completed)
        .select((submission::student_id, submission::block_id, submission::complete_time))
        .load(db)
        .await)?;
    for (student, block, time) in handed_in {
        works.entry(student).or_default().entry(block).or_default().handed_in = time;
    }
    for (student, block, points, max_points, passed) in tries(conn, course, students).await? {
        let work = works.entry(student).or_default().entry(block).or_default();
        work.best = points.zip(max_points);
        work.passed = passed;
    }
    for (student, block, newest) in grades(conn, course, students).await? {
        let grade = newest.and_then(|newest| i32::try_from(newest % SHIFT).ok());
        works.entry(student).or_default().entry(block).or_default().grade = grade;
    }
    Ok(works)
}

/// A student, a block, the best points and how many there were to have, and when a try first passed.
type Tries = (Id, Id, Option<i32>, Option<i32>, Option<Time>);

/// What has become of the tries of quizzes. However many somebody makes, each student has one row for each quiz.
async fn tries(conn: &mut Conn, course: Id, students: &[Id]) -> Result<Vec<Tries>, DbError> {
    type Row = (Binary, Binary, Nullable<Integer>, Nullable<Integer>, Nullable<Timestamp>);
    let what = [Piece::Sql(
        "select student_id, block_id, max(points), max(max_points), min(case when passed then create_time end) \
        from quiz_attempt where course_id = ",
    )];
    let statement = by_cell::<Row>(&what, &course, students, "");
    on!(conn, |db| statement.load(db).await)
}

/// By how much the number of a grade is shifted to make room for the grade itself, which is 100 at most.
const SHIFT: i64 = 1_000;

/// The newest grades, each behind its number: so the greatest is the newest, and of all that somebody was given one row is read.
async fn grades(conn: &mut Conn, course: Id, students: &[Id]) -> Result<Vec<(Id, Id, Option<i64>)>, DbError> {
    type Row = (Binary, Binary, Nullable<BigInt>);
    let what = [
        Piece::Sql("select student_id, block_id, max(cast(number as bigint) * "),
        Piece::Number(SHIFT),
        Piece::Sql(" + grade) from assessment where course_id = "),
    ];
    let statement = by_cell::<Row>(&what, &course, students, " and grade is not null");
    on!(conn, |db| statement.load(db).await)
}

/// A statement that has one row for each student and block.
fn by_cell<'a, R>(what: &[Piece<'a>], course: &'a Id, students: &'a [Id], which: &'static str) -> Pieces<'a, R> {
    let mut pieces = what.to_vec();
    pieces.extend([Piece::Id(course), Piece::Sql(which), Piece::Sql(" and student_id in (")]);
    for (at, student) in students.iter().enumerate() {
        if at > 0 {
            pieces.push(Piece::Sql(", "));
        }
        pieces.push(Piece::Id(student));
    }
    pieces.push(Piece::Sql(") group by student_id, block_id"));
    Pieces::new(pieces)
}
