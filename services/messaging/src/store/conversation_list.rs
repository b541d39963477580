//! The order of an account's conversations: the pinned ones as they were pinned, then the one first in which something was said last.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool};
use diesel_async::RunQueryDsl;
use quartet_chassis::clock::Time;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::conversation::ConversationRow;
use super::conversation_view::{ConversationList, Filter};
use super::member::MemberRow;
use crate::schema::{conversation, member};

/// Where in the list a conversation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// Among the pinned ones.
    Pinned(i64),
    Other {
        activity_time: Time,
        id: Id,
    },
}

impl Position {
    pub fn of(row: &ConversationRow, own: &MemberRow) -> Position {
        match own.pin_number {
            Some(number) => Position::Pinned(number),
            None => Position::Other { activity_time: row.activity_time, id: row.id },
        }
    }
}

type Rows = Vec<(ConversationRow, MemberRow)>;

/// As many of an account's conversations as asked for, and one more if there are more.
pub async fn page(conn: &mut Conn, list: &ConversationList) -> Result<Rows, DbError> {
    let mut rows = match list.after {
        None => pinned(conn, list, 0).await?,
        Some(Position::Pinned(number)) => pinned(conn, list, number).await?,
        Some(Position::Other { .. }) => Vec::new(),
    };
    let left = list.size + 1 - i64::try_from(rows.len()).unwrap_or(i64::MAX);
    if left > 0 && list.filter != Filter::Pinned {
        rows.append(&mut others(conn, list, left).await?);
    }
    Ok(rows)
}

async fn pinned(conn: &mut Conn, list: &ConversationList, after: i64) -> Result<Rows, DbError> {
    let theirs = conversation::table
        .inner_join(member::table)
        .filter(member::account_id.eq(list.account))
        .filter(member::pin_number.gt(after))
        .filter(matching(list.filter))
        .order(member::pin_number)
        .limit(list.size + 1);
    let rows: Rows =
        on!(conn, |db| theirs.select((ConversationRow::as_select(), MemberRow::as_select())).load(db).await)?;
    Ok(rows)
}

async fn others(conn: &mut Conn, list: &ConversationList, most: i64) -> Result<Rows, DbError> {
    let theirs = conversation::table
        .inner_join(member::table)
        .filter(member::account_id.eq(list.account))
        .filter(member::pin_number.is_null())
        .filter(matching(list.filter))
        .order((conversation::activity_time.desc(), conversation::id.desc()))
        .limit(most);
    let rows: Rows = match list.after {
        Some(Position::Other { activity_time, id }) => {
            let same = conversation::activity_time.eq(activity_time).and(conversation::id.lt(id));
            let behind = theirs.filter(conversation::activity_time.lt(activity_time).or(same));
            on!(conn, |db| behind.select((ConversationRow::as_select(), MemberRow::as_select())).load(db).await)?
        }
        _ => on!(conn, |db| theirs.select((ConversationRow::as_select(), MemberRow::as_select())).load(db).await)?,
    };
    Ok(rows)
}

/// The condition of a filter; the pinned ones are pinned already.
fn matching(filter: Filter) -> diesel::expression::SqlLiteral<Bool> {
    sql::<Bool>(match filter {
        Filter::All | Filter::Pinned => "1 = 1",
        Filter::Favorite => "member.favorite",
        Filter::Unread => {
            "conversation.last_seq > member.read_seq and conversation.last_seq > member.cleared_seq \
             and conversation.last_seq > member.joined_seq"
        }
    })
}

/// How many messages an account has not read in the conversations that are not muted.
pub async fn unread(conn: &mut Conn, account: Id, now: Time) -> Result<i64, DbError> {
    const SUM: &str = "coalesce(cast(sum(conversation.last_seq - case when member.read_seq > member.cleared_seq \
                       then member.read_seq else member.cleared_seq end) as bigint), 0)";
    let theirs = conversation::table
        .inner_join(member::table)
        .filter(member::account_id.eq(account))
        .filter(matching(Filter::Unread))
        .filter(member::muted_until.is_null().or(member::muted_until.le(now).assume_not_null()))
        .select(sql::<BigInt>(SUM));
    on!(conn, |db| theirs.first(db).await)
}
