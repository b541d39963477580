//! From whom somebody accepts nothing.
//!
//! The rows are what counts where conversations begin. A direct conversation that is there has the same on the rows of its two members, so
//! that whoever writes there sees it without a question of its own; both are written together, under the conversation's lock.

use chrono::DateTime;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::accounts::AccountRow;
use quartet_chassis::accounts::hold::{self, People, Writer};
use quartet_chassis::clock::Time;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::Store;
use super::conversation::{direct_key, lock};
use super::person::Found;
use crate::conversation::BLOCKS;
use crate::error::Error;
use crate::schema::{block, conversation, member};

/// Somebody who was blocked, with who they are as far as that is known here.
#[derive(Debug, Clone)]
pub struct BlockRow {
    pub blocked_id: Id,
    pub create_time: Time,
    pub account: Option<AccountRow>,
}

/// A part of those whom somebody has blocked, the last one first.
#[derive(Debug, Clone)]
pub struct BlockList {
    pub account: Id,
    /// Behind this one.
    pub after: Option<(Time, Id)>,
    pub size: i64,
}

impl Store {
    /// Accepts nothing from somebody any more. Who is blocked already stays so.
    pub async fn block_account(&self, caller: Id, other: Id) -> Result<(), Error> {
        let _turn = self.own_turn(caller).await?;
        let now = self.now();
        // It waits for whoever begins something with the caller, which may be a large group.
        let changed = self
            .db
            .bulk(async |conn| {
                hold::begin(conn, caller).await?;
                // Before the conversation: who begins one that is there waits for it with the accounts in hand.
                let people = both(conn, caller, other).await?;
                if is_erased(conn, caller, &people).await? || !people.contains_key(&other) {
                    return Err(Error::PersonNotFound(vec![other.to_string()]));
                }
                let shared = shared(conn, caller, other).await?;
                insert(conn, caller, other, now).await?;
                Ok::<_, Error>(set_blocks(conn, shared, caller, other, true).await?)
            })
            .await?;
        self.tell_blocked(caller, other, changed);
        Ok(())
    }

    /// Accepts from somebody what they write again. Who is not blocked stays so.
    pub async fn unblock_account(&self, caller: Id, other: Id) -> Result<(), Error> {
        let _turn = self.own_turn(caller).await?;
        let changed = self
            .db
            .transaction(async |conn| {
                let shared = shared(conn, caller, other).await?;
                on!(conn, |db| diesel::delete(block::table.find((caller, other))).execute(db).await)?;
                Ok::<_, Error>(set_blocks(conn, shared, caller, other, false).await?)
            })
            .await?;
        self.tell_blocked(caller, other, changed);
        Ok(())
    }

    /// As many of those as asked for whom somebody has blocked, and one more if there are more.
    pub async fn blocked_accounts(&self, list: &BlockList) -> Result<Vec<BlockRow>, DbError> {
        // Nobody is blocked behind the end of the calendar.
        let end = DateTime::from_timestamp(1 << 37, 0).unwrap_or_default().naive_utc();
        let (time, last) = list.after.unwrap_or((end, Id::NIL));
        self.db
            .snapshot(async |conn| {
                let same = block::create_time.eq(time).and(block::blocked_id.lt(last));
                let theirs = block::table
                    .filter(block::account_id.eq(list.account))
                    .filter(block::create_time.lt(time).or(same))
                    .order((block::create_time.desc(), block::blocked_id.desc()))
                    .limit(list.size + 1)
                    .select((block::blocked_id, block::create_time));
                let rows: Vec<(Id, Time)> = on!(conn, |db| theirs.load(db).await)?;
                let ids: Vec<Id> = rows.iter().map(|(id, _)| *id).collect();
                let people: People = hold::people(conn, &ids).await?;
                let row =
                    |(id, create_time)| BlockRow { blocked_id: id, create_time, account: people.get(&id).cloned() };
                Ok::<_, DbError>(rows.into_iter().map(row).collect())
            })
            .await
    }

    /// Lets the streams of both look at their conversation again, if something has changed there: who is there is told to neither any more, or
    /// to both again.
    fn tell_blocked(&self, caller: Id, other: Id, changed: Option<Id>) {
        if let Some(id) = changed {
            self.hub.view_changed(id, caller);
            self.hub.view_changed(id, other);
        }
    }
}

/// Nothing, unless the caller has blocked one of these people, or one of them the caller. The transaction holds their accounts.
pub async fn check(conn: &mut Conn, caller: Id, found: &Found<'_>) -> Result<(), Error> {
    let ids: Vec<Id> = found.ids().into_iter().filter(|id| *id != caller).collect();
    let own = block::table.filter(block::account_id.eq(caller)).filter(block::blocked_id.eq_any(&ids));
    let own: Vec<Id> = on!(conn, |db| own.select(block::blocked_id).load(db).await)?;
    if !own.is_empty() {
        return Err(Error::AccountBlocked(found.texts(&own)));
    }
    let others = block::table.filter(block::blocked_id.eq(caller)).filter(block::account_id.eq_any(&ids));
    let others: Vec<Id> = on!(conn, |db| others.select(block::account_id).load(db).await)?;
    if others.is_empty() { Ok(()) } else { Err(Error::PersonUnreachable(found.texts(&others))) }
}

/// Removes all that says whom an account has blocked, or who it; how many rows there were.
pub async fn forget(conn: &mut Conn, id: Id) -> Result<usize, DbError> {
    let own = block::table.filter(block::account_id.eq(id));
    let own: usize = on!(conn, |db| diesel::delete(own).execute(db).await)?;
    let others = block::table.filter(block::blocked_id.eq(id));
    let others: usize = on!(conn, |db| diesel::delete(others).execute(db).await)?;
    Ok(own + others)
}

/// Two accounts. Who begins something with the caller holds theirs and is waited for; of both nothing is erased before the transaction ends.
async fn both(conn: &mut Conn, caller: Id, other: Id) -> Result<People, DbError> {
    let mut people = People::new();
    // In the order of their ids, each as much as is needed: two may block each other, or begin something with each other meanwhile.
    for id in [caller.min(other), caller.max(other)] {
        people.extend(match id == caller {
            true => hold::hold_alone(conn, &[id]).await?,
            false => hold::hold(conn, &[id]).await?,
        });
    }
    Ok(people)
}

/// The direct conversation of two people, which nobody else changes until the transaction ends.
async fn shared(conn: &mut Conn, one: Id, other: Id) -> Result<Option<Id>, DbError> {
    let Some(id) = find(conn, one, other).await? else { return Ok(None) };
    // It may have lost one of the two meanwhile.
    let row = lock(conn, id).await?;
    Ok(row.filter(|row| row.direct_key.is_some()).map(|row| row.id))
}

async fn find(conn: &mut Conn, one: Id, other: Id) -> Result<Option<Id>, DbError> {
    let theirs = conversation::table.filter(conversation::direct_key.eq(direct_key(one, other)));
    on!(conn, |db| theirs.select(conversation::id).first(db).await.optional())
}

async fn is_erased(conn: &mut Conn, caller: Id, people: &People) -> Result<bool, DbError> {
    Ok(!people.contains_key(&caller) && hold::writer(conn, caller).await? == Writer::Erased)
}

/// Unless there are too many. The transaction holds the account, so nobody counts beside it.
async fn insert(conn: &mut Conn, caller: Id, other: Id, now: Time) -> Result<(), Error> {
    let own = block::table.filter(block::account_id.eq(caller)).filter(block::blocked_id.ne(other));
    let count: i64 = on!(conn, |db| own.count().get_result(db).await)?;
    if count >= i64::from(BLOCKS) {
        return Err(Error::BlockLimit(BLOCKS));
    }
    let row = (block::account_id.eq(caller), block::blocked_id.eq(other), block::create_time.eq(now));
    let insert = diesel::insert_into(block::table).values(row).on_conflict_do_nothing();
    on!(conn, |db| insert.execute(db).await)?;
    Ok(())
}

/// Says it on the rows of a direct conversation that the transaction holds, and answers that one unless it says so already.
async fn set_blocks(
    conn: &mut Conn,
    shared: Option<Id>,
    by: Id,
    other: Id,
    blocks: bool,
) -> Result<Option<Id>, DbError> {
    let Some(id) = shared else { return Ok(None) };
    let own = member::table.find((id, by)).filter(member::blocks.ne(blocks));
    let own = diesel::update(own).set(member::blocks.eq(blocks));
    let changed: usize = on!(conn, |db| own.execute(db).await)?;
    let theirs = diesel::update(member::table.find((id, other))).set(member::blocked.eq(blocks));
    on!(conn, |db| theirs.execute(db).await)?;
    Ok((changed > 0).then_some(id))
}
