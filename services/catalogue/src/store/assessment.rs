//! What teachers say of students' work. All of it is kept.

use diesel::dsl::max;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::clock::Time;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::Store;
use super::enrolment::lock_enrolment;
use super::quiz_attempt::best_try;
use super::submission::{readable_work, submission_of, taught_work};
use crate::error::Error;
use crate::right::Asker;
use crate::schema::assessment;

/// An assessment.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = assessment)]
pub struct AssessmentRow {
    pub number: i32,
    /// None when the teacher's account is gone.
    pub teacher_id: Option<Id>,
    pub grade: Option<i32>,
    pub feedback: String,
    pub create_time: Time,
}

impl Store {
    /// Grades what a student has handed in.
    pub async fn grade_submission(
        &self,
        block: Id,
        student: Id,
        asker: &Asker,
        grade: Option<i32>,
        feedback: &str,
    ) -> Result<AssessmentRow, Error> {
        self.db
            .transaction(async |conn| {
                let (course, _) = taught_work(conn, block, asker).await?;
                course.changeable()?;
                // Grades are numbered one after the other, and none comes behind who leaves or is erased.
                if !lock_enrolment(conn, course.id, student).await? {
                    return Err(Error::EnrolmentNotFound);
                }
                if !is_handed_in(conn, block, student).await? {
                    return Err(Error::NothingSubmitted);
                }
                let row = (
                    assessment::id.eq(self.new_id()),
                    assessment::block_id.eq(block),
                    assessment::student_id.eq(student),
                    assessment::course_id.eq(course.id),
                    assessment::number.eq(last_number(conn, block, student).await? + 1),
                    assessment::teacher_id.eq(asker.account_id),
                    assessment::grade.eq(grade),
                    assessment::feedback.eq(feedback),
                    assessment::create_time.eq(self.clock.now()),
                );
                let insert = diesel::insert_into(assessment::table).values(row);
                Ok(on!(conn, |db| insert.returning(AssessmentRow::as_returning()).get_result(db).await)?)
            })
            .await
    }

    /// A page of what was said of somebody's work, the newest first, and one more if there is more. For themselves or a teacher.
    pub async fn assessments(
        &self,
        block: Id,
        student: Id,
        asker: &Asker,
        before: Option<i32>,
        size: i64,
    ) -> Result<Vec<AssessmentRow>, Error> {
        self.db
            .snapshot(async |conn| {
                readable_work(conn, block, student, asker).await?;
                let page = assessment::table
                    .filter(assessment::block_id.eq(block))
                    .filter(assessment::student_id.eq(student))
                    .filter(assessment::number.lt(before.unwrap_or(i32::MAX)))
                    .order(assessment::number.desc())
                    .limit(size + 1);
                let rows: Vec<AssessmentRow> = on!(conn, |db| page.select(AssessmentRow::as_select()).load(db).await)?;
                Ok::<_, Error>(rows)
            })
            .await
    }
}

/// The number of the newest grade; 0 where there is none.
async fn last_number(conn: &mut Conn, block: Id, student: Id) -> Result<i32, DbError> {
    let own = assessment::table
        .filter(assessment::block_id.eq(block))
        .filter(assessment::student_id.eq(student))
        .select(max(assessment::number));
    let last: Option<i32> = on!(conn, |db| own.get_result(db).await)?;
    Ok(last.unwrap_or_default())
}

async fn is_handed_in(conn: &mut Conn, block: Id, student: Id) -> Result<bool, DbError> {
    let handed_in = submission_of(conn, block, student).await?.is_some_and(|own| own.completed);
    Ok(handed_in || best_try(conn, block, student).await?.is_some())
}

/// What was said last of somebody's work.
pub async fn newest(conn: &mut Conn, block: Id, student: Id) -> Result<Option<AssessmentRow>, DbError> {
    let own = assessment::table
        .filter(assessment::block_id.eq(block))
        .filter(assessment::student_id.eq(student))
        .order(assessment::number.desc());
    on!(conn, |db| own.select(AssessmentRow::as_select()).first(db).await.optional())
}
