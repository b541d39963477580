//! Changes as those who take part are told of them: the same for all, but for what somebody does not see.

use std::collections::{BTreeSet, HashMap};

use quartet_chassis::accounts::AccountRow;
use quartet_chassis::accounts::hold::{self, People};
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;

use super::change::{ChangeRow, What, kind};
use super::member::{self, MemberRow};
use super::message_view::{self, MessageView};

/// A change with what is told of it.
#[derive(Debug, Clone)]
pub struct Told {
    pub row: ChangeRow,
    /// The message that it is about, as it is now; none when that is gone, or only its reactions have changed.
    pub message: Option<MessageView>,
    /// The reactions to it now, where they are what has changed; see [`Reactions`](crate::reaction::Reactions).
    pub reactions: Option<String>,
    /// Whom it is about, as far as they are known now.
    pub subjects: Vec<Subject>,
}

/// Somebody whom a change is about.
#[derive(Debug, Clone)]
pub struct Subject {
    /// [`Id::NIL`] when they were erased since.
    pub account_id: Id,
    pub account: Option<AccountRow>,
    /// What they may do, where that is what has changed; empty otherwise.
    pub role: String,
    /// How they take part, if they do.
    pub member: Option<MemberRow>,
}

impl Told {
    /// Of a message, which is at hand right after it was written.
    pub fn of(row: ChangeRow, message: MessageView) -> Told {
        Told { row, message: Some(message), reactions: None, subjects: Vec::new() }
    }

    /// Of the reactions to a message.
    pub fn of_reactions(row: ChangeRow, reactions: String) -> Told {
        Told { row, message: None, reactions: Some(reactions), subjects: Vec::new() }
    }

    /// Whether somebody who sees messages with higher numbers than this one learns only that there was a change.
    pub fn is_hidden(&self, hidden_seq: i64) -> bool {
        self.row.seq != 0 && self.row.seq <= hidden_seq
    }

    /// Who has written the message, and what their program calls it, which only they are told.
    pub fn sender(&self) -> Option<(Id, &str)> {
        let message = &self.message.as_ref()?.row;
        message.sender_id.map(|sender| (sender, message.client_message_id.as_str()))
    }

    /// Who has come.
    pub fn joined(&self) -> impl Iterator<Item = Id> {
        self.whom(kind::JOINED)
    }

    /// Who takes part no more.
    pub fn left(&self) -> impl Iterator<Item = Id> {
        self.whom(kind::LEFT)
    }

    fn whom(&self, kind: &str) -> impl Iterator<Item = Id> + use<'_> {
        let these = if self.row.kind == kind { self.subjects.as_slice() } else { &[] };
        these.iter().map(|subject| subject.account_id)
    }
}

/// Adds to changes of one conversation what is told of them.
pub async fn told(conn: &mut Conn, rows: Vec<ChangeRow>) -> Result<Vec<Told>, DbError> {
    let [first, ..] = rows.as_slice() else { return Ok(Vec::new()) };
    let conversation_id = first.conversation_id;
    let seqs = |reacted: bool| -> BTreeSet<i64> {
        let these = rows.iter().filter(|row| row.seq != 0 && (row.kind == kind::REACTED) == reacted);
        these.map(|row| row.seq).collect()
    };
    let messages = message_view::by_seq(conn, conversation_id, &seqs(false)).await?;
    let reactions = message_view::reactions_by_seq(conn, conversation_id, &seqs(true)).await?;
    let about: BTreeSet<Id> = rows.iter().flat_map(about).map(|(id, _)| id).filter(|id| *id != Id::NIL).collect();
    let (accounts, members) = people(conn, conversation_id, &about).await?;
    let subject = |(account_id, role): (Id, String)| {
        let (account, member) = (accounts.get(&account_id).cloned(), members.get(&account_id).cloned());
        Subject { account_id, account, role, member }
    };
    let all = rows.into_iter().map(|row| Told {
        message: messages.get(&row.seq).filter(|_| row.kind != kind::REACTED).cloned(),
        reactions: reactions.get(&row.seq).filter(|_| row.kind == kind::REACTED).cloned(),
        subjects: self::about(&row).into_iter().map(subject).collect(),
        row,
    });
    Ok(all.collect())
}

/// Whom a change is about, and what they may do now if that has changed.
fn about(row: &ChangeRow) -> Vec<(Id, String)> {
    match row.what() {
        Some(What::Joined(ids) | What::Left(ids)) => ids.into_iter().map(|id| (id, String::new())).collect(),
        Some(What::RoleChanged(id, role)) => vec![(id, role)],
        _ => Vec::new(),
    }
}

async fn people(
    conn: &mut Conn,
    conversation: Id,
    ids: &BTreeSet<Id>,
) -> Result<(People, HashMap<Id, MemberRow>), DbError> {
    if ids.is_empty() {
        return Ok(Default::default());
    }
    let ids: Vec<Id> = ids.iter().copied().collect();
    Ok((hold::people(conn, &ids).await?, member::members(conn, conversation, &ids).await?))
}
