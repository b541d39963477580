//! Whole courses, read and written at once.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::db::Conn;
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::Store;
use super::block::{BlockRow, Spot, insert_block};
use super::course::{CourseRow, insert_course, one};
use super::course_right::taught;
use super::course_view::CourseView;
use super::section::{SectionRow, insert_section};
use crate::block::NewBlock;
use crate::course_file::{SIZE, WholeCourse};
use crate::error::Error;
use crate::right::Asker;
use crate::schema::{content_block, section};

/// How many blocks are read at once: they may be long.
const STEP: i64 = 20;

impl Store {
    /// A course for a teacher of it, as it is at one moment: nobody changes it meanwhile.
    pub async fn whole_course(&self, id: Id, asker: &Asker) -> Result<WholeCourse, Error> {
        self.db
            .bulk(async |conn| {
                let course = taught(conn, id, asker).await?.as_given();
                let query = section::table.filter(section::course_id.eq(id)).order(section::position);
                let rows: Vec<SectionRow> = on!(conn, |db| query.select(SectionRow::as_select()).load(db).await)?;
                let mut room = SIZE;
                let mut sections = Vec::with_capacity(rows.len());
                for row in rows {
                    let blocks = blocks_of(conn, row.id, &mut room).await?;
                    sections.push((row.as_given(), blocks));
                }
                Ok::<_, Error>(WholeCourse { course, sections })
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

/// The blocks of a section, while there is room in the file.
async fn blocks_of(conn: &mut Conn, section_id: Id, room: &mut usize) -> Result<Vec<NewBlock>, Error> {
    let mut blocks = Vec::new();
    let mut last = 0;
    loop {
        let here = content_block::section_id.eq(section_id).and(content_block::position.gt(last));
        let query = content_block::table.filter(here).order(content_block::position).limit(STEP);
        let rows: Vec<BlockRow> = on!(conn, |db| query.select(BlockRow::as_select()).load(db).await)?;
        let Some(end) = rows.last() else { return Ok(blocks) };
        last = end.position;
        let size: usize = rows.iter().map(|row| row.content.len() + row.quiz.len()).sum();
        *room = room.checked_sub(size).ok_or(Error::CourseFileTooLarge)?;
        blocks.extend(rows.iter().map(BlockRow::as_given));
    }
}
