//! Who takes part in which conversation, and what they do with it for themselves.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::clock::Time;
use quartet_chassis::db::rows::{Column, Rows};
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::{on, page};

use super::conversation::{ConversationRow, lock, not_found};
use super::conversation_view::{ConversationView, one};
use super::{Store, usage};
use crate::conversation::{Kind, PINS, Role, check_peer};
use crate::error::Error;
use crate::schema::{conversation, member};

/// How somebody takes part in a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = member)]
pub struct MemberRow {
    pub conversation_id: Id,
    pub account_id: Id,
    pub role: String,
    pub joined_seq: i64,
    pub joined_change: i64,
    pub cleared_seq: i64,
    pub delivered_seq: i64,
    pub read_seq: i64,
    pub favorite: bool,
    pub pin_number: Option<i64>,
    pub muted_until: Option<Time>,
    pub has_written: bool,
    pub began: bool,
    pub blocks: bool,
    pub blocked: bool,
    pub create_time: Time,
}

impl MemberRow {
    pub fn role(&self) -> Role {
        Role::stored(&self.role)
    }

    /// Nothing, if they may write in a conversation of this kind and of so many: in a direct one the other account is there, and neither has
    /// blocked the other.
    pub fn check_open(&self, kind: Kind, participants: i32) -> Result<(), Error> {
        check_peer(kind, participants)?;
        match (self.blocks, self.blocked) {
            (true, _) => Err(Error::AccountBlocked(Vec::new())),
            (false, true) => Err(Error::PersonUnreachable(Vec::new())),
            (false, false) => Ok(()),
        }
    }

    /// They see what has a higher number.
    pub fn hidden_seq(&self) -> i64 {
        self.joined_seq.max(self.cleared_seq)
    }

    /// How many messages they have not read, when the last one has this number.
    pub fn unread(&self, last_seq: i64) -> i64 {
        (last_seq - self.read_seq.max(self.hidden_seq())).max(0)
    }
}

/// Where in a conversation somebody comes in: they see what has higher numbers.
#[derive(Debug, Clone, Copy)]
pub struct Joined {
    pub seq: i64,
    pub change: i64,
    pub time: Time,
    /// Whether it is they who have begun it.
    pub began: bool,
}

impl Store {
    /// Makes a conversation one of the caller's favourites, or no longer.
    pub async fn set_favorite(&self, id: Id, caller: Id, favorite: bool) -> Result<ConversationView, Error> {
        let _turn = self.own_turn(caller).await?;
        let view = self
            .db
            .transaction(async |conn| {
                let own = diesel::update(member::table.find((id, caller))).set(member::favorite.eq(favorite));
                if on!(conn, |db| own.execute(db).await)? == 0 {
                    return Err(not_found(id));
                }
                one(conn, id, caller).await
            })
            .await?;
        self.hub.view_changed(id, caller);
        Ok(view)
    }

    /// Pins a conversation behind the caller's others, unless it is pinned already, or lets it go.
    pub async fn set_pinned(&self, id: Id, caller: Id, pinned: bool) -> Result<ConversationView, Error> {
        let _turn = self.own_turn(caller).await?;
        let view = self
            .db
            .transaction(async |conn| {
                usage::lock(conn, caller).await?;
                let (_, own) = member_in(conn, id, caller).await?.ok_or_else(|| not_found(id))?;
                if own.pin_number.is_some() != pinned {
                    let place = if pinned { Some(next_pin(conn, caller).await?) } else { None };
                    let set = diesel::update(member::table.find((id, caller))).set(member::pin_number.eq(place));
                    on!(conn, |db| set.execute(db).await)?;
                }
                one(conn, id, caller).await
            })
            .await?;
        self.hub.view_changed(id, caller);
        Ok(view)
    }

    /// Sends the caller no pushes until then.
    pub async fn set_muted(&self, id: Id, caller: Id, until: Option<Time>) -> Result<ConversationView, Error> {
        let _turn = self.own_turn(caller).await?;
        let view = self
            .db
            .transaction(async |conn| {
                let own = diesel::update(member::table.find((id, caller))).set(member::muted_until.eq(until));
                if on!(conn, |db| own.execute(db).await)? == 0 {
                    return Err(not_found(id));
                }
                one(conn, id, caller).await
            })
            .await?;
        self.hub.view_changed(id, caller);
        Ok(view)
    }

    /// Hides for the caller what has been written up to a number, or up to now.
    pub async fn clear_history(&self, id: Id, caller: Id, up_to: Option<i64>) -> Result<ConversationView, Error> {
        let _turn = self.own_turn(caller).await?;
        let view = self
            .db
            .transaction(async |conn| {
                let (row, _) = member_in(conn, id, caller).await?.ok_or_else(|| not_found(id))?;
                let seq = up_to.unwrap_or(row.last_seq).min(row.last_seq);
                let own = member::table.find((id, caller)).filter(member::cleared_seq.lt(seq));
                let own = diesel::update(own).set(member::cleared_seq.eq(seq));
                on!(conn, |db| own.execute(db).await)?;
                one(conn, id, caller).await
            })
            .await?;
        self.hub.view_changed(id, caller);
        Ok(view)
    }
}

/// A conversation and how somebody takes part in it, if they do. For reading: it may change right after.
pub async fn member_in(conn: &mut Conn, id: Id, account: Id) -> Result<Option<(ConversationRow, MemberRow)>, DbError> {
    let query = conversation::table
        .inner_join(member::table)
        .filter(conversation::id.eq(id).and(member::account_id.eq(account)));
    let found: Option<(ConversationRow, MemberRow)> = on!(conn, |db| {
        query.select((ConversationRow::as_select(), MemberRow::as_select())).first(db).await.optional()
    })?;
    Ok(found)
}

/// The same, and nobody else changes the conversation, its participants and its messages until the transaction ends: whoever does begins
/// with this. So rights are those that are written upon.
pub async fn held(conn: &mut Conn, id: Id, account: Id) -> Result<(ConversationRow, MemberRow), Error> {
    let row = lock(conn, id).await?.ok_or_else(|| not_found(id))?;
    let own = by_id(conn, id, account).await?.ok_or_else(|| not_found(id))?;
    Ok((row, own))
}

/// How somebody takes part.
pub async fn by_id(conn: &mut Conn, id: Id, account: Id) -> Result<Option<MemberRow>, DbError> {
    let own = member::table.find((id, account));
    on!(conn, |db| own.select(MemberRow::as_select()).first(db).await.optional())
}

/// Who of these people takes part.
pub async fn present(conn: &mut Conn, id: Id, people: &[Id]) -> Result<Vec<Id>, DbError> {
    let here = member::table.filter(member::conversation_id.eq(id)).filter(member::account_id.eq_any(people));
    on!(conn, |db| here.select(member::account_id).load(db).await)
}

/// How those of these people take part who do.
pub async fn members(conn: &mut Conn, id: Id, people: &[Id]) -> Result<HashMap<Id, MemberRow>, DbError> {
    let here = member::table.filter(member::conversation_id.eq(id)).filter(member::account_id.eq_any(people));
    let rows: Vec<MemberRow> = on!(conn, |db| here.select(MemberRow::as_select()).load(db).await)?;
    Ok(rows.into_iter().map(|row| (row.account_id, row)).collect())
}

/// Lets people into a conversation that the transaction holds. Nothing is unread for them.
pub async fn insert(conn: &mut Conn, id: Id, people: &[(Id, Role)], joined: Joined) -> Result<(), DbError> {
    let count = people.len();
    let flags = |flag: bool| Column::Flags(vec![flag; count]);
    let numbers = |number: i64| Column::Numbers(vec![number; count]);
    let rows = Rows {
        before: "insert into member (conversation_id, account_id, role, joined_seq, joined_change, cleared_seq, \
                 delivered_seq, read_seq, favorite, has_written, began, blocks, blocked, create_time)",
        columns: vec![
            Column::Ids(vec![id; count]),
            Column::Ids(people.iter().map(|(account, _)| *account).collect()),
            Column::Texts(people.iter().map(|(_, role)| role.name()).collect()),
            numbers(joined.seq),
            numbers(joined.change),
            numbers(0),
            numbers(joined.seq),
            numbers(joined.seq),
            flags(false),
            flags(false),
            flags(joined.began),
            flags(false),
            flags(false),
            Column::Times(vec![joined.time; count]),
        ],
        count,
        after: "",
    };
    rows.run(conn).await
}

/// The place behind all that somebody has pinned.
async fn next_pin(conn: &mut Conn, account: Id) -> Result<i64, Error> {
    let pinned = member::table.filter(member::account_id.eq(account)).select(member::pin_number);
    let pinned = pinned.filter(member::pin_number.is_not_null());
    let pinned: Vec<Option<i64>> = on!(conn, |db| pinned.load(db).await)?;
    if page::count(pinned.len()) >= PINS {
        return Err(Error::PinLimit(PINS));
    }
    Ok(pinned.into_iter().flatten().max().unwrap_or_default() + 1)
}
