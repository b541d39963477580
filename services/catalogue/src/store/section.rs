//! Sections: in their order, from 1 and without gaps.

use diesel::dsl::max;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::clock::Time;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::failure::Fields;
use quartet_chassis::id::Id;
use quartet_chassis::on;
use quartet_proto::catalogue::v1::PublicationState;

use super::Store;
use super::course::{CourseRow, fresh};
use super::course_right::{must_see, right_in, right_locked, taught};
use crate::course::{SECTIONS, listed_states, place, state_name, stored_state};
use crate::course_given::{NewSection, SectionPatch};
use crate::error::Error;
use crate::right::{Asker, Right};
use crate::schema::section;

/// A section.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = section)]
pub struct SectionRow {
    pub id: Id,
    pub course_id: Id,
    pub position: i32,
    pub title: String,
    pub description: String,
    pub state: String,
    pub version: i64,
    pub create_time: Time,
    pub update_time: Time,
}

impl SectionRow {
    pub fn new(id: Id, course_id: Id, position: i32, new: &NewSection, now: Time) -> SectionRow {
        SectionRow {
            id,
            course_id,
            position,
            title: new.title.clone(),
            description: new.description.clone(),
            state: state_name(new.state).to_owned(),
            version: 1,
            create_time: now,
            update_time: now,
        }
    }

    pub fn state(&self) -> PublicationState {
        stored_state(&self.state)
    }

    pub fn as_given(&self) -> NewSection {
        NewSection { title: self.title.clone(), description: self.description.clone(), state: self.state() }
    }

    /// Whether somebody with this right in the course sees the section.
    pub fn is_for(&self, right: Right) -> bool {
        right.teaches() || (right.reads() && self.state() == PublicationState::Published)
    }
}

impl Store {
    pub async fn section(&self, id: Id, asker: &Asker) -> Result<Option<SectionRow>, DbError> {
        self.db
            .snapshot(async |conn| {
                let Some(row) = section_in(conn, id).await? else { return Ok(None) };
                let right = right_in(conn, row.course_id, asker).await?.map_or(Right::None, |(_, right)| right);
                Ok::<_, DbError>(row.is_for(right).then_some(row))
            })
            .await
    }

    /// The sections behind a place that the asker sees: as many as asked for, and one more if there are more.
    pub async fn sections(
        &self,
        course_id: Id,
        after: i32,
        size: i64,
        asker: &Asker,
    ) -> Result<Vec<SectionRow>, Error> {
        self.db
            .long_snapshot(async |conn| {
                let (_, right) = must_see(right_in(conn, course_id, asker).await?, course_id)?;
                if !right.reads() {
                    return Err(Error::CourseRightMissing);
                }
                let states = listed_states(right.teaches());
                let seen = section::course_id.eq(course_id).and(section::state.eq_any(states));
                let query = section::table.filter(seen.and(section::position.gt(after)));
                let query = query.order(section::position).limit(size + 1);
                let rows: Vec<SectionRow> = on!(conn, |db| query.select(SectionRow::as_select()).load(db).await)?;
                Ok::<_, Error>(rows)
            })
            .await
    }

    pub async fn create_section(
        &self,
        course_id: Id,
        asked: i32,
        new: &NewSection,
        asker: &Asker,
    ) -> Result<SectionRow, Error> {
        let (id, now) = (self.new_id(), self.now());
        self.db
            .transaction(async |conn| {
                taught(conn, course_id, asker).await?.changeable()?;
                let count = section_count(conn, course_id).await?;
                let mut fields = Fields::default();
                if usize::try_from(count).is_ok_and(|count| count >= SECTIONS) {
                    fields.refuse("section.course_id", format!("is of a course that has {SECTIONS} sections already"));
                }
                let place = fields.take("section.position", place(asked, count));
                let (Some(place), true) = (place, fields.is_empty()) else { return Err(fields.into()) };
                shift(conn, course_id, place, 1).await?;
                let row = SectionRow::new(id, course_id, place, new, now);
                insert_section(conn, &row).await?;
                Ok::<_, Error>(row)
            })
            .await
    }

    pub async fn update_section(
        &self,
        id: Id,
        seen: Option<i64>,
        patch: &SectionPatch,
        asker: &Asker,
    ) -> Result<SectionRow, Error> {
        let now = self.now();
        self.db
            .transaction(async |conn| {
                let (course, row) = section_taught(conn, id, asker).await?;
                course.changeable()?;
                fresh(seen, row.version)?;
                let (old, new) = (row.as_given(), patch.applied_to(row.as_given()));
                if new == old {
                    return Ok(row);
                }
                let changed = SectionRow {
                    version: row.version + 1,
                    create_time: row.create_time,
                    ..SectionRow::new(id, row.course_id, row.position, &new, now)
                };
                put(conn, &changed).await?;
                Ok::<_, Error>(changed)
            })
            .await
    }

    pub async fn delete_section(&self, id: Id, seen: Option<i64>, asker: &Asker) -> Result<(), Error> {
        self.db
            .transaction(async |conn| {
                let (course, row) = section_taught(conn, id, asker).await?;
                course.changeable()?;
                fresh(seen, row.version)?;
                on!(conn, |db| diesel::delete(section::table.find(id)).execute(db).await)?;
                shift(conn, row.course_id, row.position + 1, -1).await?;
                Ok::<_, Error>(())
            })
            .await
    }

    /// Puts all sections of a course into this order.
    pub async fn reorder_sections(&self, course_id: Id, order: &[Id], asker: &Asker) -> Result<(), Error> {
        self.db
            .transaction(async |conn| {
                taught(conn, course_id, asker).await?.changeable()?;
                let query = section::table.filter(section::course_id.eq(course_id));
                let query = query.select((section::id, section::position));
                let old: Vec<(Id, i32)> = on!(conn, |db| query.load(db).await)?;
                let (mut given, mut known) = (order.to_vec(), old.iter().map(|(id, _)| *id).collect::<Vec<_>>());
                given.sort_unstable();
                known.sort_unstable();
                if given != known {
                    let mut fields = Fields::default();
                    fields.refuse("section_ids", "must name each section of the course once, and nothing else");
                    return Err(fields.into());
                }
                for (place, id) in (1..).zip(order) {
                    if !old.contains(&(*id, place)) {
                        let row = diesel::update(section::table.find(*id));
                        on!(conn, |db| row.set(section::position.eq(place)).execute(db).await)?;
                    }
                }
                Ok::<_, Error>(())
            })
            .await
    }
}

pub async fn section_in(conn: &mut Conn, id: Id) -> Result<Option<SectionRow>, DbError> {
    let row: Option<SectionRow> =
        on!(conn, |db| section::table.find(id).select(SectionRow::as_select()).first(db).await.optional())?;
    Ok(row)
}

/// A section and its course for a teacher of it, the course locked. Who does not see the section does not learn of it.
pub async fn section_taught(conn: &mut Conn, id: Id, asker: &Asker) -> Result<(CourseRow, SectionRow), Error> {
    let missing = || Error::SectionNotFound(id.to_string());
    let course_id = section_in(conn, id).await?.ok_or_else(missing)?.course_id;
    let (course, right) = right_locked(conn, course_id, asker).await?.ok_or_else(missing)?;
    // It may have been changed or deleted before the course was locked.
    let row = section_in(conn, id).await?.filter(|row| row.is_for(right)).ok_or_else(missing)?;
    if right.teaches() { Ok((course, row)) } else { Err(Error::CourseRightMissing) }
}

pub async fn insert_section(conn: &mut Conn, row: &SectionRow) -> Result<(), DbError> {
    on!(conn, |db| diesel::insert_into(section::table).values(row).execute(db).await).map(drop)
}

/// How many sections a course has, which is the last one's position.
async fn section_count(conn: &mut Conn, course_id: Id) -> Result<i32, DbError> {
    let query = section::table.filter(section::course_id.eq(course_id)).select(max(section::position));
    let last: Option<i32> = on!(conn, |db| query.first(db).await)?;
    Ok(last.unwrap_or_default())
}

/// Moves the sections from a place on.
async fn shift(conn: &mut Conn, course_id: Id, from: i32, by: i32) -> Result<(), DbError> {
    let behind = section::table.filter(section::course_id.eq(course_id).and(section::position.ge(from)));
    let moved = section::position.eq(section::position + by);
    on!(conn, |db| diesel::update(behind).set(moved).execute(db).await).map(drop)
}

async fn put(conn: &mut Conn, row: &SectionRow) -> Result<(), DbError> {
    let set = (
        section::title.eq(&row.title),
        section::description.eq(&row.description),
        section::state.eq(&row.state),
        section::version.eq(row.version),
        section::update_time.eq(row.update_time),
    );
    on!(conn, |db| diesel::update(section::table.find(row.id)).set(set).execute(db).await).map(drop)
}
