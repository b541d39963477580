//! How many conversations accounts have begun in which they still take part. What others have begun counts nothing: nobody uses up somebody
//! else's number. Whoever changes what an account has begun, pins, or registers a device of theirs, begins with the account's row here.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::on;

use crate::conversation::CONVERSATIONS;
use crate::error::Error;
use crate::schema::usage;

/// Counts a conversation for an account, unless it has too many.
pub async fn add(conn: &mut Conn, account: Id) -> Result<(), Error> {
    lock(conn, account).await?;
    let row = usage::table.find(account).filter(usage::conversation_count.lt(CONVERSATIONS));
    let row = diesel::update(row).set(usage::conversation_count.eq(usage::conversation_count + 1));
    let counted: usize = on!(conn, |db| row.execute(db).await)?;
    if counted == 0 { Err(Error::ConversationLimit(CONVERSATIONS)) } else { Ok(()) }
}

/// Counts a conversation less.
pub async fn sub(conn: &mut Conn, account: Id) -> Result<(), DbError> {
    let set = usage::conversation_count.eq(usage::conversation_count - 1);
    on!(conn, |db| diesel::update(usage::table.find(account)).set(set).execute(db).await).map(drop)
}

/// Nobody else changes what an account has begun, pins, or registers a device of theirs, until the transaction ends.
pub async fn lock(conn: &mut Conn, account: Id) -> Result<(), DbError> {
    let row = (usage::account_id.eq(account), usage::conversation_count.eq(0));
    let insert = diesel::insert_into(usage::table).values(row).on_conflict(usage::account_id);
    let insert = insert.do_update().set(usage::conversation_count.eq(usage::conversation_count));
    on!(conn, |db| insert.execute(db).await).map(drop)
}
