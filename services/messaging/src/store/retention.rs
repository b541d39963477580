//! What is too old goes: messages, and the changes that told of them.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::clock::Time;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::conversation::lock;
use super::{Store, change, message as messages};
use crate::schema::{member, message};

/// A message that is too old.
#[derive(Debug, Clone, Copy)]
pub struct Old {
    pub conversation: Id,
    pub seq: i64,
}

impl Store {
    /// The message that is older than all others, if it was sent before a time.
    pub async fn oldest_message(&self, before: Time) -> Result<Option<Old>, DbError> {
        let conn = &mut self.db.read().await?;
        let oldest = message::table.filter(message::send_time.lt(before)).order(message::send_time);
        let oldest = oldest.select((message::conversation_id, message::seq));
        let oldest: Option<(Id, i64)> = on!(conn, |db| oldest.first(db).await.optional())?;
        Ok(oldest.map(|(conversation, seq)| Old { conversation, seq }))
    }

    /// Removes for everybody some messages of the conversation of an old one, up to that and as far as they were sent before a time, and some
    /// changes that were made before it; false when there are none.
    pub async fn expire_some(&self, old: Old, before: Time, most: i64) -> Result<bool, DbError> {
        self.db
            .transaction(async |conn| {
                if lock(conn, old.conversation).await?.is_none() {
                    return Ok(false);
                }
                let last = last_old(conn, old, before, most).await?;
                if let Some(last) = last {
                    let behind = member::table.filter(member::conversation_id.eq(old.conversation));
                    let behind = diesel::update(behind.filter(member::cleared_seq.lt(last)));
                    on!(conn, |db| behind.set(member::cleared_seq.eq(last)).execute(db).await)?;
                    messages::remove(conn, old.conversation, last, most).await?;
                }
                let forgot = change::forget_older(conn, old.conversation, before, 2 * most).await?;
                Ok::<_, DbError>(last.is_some() || forgot)
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
