//! How many conversations accounts take part in. Whoever changes what an account takes part in, or pins, begins with the account's row here.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::db::rows::{Column, Rows};
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::on;

use crate::conversation::CONVERSATIONS;
use crate::error::Error;
use crate::schema::usage;

/// Counts a conversation for each of these accounts, unless one of them has too many.
pub async fn add(conn: &mut Conn, accounts: &[Id]) -> Result<(), Error> {
    // In one order, so that nobody waits for somebody who waits for them.
    let mut ids = accounts.to_vec();
    ids.sort_unstable();
    let count = ids.len();
    let rows = Rows {
        before: "insert into usage (account_id, conversation_count)",
        columns: vec![Column::Ids(ids), Column::Integers(vec![1; count])],
        count,
        after: " on conflict (account_id) do update set conversation_count = usage.conversation_count + 1 \
                where usage.conversation_count < 10000 returning account_id, ''",
    };
    let counted = rows.returning(conn).await?.len();
    if counted < accounts.len() { Err(Error::ConversationLimit(CONVERSATIONS)) } else { Ok(()) }
}

/// Counts a conversation less.
pub async fn sub(conn: &mut Conn, account: Id) -> Result<(), DbError> {
    let set = usage::conversation_count.eq(usage::conversation_count - 1);
    on!(conn, |db| diesel::update(usage::table.find(account)).set(set).execute(db).await).map(drop)
}

/// Nobody else changes what an account takes part in, or pins, until the transaction ends.
pub async fn lock(conn: &mut Conn, account: Id) -> Result<(), DbError> {
    let set = usage::conversation_count.eq(usage::conversation_count);
    on!(conn, |db| diesel::update(usage::table.find(account)).set(set).execute(db).await).map(drop)
}
