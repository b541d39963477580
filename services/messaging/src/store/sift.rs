//! Which of the messages that are to be stored together can be. One that can't is to cost the others nothing.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::conversation::{lock, not_found};
use super::member::{self, MemberRow};
use super::mention;
use super::send::Draft;
use crate::conversation::Kind;
use crate::error::Error;
use crate::message::NewMessage;
use crate::schema::message;

/// What is to become of a message.
pub enum Fate {
    Sound,
    /// It was stored before, or comes with these a second time.
    Before,
    Refused(Error),
}

/// Looks at messages of a conversation, which the transaction holds from now on. A single one is not looked at: it fails by itself.
pub async fn sift(conn: &mut Conn, conversation: Id, drafts: &[Arc<Draft>]) -> Result<Vec<Fate>, Error> {
    if drafts.len() < 2 {
        return Ok(drafts.iter().map(|_| Fate::Sound).collect());
    }
    let Some(row) = lock(conn, conversation).await? else {
        return Ok(drafts.iter().map(|_| Fate::Refused(not_found(conversation))).collect());
    };
    let people = drafts.iter().flat_map(|draft| std::iter::once(&draft.sender).chain(&draft.new.mentions));
    let people: Vec<Id> = people.copied().collect::<BTreeSet<Id>>().into_iter().collect();
    let members = member::members(conn, conversation, &people).await?;
    let mut known = sent(conn, drafts).await?;
    let mut seq = row.last_seq;
    let fate = |draft: &Arc<Draft>| {
        let key = (draft.sender, draft.new.client_message_id.clone());
        if known.contains(&key) {
            return Fate::Before;
        }
        let checked = match members.get(&draft.sender) {
            Some(own) => check(row.kind(), row.participant_count, &draft.new, seq + 1, own),
            None => Err(not_found(conversation)),
        };
        let all_here = draft.new.mentions.iter().all(|id| members.contains_key(id));
        match checked {
            Ok(()) if !all_here => Fate::Refused(mention::of_others()),
            Ok(()) => {
                known.insert(key);
                seq += 1;
                Fate::Sound
            }
            Err(error) => Fate::Refused(error),
        }
    };
    Ok(drafts.iter().map(fate).collect())
}

/// Nothing, if a message may take this number. Numbers have no gaps, so one that the sender sees is that of a message that is there.
pub fn check(kind: Kind, participants: i32, new: &NewMessage, seq: i64, own: &MemberRow) -> Result<(), Error> {
    own.check_open(kind, participants)?;
    let reply = new.reply_to_seq;
    if reply != 0 && (reply <= own.hidden_seq() || reply >= seq) {
        return Err(Error::MessageNotFound(reply));
    }
    Ok(())
}

/// Which of these names their senders have used.
async fn sent(conn: &mut Conn, drafts: &[Arc<Draft>]) -> Result<HashSet<(Id, String)>, DbError> {
    let senders: BTreeSet<Id> = drafts.iter().map(|draft| draft.sender).collect();
    let names: BTreeSet<&str> = drafts.iter().map(|draft| draft.new.client_message_id.as_str()).collect();
    let these = message::table
        .filter(message::sender_id.eq_any(senders))
        .filter(message::client_message_id.eq_any(names))
        .select((message::sender_id.assume_not_null(), message::client_message_id));
    let keys: Vec<(Id, String)> = on!(conn, |db| these.load(db).await)?;
    Ok(keys.into_iter().collect())
}
