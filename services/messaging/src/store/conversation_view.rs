//! Conversations as somebody who takes part in them sees them, and lists of them.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::accounts::hold::{People, people};
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::Store;
use super::conversation::{ConversationRow, not_found};
use super::conversation_list::{Position, page, unread};
use super::member::{MemberRow, member_in};
use super::message_view::{self, MessageView};
use super::participant::ParticipantRow;
use super::union::{self, Union};
use crate::conversation::{Kind, SHOWN};
use crate::error::Error;
use crate::schema::{member, mention};

/// A conversation as somebody sees it.
#[derive(Debug, Clone)]
pub struct ConversationView {
    pub row: ConversationRow,
    pub own: MemberRow,
    /// The first of the others.
    pub others: Vec<ParticipantRow>,
    pub last_message: Option<MessageView>,
    pub unread_mention_count: i64,
}

/// Which conversations of an account; numbered as in the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    All = 0,
    Favorite = 1,
    Pinned = 2,
    Unread = 3,
}

/// A part of the list of an account's conversations.
#[derive(Debug, Clone)]
pub struct ConversationList {
    pub account: Id,
    pub filter: Filter,
    /// Behind this one.
    pub after: Option<Position>,
    pub size: i64,
}

impl Store {
    /// A conversation as somebody sees it, if they take part in it.
    pub async fn conversation(&self, id: Id, account: Id) -> Result<Option<ConversationView>, DbError> {
        self.db.snapshot(async |conn| find(conn, id, account).await).await
    }

    /// As many conversations as asked for, and one more if there are more; and how many messages are unread in all that are not muted.
    pub async fn conversations(&self, list: &ConversationList) -> Result<(Vec<ConversationView>, i64), DbError> {
        let now = self.now();
        self.db
            .long_snapshot(async |conn| {
                let rows = page(conn, list).await?;
                let unread = unread(conn, list.account, now).await?;
                Ok::<_, DbError>((views(conn, list.account, rows).await?, unread))
            })
            .await
    }
}

/// A conversation for somebody who takes part in it.
pub async fn one(conn: &mut Conn, id: Id, account: Id) -> Result<ConversationView, Error> {
    find(conn, id, account).await?.ok_or_else(|| not_found(id))
}

async fn find(conn: &mut Conn, id: Id, account: Id) -> Result<Option<ConversationView>, DbError> {
    let Some(found) = member_in(conn, id, account).await? else { return Ok(None) };
    Ok(views(conn, account, vec![found]).await?.pop())
}

/// Adds to conversations what an account sees of them.
pub async fn views(
    conn: &mut Conn,
    account: Id,
    rows: Vec<(ConversationRow, MemberRow)>,
) -> Result<Vec<ConversationView>, DbError> {
    let mut others = others(conn, account, &rows).await?;
    let seen = |(row, own): &&(ConversationRow, MemberRow)| row.last_seq > own.hidden_seq();
    let seen: Vec<Id> = rows.iter().filter(seen).map(|(row, _)| row.id).collect();
    let mut last = message_view::last_of(conn, account, &seen).await?;
    let unread = |(row, own): &&(ConversationRow, MemberRow)| own.unread(row.last_seq) > 0;
    let unread: Vec<Id> = rows.iter().filter(unread).map(|(row, _)| row.id).collect();
    let mentions = mentions(conn, account, &unread).await?;
    let view = |(row, own): (ConversationRow, MemberRow)| ConversationView {
        others: others.remove(&row.id).unwrap_or_default(),
        last_message: last.remove(&row.id),
        unread_mention_count: mentions.get(&row.id).copied().unwrap_or_default(),
        row,
        own,
    };
    Ok(rows.into_iter().map(view).collect())
}

/// The first others in each conversation. Groups may have thousands, of whom no more are read than are shown.
async fn others(
    conn: &mut Conn,
    account: Id,
    rows: &[(ConversationRow, MemberRow)],
) -> Result<HashMap<Id, Vec<ParticipantRow>>, DbError> {
    let of = |kind: Kind| rows.iter().filter(move |(row, _)| row.kind() == kind).map(|(row, _)| row.id);
    let direct: Vec<Id> = of(Kind::Direct).collect();
    let query = member::table.filter(member::conversation_id.eq_any(direct)).filter(member::account_id.ne(account));
    let mut found: Vec<MemberRow> = on!(conn, |db| query.select(MemberRow::as_select()).load(db).await)?;
    let first = |group: &Id| {
        member::table
            .filter(member::conversation_id.eq(*group))
            .filter(member::account_id.ne(account))
            .order((member::create_time, member::account_id))
            .limit(SHOWN as i64)
    };
    for groups in of(Kind::Group).collect::<Vec<Id>>().chunks(union::MOST) {
        let first: Vec<MemberRow> = on!(conn, |db| {
            Union(groups.iter().map(|group| first(group).select(MemberRow::as_select())).collect()).load(db).await
        })?;
        found.extend(first);
    }
    let mut others: HashMap<Id, Vec<ParticipantRow>> = HashMap::new();
    for participant in with_people(conn, found).await? {
        others.entry(participant.row.conversation_id).or_default().push(participant);
    }
    Ok(others)
}

/// Adds who they are, as far as that is known here.
pub async fn with_people(conn: &mut Conn, rows: Vec<MemberRow>) -> Result<Vec<ParticipantRow>, DbError> {
    let ids: Vec<Id> = rows.iter().map(|row| row.account_id).collect();
    let known: People = people(conn, &ids).await?;
    let participant = |row: MemberRow| ParticipantRow { account: known.get(&row.account_id).cloned(), row };
    Ok(rows.into_iter().map(participant).collect())
}

/// How many unread messages of each conversation mention the account.
async fn mentions(conn: &mut Conn, account: Id, conversations: &[Id]) -> Result<HashMap<Id, i64>, DbError> {
    if conversations.is_empty() {
        return Ok(HashMap::new());
    }
    let same = member::conversation_id.eq(mention::conversation_id).and(member::account_id.eq(mention::account_id));
    let unread = mention::table
        .inner_join(member::table.on(same))
        .filter(mention::account_id.eq(account))
        .filter(mention::conversation_id.eq_any(conversations))
        .filter(mention::seq.gt(member::read_seq))
        .filter(mention::seq.gt(member::cleared_seq))
        .group_by(mention::conversation_id)
        .select((mention::conversation_id, diesel::dsl::count_star()));
    let rows: Vec<(Id, i64)> = on!(conn, |db| unread.load(db).await)?;
    Ok(rows.into_iter().collect())
}
