//! Who is mentioned where.

use std::collections::BTreeSet;

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::db::rows::{Column, Rows};
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::failure::Fields;
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::member::present;
use crate::error::Error;
use crate::message::{Extras, NO_PARTICIPANTS};
use crate::schema::{mention, message};

/// Notes whom a message mentions, all of whom take part in the conversation, which the transaction holds.
pub async fn insert(conn: &mut Conn, conversation: Id, seq: i64, ids: &[Id]) -> Result<(), Error> {
    if ids.is_empty() {
        return Ok(());
    }
    if present(conn, conversation, ids).await?.len() != ids.len() {
        return Err(of_others());
    }
    let rows = Rows {
        before: "insert into mention (conversation_id, account_id, seq)",
        columns: vec![
            Column::Ids(vec![conversation; ids.len()]),
            Column::Ids(ids.to_vec()),
            Column::Numbers(vec![seq; ids.len()]),
        ],
        count: ids.len(),
        after: "",
    };
    rows.run(conn).await.map_err(Error::from)
}

/// Somebody is mentioned who takes no part.
pub fn of_others() -> Error {
    let mut fields = Fields::default();
    fields.refuse("mentioned_account_ids", NO_PARTICIPANTS);
    fields.into()
}

/// Notes whom an edited message mentions now. Who was mentioned before may have left.
pub async fn replace(conn: &mut Conn, conversation: Id, seq: i64, old: &[Id], new: &[Id]) -> Result<(), Error> {
    let (old, new): (BTreeSet<Id>, BTreeSet<Id>) = (old.iter().copied().collect(), new.iter().copied().collect());
    let gone: Vec<Id> = old.difference(&new).copied().collect();
    let rows = mention::table
        .filter(mention::conversation_id.eq(conversation))
        .filter(mention::seq.eq(seq))
        .filter(mention::account_id.eq_any(gone));
    on!(conn, |db| diesel::delete(rows).execute(db).await)?;
    let added: Vec<Id> = new.difference(&old).copied().collect();
    insert(conn, conversation, seq, &added).await
}

/// Takes the mention of somebody out of a message in a conversation that the transaction holds.
pub async fn forget(conn: &mut Conn, conversation: Id, seq: i64, account: Id) -> Result<(), DbError> {
    on!(conn, |db| diesel::delete(mention::table.find((conversation, account, seq))).execute(db).await)?;
    let row = message::table.find((conversation, seq));
    let extras: Option<String> = on!(conn, |db| row.select(message::extras).first(db).await.optional())?;
    let mut extras = Extras::stored(&extras.unwrap_or_default());
    extras.mentions.retain(|id| *id != account.to_string());
    let set = message::extras.eq(extras.text());
    on!(conn, |db| diesel::update(row).set(set).execute(db).await).map(drop)
}
