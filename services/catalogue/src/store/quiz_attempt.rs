//! The tries of quizzes.

use diesel::dsl::{count_star, min};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::clock::Time;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::failure::Fields;
use quartet_chassis::id::Id;
use quartet_chassis::on;
use quartet_chassis::page;

use super::Store;
use super::submission::{own_work, readable_work, take_turn};
use crate::error::Error;
use crate::grading::{Given, Graded, grade, mistakes};
use crate::quiz::Quiz;
use crate::right::Asker;
use crate::schema::quiz_attempt;

/// A try.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = quiz_attempt)]
pub struct AttemptRow {
    pub id: Id,
    pub number: i32,
    /// A JSON array of booleans, one for each question.
    pub correct: String,
    pub points: i32,
    pub max_points: i32,
    pub passed: bool,
    pub create_time: Time,
}

impl Store {
    /// Grades a try and keeps it. The same key again answers the same try.
    pub async fn submit_quiz(
        &self,
        block: Id,
        student: Id,
        asker: &Asker,
        given: &[Given],
        key: Option<&str>,
    ) -> Result<AttemptRow, Error> {
        self.db
            .transaction(async |conn| {
                let (course, row) = own_work(conn, block, asker).await?;
                // Tries are numbered one after the other, so the same student's wait for each other.
                take_turn(conn, course.id, student, block).await?;
                if let Some(attempt) = attempt_with(conn, block, student, key).await? {
                    return Ok(attempt);
                }
                course.changeable()?;
                let quiz = row.quiz().ok_or(Error::BlockIsNoQuiz)?;
                let number = next_number(conn, block, student, &quiz).await?;
                let mut fields = Fields::default();
                for (field, rule) in mistakes(&quiz, given) {
                    fields.refuse(&field, rule);
                }
                fields.finish()?;
                let graded = grade(&quiz, given);
                self.put_attempt(conn, (block, student, course.id), number, key, given, &graded).await
            })
            .await
    }

    async fn put_attempt(
        &self,
        conn: &mut Conn,
        (block, student, course): (Id, Id, Id),
        number: i32,
        key: Option<&str>,
        given: &[Given],
        graded: &Graded,
    ) -> Result<AttemptRow, Error> {
        let whose = (
            quiz_attempt::id.eq(self.new_id()),
            quiz_attempt::block_id.eq(block),
            quiz_attempt::student_id.eq(student),
            quiz_attempt::course_id.eq(course),
            quiz_attempt::number.eq(number),
            quiz_attempt::idempotency_key.eq(key),
        );
        let what = (
            quiz_attempt::answers.eq(serde_json::to_string(given).unwrap_or_default()),
            quiz_attempt::correct.eq(serde_json::to_string(&graded.correct).unwrap_or_default()),
            quiz_attempt::points.eq(graded.points),
            quiz_attempt::max_points.eq(graded.max_points),
            quiz_attempt::passed.eq(graded.passed),
            quiz_attempt::create_time.eq(self.clock.now()),
        );
        let insert = diesel::insert_into(quiz_attempt::table).values((whose, what));
        Ok(on!(conn, |db| insert.returning(AttemptRow::as_returning()).get_result(db).await)?)
    }

    /// A page of somebody's tries, the newest first, and one more if there are more. For themselves or a teacher.
    pub async fn attempts(
        &self,
        block: Id,
        student: Id,
        asker: &Asker,
        before: Option<i32>,
        size: i64,
    ) -> Result<Vec<AttemptRow>, Error> {
        self.db
            .snapshot(async |conn| {
                let row = readable_work(conn, block, student, asker).await?;
                row.quiz().ok_or(Error::BlockIsNoQuiz)?;
                let page = quiz_attempt::table
                    .filter(quiz_attempt::block_id.eq(block))
                    .filter(quiz_attempt::student_id.eq(student))
                    .filter(quiz_attempt::number.lt(before.unwrap_or(i32::MAX)))
                    .order(quiz_attempt::number.desc())
                    .limit(size + 1);
                let rows: Vec<AttemptRow> = on!(conn, |db| page.select(AttemptRow::as_select()).load(db).await)?;
                Ok::<_, Error>(rows)
            })
            .await
    }
}

async fn attempt_with(
    conn: &mut Conn,
    block: Id,
    student: Id,
    key: Option<&str>,
) -> Result<Option<AttemptRow>, DbError> {
    let Some(key) = key else { return Ok(None) };
    let own = quiz_attempt::table
        .filter(quiz_attempt::block_id.eq(block))
        .filter(quiz_attempt::student_id.eq(student))
        .filter(quiz_attempt::idempotency_key.eq(key));
    on!(conn, |db| own.select(AttemptRow::as_select()).first(db).await.optional())
}

/// How many tries somebody has made. None is ever taken away, so this numbers them.
async fn count(conn: &mut Conn, block: Id, student: Id) -> Result<i64, DbError> {
    let own = quiz_attempt::table
        .filter(quiz_attempt::block_id.eq(block))
        .filter(quiz_attempt::student_id.eq(student))
        .select(count_star());
    on!(conn, |db| own.get_result(db).await)
}

async fn next_number(conn: &mut Conn, block: Id, student: Id, quiz: &Quiz) -> Result<i32, Error> {
    let made = count(conn, block, student).await?;
    if quiz.max_attempts > 0 && made >= i64::from(quiz.max_attempts) {
        return Err(Error::AttemptsExhausted(quiz.max_attempts));
    }
    Ok(page::count(made).saturating_add(1))
}

/// Nothing where a quiz was not tried, else when a try first passed, if one has.
pub async fn best_try(conn: &mut Conn, block: Id, student: Id) -> Result<Option<Option<Time>>, DbError> {
    if count(conn, block, student).await? == 0 {
        return Ok(None);
    }
    let passed = quiz_attempt::table
        .filter(quiz_attempt::block_id.eq(block))
        .filter(quiz_attempt::student_id.eq(student))
        .filter(quiz_attempt::passed)
        .select(min(quiz_attempt::create_time));
    let time: Option<Time> = on!(conn, |db| passed.get_result(db).await)?;
    Ok(Some(time))
}
