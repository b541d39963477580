//! What has happened in a conversation behind a number, as much at a time as may be held for somebody who reads slowly.

use std::collections::{BTreeSet, HashMap};

use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel_async::RunQueryDsl;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::change::{ChangeRow, kind};
use super::numbers::among;
use super::told::{self, Told};
use crate::schema::{change, message};

/// How many changes are read at a time, and about how many bytes, if that is more than one.
const CHANGES: usize = 128;
const BYTES: usize = 256 << 10;
/// What a change takes beside what it is about, and what is told of somebody for each byte of their id in a list.
const FRAME: usize = 200;
const PERSON: usize = 8;

diesel::define_sql_function! {
    /// How many bytes a text has.
    fn octet_length(text: Text) -> diesel::sql_types::Integer;
}

/// The first changes behind a number.
pub struct ChangePage {
    pub told: Vec<Told>,
    /// Whether others follow.
    pub more: bool,
}

/// What has changed in a conversation behind a number, the oldest first, as it is told to those who take part.
pub async fn behind(conn: &mut Conn, conversation: Id, number: i64) -> Result<ChangePage, DbError> {
    let behind = change::table.filter(change::conversation_id.eq(conversation)).filter(change::number.gt(number));
    let behind = behind.order(change::number).limit(CHANGES as i64);
    let mut rows: Vec<ChangeRow> = on!(conn, |db| behind.select(ChangeRow::as_select()).load(db).await)?;
    let lengths = lengths(conn, conversation, &rows).await?;
    let count = fitting(rows.iter().map(|row| length(row, &lengths)));
    let more = count < rows.len() || rows.len() == CHANGES;
    rows.truncate(count);
    Ok(ChangePage { told: told::told(conn, rows).await?, more })
}

/// How many of them fit, but at least one.
fn fitting(lengths: impl Iterator<Item = usize>) -> usize {
    let mut sum = 0;
    let fits = lengths.take_while(|length| {
        let is_first = sum == 0;
        sum += length;
        is_first || sum <= BYTES
    });
    fits.count()
}

/// About how long a change is as it is told.
fn length(row: &ChangeRow, lengths: &HashMap<i64, (usize, usize)>) -> usize {
    let (message, reactions) = lengths.get(&row.seq).copied().unwrap_or_default();
    let about = if row.kind == kind::REACTED { reactions } else { message + reactions };
    FRAME + about + PERSON * row.subject.len()
}

/// How long the messages are that changes are about, and their reactions.
async fn lengths(
    conn: &mut Conn,
    conversation: Id,
    rows: &[ChangeRow],
) -> Result<HashMap<i64, (usize, usize)>, DbError> {
    let seqs: BTreeSet<i64> = rows.iter().map(|row| row.seq).filter(|seq| *seq != 0).collect();
    if seqs.is_empty() {
        return Ok(HashMap::new());
    }
    let these = message::table.filter(message::conversation_id.eq(conversation)).filter(among(message::seq, &seqs));
    let these = these.select((
        message::seq,
        octet_length(message::body),
        octet_length(message::extras),
        octet_length(message::reactions),
    ));
    let found: Vec<(i64, i32, i32, i32)> = on!(conn, |db| these.load(db).await)?;
    let size = |length: i32| usize::try_from(length).unwrap_or_default();
    let each = |(seq, body, extras, reactions)| (seq, (size(body) + size(extras), size(reactions)));
    Ok(found.into_iter().map(each).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s44_a_page_has_some_bytes_and_at_least_one_change() {
        assert_eq!(fitting([100; 10].into_iter()), 10);
        assert_eq!(fitting([BYTES / 4; 10].into_iter()), 4);
        assert_eq!(fitting([2 * BYTES, 1].into_iter()), 1);
        assert_eq!(fitting([].into_iter()), 0);
    }
}
