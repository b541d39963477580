//! How messages come into a conversation. On PostgreSQL those who wait for their turn leave their message to the one who has it: what has
//! gathered is stored by one transaction, with one commit, and each is answered after that.

use std::collections::BTreeMap;
use std::sync::Arc;

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::db::rows::{Column, Rows};
use quartet_chassis::db::{Conn, DbError, on_behalf};
use quartet_chassis::failure::Fields;
use quartet_chassis::id::Id;
use quartet_chassis::on;
use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::oneshot::{self, Sender};

use super::change::{self, ChangeRow, Heads};
use super::conversation::not_found;
use super::member::{MemberRow, by_id};
use super::message::one;
use super::message_view::{MessageRow, MessageView};
use super::sift::{Fate, check, sift};
use super::told::Told;
use super::{Store, Turn, mention, patiently};
use crate::conversation::Kind;
use crate::error::Error;
use crate::message::NewMessage;
use crate::schema::{member, message};

/// How many messages are stored together.
const TOGETHER: usize = 64;

/// A message and who sends it.
pub struct Draft {
    pub sender: Id,
    pub new: NewMessage,
}

/// A message whose sender waits.
pub struct Waiting {
    draft: Arc<Draft>,
    answer: Sender<Sent>,
}

/// What has become of a message. What came before is looked up by its sender, who holds up nobody with it.
enum Sent {
    Now(MessageRow),
    Before,
    Refused(Error),
}

/// What came of messages: each with its change, and who have now both written to each other.
#[derive(Default)]
struct Stored {
    rows: Vec<MessageRow>,
    changes: Vec<ChangeRow>,
    met: Option<[Id; 2]>,
}

impl Store {
    /// Stores a message, or answers what was stored when it came first.
    pub async fn send_message(&self, conversation: Id, sender: Id, new: NewMessage) -> Result<MessageView, Error> {
        let draft = Arc::new(Draft { sender, new });
        let sent = match self.db.is_sqlite() {
            // Its writers have a queue of their own, and share commits there.
            true => self.send_together(conversation, std::slice::from_ref(&draft)).await.pop().unwrap_or_else(undone),
            false => self.send_in_turn(conversation, &draft).await?,
        };
        match sent {
            Sent::Now(row) => Ok(MessageView::sent(row)),
            Sent::Before => self.sent_before(conversation, &draft).await,
            Sent::Refused(error) => Err(error),
        }
    }

    /// Stores a message together with those that wait when its turn comes, unless that was done meanwhile.
    async fn send_in_turn(&self, conversation: Id, draft: &Arc<Draft>) -> Result<Sent, Error> {
        let (answer, mut answered) = oneshot::channel();
        let turn = async {
            let mut turn = self.line_up(conversation, draft.sender).await?;
            turn.leave(Waiting { draft: draft.clone(), answer });
            let sent = tokio::select! {
                biased;
                sent = &mut answered => Some(sent.unwrap_or_else(|_| undone())),
                () = turn.come() => None,
            };
            Ok((turn, sent))
        };
        let (turn, sent) = patiently(turn).await?;
        if let Some(sent) = sent {
            return Ok(sent);
        }
        loop {
            match answered.try_recv() {
                Err(TryRecvError::Empty) => self.send_waiting(conversation, &turn).await,
                sent => return Ok(sent.unwrap_or_else(|_| undone())),
            }
        }
    }

    /// Stores some of the messages that wait, and answers their senders.
    async fn send_waiting(&self, conversation: Id, turn: &Turn) {
        // Who has given up while it waited here was told so.
        let waiting = turn.take(TOGETHER).into_iter().filter(|one| !one.answer.is_closed());
        let (drafts, answers): (Vec<Arc<Draft>>, Vec<_>) = waiting.map(|one| (one.draft, one.answer)).unzip();
        // Whoever has the turn does it for all of them: others' messages do not fail of the connections that it holds.
        let mut sent = on_behalf(None, self.send_together(conversation, &drafts)).await;
        if sent.len() < answers.len() {
            // The database is away. Nobody who waits is to try it once more, one after the other.
            turn.take(usize::MAX);
        }
        sent.resize_with(answers.len(), undone);
        for (answer, sent) in answers.into_iter().zip(sent) {
            answer.send(sent).ok();
        }
    }

    /// Stores messages of one conversation and says what has become of each, up to where the database was found to be away.
    async fn send_together(&self, conversation: Id, drafts: &[Arc<Draft>]) -> Vec<Sent> {
        let mut all = Vec::new();
        // What is to be stored yet, the first part on top.
        let mut parts = vec![drafts];
        while let Some(part) = parts.pop() {
            match (self.store(conversation, part).await, part) {
                (Ok(sent), _) => all.extend(sent),
                (Err(error @ Error::Db(DbError::Unavailable(_))), _) => {
                    tracing::warn!(?error, "messages are not stored");
                    break;
                }
                // Of a single one a duplicate is caught, and not looked for first.
                (Err(error), [] | [_]) => {
                    all.push(if is_duplicate(&error) { Sent::Before } else { Sent::Refused(error) })
                }
                // What it is of is found out by halves: the same message may come into two conversations at once.
                (Err(_), _) => {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.extend([second, first]);
                }
            }
        }
        all
    }

    /// Stores all of the messages that can be, or none, and tells those who listen.
    async fn store(&self, conversation: Id, drafts: &[Arc<Draft>]) -> Result<Vec<Sent>, Error> {
        let rows: Vec<MessageRow> = drafts.iter().map(|draft| self.row(conversation, draft)).collect();
        let stored = self.db.transaction(async |conn| {
            let fates = sift(conn, conversation, drafts).await?;
            let sound = drafts.iter().zip(rows).zip(&fates).filter(|(_, fate)| matches!(fate, Fate::Sound));
            let (drafts, rows): (Vec<&Draft>, Vec<MessageRow>) = sound.map(|((draft, row), _)| (&**draft, row)).unzip();
            let stored = insert(conn, conversation, rows, &drafts).await?;
            self.note_pushes(conn, conversation, &stored.rows).await?;
            Ok::<_, Error>((fates, stored))
        });
        let (fates, Stored { rows, changes, met }) = stored.await?;
        for (row, change) in rows.iter().zip(changes) {
            self.hub.publish(Told::of(change, MessageView::shared(row.clone())));
        }
        self.unindexed.notify_one();
        self.wake_pushes();
        // From now on each is told whether the other is there.
        for account in met.into_iter().flatten() {
            self.hub.view_changed(conversation, account);
        }
        let mut rows = rows.into_iter();
        let sent = fates.into_iter().map(|fate| match fate {
            Fate::Sound => rows.next().map_or_else(undone, Sent::Now),
            Fate::Before => Sent::Before,
            Fate::Refused(error) => Sent::Refused(error),
        });
        Ok(sent.collect())
    }

    fn row(&self, conversation_id: Id, draft: &Draft) -> MessageRow {
        let Draft { sender, new } = draft;
        MessageRow {
            conversation_id,
            // Allotted in the transaction.
            seq: 0,
            id: self.new_id(),
            sender_id: Some(*sender),
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
    async fn sent_before(&self, conversation: Id, draft: &Draft) -> Result<MessageView, Error> {
        let Draft { sender, new } = draft;
        self.db
            .transaction(async |conn| {
                let first = message::table
                    .filter(message::sender_id.eq(sender))
                    .filter(message::client_message_id.eq(&new.client_message_id));
                let first: Option<MessageRow> =
                    on!(conn, |db| first.select(MessageRow::as_select()).first(db).await.optional())?;
                let Some(first) = first else {
                    let removed = "what came first was removed meanwhile".to_owned();
                    return Err(DbError::Unavailable(removed).into());
                };
                // Of a message that was deleted nothing is known that could be compared.
                if !first.request_hash.is_empty() && first.request_hash != new.hash(conversation) {
                    let mut fields = Fields::default();
                    fields.refuse("client_message_id", "was used for another message");
                    return Err(fields.into());
                }
                let own = by_id(conn, first.conversation_id, *sender).await?;
                if own.is_none_or(|own| first.seq <= own.hidden_seq()) {
                    // They see no more of it than what they have said.
                    let row = MessageRow { reactions: String::new(), ..first };
                    return Ok(MessageView::sent(row));
                }
                one(conn, *sender, first).await.map_err(Error::from)
            })
            .await
    }
}

/// Puts messages into their places, with all that follows from them.
async fn insert(
    conn: &mut Conn,
    conversation: Id,
    mut rows: Vec<MessageRow>,
    drafts: &[&Draft],
) -> Result<Stored, Error> {
    let [Draft { sender: first, .. }, ..] = drafts else { return Ok(Stored::default()) };
    let now = rows.iter().map(|row| row.send_time).max().unwrap_or_default();
    let count = rows.len() as i64;
    let heads = change::next_messages(conn, conversation, *first, count, now).await?;
    let heads = heads.ok_or_else(|| not_found(conversation))?;
    for (row, seq) in rows.iter_mut().zip(heads.last_seq - count + 1..) {
        row.seq = seq;
    }
    let last: BTreeMap<Id, i64> = drafts.iter().zip(&rows).map(|(draft, row)| (draft.sender, row.seq)).collect();
    let mut senders = BTreeMap::new();
    for (sender, seq) in last {
        senders.insert(sender, read(conn, conversation, sender, seq).await?);
    }
    // Before anything else is asked: what was stored once is answered, whatever has become of what it names.
    write(conn, conversation, &rows).await?;
    for (Draft { sender, new }, row) in drafts.iter().zip(&rows) {
        if let Some(own) = senders.get(sender) {
            check(Kind::stored(&heads.kind), heads.participant_count, new, row.seq, own)?;
        }
        mention::insert(conn, conversation, row.seq, &new.mentions).await?;
    }
    let new: Vec<Id> = senders.into_iter().filter(|(_, own)| !own.has_written).map(|(sender, _)| sender).collect();
    let met = if new.is_empty() { None } else { begin_to_write(conn, &heads, conversation, &new).await? };
    let changes = change::sent(conn, conversation, heads.last_change - count + 1, &rows).await?;
    Ok(Stored { rows, changes, met })
}

/// Whoever writes has read what is before it. This is also what the right to write hangs on.
async fn read(conn: &mut Conn, conversation: Id, sender: Id, seq: i64) -> Result<MemberRow, Error> {
    let own = diesel::update(member::table.find((conversation, sender)))
        .set((member::delivered_seq.eq(seq), member::read_seq.eq(seq)));
    let own: Option<MemberRow> =
        on!(conn, |db| own.returning(MemberRow::as_returning()).get_result(db).await.optional())?;
    own.ok_or_else(|| not_found(conversation))
}

async fn write(conn: &mut Conn, conversation: Id, rows: &[MessageRow]) -> Result<(), DbError> {
    let mut rows: Vec<&MessageRow> = rows.iter().collect();
    // In one order everywhere: who sends the same again into two conversations at once makes none wait for the other and back.
    rows.sort_by_key(|row| (row.sender_id, &row.client_message_id));
    let count = rows.len();
    let texts = |text: fn(&MessageRow) -> &str| Column::Texts(rows.iter().map(|row| text(row)).collect());
    let insert = Rows {
        before: "insert into message (conversation_id, seq, id, sender_id, client_message_id, request_hash, body, extras, \
                 reactions, reply_to_seq, is_deleted, is_indexed, version, send_time)",
        columns: vec![
            Column::Ids(vec![conversation; count]),
            Column::Numbers(rows.iter().map(|row| row.seq).collect()),
            Column::Ids(rows.iter().map(|row| row.id).collect()),
            Column::Ids(rows.iter().filter_map(|row| row.sender_id).collect()),
            texts(|row| &row.client_message_id),
            Column::Bytes(rows.iter().map(|row| row.request_hash.as_slice()).collect()),
            texts(|row| &row.body),
            texts(|row| &row.extras),
            texts(|row| &row.reactions),
            Column::Numbers(rows.iter().map(|row| row.reply_to_seq).collect()),
            Column::Flags(vec![false; count]),
            Column::Flags(vec![false; count]),
            Column::Numbers(rows.iter().map(|row| row.version).collect()),
            Column::Times(rows.iter().map(|row| row.send_time).collect()),
        ],
        count,
        after: "",
    };
    insert.run(conn).await
}

/// Notes who has written here now. Answers the two of a direct conversation, if both have.
async fn begin_to_write(
    conn: &mut Conn,
    heads: &Heads,
    conversation: Id,
    new: &[Id],
) -> Result<Option<[Id; 2]>, DbError> {
    let here = member::table.filter(member::conversation_id.eq(conversation));
    let wrote = diesel::update(here.filter(member::account_id.eq_any(new))).set(member::has_written.eq(true));
    on!(conn, |db| wrote.execute(db).await)?;
    if Kind::stored(&heads.kind) != Kind::Direct {
        return Ok(None);
    }
    let both = here.filter(member::has_written.eq(true)).select(member::account_id);
    let both: Vec<Id> = on!(conn, |db| both.load(db).await)?;
    Ok(both.try_into().ok())
}

fn is_duplicate(error: &Error) -> bool {
    matches!(error, Error::Db(error) if error.is_duplicate_of("message", &["sender_id", "client_message_id"]))
}

/// What it was to be stored with was not committed.
fn undone() -> Sent {
    Sent::Refused(DbError::Unavailable("a transaction was undone".to_owned()).into())
}
