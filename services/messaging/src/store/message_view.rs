//! Messages with what is told of them to somebody.

use std::collections::{BTreeSet, HashMap};

use diesel::dsl::min;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::clock::Time;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::numbers::among;
use crate::schema::{conversation, member, message};

/// A message as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = message)]
pub struct MessageRow {
    pub conversation_id: Id,
    pub seq: i64,
    pub id: Id,
    /// Nobody's when the account is gone.
    pub sender_id: Option<Id>,
    pub client_message_id: String,
    pub request_hash: Vec<u8>,
    pub body: String,
    /// See [`Extras`](crate::message::Extras).
    pub extras: String,
    /// See [`Reactions`](crate::reaction::Reactions).
    pub reactions: String,
    pub reply_to_seq: i64,
    pub is_deleted: bool,
    pub is_indexed: bool,
    pub version: i64,
    pub send_time: Time,
    pub edit_time: Option<Time>,
}

/// How far a message has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    Sent,
    Delivered,
    Read,
}

/// A message, as it is told to all, or to its sender: they are told of more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageView {
    pub row: MessageRow,
    /// Told to its sender alone.
    pub own: Option<Status>,
}

impl MessageView {
    /// As everybody is told of it.
    pub fn shared(row: MessageRow) -> MessageView {
        MessageView { row, own: None }
    }

    /// As its sender is told of it right after it was written: the others have not had the time to see it.
    pub fn sent(row: MessageRow) -> MessageView {
        MessageView { row, own: Some(Status::Sent) }
    }
}

/// How far those are whose sight begins at one place: the least of them.
type Least = (Id, i64, Option<i64>, Option<i64>);

/// Messages as somebody sees them: of their own they learn how far they have come.
pub async fn seen(conn: &mut Conn, viewer: Id, rows: Vec<MessageRow>) -> Result<Vec<MessageView>, DbError> {
    let own: BTreeSet<Id> =
        rows.iter().filter(|row| row.sender_id == Some(viewer)).map(|row| row.conversation_id).collect();
    let mut least: HashMap<Id, Vec<Least>> = HashMap::new();
    if !own.is_empty() {
        let own: Vec<Id> = own.into_iter().collect();
        let others = member::table.filter(member::conversation_id.eq_any(&own)).filter(member::account_id.ne(viewer));
        let grouped = others.group_by((member::conversation_id, member::joined_seq)).select((
            member::conversation_id,
            member::joined_seq,
            min(member::delivered_seq),
            min(member::read_seq),
        ));
        let found: Vec<Least> = on!(conn, |db| grouped.load(db).await)?;
        for row in found {
            least.entry(row.0).or_default().push(row);
        }
    }
    let view = |row: MessageRow| {
        let own = (row.sender_id == Some(viewer)).then(|| {
            let others = least.get(&row.conversation_id).map(Vec::as_slice).unwrap_or_default();
            status(row.seq, others)
        });
        MessageView { row, own }
    };
    Ok(rows.into_iter().map(view).collect())
}

/// The worst of those who see the message; who came later does not count.
fn status(seq: i64, others: &[Least]) -> Status {
    let of = |(_, _, delivered, read): &Least| match (delivered.unwrap_or_default(), read.unwrap_or_default()) {
        (_, read) if read >= seq => Status::Read,
        (delivered, _) if delivered >= seq => Status::Delivered,
        _ => Status::Sent,
    };
    others.iter().filter(|(_, joined, ..)| *joined < seq).map(of).min().unwrap_or(Status::Sent)
}

/// Messages of a conversation by their numbers, as everybody is told of them.
pub async fn by_seq(
    conn: &mut Conn,
    conversation: Id,
    seqs: &BTreeSet<i64>,
) -> Result<HashMap<i64, MessageView>, DbError> {
    if seqs.is_empty() {
        return Ok(HashMap::new());
    }
    let these = message::table.filter(message::conversation_id.eq(conversation)).filter(among(message::seq, seqs));
    let rows: Vec<MessageRow> = on!(conn, |db| these.select(MessageRow::as_select()).load(db).await)?;
    Ok(rows.into_iter().map(|row| (row.seq, MessageView::shared(row))).collect())
}

/// The reactions to messages of a conversation, by the messages' numbers.
pub async fn reactions_by_seq(
    conn: &mut Conn,
    conversation: Id,
    seqs: &BTreeSet<i64>,
) -> Result<HashMap<i64, String>, DbError> {
    if seqs.is_empty() {
        return Ok(HashMap::new());
    }
    let these = message::table.filter(message::conversation_id.eq(conversation)).filter(among(message::seq, seqs));
    let these = these.select((message::seq, message::reactions));
    let rows: Vec<(i64, String)> = on!(conn, |db| these.load(db).await)?;
    Ok(rows.into_iter().collect())
}

/// The last message of each of some conversations, as somebody sees it who sees it.
pub async fn last_of(conn: &mut Conn, viewer: Id, conversations: &[Id]) -> Result<HashMap<Id, MessageView>, DbError> {
    let last = message::table
        .inner_join(conversation::table)
        .filter(message::conversation_id.eq_any(conversations))
        .filter(message::seq.eq(conversation::last_seq));
    let rows: Vec<MessageRow> = on!(conn, |db| last.select(MessageRow::as_select()).load(db).await)?;
    let views = seen(conn, viewer, rows).await?;
    Ok(views.into_iter().map(|view| (view.row.conversation_id, view)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g3_the_status_is_the_worst_of_those_who_see_the_message() {
        let at = |joined, delivered, read| (Id::NIL, joined, Some(delivered), Some(read));
        let cases = [
            (5, vec![], Status::Sent),
            (5, vec![at(0, 5, 5)], Status::Read),
            (5, vec![at(0, 5, 5), at(1, 5, 4)], Status::Delivered),
            (5, vec![at(0, 9, 9), at(2, 4, 3)], Status::Sent),
            (5, vec![at(0, 9, 9), at(5, 5, 5), at(7, 7, 7)], Status::Read),
            (6, vec![at(0, 9, 9), at(5, 5, 5)], Status::Sent),
        ];
        for (seq, others, expected) in cases {
            assert_eq!(status(seq, &others), expected, "{seq} {others:?}");
        }
    }
}
