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

/// People who were found, as they were named.
#[derive(Debug)]
pub struct Found<'a>(pub Vec<(&'a Person, Id)>);

impl Found<'_> {
    /// Their accounts, each once.
    pub fn ids(&self) -> BTreeSet<Id> {
        self.0.iter().map(|(_, id)| *id).collect()
    }

    /// Some of them.
    pub fn only(&self, ids: &[Id]) -> Found<'_> {
        let some: BTreeSet<&Id> = ids.iter().collect();
        Found(self.0.iter().filter(|(_, id)| some.contains(id)).copied().collect())
    }

    /// How some of them were named.
    pub fn texts(&self, ids: &[Id]) -> Vec<String> {
        self.0.iter().filter(|(_, id)| ids.contains(id)).map(|(person, _)| person.text().to_owned()).collect()
    }
}

/// Holds the caller and all who are named until the transaction ends, at once: accounts are locked in the order of their ids.
pub async fn hold_all(conn: &mut Conn, caller: Id, persons: &[Person]) -> Result<(), DbError> {
    let named = named(conn, persons).await?;
    let ids: Vec<Id> = named.into_iter().filter_map(|(_, id)| id).chain([caller]).collect();
    hold::hold(conn, &ids).await.map(drop)
}

/// People who can be found; none of them is erased before the transaction ends. The caller can always be found.
pub async fn found<'a>(conn: &mut Conn, caller: Id, persons: &'a [Person]) -> Result<Found<'a>, Error> {
    let named = named(conn, persons).await?;
    let ids: Vec<Id> = named.iter().filter_map(|(_, id)| *id).collect();
    all(caller, named, &hold::hold(conn, &ids).await?)
}

/// The same for reading: they may be erased right after.
pub async fn known<'a>(conn: &mut Conn, caller: Id, persons: &'a [Person]) -> Result<Found<'a>, Error> {
    let named = named(conn, persons).await?;
    let ids: Vec<Id> = named.iter().filter_map(|(_, id)| *id).collect();
    all(caller, named, &hold::people(conn, &ids).await?)
}

/// The people, if all of them are there.
fn all<'a>(caller: Id, named: Vec<(&'a Person, Option<Id>)>, people: &People) -> Result<Found<'a>, Error> {
    let is_there = |id: &Id| *id == caller || people.get(id).is_some_and(|account| account.is_active());
    let missing = named.iter().filter(|(_, id)| !id.as_ref().is_some_and(is_there));
    let missing: Vec<String> = missing.map(|(person, _)| person.text().to_owned()).collect();
    if missing.is_empty() {
        Ok(Found(named.into_iter().filter_map(|(person, id)| Some((person, id?))).collect()))
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
