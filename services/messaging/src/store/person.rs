//! People whom requests name, by id or by address.

use std::collections::{BTreeSet, HashMap};

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::accounts::hold::{self, People};
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
    let named = named(conn, persons).await?;
    let ids: Vec<Id> = named.iter().filter_map(|(_, id)| *id).collect();
    all(caller, &named, &hold::hold(conn, &ids).await?)
}

/// The same for reading: they may be erased right after.
pub async fn known(conn: &mut Conn, caller: Id, persons: &[Person]) -> Result<BTreeSet<Id>, Error> {
    let named = named(conn, persons).await?;
    let ids: Vec<Id> = named.iter().filter_map(|(_, id)| *id).collect();
    all(caller, &named, &hold::people(conn, &ids).await?)
}

/// The ids of people, if all of them are there.
fn all(caller: Id, named: &[(&Person, Option<Id>)], people: &People) -> Result<BTreeSet<Id>, Error> {
    let is_there = |id: &Id| *id == caller || people.get(id).is_some_and(|account| account.is_active());
    let missing = named.iter().filter(|(_, id)| !id.as_ref().is_some_and(is_there));
    let missing: Vec<String> = missing.map(|(person, _)| person.text().to_owned()).collect();
    if missing.is_empty() {
        Ok(named.iter().filter_map(|(_, id)| *id).collect())
    } else {
        Err(Error::PersonNotFound(missing))
    }
}

async fn named<'a>(conn: &mut Conn, persons: &'a [Person]) -> Result<Vec<(&'a Person, Option<Id>)>, DbError> {
    let addresses = by_addresses(conn, persons).await?;
    let id_of = |person: &Person| match person {
        Person::Account(id) => id.parse().ok(),
        Person::Address { key, .. } => addresses.get(key).copied(),
    };
    Ok(persons.iter().map(|person| (person, id_of(person))).collect())
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
