//! What messages said before.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::clock::Time;
use quartet_chassis::db::Conn;
use quartet_chassis::db::DbError;
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::change::{self, What};
use super::member::held;
use super::message::{of, one, visible};
use super::message_view::{MessageRow, MessageView};
use super::{Store, mention, search};
use crate::error::Error;
use crate::message::Extras;
use crate::schema::{edit, message};

/// How many earlier texts of a message are kept.
const KEPT: i64 = 100;

/// What a message said.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = edit)]
pub struct EditRow {
    pub conversation_id: Id,
    pub seq: i64,
    pub version: i64,
    pub body: String,
    pub replace_time: Time,
}

/// What a message is to say now.
#[derive(Debug, Clone)]
pub struct Edited {
    pub body: String,
    pub mentions: Vec<Id>,
    /// The state that must still hold, if any.
    pub seen: Option<i64>,
    /// Only what was sent since can be edited.
    pub since: Option<Time>,
}

impl Store {
    /// Changes what the caller has written. What it says already needs no second change.
    pub async fn edit_message(
        &self,
        conversation: Id,
        seq: i64,
        caller: Id,
        edited: &Edited,
    ) -> Result<MessageView, Error> {
        let turn = self.turn(conversation, caller).await?;
        let now = self.now();
        let (view, change) = self
            .db
            .transaction(async |conn| {
                let (place, own) = held(conn, conversation, caller).await?;
                own.check_open(place.kind(), place.participant_count)?;
                let row = of(conn, &own, seq).await?;
                if row.sender_id != Some(caller) {
                    return Err(Error::RightMissing);
                }
                if row.is_deleted {
                    return Err(Error::MessageDeleted);
                }
                if edited.is_in(&row) {
                    return Ok((one(conn, caller, row).await?, None));
                }
                edited.may_replace(&row)?;
                let row = replace(conn, row, edited, now).await?;
                let change = change::note(conn, conversation, Some(caller), &What::Updated(seq), now).await?;
                Ok((one(conn, caller, row).await?, Some(change)))
            })
            .await?;
        drop(turn);
        self.tell(change, &view);
        self.unindexed.notify_one();
        Ok(view)
    }

    /// What a message that somebody sees said before, the oldest first. At one moment: who is removed meanwhile is told nothing of what came
    /// behind that.
    pub async fn edits(&self, conversation: Id, seq: i64, viewer: Id) -> Result<Vec<EditRow>, Error> {
        self.db
            .snapshot(async |conn| {
                visible(conn, conversation, seq, viewer).await?;
                let rows = edit::table.filter(edit::conversation_id.eq(conversation)).filter(edit::seq.eq(seq));
                let rows = rows.order(edit::version);
                let rows: Vec<EditRow> = on!(conn, |db| rows.select(EditRow::as_select()).load(db).await)?;
                Ok::<_, Error>(rows)
            })
            .await
    }
}

impl Edited {
    /// Whether a message says it already.
    fn is_in(&self, row: &MessageRow) -> bool {
        row.body == self.body && Extras::stored(&row.extras).mentions == self.mentioned()
    }

    fn may_replace(&self, row: &MessageRow) -> Result<(), Error> {
        if self.seen.is_some_and(|seen| seen != row.version) {
            return Err(Error::EtagStale);
        }
        if self.since.is_some_and(|since| row.send_time < since) {
            return Err(Error::EditTooLate);
        }
        Ok(())
    }

    fn mentioned(&self) -> Vec<String> {
        self.mentions.iter().map(Id::to_string).collect()
    }
}

async fn replace(conn: &mut Conn, old: MessageRow, edited: &Edited, now: Time) -> Result<MessageRow, Error> {
    let (conversation, seq) = (old.conversation_id, old.seq);
    keep(conn, &old, now).await?;
    let mut extras = Extras::stored(&old.extras);
    let before: Vec<Id> = extras.mentions.iter().filter_map(|id| id.parse().ok()).collect();
    mention::replace(conn, conversation, seq, &before, &edited.mentions).await?;
    extras.mentions = edited.mentioned();
    let row = MessageRow {
        body: edited.body.clone(),
        extras: extras.text(),
        version: old.version + 1,
        is_indexed: false,
        edit_time: Some(now),
        ..old
    };
    let set = (
        message::body.eq(&row.body),
        message::extras.eq(&row.extras),
        message::version.eq(row.version),
        message::is_indexed.eq(row.is_indexed),
        message::edit_time.eq(row.edit_time),
    );
    let update = diesel::update(message::table.find((conversation, seq))).set(set);
    on!(conn, |db| update.execute(db).await)?;
    // Behind the row, which whoever indexes it holds.
    search::forget(conn, &[row.id]).await?;
    Ok(row)
}

async fn keep(conn: &mut Conn, old: &MessageRow, now: Time) -> Result<(), DbError> {
    let row = EditRow {
        conversation_id: old.conversation_id,
        seq: old.seq,
        version: old.version,
        body: old.body.clone(),
        replace_time: now,
    };
    on!(conn, |db| diesel::insert_into(edit::table).values(&row).execute(db).await)?;
    let first = edit::table
        .filter(edit::conversation_id.eq(row.conversation_id))
        .filter(edit::seq.eq(row.seq))
        .filter(edit::version.le(row.version - KEPT));
    on!(conn, |db| diesel::delete(first).execute(db).await).map(drop)
}
