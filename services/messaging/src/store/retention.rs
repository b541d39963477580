//! What is too old goes: messages, and the changes that told of them.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Bool;
use diesel_async::RunQueryDsl;
use quartet_chassis::clock::Time;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::conversation::lock;
use super::{Store, change, message as messages};
use crate::schema::{change as change_table, member, message};

/// A message that is too old, or a change.
#[derive(Debug, Clone, Copy)]
pub struct Old {
    pub conversation: Id,
    /// The message's number; 0 for none.
    pub seq: i64,
    /// The change's number; 0 for none.
    pub change: i64,
}

impl Store {
    /// The message that is older than all others, if it was sent before a time.
    pub async fn oldest_message(&self, before: Time) -> Result<Option<Old>, DbError> {
        let conn = &mut self.db.read().await?;
        let oldest = message::table.filter(message::send_time.lt(before)).order(message::send_time);
        let oldest = oldest.select((message::conversation_id, message::seq));
        let oldest: Option<(Id, i64)> = on!(conn, |db| oldest.first(db).await.optional())?;
        Ok(oldest.map(|(conversation, seq)| Old { conversation, seq, change: 0 }))
    }

    /// The change that is older than all others, if it was made before a time. Those that tell of a new message are known by that.
    pub async fn oldest_change(&self, before: Time) -> Result<Option<Old>, DbError> {
        let conn = &mut self.db.read().await?;
        // As the index says it, which has no others.
        let oldest = change_table::table.filter(sql::<Bool>("kind <> 'SENT'"));
        let oldest = oldest.filter(change_table::create_time.lt(before)).order(change_table::create_time);
        let oldest = oldest.select((change_table::conversation_id, change_table::number));
        let oldest: Option<(Id, i64)> = on!(conn, |db| oldest.first(db).await.optional())?;
        Ok(oldest.map(|(conversation, change)| Old { conversation, seq: 0, change }))
    }

    /// Removes for everybody some of what is old in the conversation of something old, as far as it is of before a time: first changes, and when
    /// there are no more of them messages, by which it is known until then that there is something to remove. False when there is nothing.
    pub async fn expire_some(&self, old: Old, before: Time, most: i64) -> Result<bool, DbError> {
        self.db
            .transaction(async |conn| {
                if lock(conn, old.conversation).await?.is_none() {
                    return Ok(false);
                }
                if change::forget_older(conn, old, before, 2 * most).await? {
                    return Ok(true);
                }
                let Some(last) = last_old(conn, old, before, most).await? else { return Ok(false) };
                let behind = member::table.filter(member::conversation_id.eq(old.conversation));
                let behind = diesel::update(behind.filter(member::cleared_seq.lt(last)));
                on!(conn, |db| behind.set(member::cleared_seq.eq(last)).execute(db).await)?;
                messages::remove(conn, old.conversation, last, most).await?;
                Ok::<_, DbError>(true)
            })
            .await
    }
}

/// Up to which number messages go, of as many as may go at once. The clocks of instances differ, but what is before an old one is old.
async fn last_old(conn: &mut Conn, old: Old, before: Time, most: i64) -> Result<Option<i64>, DbError> {
    let first = message::table.filter(message::conversation_id.eq(old.conversation)).order(message::seq);
    let first = first.select((message::seq, message::send_time)).limit(most);
    let first: Vec<(i64, Time)> = on!(conn, |db| first.load(db).await)?;
    let last = first.iter().rev().find(|(_, time)| *time < before).map(|(seq, _)| *seq);
    let is_there = first.as_slice().first().is_some_and(|(seq, _)| *seq <= old.seq);
    Ok(last.or(is_there.then_some(old.seq)))
}
