//! How far messages have come: two watermarks for each participant, which only move forward.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::Store;
use super::conversation::not_found;
use super::member::{MemberRow, member_in};
use super::message::{one, visible};
use super::message_view::{MessageRow, MessageView};
use crate::error::Error;
use crate::schema::member;

/// How many people are named who have a message.
const NAMED: i64 = 100;

/// Which of somebody's watermarks moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watermark {
    Delivered,
    /// With it the other one, too: what was read has come.
    Read,
}

/// How far somebody is with a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    pub conversation_id: Id,
    pub account_id: Id,
    pub delivered_seq: i64,
    pub read_seq: i64,
    /// How many messages they have not read.
    pub unread: i64,
}

/// Who has a message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Receipts {
    /// Some of those who have read it.
    pub read_by: Vec<Id>,
    /// Some of those whom it has reached, and who have not read it.
    pub delivered_to: Vec<Id>,
    pub read_count: i64,
    /// With those who have read it.
    pub delivered_count: i64,
}

impl Store {
    /// Moves the caller's watermarks up to a message, or to the last one. They never move back.
    pub async fn mark(
        &self,
        conversation: Id,
        caller: Id,
        up_to: Option<i64>,
        which: Watermark,
    ) -> Result<Mark, Error> {
        let is_read = which == Watermark::Read;
        let (place, own) = {
            let conn = &mut self.db.read().await?;
            member_in(conn, conversation, caller).await?.ok_or_else(|| not_found(conversation))?
        };
        let seq = up_to.unwrap_or(place.last_seq).min(place.last_seq);
        if seq <= own.delivered_seq && (!is_read || seq <= own.read_seq) {
            return Ok(Mark::of(&own, place.last_seq));
        }
        let _turn = self.own_turn(caller).await?;
        let (place, own) = self
            .db
            .transaction(async |conn| {
                let here = member::table.find((conversation, caller));
                let behind = diesel::update(here.filter(member::delivered_seq.lt(seq)));
                on!(conn, |db| behind.set(member::delivered_seq.eq(seq)).execute(db).await)?;
                if is_read {
                    let behind = diesel::update(here.filter(member::read_seq.lt(seq)));
                    on!(conn, |db| behind.set(member::read_seq.eq(seq)).execute(db).await)?;
                }
                member_in(conn, conversation, caller).await?.ok_or_else(|| not_found(conversation))
            })
            .await?;
        let mark = Mark::of(&own, place.last_seq);
        self.hub.receipt(mark);
        Ok(mark)
    }

    /// A message as somebody sees it, and who has it.
    pub async fn message_with_receipts(
        &self,
        conversation: Id,
        seq: i64,
        viewer: Id,
    ) -> Result<(MessageView, Receipts), Error> {
        self.db
            .long_snapshot(async |conn| {
                let row = visible(conn, conversation, seq, viewer).await?;
                let receipts = receipts_of(conn, &row).await?;
                Ok::<_, Error>((one(conn, viewer, row).await?, receipts))
            })
            .await
    }
}

impl Mark {
    fn of(own: &MemberRow, last_seq: i64) -> Mark {
        Mark {
            conversation_id: own.conversation_id,
            account_id: own.account_id,
            delivered_seq: own.delivered_seq,
            read_seq: own.read_seq,
            unread: own.unread(last_seq),
        }
    }
}

/// Of those who see it and have not written it themselves.
async fn receipts_of(conn: &mut Conn, row: &MessageRow) -> Result<Receipts, DbError> {
    let others = member::table
        .filter(member::conversation_id.eq(row.conversation_id))
        .filter(member::account_id.ne(row.sender_id.unwrap_or(Id::NIL)))
        .filter(member::joined_seq.lt(row.seq));
    let delivered = others.filter(member::delivered_seq.ge(row.seq));
    let read = others.filter(member::read_seq.ge(row.seq));
    let unread = delivered.filter(member::read_seq.lt(row.seq));
    let first = read.order(member::account_id).limit(NAMED).select(member::account_id);
    let read_by: Vec<Id> = on!(conn, |db| first.load(db).await)?;
    let first = unread.order(member::account_id).limit(NAMED).select(member::account_id);
    let delivered_to: Vec<Id> = on!(conn, |db| first.load(db).await)?;
    let read_count: i64 = on!(conn, |db| read.count().get_result(db).await)?;
    let delivered_count: i64 = on!(conn, |db| delivered.count().get_result(db).await)?;
    Ok(Receipts { read_by, delivered_to, read_count, delivered_count })
}
