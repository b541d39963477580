//! Who has left a group by themselves: they are not added again for a while.

use chrono::TimeDelta;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::clock::Time;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::Store;
use super::person::Found;
use crate::error::Error;
use crate::schema::departure;

/// For how long.
const KEPT: TimeDelta = TimeDelta::days(7);
/// Departures of so long a time are forgotten at once: the writer is not held for long.
const SPAN: TimeDelta = TimeDelta::minutes(10);

impl Store {
    /// Forgets some departures that are too old; whether there may be more.
    pub async fn sweep_departures(&self) -> Result<bool, DbError> {
        let limit = self.now() - KEPT;
        let oldest = departure::table.order(departure::leave_time).select(departure::leave_time);
        let conn = &mut self.db.read().await?;
        let oldest: Option<Time> = on!(conn, |db| oldest.first(db).await.optional())?;
        let Some(oldest) = oldest.filter(|oldest| *oldest < limit) else { return Ok(false) };
        let old = departure::table.filter(departure::leave_time.lt(limit.min(oldest + SPAN)));
        self.db.transaction(async |conn| on!(conn, |db| diesel::delete(old).execute(db).await)).await?;
        Ok(true)
    }
}

/// Notes that somebody leaves a group, which the transaction holds.
pub async fn note(conn: &mut Conn, conversation: Id, account: Id, now: Time) -> Result<(), DbError> {
    let row =
        (departure::conversation_id.eq(conversation), departure::account_id.eq(account), departure::leave_time.eq(now));
    let insert = diesel::insert_into(departure::table).values(row);
    let insert = insert.on_conflict((departure::conversation_id, departure::account_id));
    let insert = insert.do_update().set(departure::leave_time.eq(now));
    on!(conn, |db| insert.execute(db).await).map(drop)
}

/// Nothing, unless one of these people has left the group lately, which the transaction holds.
pub async fn check(conn: &mut Conn, conversation: Id, new: &[Id], found: &Found<'_>, now: Time) -> Result<(), Error> {
    let left = departure::table
        .filter(departure::conversation_id.eq(conversation))
        .filter(departure::account_id.eq_any(new))
        .filter(departure::leave_time.gt(now - KEPT))
        .select(departure::account_id);
    let left: Vec<Id> = on!(conn, |db| left.load(db).await)?;
    if left.is_empty() { Ok(()) } else { Err(Error::ParticipantLeft(found.texts(&left))) }
}

/// Removes what says which groups an account has left; how many rows there were.
pub async fn forget(conn: &mut Conn, id: Id) -> Result<usize, DbError> {
    let own = departure::table.filter(departure::account_id.eq(id));
    on!(conn, |db| diesel::delete(own).execute(db).await)
}
