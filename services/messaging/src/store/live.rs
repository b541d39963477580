//! What live streams ask.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::clock::Time;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::Store;
use super::change::kind;
use super::conversation::ConversationRow;
use super::conversation_view::{ConversationView, views};
use super::member::{MemberRow, member_in};
use super::replay::{ChangePage, behind};
use super::told::Told;
use crate::conversation::{FEW, SHOWN};
use crate::schema::{change as changes, change_subject, conversation, member};

/// What of an account's part in a conversation is told to its streams by the conversation alone: since when it takes part, as what, what it has
/// made of it for itself, and whether one of two has blocked the other.
#[derive(Debug, Clone, Queryable, Selectable, Hash)]
#[diesel(table_name = member)]
pub struct OwnRow {
    pub account_id: Id,
    pub conversation_id: Id,
    role: String,
    joined_change: i64,
    cleared_seq: i64,
    favorite: bool,
    pin_number: Option<i64>,
    muted_until: Option<Time>,
    blocks: bool,
    blocked: bool,
}

/// How far somebody is: up to which message everything has reached them, and what they have read.
pub type Far = (Id, (i64, i64));

/// A conversation as somebody sees it, with how far those of the others are whom it does not show; with none of them where there are many.
pub struct Seen {
    pub view: ConversationView,
    pub rest: Vec<Far>,
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
            role: row.role.clone(),
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
    pub async fn conversations_among(&self, account: Id, ids: &[Id]) -> Result<Vec<Seen>, DbError> {
        self.db
            .long_snapshot(async |conn| {
                let theirs = conversation::table
                    .inner_join(member::table)
                    .filter(member::account_id.eq(account).and(member::conversation_id.eq_any(ids)));
                let rows: Vec<(ConversationRow, MemberRow)> = on!(conn, |db| {
                    theirs.select((ConversationRow::as_select(), MemberRow::as_select())).load(db).await
                })?;
                seen(conn, account, rows).await
            })
            .await
    }

    /// A conversation as an account sees it, if it takes part there.
    pub async fn conversation_seen(&self, id: Id, account: Id) -> Result<Option<Seen>, DbError> {
        self.db
            .snapshot(async |conn| {
                let Some(found) = member_in(conn, id, account).await? else { return Ok(None) };
                Ok::<_, DbError>(seen(conn, account, vec![found]).await?.pop())
            })
            .await
    }

    /// What has changed in a conversation behind a number, with those who had left by the time of the reading: a message is read as it is
    /// then, and may be younger than that.
    pub async fn gap(&self, id: Id, number: i64) -> Result<Gap, DbError> {
        self.db
            .long_snapshot(async |conn| {
                let ChangePage { told, .. } = behind(conn, id, number).await?;
                let ends = conversation::table.find(id).select((conversation::last_change, conversation::first_change));
                let ends: Option<(i64, i64)> = on!(conn, |db| ends.first(db).await.optional())?;
                let (last_change, first_change) = ends.unwrap_or_default();
                let same = change_subject::conversation_id
                    .eq(changes::conversation_id)
                    .and(change_subject::number.eq(changes::number));
                let left = changes::table
                    .inner_join(change_subject::table.on(same))
                    .filter(changes::conversation_id.eq(id).and(changes::number.gt(number)))
                    .filter(changes::kind.eq(kind::LEFT))
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
            .long_snapshot(async |conn| {
                let Some((row, own)) = member_in(conn, id, account).await? else { return Ok(None) };
                let ChangePage { told, more } = behind(conn, id, number).await?;
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
        marks(conn, ids).await
    }
}

async fn marks(conn: &mut Conn, ids: &[Id]) -> Result<Vec<(Id, Id, i64, i64)>, DbError> {
    let marks = member::table.filter(member::conversation_id.eq_any(ids));
    let marks = marks.select((member::conversation_id, member::account_id, member::delivered_seq, member::read_seq));
    let marks: Vec<(Id, Id, i64, i64)> = on!(conn, |db| marks.load(db).await)?;
    Ok(marks)
}

/// Adds to conversations what an account sees of them, and of those of few how far everybody is.
async fn seen(conn: &mut Conn, account: Id, rows: Vec<(ConversationRow, MemberRow)>) -> Result<Vec<Seen>, DbError> {
    let views = views(conn, account, rows).await?;
    let shows_some = |view: &&ConversationView| {
        let people = view.row.participant_count;
        people <= FEW && usize::try_from(people).is_ok_and(|people| people > SHOWN + 1)
    };
    let some: Vec<Id> = views.iter().filter(shows_some).map(|view| view.row.id).collect();
    let mut far: HashMap<Id, Vec<Far>> = HashMap::new();
    if !some.is_empty() {
        for (id, account, delivered, read) in marks(conn, &some).await? {
            far.entry(id).or_default().push((account, (delivered, read)));
        }
    }
    let seen = |view: ConversationView| {
        let mut rest = far.remove(&view.row.id).unwrap_or_default();
        rest.retain(|(id, _)| *id != account && !view.others.iter().any(|other| other.row.account_id == *id));
        Seen { view, rest }
    };
    Ok(views.into_iter().map(seen).collect())
}
