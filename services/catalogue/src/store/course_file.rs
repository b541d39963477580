//! Whole courses, read and written at once.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel::sql_types::BigInt;
use diesel_async::RunQueryDsl;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::Store;
use super::block::{BlockRow, Spot, insert_block};
use super::course::{CourseRow, insert_course, one};
use super::course_right::{must_teach, right_in};
use super::course_view::CourseView;
use super::pieces::{Piece, Pieces};
use super::section::{SectionRow, insert_section};
use crate::block::NewBlock;
use crate::course_file::{SIZE, WholeCourse};
use crate::course_given::NewSection;
use crate::error::Error;
use crate::right::Asker;
use crate::schema::{content_block, section};

impl Store {
    /// A course for a teacher of it, as it is at one moment. Others go on changing it meanwhile.
    pub async fn whole_course(&self, id: Id, asker: &Asker) -> Result<WholeCourse, Error> {
        self.db
            .long_snapshot(async |conn| {
                let course = must_teach(right_in(conn, id, asker).await?, id)?.as_given();
                // Before any of it is read.
                if length(conn, id).await? > SIZE {
                    return Err(Error::CourseFileTooLarge);
                }
                let query = section::table.filter(section::course_id.eq(id)).order(section::position);
                let sections: Vec<SectionRow> = on!(conn, |db| query.select(SectionRow::as_select()).load(db).await)?;
                let query = content_block::table.filter(content_block::course_id.eq(id));
                let query = query.order((content_block::section_id, content_block::position));
                let blocks: Vec<BlockRow> = on!(conn, |db| query.select(BlockRow::as_select()).load(db).await)?;
                Ok::<_, Error>(WholeCourse { course, sections: filled(sections, blocks) })
            })
            .await
    }

    /// Makes a course with all that is in it.
    pub async fn create_whole_course(
        &self,
        owner: Id,
        whole: &WholeCourse,
        asker: &Asker,
    ) -> Result<CourseView, Error> {
        let now = self.now();
        self.db
            .bulk(async |conn| {
                let course = CourseRow::new(self.new_id(), owner, &whole.course, now);
                insert_course(conn, &course).await?;
                for (position, (section, blocks)) in (1..).zip(&whole.sections) {
                    let section = SectionRow::new(self.new_id(), course.id, position, section, now);
                    insert_section(conn, &section).await?;
                    for (position, block) in (1..).zip(blocks) {
                        let spot = Spot { course_id: course.id, section_id: section.id, position };
                        insert_block(conn, &BlockRow::new(self.new_id(), spot, block, now)).await?;
                    }
                }
                one(conn, course, asker).await
            })
            .await
    }
}

/// Puts blocks, which are in the order of their places, into their sections.
fn filled(sections: Vec<SectionRow>, blocks: Vec<BlockRow>) -> Vec<(NewSection, Vec<NewBlock>)> {
    let mut by_section: HashMap<Id, Vec<NewBlock>> = HashMap::new();
    for block in blocks {
        by_section.entry(block.section_id).or_default().push(block.into_given());
    }
    let filled = |row: SectionRow| (row.as_given(), by_section.remove(&row.id).unwrap_or_default());
    sections.into_iter().map(filled).collect()
}

/// How many bytes all texts in a course have together.
async fn length(conn: &mut Conn, course: Id) -> Result<usize, DbError> {
    let statement = Pieces::<BigInt>::new([
        Piece::Sql(
            "select (select coalesce(sum(octet_length(title) + octet_length(description)), 0) \
             from section where course_id = ",
        ),
        Piece::Id(&course),
        Piece::Sql(
            ") + (select coalesce(sum(octet_length(title) + octet_length(description) + octet_length(content) \
             + octet_length(url) + octet_length(quiz)), 0) from content_block where course_id = ",
        ),
        Piece::Id(&course),
        Piece::Sql(")"),
    ]);
    let length: i64 = on!(conn, |db| statement.get_result(db).await)?;
    Ok(usize::try_from(length).unwrap_or(usize::MAX))
}
