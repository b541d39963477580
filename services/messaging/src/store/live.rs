//! What live streams ask.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::clock::Time;
use quartet_chassis::db::DbError;
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::Store;
use super::conversation::ConversationRow;
use super::conversation_view::{ConversationView, views};
use super::member::{MemberRow, member_in};
use super::replay::{Part, behind};
use super::told::Told;
use crate::schema::{change as changes, change_subject, conversation, member};

/// What an account has made of a conversation for itself.
#[derive(Debug, Clone, Queryable, Selectable, Hash)]
#[diesel(table_name = member)]
pub struct OwnRow {
    pub account_id: Id,
    pub conversation_id: Id,
    joined_change: i64,
    cleared_seq: i64,
    favorite: bool,
    pin_number: Option<i64>,
    muted_until: Option<Time>,
    blocks: bool,
    blocked: bool,
}

/// Changes that a room has not had.
pub struct Gap {
    pub told: Vec<Told>,
    /// The last one that there is, …
    pub last_change: i64,
    /// … and the first one that is kept.
    pub first_change: i64,
    /// Who had left when they were read, and by which change.
    pub left: HashMap<Id, i64>,
}

/// Changes that somebody has not had.
pub struct Replay {
    pub told: Vec<Told>,
    /// Whether others follow.
    pub more: bool,
    /// The first change that is kept.
    pub first_change: i64,
    pub own: MemberRow,
}

impl From<&MemberRow> for OwnRow {
    fn from(row: &MemberRow) -> OwnRow {
        OwnRow {
            account_id: row.account_id,
            conversation_id: row.conversation_id,
            joined_change: row.joined_change,
            cleared_seq: row.cleared_seq,
            favorite: row.favorite,
            pin_number: row.pin_number,
            muted_until: row.muted_until,
            blocks: row.blocks,
            blocked: row.blocked,
        }
    }
}

impl OwnRow {
    /// Says whether it is another than before.
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }
}

impl Store {
    /// In which conversations accounts take part.
    pub async fn takes_part_in(&self, accounts: &[Id]) -> Result<Vec<OwnRow>, DbError> {
        let conn = &mut self.db.scan().await?;
        let theirs = member::table.filter(member::account_id.eq_any(accounts));
        let rows: Vec<OwnRow> = on!(conn, |db| theirs.select(OwnRow::as_select()).load(db).await)?;
        Ok(rows)
    }

    /// Whether others hear that an account types in a conversation: not where one of two has blocked the other. `None` when it takes no part.
    pub async fn is_heard_typing(&self, conversation: Id, account: Id) -> Result<Option<bool>, DbError> {
        let conn = &mut self.db.read().await?;
        let own = member::table.find((conversation, account)).select((member::blocks, member::blocked));
        let own: Option<(bool, bool)> = on!(conn, |db| own.first(db).await.optional())?;
        Ok(own.map(|(blocks, blocked)| !blocks && !blocked))
    }

    /// Whether an account takes part in a conversation.
    pub async fn takes_part(&self, conversation: Id, account: Id) -> Result<bool, DbError> {
        let conn = &mut self.db.read().await?;
        let own = member::table.find((conversation, account)).select(member::account_id);
        let found: Option<Id> = on!(conn, |db| own.first(db).await.optional())?;
        Ok(found.is_some())
    }

    /// Those of some conversations in which an account takes part, as it sees them.
    pub async fn conversations_among(&self, account: Id, ids: &[Id]) -> Result<Vec<ConversationView>, DbError> {
        self.db
            .snapshot(async |conn| {
                let theirs = conversation::table
                    .inner_join(member::table.on(member::conversation_id.eq(conversation::id)))
                    .filter(member::account_id.eq(account).and(member::conversation_id.eq_any(ids)));
                let rows: Vec<(ConversationRow, MemberRow)> = on!(conn, |db| {
                    theirs.select((ConversationRow::as_select(), MemberRow::as_select())).load(db).await
                })?;
                views(conn, account, rows).await
            })
            .await
    }

    /// What has changed in a conversation behind a number, with those who had left by the time of the reading: a message is read as it is
    /// then, and may be younger than that.
    pub async fn gap(&self, id: Id, number: i64) -> Result<Gap, DbError> {
        self.db
            .snapshot(async |conn| {
                let Part { told, .. } = behind(conn, id, number).await?;
                let ends = conversation::table.find(id).select((conversation::last_change, conversation::first_change));
                let ends: Option<(i64, i64)> = on!(conn, |db| ends.first(db).await.optional())?;
                let (last_change, first_change) = ends.unwrap_or_default();
                let same = change_subject::conversation_id
                    .eq(changes::conversation_id)
                    .and(change_subject::number.eq(changes::number));
                let left = changes::table
                    .inner_join(change_subject::table.on(same))
                    .filter(changes::conversation_id.eq(id).and(changes::number.gt(number)))
                    .filter(changes::kind.eq("LEFT"))
                    .order(changes::number)
                    .select((change_subject::account_id, changes::number));
                let left: Vec<(Id, i64)> = on!(conn, |db| left.load(db).await)?;
                let left = left.into_iter().collect();
                Ok::<_, DbError>(Gap { told, last_change, first_change, left })
            })
            .await
    }

    /// What has changed in a conversation behind a number, for somebody who takes part in it.
    pub async fn replay(&self, id: Id, account: Id, number: i64) -> Result<Option<Replay>, DbError> {
        self.db
            .snapshot(async |conn| {
                let Some((row, own)) = member_in(conn, id, account).await? else { return Ok(None) };
                let Part { told, more } = behind(conn, id, number).await?;
                Ok::<_, DbError>(Some(Replay { told, more, first_change: row.first_change, own }))
            })
            .await
    }

    /// The number of the last change of each of some conversations.
    pub async fn heads(&self, ids: &[Id]) -> Result<HashMap<Id, i64>, DbError> {
        let conn = &mut self.db.scan().await?;
        let heads = conversation::table.filter(conversation::id.eq_any(ids));
        let heads = heads.select((conversation::id, conversation::last_change));
        let heads: Vec<(Id, i64)> = on!(conn, |db| heads.load(db).await)?;
        Ok(heads.into_iter().collect())
    }

    /// How far all participants of some conversations are: what has reached each, and what they have read.
    pub async fn marks(&self, ids: &[Id]) -> Result<Vec<(Id, Id, i64, i64)>, DbError> {
        let conn = &mut self.db.scan().await?;
        let marks = member::table.filter(member::conversation_id.eq_any(ids));
        let marks =
            marks.select((member::conversation_id, member::account_id, member::delivered_seq, member::read_seq));
        let marks: Vec<(Id, Id, i64, i64)> = on!(conn, |db| marks.load(db).await)?;
        Ok(marks)
    }
}
