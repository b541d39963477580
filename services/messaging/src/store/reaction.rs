//! Who has reacted how. What is told of it lies in the message's row, written with it.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::clock::Time;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::{on, page};

use super::Store;
use super::change::{self, What};
use super::member::held;
use super::message::{of, one};
use super::message_view::MessageView;
use super::told::Told;
use crate::conversation::{Kind, Role};
use crate::error::Error;
use crate::reaction::{DIFFERENT, NAMED, OWN, Reactions};
use crate::schema::{message, reaction};

/// A reaction that is to be there, or not.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The message's number.
    pub seq: i64,
    /// Whose.
    pub of: Id,
    pub emoji: &'a str,
    pub present: bool,
}

impl Store {
    /// Adds a reaction to a message, or takes it away. What is so already stays so.
    pub async fn set_reaction(&self, conversation: Id, caller: Id, wanted: &Wanted<'_>) -> Result<MessageView, Error> {
        let turn = self.turn(conversation, caller).await?;
        let now = self.now();
        let (view, change) = self
            .db
            .transaction(async |conn| {
                let (place, own) = held(conn, conversation, caller).await?;
                own.check_open(place.kind(), place.participant_count)?;
                let mut row = of(conn, &own, wanted.seq).await?;
                if wanted.of != caller && (place.kind() != Kind::Group || own.role() != Role::Owner) {
                    return Err(Error::RightMissing);
                }
                if row.is_deleted {
                    return Err(Error::MessageDeleted);
                }
                let mut reactions = Reactions::stored(&row.reactions);
                if !set(conn, conversation, wanted, &mut reactions, now).await? {
                    return Ok((one(conn, caller, row).await?, None));
                }
                row.reactions = reactions.text();
                write(conn, (conversation, wanted.seq), &row.reactions).await?;
                let what = What::Reacted(wanted.seq);
                let change = change::note(conn, conversation, Some(caller), &what, now).await?;
                Ok((one(conn, caller, row).await?, Some(change)))
            })
            .await?;
        drop(turn);
        if let Some(change) = change {
            self.hub.publish(Told::of_reactions(change, view.row.reactions.clone()));
        }
        Ok(view)
    }
}

async fn set(
    conn: &mut Conn,
    conversation: Id,
    wanted: &Wanted<'_>,
    reactions: &mut Reactions,
    now: Time,
) -> Result<bool, Error> {
    let place = (conversation, wanted.seq);
    if wanted.present {
        add(conn, place, wanted.of, wanted.emoji, reactions, now).await
    } else {
        take(conn, place, wanted.of, wanted.emoji, reactions).await.map_err(Error::from)
    }
}

/// Takes all reactions of somebody off a message in a conversation that the transaction holds; how many there were.
pub async fn take_off(conn: &mut Conn, conversation: Id, seq: i64, account: Id) -> Result<usize, DbError> {
    let own = those_of(conn, (conversation, seq), account).await?;
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
    let own = those_of(conn, (conversation, seq), account).await?;
    if own.iter().any(|known| known == emoji) {
        return Ok(false);
    }
    if own.len() >= OWN {
        return Err(Error::OwnReactionLimit(page::count(OWN)));
    }
    if !reactions.has_room_for(emoji) {
        return Err(Error::ReactionLimit(page::count(DIFFERENT)));
    }
    let values = (
        reaction::conversation_id.eq(conversation),
        reaction::seq.eq(seq),
        reaction::emoji.eq(emoji),
        reaction::account_id.eq(account),
        reaction::create_time.eq(now),
    );
    on!(conn, |db| diesel::insert_into(reaction::table).values(values).execute(db).await)?;
    reactions.add(emoji, account.to_string());
    Ok(true)
}

/// How somebody has reacted to a message.
async fn those_of(conn: &mut Conn, (conversation, seq): (Id, i64), account: Id) -> Result<Vec<String>, DbError> {
    let own = reaction::table
        .filter(reaction::conversation_id.eq(conversation))
        .filter(reaction::seq.eq(seq))
        .filter(reaction::account_id.eq(account));
    on!(conn, |db| own.select(reaction::emoji).load(db).await)
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
