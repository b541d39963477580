//! What has happened in a conversation, numbered without gaps. Whoever takes a number holds the conversation until the transaction ends, so
//! numbers become visible in their order, and rights that are asked for behind that are those that are written upon.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::clock::Time;
use quartet_chassis::db::rows::{Column, Rows};
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::message_view::MessageRow;
use super::retention::Old;
use crate::schema::{change, conversation, member};

/// How many changes of a conversation are kept; who has missed more takes it anew.
const KEPT: i64 = 200_000;
/// Each time that so many have come, those that are too many go, at most twice as many.
const BATCH: i64 = 256;

/// The kinds of changes, as they stand in the database.
pub mod kind {
    pub const SENT: &str = "SENT";
    pub const UPDATED: &str = "UPDATED";
    /// The reactions to a message have changed, and nothing else of it.
    pub const REACTED: &str = "REACTED";
    pub const DELETED: &str = "DELETED";
    pub const JOINED: &str = "JOINED";
    pub const LEFT: &str = "LEFT";
    pub const ROLE_CHANGED: &str = "ROLE_CHANGED";
    pub const RENAMED: &str = "RENAMED";
}

/// What has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The message with this number was sent, …
    Sent(i64),
    /// … or edited, …
    Updated(i64),
    /// … or reacted to, …
    Reacted(i64),
    /// … or deleted.
    Deleted(i64),
    Joined(Vec<Id>),
    Left(Vec<Id>),
    /// Somebody may do something else now: `MEMBER`, `OWNER`.
    RoleChanged(Id, String),
    Renamed(String),
}

/// A change of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = change)]
pub struct ChangeRow {
    pub conversation_id: Id,
    pub number: i64,
    pub kind: String,
    /// The message that it is about; 0 for none.
    pub seq: i64,
    /// Who did it.
    pub account_id: Option<Id>,
    /// The accounts that it is about as a JSON array, or a name; empty where a message says all.
    pub subject: String,
    pub create_time: Time,
}

/// The last numbers of a conversation behind new messages, and what it is.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = conversation)]
pub struct Heads {
    pub kind: String,
    pub participant_count: i32,
    pub last_seq: i64,
    pub last_change: i64,
}

/// Notes a change, which takes the next number. The caller tells the hub when the transaction is through.
pub async fn note(
    conn: &mut Conn,
    conversation_id: Id,
    by: Option<Id>,
    what: &What,
    now: Time,
) -> Result<ChangeRow, DbError> {
    let next = diesel::update(conversation::table.find(conversation_id))
        .set(conversation::last_change.eq(conversation::last_change + 1))
        .returning(conversation::last_change);
    let number: i64 = on!(conn, |db| next.get_result(db).await)?;
    write(conn, conversation_id, number, by, what, now).await
}

/// Takes the numbers of new messages and of their changes; the answer has the last ones. `None` where there is no such conversation; that the
/// account takes part in it, as this believes, is to be asked once more behind it: on PostgreSQL it may have waited, and looked before that.
pub async fn next_messages(
    conn: &mut Conn,
    conversation_id: Id,
    account: Id,
    count: i64,
    now: Time,
) -> Result<Option<Heads>, DbError> {
    let takes_part = member::table
        .filter(member::conversation_id.eq(conversation_id))
        .filter(member::account_id.eq(account))
        .select(member::account_id);
    let theirs = conversation::table.find(conversation_id).filter(diesel::dsl::exists(takes_part));
    let next = diesel::update(theirs).set((
        conversation::last_seq.eq(conversation::last_seq + count),
        conversation::last_change.eq(conversation::last_change + count),
        conversation::activity_time.eq(now),
    ));
    let heads: Option<Heads> = on!(conn, |db| next.returning(Heads::as_returning()).get_result(db).await.optional())?;
    Ok(heads)
}

/// Writes the changes of new messages, whose numbers were taken, from this one on.
pub async fn sent(
    conn: &mut Conn,
    conversation_id: Id,
    first: i64,
    messages: &[MessageRow],
) -> Result<Vec<ChangeRow>, DbError> {
    let change = |(number, message): (i64, &MessageRow)| {
        What::Sent(message.seq).row(conversation_id, number, message.sender_id, message.send_time)
    };
    let changes: Vec<ChangeRow> = (first..).zip(messages).map(change).collect();
    let count = changes.len();
    let insert = Rows {
        before: "insert into change (conversation_id, number, kind, seq, account_id, subject, create_time)",
        columns: vec![
            Column::Ids(vec![conversation_id; count]),
            Column::Numbers(changes.iter().map(|change| change.number).collect()),
            Column::Texts(changes.iter().map(|change| change.kind.as_str()).collect()),
            Column::Numbers(changes.iter().map(|change| change.seq).collect()),
            Column::Ids(changes.iter().filter_map(|change| change.account_id).collect()),
            Column::Texts(vec![""; count]),
            Column::Times(changes.iter().map(|change| change.create_time).collect()),
        ],
        count,
        after: "",
    };
    insert.run(conn).await?;
    for change in &changes {
        forget_some(conn, change).await?;
    }
    Ok(changes)
}

/// Writes a change whose number was taken.
pub async fn write(
    conn: &mut Conn,
    conversation_id: Id,
    number: i64,
    by: Option<Id>,
    what: &What,
    now: Time,
) -> Result<ChangeRow, DbError> {
    let row = what.row(conversation_id, number, by, now);
    on!(conn, |db| diesel::insert_into(change::table).values(&row).execute(db).await)?;
    forget_some(conn, &row).await?;
    let people = what.people();
    if people.is_empty() {
        return Ok(row);
    }
    // So that their erasures find it.
    let subjects = Rows {
        before: "insert into change_subject (conversation_id, number, account_id)",
        count: people.len(),
        columns: vec![
            Column::Ids(vec![conversation_id; people.len()]),
            Column::Numbers(vec![number; people.len()]),
            Column::Ids(people),
        ],
        after: "",
    };
    subjects.run(conn).await?;
    Ok(row)
}

/// Removes now and then, when a change was written, those that are too many.
async fn forget_some(conn: &mut Conn, written: &ChangeRow) -> Result<(), DbError> {
    if written.number % BATCH == 0 {
        forget(conn, written.conversation_id, written.number - KEPT, 2 * BATCH).await?;
    }
    Ok(())
}

/// Removes the first changes of a conversation that the transaction holds, below a number, and at most so many; whether there were some.
async fn forget(conn: &mut Conn, conversation: Id, below: i64, most: i64) -> Result<bool, DbError> {
    let first = conversation::table.find(conversation).select(conversation::first_change);
    let first: Option<i64> = on!(conn, |db| first.first(db).await.optional())?;
    let Some(first) = first.filter(|first| *first < below) else { return Ok(false) };
    let below = below.min(first + most);
    let these = change::table.filter(change::conversation_id.eq(conversation)).filter(change::number.lt(below));
    on!(conn, |db| diesel::delete(these).execute(db).await)?;
    let kept = diesel::update(conversation::table.find(conversation)).set(conversation::first_change.eq(below));
    on!(conn, |db| kept.execute(db).await)?;
    Ok(true)
}

/// Removes some of the first changes of the conversation of something old, which the transaction holds: those that were made before a time or
/// have no higher number than an old one, and at most so many; whether there were some.
pub async fn forget_older(conn: &mut Conn, old: Old, before: Time, most: i64) -> Result<bool, DbError> {
    let first = change::table.filter(change::conversation_id.eq(old.conversation)).order(change::number);
    let first = first.select((change::number, change::create_time)).limit(most);
    let first: Vec<(i64, Time)> = on!(conn, |db| first.load(db).await)?;
    // The clocks of instances differ, but what is before an old one is old.
    let last = first.iter().rev().find(|(number, time)| *time < before || *number <= old.change);
    let Some((last, _)) = last else { return Ok(false) };
    forget(conn, old.conversation, last + 1, most).await
}

impl What {
    /// Whom it is about, as far as they are somebody.
    fn people(&self) -> Vec<Id> {
        match self {
            What::Joined(ids) | What::Left(ids) => ids.iter().copied().filter(|id| *id != Id::NIL).collect(),
            What::RoleChanged(id, _) => vec![*id],
            What::Sent(_) | What::Updated(_) | What::Reacted(_) | What::Deleted(_) | What::Renamed(_) => Vec::new(),
        }
    }

    /// The change with this number.
    fn row(&self, conversation_id: Id, number: i64, by: Option<Id>, now: Time) -> ChangeRow {
        let (kind, seq, subject) = match self {
            What::Sent(seq) => (kind::SENT, *seq, String::new()),
            What::Updated(seq) => (kind::UPDATED, *seq, String::new()),
            What::Reacted(seq) => (kind::REACTED, *seq, String::new()),
            What::Deleted(seq) => (kind::DELETED, *seq, String::new()),
            What::Joined(ids) => (kind::JOINED, 0, list(ids)),
            What::Left(ids) => (kind::LEFT, 0, list(ids)),
            What::RoleChanged(id, role) => (kind::ROLE_CHANGED, 0, format!("[\"{id}\",\"{role}\"]")),
            What::Renamed(name) => (kind::RENAMED, 0, name.clone()),
        };
        let kind = kind.to_owned();
        ChangeRow { conversation_id, number, kind, seq, account_id: by, subject, create_time: now }
    }
}

impl ChangeRow {
    /// What it says. Whoever was erased since is [`Id::NIL`].
    pub fn what(&self) -> Option<What> {
        let what = match self.kind.as_str() {
            kind::SENT => What::Sent(self.seq),
            kind::UPDATED => What::Updated(self.seq),
            kind::REACTED => What::Reacted(self.seq),
            kind::DELETED => What::Deleted(self.seq),
            kind::JOINED => What::Joined(self.accounts()),
            kind::LEFT => What::Left(self.accounts()),
            kind::ROLE_CHANGED => {
                let [id, role]: [String; 2] = serde_json::from_str(&self.subject).ok()?;
                What::RoleChanged(id.parse().unwrap_or(Id::NIL), role)
            }
            kind::RENAMED => What::Renamed(self.subject.clone()),
            _ => return None,
        };
        Some(what)
    }

    fn accounts(&self) -> Vec<Id> {
        let ids: Vec<String> = serde_json::from_str(&self.subject).unwrap_or_default();
        ids.iter().map(|id| id.parse().unwrap_or(Id::NIL)).collect()
    }
}

fn list(ids: &[Id]) -> String {
    let text = |id: &Id| if *id == Id::NIL { String::new() } else { id.to_string() };
    serde_json::Value::from_iter(ids.iter().map(text)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g3_a_change_reads_as_it_was_written() {
        let (one, other) = (Id::from_bytes([1; 16]), Id::from_bytes([2; 16]));
        let all = [
            What::Sent(1),
            What::Updated(2),
            What::Reacted(2),
            What::Deleted(3),
            What::Joined(vec![one, other]),
            What::Left(vec![one, Id::NIL]),
            What::RoleChanged(other, "OWNER".to_owned()),
            What::Renamed("[\"no\"] list".to_owned()),
        ];
        for what in all {
            let row = what.row(one, 7, Some(other), chrono::DateTime::UNIX_EPOCH.naive_utc());
            assert_eq!((row.what(), row.number), (Some(what), 7));
        }
    }
}
