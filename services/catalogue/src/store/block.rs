//! Content blocks one by one.

use diesel::dsl::max;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::clock::Time;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::failure::Fields;
use quartet_chassis::id::Id;
use quartet_chassis::on;
use quartet_proto::catalogue::v1::{BlockType, PublicationState};

use super::Store;
use super::course::{CourseRow, fresh};
use super::course_right::{right_in, right_locked, share};
use super::section::{section_in, section_taught};
use crate::block::{BlockPatch, NewBlock, check_type, kind_name, stored_kind};
use crate::course::{BLOCKS, place, state_name, stored_state};
use crate::error::Error;
use crate::quiz::Quiz;
use crate::right::{Asker, Right};
use crate::schema::{content_block, quiz_attempt};

/// A content block.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = content_block)]
pub struct BlockRow {
    pub id: Id,
    pub course_id: Id,
    pub section_id: Id,
    pub position: i32,
    pub kind: String,
    pub title: String,
    pub description: String,
    pub content: String,
    pub url: String,
    pub media_id: String,
    /// With its answers.
    pub quiz: String,
    pub state: String,
    pub version: i64,
    pub create_time: Time,
    pub update_time: Time,
}

/// Where a block stands.
#[derive(Debug, Clone, Copy)]
pub struct Spot {
    pub course_id: Id,
    pub section_id: Id,
    pub position: i32,
}

impl BlockRow {
    pub fn new(id: Id, spot: Spot, new: &NewBlock, now: Time) -> BlockRow {
        BlockRow {
            id,
            course_id: spot.course_id,
            section_id: spot.section_id,
            position: spot.position,
            kind: kind_name(new.kind).to_owned(),
            title: new.title.clone(),
            description: new.description.clone(),
            content: new.content.clone(),
            url: new.url.clone(),
            media_id: new.media_id.clone(),
            quiz: new.quiz.as_ref().map(Quiz::to_json).unwrap_or_default(),
            state: state_name(new.state).to_owned(),
            version: 1,
            create_time: now,
            update_time: now,
        }
    }

    pub fn block_type(&self) -> BlockType {
        stored_kind(&self.kind)
    }

    pub fn state(&self) -> PublicationState {
        stored_state(&self.state)
    }

    pub fn quiz(&self) -> Option<Quiz> {
        serde_json::from_str(&self.quiz).ok()
    }

    pub fn into_given(self) -> NewBlock {
        NewBlock {
            kind: self.block_type(),
            quiz: self.quiz(),
            state: self.state(),
            title: self.title,
            description: self.description,
            content: self.content,
            url: self.url,
            media_id: self.media_id,
        }
    }

    fn spot(&self) -> Spot {
        Spot { course_id: self.course_id, section_id: self.section_id, position: self.position }
    }
}

impl Store {
    /// The block, and what the asker may do in its course; nothing for who does not see it.
    pub async fn block(&self, id: Id, asker: &Asker) -> Result<Option<(BlockRow, Right)>, DbError> {
        self.db
            .snapshot(async |conn| {
                let Some(row) = block_in(conn, id).await? else { return Ok(None) };
                let right = right_in(conn, row.course_id, asker).await?.map_or(Right::None, |(_, right)| right);
                let visible = visible(conn, &row, right).await?;
                Ok::<_, DbError>(visible.then_some((row, right)))
            })
            .await
    }

    pub async fn create_block(
        &self,
        section_id: Id,
        asked: i32,
        new: &NewBlock,
        asker: &Asker,
    ) -> Result<BlockRow, Error> {
        let (id, now) = (self.new_id(), self.now());
        self.db
            .transaction(async |conn| {
                let (course, _) = section_taught(conn, section_id, asker).await?;
                course.changeable()?;
                let mut fields = Fields::default();
                if course_size(conn, course.id).await? >= BLOCKS {
                    fields.refuse("block.section_id", format!("is of a course that has {BLOCKS} blocks already"));
                }
                let position = fields.take("block.position", place(asked, block_count(conn, section_id).await?));
                let (Some(position), true) = (position, fields.is_empty()) else { return Err(fields.into()) };
                shift(conn, section_id, position, 1).await?;
                let row = BlockRow::new(id, Spot { course_id: course.id, section_id, position }, new, now);
                insert_block(conn, &row).await?;
                Ok::<_, Error>(row)
            })
            .await
    }

    pub async fn update_block(
        &self,
        id: Id,
        seen: Option<i64>,
        patch: &BlockPatch,
        asker: &Asker,
    ) -> Result<BlockRow, Error> {
        let now = self.now();
        self.db
            .transaction(async |conn| {
                let (course, row) = block_taught(conn, id, asker).await?;
                course.changeable()?;
                fresh(seen, row.version)?;
                let old = row.clone().into_given();
                let new = patch.applied_to(old.clone());
                if new == old {
                    return Ok(row);
                }
                let mut fields = Fields::default();
                check_type(&new, "block", &mut fields);
                fields.finish()?;
                if new.quiz != old.quiz && is_tried(conn, id).await? {
                    return Err(Error::QuizInUse);
                }
                let changed = BlockRow {
                    version: row.version + 1,
                    create_time: row.create_time,
                    ..BlockRow::new(id, row.spot(), &new, now)
                };
                put(conn, &changed).await?;
                Ok::<_, Error>(changed)
            })
            .await
    }

    pub async fn delete_block(&self, id: Id, seen: Option<i64>, asker: &Asker) -> Result<(), Error> {
        self.db
            .transaction(async |conn| {
                let (course, row) = block_taught(conn, id, asker).await?;
                course.changeable()?;
                fresh(seen, row.version)?;
                on!(conn, |db| diesel::delete(content_block::table.find(id)).execute(db).await)?;
                shift(conn, row.section_id, row.position + 1, -1).await?;
                Ok::<_, Error>(())
            })
            .await
    }
}

pub async fn block_in(conn: &mut Conn, id: Id) -> Result<Option<BlockRow>, DbError> {
    let row: Option<BlockRow> =
        on!(conn, |db| content_block::table.find(id).select(BlockRow::as_select()).first(db).await.optional())?;
    Ok(row)
}

/// The block, which stays as it is until the transaction ends. Locked after its course, by whoever locks both.
async fn block_locked(conn: &mut Conn, id: Id) -> Result<Option<BlockRow>, DbError> {
    let lock = diesel::update(content_block::table.find(id)).set(content_block::version.eq(content_block::version));
    let row: Option<BlockRow> =
        on!(conn, |db| lock.returning(BlockRow::as_returning()).get_result(db).await.optional())?;
    Ok(row)
}

/// Sees to it that nobody changes a block until the transaction ends.
pub async fn share_block(conn: &mut Conn, id: Id) -> Result<(), DbError> {
    share(conn, "select 1 from content_block where id = $1 for share", id).await
}

/// Whether somebody with this right in its course sees a block: a draft, or what is in one, only its teachers.
pub async fn visible(conn: &mut Conn, row: &BlockRow, right: Right) -> Result<bool, DbError> {
    if right.teaches() || !right.reads() {
        return Ok(right.teaches());
    }
    let section = section_in(conn, row.section_id).await?;
    Ok(row.state() == PublicationState::Published && section.is_some_and(|section| section.is_for(right)))
}

/// A block and its course for a teacher of it, both locked. Who does not see the block does not learn of it.
async fn block_taught(conn: &mut Conn, id: Id, asker: &Asker) -> Result<(CourseRow, BlockRow), Error> {
    let missing = || Error::BlockNotFound(id.to_string());
    let course_id = block_in(conn, id).await?.ok_or_else(missing)?.course_id;
    let (course, right) = right_locked(conn, course_id, asker).await?.ok_or_else(missing)?;
    let row = block_locked(conn, id).await?.ok_or_else(missing)?;
    match visible(conn, &row, right).await? {
        true if right.teaches() => Ok((course, row)),
        true => Err(Error::CourseRightMissing),
        false => Err(missing()),
    }
}

pub async fn insert_block(conn: &mut Conn, row: &BlockRow) -> Result<(), DbError> {
    on!(conn, |db| diesel::insert_into(content_block::table).values(row).execute(db).await).map(drop)
}

/// How many blocks a section has, which is the last one's position.
async fn block_count(conn: &mut Conn, section_id: Id) -> Result<i32, DbError> {
    let query = content_block::table.filter(content_block::section_id.eq(section_id));
    let query = query.select(max(content_block::position));
    let last: Option<i32> = on!(conn, |db| query.first(db).await)?;
    Ok(last.unwrap_or_default())
}

/// How many blocks a course has.
async fn course_size(conn: &mut Conn, course_id: Id) -> Result<usize, DbError> {
    let query = content_block::table.filter(content_block::course_id.eq(course_id)).count();
    let count: i64 = on!(conn, |db| query.get_result(db).await)?;
    Ok(usize::try_from(count).unwrap_or(usize::MAX))
}

/// Moves the blocks of a section from a place on.
async fn shift(conn: &mut Conn, section_id: Id, from: i32, by: i32) -> Result<(), DbError> {
    let here = content_block::section_id.eq(section_id);
    let behind = content_block::table.filter(here.and(content_block::position.ge(from)));
    let moved = content_block::position.eq(content_block::position + by);
    on!(conn, |db| diesel::update(behind).set(moved).execute(db).await).map(drop)
}

/// Whether somebody has tried a quiz.
async fn is_tried(conn: &mut Conn, id: Id) -> Result<bool, DbError> {
    let query = quiz_attempt::table.filter(quiz_attempt::block_id.eq(id)).select(quiz_attempt::id);
    let tried: Option<Id> = on!(conn, |db| query.first(db).await.optional())?;
    Ok(tried.is_some())
}

async fn put(conn: &mut Conn, row: &BlockRow) -> Result<(), DbError> {
    let set = (
        content_block::title.eq(&row.title),
        content_block::description.eq(&row.description),
        content_block::content.eq(&row.content),
        content_block::url.eq(&row.url),
        content_block::media_id.eq(&row.media_id),
        content_block::quiz.eq(&row.quiz),
        content_block::state.eq(&row.state),
        content_block::version.eq(row.version),
        content_block::update_time.eq(row.update_time),
    );
    on!(conn, |db| diesel::update(content_block::table.find(row.id)).set(set).execute(db).await).map(drop)
}
