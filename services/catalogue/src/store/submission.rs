//! What students hand in.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::clock::Time;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::on;
use quartet_proto::catalogue::v1::BlockType;

use super::Store;
use super::assessment::{AssessmentRow, newest};
use super::block::{BlockRow, block_in, share_block, visible};
use super::course::CourseRow;
use super::course_right::{right_in, right_shared};
use super::enrolment::{enrolment_of, lock_enrolment};
use super::quiz_attempt::best_try;
use crate::error::Error;
use crate::right::{Asker, Right};
use crate::schema::submission;

/// What a student has handed in for a block.
#[derive(Debug, Clone, Default, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = submission)]
pub struct SubmissionRow {
    pub url: String,
    pub remarks: String,
    pub completed: bool,
    pub complete_time: Option<Time>,
}

/// What was handed in, and what was said of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Handed {
    pub row: SubmissionRow,
    pub assessment: Option<AssessmentRow>,
}

impl Store {
    /// Hands a block in.
    pub async fn complete_block(
        &self,
        block: Id,
        student: Id,
        asker: &Asker,
        url: &str,
        remarks: &str,
    ) -> Result<Handed, Error> {
        self.db
            .transaction(async |conn| {
                let (course, row) = own_work(conn, block, asker).await?;
                course.changeable()?;
                not_a_quiz(&row)?;
                take_turn(conn, course.id, student, block).await?;
                let work = (
                    submission::url.eq(url),
                    submission::remarks.eq(remarks),
                    submission::completed.eq(true),
                    submission::complete_time.eq(Some(self.clock.now())),
                );
                let whose = (
                    submission::block_id.eq(block),
                    submission::student_id.eq(student),
                    submission::course_id.eq(course.id),
                );
                on!(conn, |db| diesel::insert_into(submission::table)
                    .values((whose, work))
                    .on_conflict((submission::block_id, submission::student_id))
                    .do_update()
                    .set(work)
                    .execute(db)
                    .await)?;
                handed(conn, &row, student).await
            })
            .await
    }

    /// Takes a block back. What was written stays, and so do grades.
    pub async fn reopen_block(&self, block: Id, student: Id, asker: &Asker) -> Result<(), Error> {
        self.db
            .transaction(async |conn| {
                let (course, row) = own_work(conn, block, asker).await?;
                course.changeable()?;
                not_a_quiz(&row)?;
                take_turn(conn, course.id, student, block).await?;
                let open = (submission::completed.eq(false), submission::complete_time.eq(None::<Time>));
                let own = diesel::update(submission::table.find((block, student))).set(open);
                match on!(conn, |db| own.execute(db).await)? {
                    0 => Err(Error::SubmissionNotFound),
                    _ => Ok(()),
                }
            })
            .await
    }

    /// What somebody has handed in, for themselves or a teacher.
    pub async fn submission(&self, block: Id, student: Id, asker: &Asker) -> Result<Handed, Error> {
        self.db
            .snapshot(async |conn| {
                let row = readable_work(conn, block, student, asker).await?;
                handed(conn, &row, student).await
            })
            .await
    }
}

/// The course and the block in which the asker, a student of it, works. Nobody changes either until the transaction ends.
pub async fn own_work(conn: &mut Conn, block: Id, asker: &Asker) -> Result<(CourseRow, BlockRow), Error> {
    let (course, row, right) = shared(conn, block, asker).await?;
    if !visible(conn, &row, right).await? {
        return Err(Error::BlockNotFound(block.to_string()));
    }
    if right != Right::Student {
        return Err(Error::CourseRightMissing);
    }
    Ok((course, row))
}

/// The course and the block in which the asker, a teacher of it, judges.
pub async fn taught_work(conn: &mut Conn, block: Id, asker: &Asker) -> Result<(CourseRow, BlockRow), Error> {
    let (course, row, right) = shared(conn, block, asker).await?;
    if right.teaches() {
        return Ok((course, row));
    }
    let visible = visible(conn, &row, right).await?;
    Err(if visible { Error::CourseRightMissing } else { Error::BlockNotFound(block.to_string()) })
}

async fn shared(conn: &mut Conn, block: Id, asker: &Asker) -> Result<(CourseRow, BlockRow, Right), Error> {
    let missing = || Error::BlockNotFound(block.to_string());
    let course = block_in(conn, block).await?.ok_or_else(missing)?.course_id;
    let (course, right) = right_shared(conn, course, asker).await?.ok_or_else(missing)?;
    share_block(conn, block).await?;
    // It may have changed until nobody else could change it.
    let row = block_in(conn, block).await?.ok_or_else(missing)?;
    Ok((course, row, right))
}

/// A block, for somebody who asks about a student's work in it.
pub async fn readable_work(conn: &mut Conn, block: Id, student: Id, asker: &Asker) -> Result<BlockRow, Error> {
    let missing = || Error::BlockNotFound(block.to_string());
    let row = block_in(conn, block).await?.ok_or_else(missing)?;
    let (_, right) = right_in(conn, row.course_id, asker).await?.ok_or_else(missing)?;
    if !visible(conn, &row, right).await? {
        return Err(missing());
    }
    if asker.is(student) {
        return Ok(row);
    }
    if !right.teaches() {
        return Err(Error::CourseRightMissing);
    }
    // The work of who has left is kept, and so are their teachers' eyes on it.
    match enrolment_of(conn, row.course_id, student).await? {
        Some(_) => Ok(row),
        None => Err(Error::EnrolmentNotFound),
    }
}

/// Makes what one student does happen one after the other.
pub async fn take_turn(conn: &mut Conn, course: Id, student: Id, block: Id) -> Result<(), Error> {
    if lock_enrolment(conn, course, student).await? { Ok(()) } else { Err(Error::BlockNotFound(block.to_string())) }
}

fn not_a_quiz(row: &BlockRow) -> Result<(), Error> {
    if row.block_type() == BlockType::Quiz { Err(Error::BlockIsQuiz) } else { Ok(()) }
}

/// What somebody has handed in for a block. Of a quiz the tries say whether it is done.
async fn handed(conn: &mut Conn, block: &BlockRow, student: Id) -> Result<Handed, Error> {
    let row = if block.block_type() == BlockType::Quiz {
        let passed = best_try(conn, block.id, student).await?;
        passed.map(|time| SubmissionRow { completed: time.is_some(), complete_time: time, ..SubmissionRow::default() })
    } else {
        submission_of(conn, block.id, student).await?
    };
    let row = row.ok_or(Error::SubmissionNotFound)?;
    Ok(Handed { row, assessment: newest(conn, block.id, student).await? })
}

pub async fn submission_of(conn: &mut Conn, block: Id, student: Id) -> Result<Option<SubmissionRow>, DbError> {
    let own = submission::table.find((block, student));
    on!(conn, |db| own.select(SubmissionRow::as_select()).first(db).await.optional())
}
