//! People whom requests name, by id or by address.

use std::collections::{BTreeSet, HashMap};

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::accounts::hold;
use quartet_chassis::accounts::table::account;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::on;

use crate::error::Error;

/// How a request names somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Person {
    Account(String),
    Address { text: String, key: String },
}

impl Person {
    pub fn text(&self) -> &str {
        match self {
            Person::Account(id) => id,
            Person::Address { text, .. } => text,
        }
    }
}

/// The accounts of people who can be found, each once; none of them is erased before the transaction ends. The caller can always be found.
pub async fn found(conn: &mut Conn, caller: Id, persons: &[Person]) -> Result<BTreeSet<Id>, Error> {
    let addresses = by_addresses(conn, persons).await?;
    let id_of = |person: &Person| match person {
        Person::Account(id) => id.parse().ok(),
        Person::Address { key, .. } => addresses.get(key).copied(),
    };
    let named: Vec<(&Person, Option<Id>)> = persons.iter().map(|person| (person, id_of(person))).collect();
    let ids: Vec<Id> = named.iter().filter_map(|(_, id)| *id).collect();
    let people = hold::hold(conn, &ids).await?;
    let is_there = |id: &Id| *id == caller || people.get(id).is_some_and(|account| account.is_active());
    let missing: Vec<String> = named
        .iter()
        .filter(|(_, id)| !id.as_ref().is_some_and(is_there))
        .map(|(person, _)| person.text().to_owned())
        .collect();
    if missing.is_empty() { Ok(ids.into_iter().collect()) } else { Err(Error::PersonNotFound(missing)) }
}

/// Whose the addresses are: an address that somebody has only claimed is nobody's.
async fn by_addresses(conn: &mut Conn, persons: &[Person]) -> Result<HashMap<String, Id>, DbError> {
    let key = |person: &Person| match person {
        Person::Account(_) => None,
        Person::Address { key, .. } => Some(key.clone()),
    };
    let keys: Vec<String> = persons.iter().filter_map(key).collect();
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let theirs = account::table
        .filter(account::email_key.eq_any(keys))
        .filter(account::email_verified.eq(true))
        .filter(account::state.eq("ACTIVE"))
        .select((account::email_key, account::id));
    let rows: Vec<(String, Id)> = on!(conn, |db| theirs.load(db).await)?;
    Ok(rows.into_iter().collect())
}
