//! Courses that are deleted: at once nobody finds them any more, and then what is in them goes bit by bit. A course may hold the work of a
//! hundred thousand students, which no one transaction should delete.

use diesel::prelude::*;
use diesel::sql_types::{Binary, Bool};
use diesel_async::RunQueryDsl;
use quartet_chassis::clock::Time;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::faults::Faults;
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::Store;
use super::course::CourseRow;
use super::pieces::{Piece, Pieces};
use crate::schema::{content_block, course, course_request};

/// How many rows a transaction removes.
pub const SOME: i64 = 1000;

/// The state of a course that is deleted.
pub const DELETED: &str = "DELETED";

/// A statement that changes some rows, cut where the id of whose they are and their greatest number go.
pub type Rows = [&'static str; 3];

/// The work in a block.
const WORK: [Rows; 3] = [
    ["delete from quiz_attempt where id in (select id from quiz_attempt where block_id = ", " limit ", ")"],
    ["delete from assessment where id in (select id from assessment where block_id = ", " limit ", ")"],
    [
        "delete from submission where (block_id, student_id) in \
         (select block_id, student_id from submission where block_id = ",
        " limit ",
        ")",
    ],
];

/// What else is in a course.
const REST: [Rows; 4] = [
    [
        "delete from enrolment where (course_id, student_id) in \
         (select course_id, student_id from enrolment where course_id = ",
        " limit ",
        ")",
    ],
    ["delete from invitation where id in (select id from invitation where course_id = ", " limit ", ")"],
    [
        "delete from course_teacher where (course_id, account_id) in \
         (select course_id, account_id from course_teacher where course_id = ",
        " limit ",
        ")",
    ],
    ["delete from section where id in (select id from section where course_id = ", " limit ", ")"],
];

impl Store {
    /// Removes what is left of courses that were deleted, whoever has deleted them.
    pub async fn remove_deleted(&self, faults: &Faults) -> Result<(), DbError> {
        while let Some(id) = self.deleted_course().await? {
            while !faults.within("course removal", self.remove_step(id)).await? {}
        }
        Ok(())
    }

    /// Completes when a course has been deleted by this very process.
    pub async fn course_deleted(&self) {
        self.deleted.notified().await;
    }

    async fn deleted_course(&self) -> Result<Option<Id>, DbError> {
        let conn = &mut self.db.read().await?;
        // Written out, so that the index is used which has none but these.
        let query = Pieces::<Binary>::new([Piece::Sql("select id from course where state = 'DELETED' limit 1")]);
        on!(conn, |db| query.get_result(db).await.optional())
    }

    async fn remove_step(&self, id: Id) -> Result<bool, DbError> {
        self.db
            .bulk(async |conn| {
                let deleted = course::table.find(id).filter(course::state.eq(DELETED));
                let lock = diesel::update(deleted).set(course::version.eq(course::version));
                if on!(conn, |db| lock.execute(db).await)? == 0 {
                    return Ok(true);
                }
                remove_some(conn, id).await
            })
            .await
    }
}

pub fn is_deleted(row: &CourseRow) -> bool {
    row.state == DELETED
}

/// Deletes a course that the transaction holds, for everybody: what would answer it again, and its own words. Its owner's id stays until
/// the rest is gone, so that their erasure waits for it.
pub async fn mark_deleted(conn: &mut Conn, id: Id, now: Time) -> Result<(), DbError> {
    let requests = course_request::table.filter(course_request::course_id.eq(id));
    on!(conn, |db| diesel::delete(requests).execute(db).await)?;
    let gone = (
        course::state.eq(DELETED),
        course::title.eq(""),
        course::title_key.eq(""),
        course::description.eq(""),
        course::enrolment_code.eq(""),
        course::version.eq(course::version + 1),
        course::update_time.eq(now),
    );
    on!(conn, |db| diesel::update(course::table.find(id)).set(gone).execute(db).await).map(drop)
}

/// Removes some of what is in a deleted course that the transaction holds, and at last the course; true when nothing is left.
pub async fn remove_some(conn: &mut Conn, id: Id) -> Result<bool, DbError> {
    let mut left = SOME;
    while left > 0
        && let Some(block) = a_block(conn, id).await?
    {
        for work in WORK {
            left -= change_some(conn, work, block, left).await?;
        }
        if left > 0 {
            on!(conn, |db| diesel::delete(content_block::table.find(block)).execute(db).await)?;
            left -= 1;
        }
    }
    for rest in REST {
        left -= change_some(conn, rest, id, left).await?;
    }
    if left == 0 {
        return Ok(false);
    }
    on!(conn, |db| diesel::delete(course::table.find(id)).execute(db).await)?;
    Ok(true)
}

async fn a_block(conn: &mut Conn, id: Id) -> Result<Option<Id>, DbError> {
    let query = content_block::table.filter(content_block::course_id.eq(id)).select(content_block::id);
    on!(conn, |db| query.first(db).await.optional())
}

/// Changes so many rows at most, and answers how many those were.
pub async fn change_some(conn: &mut Conn, [before, limit, end]: Rows, id: Id, most: i64) -> Result<i64, DbError> {
    if most == 0 {
        return Ok(0);
    }
    let pieces = [Piece::Sql(before), Piece::Id(&id), Piece::Sql(limit), Piece::Number(most), Piece::Sql(end)];
    let statement = Pieces::<Bool>::new(pieces);
    let rows: usize = on!(conn, |db| statement.execute(db).await)?;
    Ok(i64::try_from(rows).unwrap_or(most))
}
