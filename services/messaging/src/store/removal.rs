//! Conversations in which nobody takes part any more: nobody finds them, and they go bit by bit, since one may have a million messages.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::db::DbError;
use quartet_chassis::faults::Faults;
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::conversation::lock;
use super::{Store, message};
use crate::schema::{change, conversation};

/// How many messages go in one transaction.
const MESSAGES: i64 = 500;
/// How many changes.
const CHANGES: i64 = 2000;

impl Store {
    /// Removes what is left of conversations that everybody has left.
    pub async fn remove_conversations(&self, faults: &Faults) -> Result<(), DbError> {
        while let Some(id) = self.left().await? {
            while !faults.within("conversation removal", self.remove_some(id)).await? {}
        }
        Ok(())
    }

    async fn left(&self) -> Result<Option<Id>, DbError> {
        let left = conversation::table.filter(conversation::participant_count.eq(0)).select(conversation::id);
        let conn = &mut self.db.read().await?;
        on!(conn, |db| left.first(db).await.optional())
    }

    /// Removes some of a conversation that nobody comes back to; true when nothing is left.
    async fn remove_some(&self, id: Id) -> Result<bool, DbError> {
        self.db
            .bulk(async |conn| {
                // Another instance that does the same waits, and sees what is left behind this.
                if lock(conn, id).await?.is_none() {
                    return Ok(true);
                }
                if message::remove(conn, id, i64::MAX, MESSAGES).await? > 0 {
                    return Ok(false);
                }
                let here = change::table.filter(change::conversation_id.eq(id));
                let first = here.order(change::number).select(change::number);
                let first: Option<i64> = on!(conn, |db| first.first(db).await.optional())?;
                if let Some(first) = first {
                    let some = here.filter(change::number.lt(first + CHANGES));
                    on!(conn, |db| diesel::delete(some).execute(db).await)?;
                    return Ok(false);
                }
                on!(conn, |db| diesel::delete(conversation::table.find(id)).execute(db).await)?;
                Ok::<_, DbError>(true)
            })
            .await
    }
}
