//! Messages: who sees them, and how they go. How they come: [`send`](super::send).

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::change::{self, ChangeRow, What};
use super::conversation::not_found;
use super::member::{MemberRow, held, member_in};
use super::message_view::{MessageRow, MessageView, seen};
use super::numbers::among;
use super::told::Told;
use super::{Store, search};
use crate::conversation::{Kind, Role};
use crate::error::Error;
use crate::schema::{edit, member, mention, message, reaction};

/// Which messages are listed.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    /// Those behind this one, the oldest first; otherwise the newest first, …
    pub after: Option<i64>,
    /// … those before this one.
    pub before: i64,
    pub size: i64,
}

impl Store {
    /// Messages as somebody sees them who takes part; one more than asked for when others follow.
    pub async fn messages(&self, conversation: Id, viewer: Id, span: Span) -> Result<Vec<MessageView>, Error> {
        self.db
            .snapshot(async |conn| {
                let rows = listed(conn, conversation, viewer, span).await?;
                if rows.is_empty() {
                    member_in(conn, conversation, viewer).await?.ok_or_else(|| not_found(conversation))?;
                }
                seen(conn, viewer, rows).await.map_err(Error::from)
            })
            .await
    }

    /// Takes a message's content away for everybody. What is gone already stays so.
    pub async fn delete_message(&self, conversation: Id, seq: i64, caller: Id) -> Result<MessageView, Error> {
        let turn = self.turn(conversation, caller).await?;
        let now = self.now();
        let (view, change) = self
            .db
            .transaction(async |conn| {
                let (place, own) = held(conn, conversation, caller).await?;
                let row = of(conn, &own, seq).await?;
                let may = place.kind() == Kind::Group && own.role() == Role::Owner;
                if row.sender_id != Some(caller) && !may {
                    return Err(Error::RightMissing);
                }
                if row.is_deleted {
                    return Ok((one(conn, caller, row).await?, None));
                }
                bury(conn, conversation, &[seq]).await?;
                let change = change::note(conn, conversation, Some(caller), &What::Deleted(seq), now).await?;
                let row = of(conn, &own, seq).await?;
                Ok((one(conn, caller, row).await?, Some(change)))
            })
            .await?;
        drop(turn);
        self.tell(change, &view);
        Ok(view)
    }

    /// Tells those who are there what has become of a message.
    pub(super) fn tell(&self, change: Option<ChangeRow>, view: &MessageView) {
        if let Some(change) = change {
            self.hub.publish(Told::of(change, MessageView::shared(view.row.clone())));
        }
    }
}

async fn listed(conn: &mut Conn, conversation: Id, viewer: Id, span: Span) -> Result<Vec<MessageRow>, DbError> {
    let theirs = message::table
        .inner_join(member::table.on(member::conversation_id.eq(message::conversation_id)))
        .filter(message::conversation_id.eq(conversation))
        .filter(member::account_id.eq(viewer))
        .filter(message::seq.gt(member::joined_seq).and(message::seq.gt(member::cleared_seq)));
    match span.after {
        Some(after) => {
            let behind = theirs.filter(message::seq.gt(after)).order(message::seq.asc()).limit(span.size + 1);
            on!(conn, |db| behind.select(MessageRow::as_select()).load(db).await)
        }
        None => {
            let before = theirs.filter(message::seq.lt(span.before));
            let before = before.order(message::seq.desc()).limit(span.size + 1);
            on!(conn, |db| before.select(MessageRow::as_select()).load(db).await)
        }
    }
}

/// One message as somebody sees it.
pub async fn one(conn: &mut Conn, viewer: Id, row: MessageRow) -> Result<MessageView, DbError> {
    let views = seen(conn, viewer, vec![row.clone()]).await?;
    Ok(views.into_iter().next().unwrap_or(MessageView::shared(row)))
}

/// A message that somebody sees. For reading: they may see it no more right after.
pub async fn visible(conn: &mut Conn, conversation: Id, seq: i64, viewer: Id) -> Result<MessageRow, Error> {
    let theirs = message::table
        .inner_join(member::table.on(member::conversation_id.eq(message::conversation_id)))
        .filter(message::conversation_id.eq(conversation).and(message::seq.eq(seq)))
        .filter(member::account_id.eq(viewer))
        .filter(message::seq.gt(member::joined_seq).and(message::seq.gt(member::cleared_seq)));
    let row: Option<MessageRow> = on!(conn, |db| theirs.select(MessageRow::as_select()).first(db).await.optional())?;
    if let Some(row) = row {
        return Ok(row);
    }
    member_in(conn, conversation, viewer).await?.ok_or_else(|| not_found(conversation))?;
    Err(Error::MessageNotFound(seq))
}

/// A message of a conversation that the transaction holds, for a participant who sees it.
pub async fn of(conn: &mut Conn, own: &MemberRow, seq: i64) -> Result<MessageRow, Error> {
    let found = message::table.find((own.conversation_id, seq));
    let row: Option<MessageRow> = match seq > own.hidden_seq() {
        true => on!(conn, |db| found.select(MessageRow::as_select()).first(db).await.optional())?,
        false => None,
    };
    row.ok_or(Error::MessageNotFound(seq))
}

/// Takes away the content of messages in a conversation that the transaction holds, with all that hangs on it. It notes no change.
pub async fn bury(conn: &mut Conn, conversation: Id, seqs: &[i64]) -> Result<(), DbError> {
    drop_parts(conn, conversation, seqs).await?;
    let set = (
        // By what was asked for it could be tried out what it said.
        message::request_hash.eq(Vec::new()),
        message::body.eq(""),
        message::extras.eq(""),
        message::reactions.eq(""),
        message::reply_to_seq.eq(0),
        message::is_deleted.eq(true),
        message::is_indexed.eq(true),
        message::version.eq(message::version + 1),
    );
    let these = message::table.filter(message::conversation_id.eq(conversation)).filter(among(message::seq, seqs));
    let buried = diesel::update(these).set(set).returning(message::id);
    let buried: Vec<Id> = on!(conn, |db| buried.get_results(db).await)?;
    search::forget(conn, &buried).await
}

/// Removes for good the first messages of a conversation that the transaction holds, up to a number, and at most so many; how many it found.
pub async fn remove(conn: &mut Conn, conversation: Id, up_to: i64, most: i64) -> Result<usize, DbError> {
    let first = message::table.filter(message::conversation_id.eq(conversation)).filter(message::seq.le(up_to));
    let first = first.order(message::seq).limit(most).select(message::seq);
    let seqs: Vec<i64> = on!(conn, |db| first.load(db).await)?;
    drop_parts(conn, conversation, &seqs).await?;
    // What the search has of them goes with the rows.
    let these = message::table.filter(message::conversation_id.eq(conversation)).filter(among(message::seq, &seqs));
    on!(conn, |db| diesel::delete(these).execute(db).await)?;
    Ok(seqs.len())
}

/// Removes reactions, mentions and earlier texts.
async fn drop_parts(conn: &mut Conn, conversation: Id, seqs: &[i64]) -> Result<(), DbError> {
    let edits = edit::table.filter(edit::conversation_id.eq(conversation)).filter(among(edit::seq, seqs));
    on!(conn, |db| diesel::delete(edits).execute(db).await)?;
    let mentions = mention::table.filter(mention::conversation_id.eq(conversation)).filter(among(mention::seq, seqs));
    on!(conn, |db| diesel::delete(mentions).execute(db).await)?;
    let reactions =
        reaction::table.filter(reaction::conversation_id.eq(conversation)).filter(among(reaction::seq, seqs));
    on!(conn, |db| diesel::delete(reactions).execute(db).await).map(drop)
}
