//! What is removed when somebody's account is erased, step by step: what they have written, how they have reacted, that they took part. What
//! others have written stays, and the numbers of all of it: messages become tombstones, changes nobody's.

use std::collections::{BTreeMap, BTreeSet};

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::accounts::{AccountRow, Keeper, Removed, Step, count};
use quartet_chassis::clock::Time;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::idempotency;
use quartet_chassis::on;
use quartet_chassis::outbox::outbox;

use super::change::{self, What};
use super::conversation::lock;
use super::numbers::among;
use super::participant::{hand_over, heir, take_out};
use super::{Store, address, block, departure, mention, message, reaction};
use crate::conversation::Kind;
use crate::schema::{
    change as changes, change_subject, conversation, device, member, mention as mentions, message as messages,
    reaction as reactions, usage,
};

/// How many rows a transaction changes.
const SOME: i64 = 200;

/// Numbers, by conversation.
type Places = BTreeMap<Id, BTreeSet<i64>>;

impl Keeper for Store {
    /// Names are looked up when they are shown.
    async fn changed(&self, _: &mut Conn, _: &[(AccountRow, Option<AccountRow>)]) -> Result<(), DbError> {
        Ok(())
    }

    async fn begin_erasure(&self, _: &mut Conn, _: &AccountRow, _: &mut Removed) -> Result<(), DbError> {
        Ok(())
    }

    /// They first take part in nothing any more, each time under the lock of the conversation: whoever writes something there for them, or
    /// mentions them, has done so by then.
    async fn erase_some(&self, conn: &mut Conn, id: Id, removed: &mut Removed) -> Result<Step, DbError> {
        let now = self.now();
        let again = leave_one(conn, id, now, removed).await?
            || bury_some(conn, id, now, removed).await?
            || take_reactions_off(conn, id, now, removed).await?
            || take_mentions_off(conn, id, now, removed).await?
            || forget_subject(conn, id, removed).await?
            || forget_doer(conn, id, removed).await?;
        if again {
            return Ok(Step::Again);
        }
        let devices = device::table.filter(device::account_id.eq(id));
        count(removed, "device", on!(conn, |db| diesel::delete(devices).execute(db).await)?);
        count(removed, "request", idempotency::forget(conn, id).await?);
        count(removed, "block", block::forget(conn, id).await?);
        count(removed, "departure", departure::forget(conn, id).await?);
        count(removed, "address", address::forget(conn, id).await?);
        let pushes = outbox::table.filter(outbox::account_id.eq(id));
        count(removed, "push", on!(conn, |db| diesel::delete(pushes).execute(db).await)?);
        on!(conn, |db| diesel::delete(usage::table.find(id)).execute(db).await)?;
        Ok(Step::Done)
    }
}

/// Takes them out of a conversation, which is told to the others without saying of whom; false when they are in none.
async fn leave_one(conn: &mut Conn, id: Id, now: Time, removed: &mut Removed) -> Result<bool, DbError> {
    let joined = member::table.filter(member::account_id.eq(id)).order(member::conversation_id);
    let joined: Option<Id> = on!(conn, |db| joined.select(member::conversation_id).first(db).await.optional())?;
    let Some(joined) = joined else { return Ok(false) };
    let Some(row) = lock(conn, joined).await? else { return Ok(true) };
    let own = member::table.find((joined, id)).count();
    let own: i64 = on!(conn, |db| own.get_result(db).await)?;
    if own == 0 {
        return Ok(true);
    }
    take_out(conn, &row, id).await?;
    count(removed, "member", 1);
    if row.kind() == Kind::Direct {
        let set = diesel::update(conversation::table.find(joined)).set(conversation::direct_key.eq(None::<String>));
        on!(conn, |db| set.execute(db).await)?;
        let left = diesel::update(member::table.filter(member::conversation_id.eq(joined)));
        let left = left.set((member::blocks.eq(false), member::blocked.eq(false)));
        on!(conn, |db| left.execute(db).await)?;
    }
    change::note(conn, joined, None, &What::Left(vec![Id::NIL]), now).await?;
    if row.kind() == Kind::Group
        && let Some(heir) = heir(conn, joined).await?
    {
        hand_over(conn, joined, None, heir, now).await?;
    }
    Ok(true)
}

/// Makes tombstones of some messages of theirs, and nobody's of those that are tombstones; false when there are none.
async fn bury_some(conn: &mut Conn, id: Id, now: Time, removed: &mut Removed) -> Result<bool, DbError> {
    let some = messages::table.filter(messages::sender_id.eq(id)).limit(SOME);
    let some = some.select((messages::conversation_id, messages::seq));
    let some: Vec<(Id, i64)> = on!(conn, |db| some.load(db).await)?;
    count(removed, "message", some.len());
    let again = !some.is_empty();
    for (conversation_id, seqs) in places(some) {
        lock(conn, conversation_id).await?;
        let all = || {
            let here = messages::table.filter(messages::conversation_id.eq(conversation_id));
            here.filter(among(messages::seq, &seqs))
        };
        let open = all().filter(messages::is_deleted.eq(false));
        let open: Vec<i64> = on!(conn, |db| open.select(messages::seq).order(messages::seq).load(db).await)?;
        message::bury(conn, conversation_id, &open).await?;
        let nobodys = (
            messages::sender_id.eq(None::<Id>),
            messages::client_message_id.eq(""),
            messages::request_hash.eq(Vec::new()),
        );
        let all = diesel::update(all());
        on!(conn, |db| all.set(nobodys).execute(db).await)?;
        for seq in open {
            change::note(conn, conversation_id, None, &What::Deleted(seq), now).await?;
        }
    }
    Ok(again)
}

/// Takes some of their reactions off; false when there are none.
async fn take_reactions_off(conn: &mut Conn, id: Id, now: Time, removed: &mut Removed) -> Result<bool, DbError> {
    let some = reactions::table.filter(reactions::account_id.eq(id)).limit(SOME);
    let some = some.select((reactions::conversation_id, reactions::seq));
    let some: Vec<(Id, i64)> = on!(conn, |db| some.load(db).await)?;
    count(removed, "reaction", some.len());
    let again = !some.is_empty();
    for (conversation_id, seqs) in places(some) {
        lock(conn, conversation_id).await?;
        for seq in seqs {
            reaction::take_off(conn, conversation_id, seq, id).await?;
            change::note(conn, conversation_id, None, &What::Reacted(seq), now).await?;
        }
    }
    Ok(again)
}

/// Takes their id out of some messages that mention them; false when there are none.
async fn take_mentions_off(conn: &mut Conn, id: Id, now: Time, removed: &mut Removed) -> Result<bool, DbError> {
    let some = mentions::table.filter(mentions::account_id.eq(id)).limit(SOME);
    let some = some.select((mentions::conversation_id, mentions::seq));
    let some: Vec<(Id, i64)> = on!(conn, |db| some.load(db).await)?;
    count(removed, "mention", some.len());
    let again = !some.is_empty();
    for (conversation_id, seqs) in places(some) {
        lock(conn, conversation_id).await?;
        for seq in seqs {
            mention::forget(conn, conversation_id, seq, id).await?;
            change::note(conn, conversation_id, None, &What::Updated(seq), now).await?;
        }
    }
    Ok(again)
}

/// Takes their id out of some changes that are about them: that they came, went, or might do something else. False when there are none.
async fn forget_subject(conn: &mut Conn, id: Id, removed: &mut Removed) -> Result<bool, DbError> {
    let some = change_subject::table.filter(change_subject::account_id.eq(id)).limit(SOME);
    let some = some.select((change_subject::conversation_id, change_subject::number));
    let some: Vec<(Id, i64)> = on!(conn, |db| some.load(db).await)?;
    count(removed, "change", some.len());
    let again = !some.is_empty();
    for (conversation_id, numbers) in places(some) {
        // Who else is named there may be forgotten at the same time.
        lock(conn, conversation_id).await?;
        for number in numbers {
            let there = changes::table.find((conversation_id, number)).select(changes::subject);
            let subject: Option<String> = on!(conn, |db| there.first(db).await.optional())?;
            if let Some(subject) = subject {
                let without = changes::subject.eq(subject.replace(&id.to_string(), ""));
                let row = diesel::update(changes::table.find((conversation_id, number))).set(without);
                on!(conn, |db| row.execute(db).await)?;
            }
            let told = change_subject::table.find((conversation_id, number, id));
            on!(conn, |db| diesel::delete(told).execute(db).await)?;
        }
    }
    Ok(again)
}

/// Takes their id off some changes that they have made; false when there are none.
async fn forget_doer(conn: &mut Conn, id: Id, removed: &mut Removed) -> Result<bool, DbError> {
    let some = changes::table.filter(changes::account_id.eq(id)).limit(SOME);
    let some = some.select((changes::conversation_id, changes::number));
    let some: Vec<(Id, i64)> = on!(conn, |db| some.load(db).await)?;
    count(removed, "change", some.len());
    let again = !some.is_empty();
    for (conversation_id, numbers) in places(some) {
        let done = changes::table.filter(changes::conversation_id.eq(conversation_id));
        let done = diesel::update(done.filter(among(changes::number, &numbers)));
        on!(conn, |db| done.set(changes::account_id.eq(None::<Id>)).execute(db).await)?;
    }
    Ok(again)
}

/// In the order in which conversations are locked.
fn places(rows: Vec<(Id, i64)>) -> Places {
    let mut places = Places::new();
    for (conversation_id, number) in rows {
        places.entry(conversation_id).or_default().insert(number);
    }
    places
}
