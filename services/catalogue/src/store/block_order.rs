//! The blocks of a section together: page by page, and in a new order.

use std::collections::{HashMap, HashSet};

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::failure::Fields;
use quartet_chassis::id::Id;
use quartet_chassis::on;
use quartet_chassis::page;

use super::Store;
use super::block::BlockRow;
use super::course_right::right_in;
use super::section::{section_in, section_taught};
use crate::course::listed_states;
use crate::error::Error;
use crate::right::{Asker, Right};
use crate::schema::content_block;

/// About how many bytes a block has in an answer beside its texts.
const ROW: usize = 300;

diesel::define_sql_function! {
    /// The bytes of a text, which none has to be read for.
    fn octet_length(text: diesel::sql_types::Text) -> diesel::sql_types::Integer;
}

/// A page of blocks.
pub struct BlockPage {
    pub rows: Vec<BlockRow>,
    pub more: bool,
    pub right: Right,
}

impl Store {
    /// The blocks behind a place that the asker sees: as many as asked for, or fewer when they are long.
    pub async fn blocks(&self, section_id: Id, after: i32, size: i64, asker: &Asker) -> Result<BlockPage, Error> {
        self.db
            .long_snapshot(async |conn| {
                let section = section_in(conn, section_id).await?.ok_or_else(|| not_found(section_id))?;
                let right = right_in(conn, section.course_id, asker).await?.map_or(Right::None, |(_, right)| right);
                if !section.is_for(right) {
                    return Err(not_found(section_id));
                }
                Ok::<_, Error>(listed(conn, section_id, after, size, right).await?)
            })
            .await
    }

    /// Puts these blocks of the section's course into the section, in this order; all that are in it must be among them.
    pub async fn reorder_blocks(&self, section_id: Id, order: &[Id], asker: &Asker) -> Result<(), Error> {
        self.db
            .transaction(async |conn| {
                let (course, _) = section_taught(conn, section_id, asker).await?;
                course.changeable()?;
                let query = content_block::table.filter(content_block::course_id.eq(course.id));
                let query = query.order(content_block::position);
                let query = query.select((content_block::id, content_block::section_id, content_block::position));
                let old: Vec<(Id, Id, i32)> = on!(conn, |db| query.load(db).await)?;
                check(section_id, order, &old)?;
                for (id, section, place) in moves(section_id, order, &old) {
                    let to = (content_block::section_id.eq(section), content_block::position.eq(place));
                    let row = diesel::update(content_block::table.find(id));
                    on!(conn, |db| row.set(to).execute(db).await)?;
                }
                Ok::<_, Error>(())
            })
            .await
    }
}

fn not_found(section_id: Id) -> Error {
    Error::SectionNotFound(section_id.to_string())
}

/// Those that somebody with this right sees. How long they are is asked before any of them is read.
async fn listed(conn: &mut Conn, section_id: Id, after: i32, size: i64, right: Right) -> Result<BlockPage, DbError> {
    let states = listed_states(right.teaches());
    let seen = content_block::section_id.eq(section_id).and(content_block::state.eq_any(states));
    let seen = content_block::table.filter(seen.and(content_block::position.gt(after)));
    let query = seen.order(content_block::position).limit(size + 1);
    let words = octet_length(content_block::title) + octet_length(content_block::description);
    let work = octet_length(content_block::content) + octet_length(content_block::quiz);
    let query = query.select((content_block::id, words + work + octet_length(content_block::url)));
    let lengths: Vec<(Id, i32)> = on!(conn, |db| query.load(db).await)?;
    let mut ids: Vec<Id> = lengths.iter().map(|(id, _)| *id).collect();
    let bytes = lengths.iter().map(|(_, length)| usize::try_from(*length).unwrap_or_default() + ROW);
    ids.truncate(page::fitting(bytes).min(usize::try_from(size).unwrap_or_default()));
    let query = content_block::table.filter(content_block::id.eq_any(&ids)).order(content_block::position);
    let rows: Vec<BlockRow> = on!(conn, |db| query.select(BlockRow::as_select()).load(db).await)?;
    Ok(BlockPage { rows, more: lengths.len() > ids.len(), right })
}

/// Says so when an order lacks a block of the section, names one twice, or one of no section of the course.
fn check(section_id: Id, order: &[Id], old: &[(Id, Id, i32)]) -> Result<(), Fields> {
    let given: HashSet<Id> = order.iter().copied().collect();
    let known: HashSet<Id> = old.iter().map(|(id, ..)| *id).collect();
    let whole = old.iter().all(|(id, section, _)| *section != section_id || given.contains(id));
    if given.len() == order.len() && given.is_subset(&known) && whole {
        return Ok(());
    }
    let mut fields = Fields::default();
    fields.refuse("block_ids", "must name each block of the section once, and none but blocks of its course");
    Err(fields)
}

/// Which blocks get another section or place. `old` is in the order of places.
fn moves(section_id: Id, order: &[Id], old: &[(Id, Id, i32)]) -> Vec<(Id, Id, i32)> {
    let given: HashSet<Id> = order.iter().copied().collect();
    let mut new: Vec<(Id, Id, i32)> = (1..).zip(order).map(|(place, id)| (*id, section_id, place)).collect();
    // What is behind a block that leaves its section moves up.
    let mut last: HashMap<Id, i32> = HashMap::new();
    for (id, section, _) in old.iter().filter(|(id, ..)| !given.contains(id)) {
        let place = last.entry(*section).or_default();
        *place += 1;
        new.push((*id, *section, *place));
    }
    let before: HashSet<&(Id, Id, i32)> = old.iter().collect();
    new.retain(|row| !before.contains(row));
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u8) -> Id {
        Id::from_bytes([number; 16])
    }

    #[test]
    fn k6_blocks_move_between_sections_without_gaps() {
        let (one, two) = (id(100), id(200));
        let old =
            [(id(1), one, 1), (id(4), two, 1), (id(2), one, 2), (id(5), two, 2), (id(3), one, 3), (id(6), two, 3)];
        let order = [id(3), id(5), id(2), id(1)];
        assert!(check(one, &order, &old).is_ok());
        let moved = moves(one, &order, &old);
        assert_eq!(moved, [(id(3), one, 1), (id(5), one, 2), (id(2), one, 3), (id(1), one, 4), (id(6), two, 2)]);
        for wrong in [vec![id(1), id(2)], vec![id(1), id(2), id(3), id(3)], vec![id(1), id(2), id(3), id(9)]] {
            assert!(check(one, &wrong, &old).is_err());
        }
    }
}
