//! Who sees whose address: who has named somebody by that very address sees it, and whom they have written to in a direct conversation.

use std::collections::{HashMap, HashSet};

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::db::rows::{Column, Rows};
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::conversation::direct_key;
use super::participant::ParticipantRow;
use super::person::{Found, Person};
use crate::schema::{addressed, conversation, member};

/// Notes whom somebody has named by which address. The transaction holds their accounts.
pub async fn remember(conn: &mut Conn, caller: Id, found: &Found<'_>) -> Result<(), DbError> {
    let mut named: HashMap<Id, &str> = HashMap::new();
    for (person, id) in &found.0 {
        if let Person::Address { key, .. } = person
            && *id != caller
        {
            named.insert(*id, key);
        }
    }
    if named.is_empty() {
        return Ok(());
    }
    // In one order, so that nobody waits for somebody who waits for them.
    let mut named: Vec<(Id, &str)> = named.into_iter().collect();
    named.sort_unstable();
    let rows = Rows {
        before: "insert into addressed (account_id, person_id, email_key)",
        columns: vec![
            Column::Ids(vec![caller; named.len()]),
            Column::Ids(named.iter().map(|(id, _)| *id).collect()),
            Column::Texts(named.iter().map(|(_, key)| *key).collect()),
        ],
        count: named.len(),
        after: " on conflict (account_id, person_id) do update set email_key = excluded.email_key",
    };
    rows.run(conn).await
}

/// With whom of these people somebody has a direct conversation, and whether they have written there.
pub async fn acquainted(conn: &mut Conn, account: Id, people: &[Id]) -> Result<HashMap<Id, bool>, DbError> {
    let keys: Vec<String> = people.iter().map(|person| direct_key(account, *person)).collect();
    let theirs = conversation::table
        .inner_join(member::table)
        .filter(conversation::direct_key.eq_any(keys))
        .filter(member::account_id.ne(account))
        .select((member::account_id, member::has_written));
    let rows: Vec<(Id, bool)> = on!(conn, |db| theirs.load(db).await)?;
    Ok(rows.into_iter().collect())
}

/// Takes the addresses away that somebody does not see, of those who take part with them. Their own they see.
pub async fn hide(conn: &mut Conn, viewer: Id, rows: &mut [ParticipantRow]) -> Result<(), DbError> {
    let ids: Vec<Id> = rows.iter().map(|one| one.row.account_id).filter(|id| *id != viewer).collect();
    let have_written = acquainted(conn, viewer, &ids).await?.into_iter().filter(|(_, has_written)| *has_written);
    let have_written: HashSet<Id> = have_written.map(|(id, _)| id).chain([viewer]).collect();
    let named = named(conn, viewer, &ids).await?;
    hide_unless(rows, &named, |one| have_written.contains(&one.row.account_id));
    Ok(())
}

/// The same of contacts, who are members of their direct conversations with the viewer.
pub async fn hide_contacts(conn: &mut Conn, viewer: Id, rows: &mut [ParticipantRow]) -> Result<(), DbError> {
    let theirs = addressed::table.filter(addressed::account_id.eq(viewer));
    let theirs = theirs.select((addressed::person_id, addressed::email_key));
    let named: Vec<(Id, String)> = on!(conn, |db| theirs.load(db).await)?;
    hide_unless(rows, &named.into_iter().collect(), |one| one.row.has_written);
    Ok(())
}

fn hide_unless(
    rows: &mut [ParticipantRow],
    named: &HashMap<Id, String>,
    has_written: impl Fn(&ParticipantRow) -> bool,
) {
    for one in rows {
        let is_seen = has_written(one);
        let Some(account) = &mut one.account else { continue };
        // An address that they have taken since is another one.
        if !is_seen && named.get(&account.id) != Some(&account.email_key) {
            account.email.clear();
        }
    }
}

async fn named(conn: &mut Conn, viewer: Id, people: &[Id]) -> Result<HashMap<Id, String>, DbError> {
    let theirs = addressed::table.filter(addressed::account_id.eq(viewer)).filter(addressed::person_id.eq_any(people));
    let theirs = theirs.select((addressed::person_id, addressed::email_key));
    let rows: Vec<(Id, String)> = on!(conn, |db| theirs.load(db).await)?;
    Ok(rows.into_iter().collect())
}

/// Removes what says whom an account has named, or who it; how many rows there were.
pub async fn forget(conn: &mut Conn, id: Id) -> Result<usize, DbError> {
    let own = addressed::table.filter(addressed::account_id.eq(id));
    let own: usize = on!(conn, |db| diesel::delete(own).execute(db).await)?;
    let others = addressed::table.filter(addressed::person_id.eq(id));
    let others: usize = on!(conn, |db| diesel::delete(others).execute(db).await)?;
    Ok(own + others)
}
