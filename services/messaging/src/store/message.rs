//! Messages: how they come into a conversation, who sees them, and how they go.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::failure::Fields;
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::change::{self, ChangeRow, Place, What};
use super::conversation::not_found;
use super::member::{MemberRow, by_id, held, member_in};
use super::message_view::{MessageRow, MessageView, seen};
use super::told::Told;
use super::{Store, mention, search};
use crate::conversation::{Kind, Role, is_heard};
use crate::error::Error;
use crate::message::New;
use crate::schema::{edit, member, mention as mention_table, message, reaction};

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
    /// Stores a message, or answers what was stored when it came first.
    pub async fn send_message(&self, conversation: Id, sender: Id, new: &New) -> Result<MessageView, Error> {
        let turn = self.turn(conversation, sender).await?;
        let row = self.new_message(conversation, sender, new);
        let sent = self.db.transaction(async |conn| {
            let (row, change, is_first) = insert(conn, row.clone(), new, sender).await?;
            self.note_push(conn, &row).await?;
            let met = if is_first { met(conn, conversation, sender).await? } else { None };
            Ok::<_, Error>((row, change, met))
        });
        let sent = sent.await;
        drop(turn);
        match sent {
            Ok((row, change, met)) => {
                self.hub.publish(Told::of(change, MessageView::shared(row.clone())));
                self.unindexed.notify_one();
                self.wake_pushes();
                // From now on each is told whether the other is there.
                for account in met.into_iter().flatten() {
                    self.hub.own(account, conversation);
                }
                Ok(MessageView::sent(row))
            }
            // A duplicate is caught and not looked for first: the same message may come twice at once.
            Err(Error::Db(error)) if error.is_duplicate_of("message", &["sender_id", "client_message_id"]) => {
                self.sent_before(sender, &row).await
            }
            Err(error) => Err(error),
        }
    }

    fn new_message(&self, conversation_id: Id, sender: Id, new: &New) -> MessageRow {
        MessageRow {
            conversation_id,
            // Allotted in the transaction.
            seq: 0,
            id: self.new_id(),
            sender_id: Some(sender),
            client_message_id: new.client_message_id.clone(),
            request_hash: new.hash(conversation_id),
            body: new.body.clone(),
            extras: new.extras().text(),
            reactions: String::new(),
            reply_to_seq: new.reply_to_seq,
            is_deleted: false,
            is_indexed: false,
            version: 1,
            send_time: self.now(),
            edit_time: None,
        }
    }

    /// What was stored when the message came first. It may be about to be committed: on SQLite that is seen, and waited for, by whoever writes.
    async fn sent_before(&self, sender: Id, again: &MessageRow) -> Result<MessageView, Error> {
        self.db
            .transaction(async |conn| {
                let first = message::table
                    .filter(message::sender_id.eq(sender))
                    .filter(message::client_message_id.eq(&again.client_message_id));
                let first: Option<MessageRow> =
                    on!(conn, |db| first.select(MessageRow::as_select()).first(db).await.optional())?;
                let Some(first) = first else {
                    let undone = "what came first was not committed".to_owned();
                    return Err(DbError::Unavailable(undone).into());
                };
                // Of a message that was deleted nothing is known that could be compared.
                if !first.request_hash.is_empty() && first.request_hash != again.request_hash {
                    let mut fields = Fields::default();
                    fields.refuse("client_message_id", "was used for another message");
                    return Err(fields.into());
                }
                let own = by_id(conn, first.conversation_id, sender).await?;
                if own.is_none_or(|own| first.seq <= own.hidden_seq()) {
                    // They see no more of it than what they have said.
                    let row = MessageRow { reactions: String::new(), ..first };
                    return Ok(MessageView::sent(row));
                }
                one(conn, sender, first).await.map_err(Error::from)
            })
            .await
    }

    /// Messages as somebody sees them who takes part; one more than asked for when others follow.
    pub async fn messages(&self, conversation: Id, viewer: Id, span: Span) -> Result<Vec<MessageView>, Error> {
        let conn = &mut self.db.read().await?;
        let theirs = message::table
            .inner_join(member::table.on(member::conversation_id.eq(message::conversation_id)))
            .filter(message::conversation_id.eq(conversation))
            .filter(member::account_id.eq(viewer))
            .filter(message::seq.gt(member::joined_seq).and(message::seq.gt(member::cleared_seq)));
        let rows: Vec<MessageRow> = match span.after {
            Some(after) => {
                let behind = theirs.filter(message::seq.gt(after)).order(message::seq.asc()).limit(span.size + 1);
                on!(conn, |db| behind.select(MessageRow::as_select()).load(db).await)?
            }
            None => {
                let before = theirs.filter(message::seq.lt(span.before));
                let before = before.order(message::seq.desc()).limit(span.size + 1);
                on!(conn, |db| before.select(MessageRow::as_select()).load(db).await)?
            }
        };
        if rows.is_empty() {
            member_in(conn, conversation, viewer).await?.ok_or_else(|| not_found(conversation))?;
        }
        seen(conn, viewer, rows).await.map_err(Error::from)
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
                let may = Kind::stored(&place.kind) == Kind::Group && own.role() == Role::Owner;
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

/// Puts a message into its place, with all that follows from it. Says whether it is the first of this sender's in a direct conversation.
async fn insert(
    conn: &mut Conn,
    row: MessageRow,
    new: &New,
    sender: Id,
) -> Result<(MessageRow, ChangeRow, bool), Error> {
    let (conversation, now) = (row.conversation_id, row.send_time);
    let place = change::next_message(conn, conversation, sender, now).await?.ok_or_else(|| not_found(conversation))?;
    // Whoever writes has read what is before it. This is also what the right to write hangs on.
    let own = diesel::update(member::table.find((conversation, sender)))
        .set((member::delivered_seq.eq(place.last_seq), member::read_seq.eq(place.last_seq)));
    let own: Option<MemberRow> =
        on!(conn, |db| own.returning(MemberRow::as_returning()).get_result(db).await.optional())?;
    let own = own.ok_or_else(|| not_found(conversation))?;
    let row = MessageRow { seq: place.last_seq, ..row };
    // Before anything else is asked: what was stored once is answered, whatever has become of what it names.
    on!(conn, |db| diesel::insert_into(message::table).values(&row).execute(db).await)?;
    check(&place, new, &own)?;
    if !own.has_written {
        let wrote = diesel::update(member::table.find((conversation, sender))).set(member::has_written.eq(true));
        on!(conn, |db| wrote.execute(db).await)?;
    }
    mention::insert(conn, conversation, row.seq, &new.mentions).await?;
    let what = What::Sent(row.seq);
    let change = change::write(conn, conversation, place.last_change, Some(sender), &what, now).await?;
    let is_first = !own.has_written && Kind::stored(&place.kind) == Kind::Direct;
    Ok((row, change, is_first))
}

/// The two of a direct conversation, if the other has written there, too.
async fn met(conn: &mut Conn, conversation: Id, sender: Id) -> Result<Option<[Id; 2]>, DbError> {
    let other = member::table.filter(member::conversation_id.eq(conversation)).filter(member::account_id.ne(sender));
    let other = other.filter(member::has_written.eq(true)).select(member::account_id);
    let other: Option<Id> = on!(conn, |db| other.first(db).await.optional())?;
    Ok(other.map(|other| [sender, other]))
}

/// Messages are numbered without gaps, so a number that the sender sees is one of a message that is there.
fn check(place: &Place, new: &New, own: &MemberRow) -> Result<(), Error> {
    is_heard(Kind::stored(&place.kind), place.participant_count)?;
    own.is_open()?;
    let reply = new.reply_to_seq;
    if reply != 0 && (reply <= own.hidden_seq() || reply >= place.last_seq) {
        return Err(Error::MessageNotFound(reply));
    }
    Ok(())
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
    let these = message::table.filter(message::conversation_id.eq(conversation)).filter(message::seq.eq_any(seqs));
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
    let these = message::table.filter(message::conversation_id.eq(conversation)).filter(message::seq.eq_any(&seqs));
    on!(conn, |db| diesel::delete(these).execute(db).await)?;
    Ok(seqs.len())
}

/// Removes reactions, mentions and earlier texts.
async fn drop_parts(conn: &mut Conn, conversation: Id, seqs: &[i64]) -> Result<(), DbError> {
    let edits = edit::table.filter(edit::conversation_id.eq(conversation)).filter(edit::seq.eq_any(seqs));
    on!(conn, |db| diesel::delete(edits).execute(db).await)?;
    let mentions = mention_table::table
        .filter(mention_table::conversation_id.eq(conversation))
        .filter(mention_table::seq.eq_any(seqs));
    on!(conn, |db| diesel::delete(mentions).execute(db).await)?;
    let reactions =
        reaction::table.filter(reaction::conversation_id.eq(conversation)).filter(reaction::seq.eq_any(seqs));
    on!(conn, |db| diesel::delete(reactions).execute(db).await).map(drop)
}
