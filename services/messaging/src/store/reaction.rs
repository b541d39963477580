//! Who has reacted how. What is told of it lies in the message's row, written with it.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::clock::Time;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::Store;
use super::change::{self, What};
use super::member::held;
use super::message::{of, one};
use super::message_view::MessageView;
use crate::conversation::is_heard;
use crate::error::Error;
use crate::reaction::{DIFFERENT, NAMED, Reactions};
use crate::schema::{message, reaction};

impl Store {
    /// Adds a reaction of the caller's to a message, or takes it away. What is so already stays so.
    pub async fn set_reaction(
        &self,
        conversation: Id,
        seq: i64,
        caller: Id,
        emoji: &str,
        present: bool,
    ) -> Result<MessageView, Error> {
        let turn = self.turn(conversation).await?;
        let now = self.now();
        let (view, change) = self
            .db
            .transaction(async |conn| {
                let (place, own) = held(conn, conversation, caller).await?;
                is_heard(place.kind(), place.participant_count)?;
                let mut row = of(conn, &own, seq).await?;
                if row.is_deleted {
                    return Err(Error::MessageDeleted);
                }
                let mut reactions = Reactions::stored(&row.reactions);
                let place = (conversation, seq);
                let changed = if present {
                    add(conn, place, caller, emoji, &mut reactions, now).await?
                } else {
                    take(conn, place, caller, emoji, &mut reactions).await?
                };
                if !changed {
                    return Ok((one(conn, caller, row).await?, None));
                }
                row.reactions = reactions.text();
                write(conn, place, &row.reactions).await?;
                let change = change::note(conn, conversation, Some(caller), &What::Updated(seq), now).await?;
                Ok((one(conn, caller, row).await?, Some(change)))
            })
            .await?;
        drop(turn);
        self.tell(change, &view);
        Ok(view)
    }
}

/// Takes all reactions of somebody off a message in a conversation that the transaction holds; how many there were.
pub async fn take_off(conn: &mut Conn, conversation: Id, seq: i64, account: Id) -> Result<usize, DbError> {
    let own = reaction::table
        .filter(reaction::conversation_id.eq(conversation))
        .filter(reaction::seq.eq(seq))
        .filter(reaction::account_id.eq(account));
    let own: Vec<String> = on!(conn, |db| own.select(reaction::emoji).load(db).await)?;
    let text = message::table.find((conversation, seq)).select(message::reactions);
    let text: Option<String> = on!(conn, |db| text.first(db).await.optional())?;
    let mut reactions = Reactions::stored(&text.unwrap_or_default());
    for emoji in &own {
        take(conn, (conversation, seq), account, emoji, &mut reactions).await?;
    }
    write(conn, (conversation, seq), &reactions.text()).await?;
    Ok(own.len())
}

async fn add(
    conn: &mut Conn,
    (conversation, seq): (Id, i64),
    account: Id,
    emoji: &str,
    reactions: &mut Reactions,
    now: Time,
) -> Result<bool, Error> {
    if !reactions.has_room_for(emoji) {
        return Err(Error::ReactionLimit(i32::try_from(DIFFERENT).unwrap_or(i32::MAX)));
    }
    let values = (
        reaction::conversation_id.eq(conversation),
        reaction::seq.eq(seq),
        reaction::emoji.eq(emoji),
        reaction::account_id.eq(account),
        reaction::create_time.eq(now),
    );
    let insert = diesel::insert_into(reaction::table).values(values).on_conflict_do_nothing();
    let added: usize = on!(conn, |db| insert.execute(db).await)?;
    if added > 0 {
        reactions.add(emoji, account.to_string());
    }
    Ok(added > 0)
}

async fn take(
    conn: &mut Conn,
    (conversation, seq): (Id, i64),
    account: Id,
    emoji: &str,
    reactions: &mut Reactions,
) -> Result<bool, DbError> {
    let own = reaction::table.find((conversation, seq, emoji, account));
    if on!(conn, |db| diesel::delete(own).execute(db).await)? == 0 {
        return Ok(false);
    }
    let left = reaction::table
        .filter(reaction::conversation_id.eq(conversation))
        .filter(reaction::seq.eq(seq))
        .filter(reaction::emoji.eq(emoji))
        .order((reaction::create_time, reaction::account_id))
        .limit(i64::try_from(NAMED).unwrap_or(i64::MAX))
        .select(reaction::account_id);
    let left: Vec<Id> = on!(conn, |db| left.load(db).await)?;
    reactions.remove(emoji, left.iter().map(Id::to_string).collect());
    Ok(true)
}

async fn write(conn: &mut Conn, place: (Id, i64), reactions: &str) -> Result<(), DbError> {
    let row = diesel::update(message::table.find(place)).set(message::reactions.eq(reactions));
    on!(conn, |db| row.execute(db).await).map(drop)
}
