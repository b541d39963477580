//! People while something is written about them, as the chassis holds them, with the catalogue's errors.
//!
//! Accounts are locked after their course, in the order of their ids, and before what is in courses of them.

use quartet_chassis::accounts::AccountRow;
pub use quartet_chassis::accounts::hold::hold;
use quartet_chassis::accounts::hold::{self, Writer};
use quartet_chassis::db::Conn;
use quartet_chassis::id::Id;

use crate::error::Error;

/// Nothing, when others can find these people: only who can come is invited or made a teacher.
pub async fn reachable(conn: &mut Conn, ids: &[Id]) -> Result<(), Error> {
    match hold::missing(conn, ids).await? {
        Some(missing) => Err(Error::PersonNotFound(missing.to_string())),
        None => Ok(()),
    }
}

/// What is known of somebody who writes something of their own. They may not be known yet; who was deleted writes nothing.
pub async fn writer(conn: &mut Conn, id: Id) -> Result<Option<AccountRow>, Error> {
    match hold::writer(conn, id).await? {
        Writer::Known(known) => Ok(Some(known)),
        Writer::Unknown => Ok(None),
        Writer::Erased => Err(Error::PersonNotFound(id.to_string())),
    }
}
