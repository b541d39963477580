//! Whom a request reaches who has not asked for it.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::conversation::{not_found, without};
use super::member::member_in;
use super::person::{self, Person};
use super::{Store, address, block};
use crate::error::Error;
use crate::schema::member;

/// Where people are to come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Direct,
    NewGroup,
    Group(Id),
}

/// People whom somebody names.
#[derive(Debug)]
pub struct Reached {
    /// Who of them is not the caller.
    pub others: Vec<Id>,
    /// Who of those would come in anew, and has never written to the caller in a direct conversation.
    pub strangers: Vec<Id>,
}

impl Store {
    /// Whom somebody names, if they may. For reading: what is written upon is asked again when it is written.
    pub async fn reached(&self, caller: Id, persons: &[Person], way: Way) -> Result<Reached, Error> {
        self.db
            .long_snapshot(async |conn| {
                if let Way::Group(id) = way {
                    let (row, _) = member_in(conn, id, caller).await?.ok_or_else(|| not_found(id))?;
                    row.is_group()?;
                }
                let found = person::known(conn, caller, persons).await?;
                let others = without(caller, &found);
                let mut new = others.clone();
                if let Way::Group(id) = way {
                    let there = there(conn, id, &others).await?;
                    new.retain(|id| !there.contains(id));
                }
                block::check(conn, caller, &found.only(&new)).await?;
                let acquainted = address::acquainted(conn, caller, &new).await?;
                let is_stranger = |id: &Id| match way {
                    Way::Direct => !acquainted.contains_key(id),
                    Way::NewGroup | Way::Group(_) => acquainted.get(id) != Some(&true),
                };
                let strangers = new.into_iter().filter(is_stranger).collect();
                Ok::<_, Error>(Reached { others, strangers })
            })
            .await
    }
}

/// Who of these people takes part already: they stay as they are, whoever has blocked whom.
async fn there(conn: &mut Conn, id: Id, people: &[Id]) -> Result<Vec<Id>, DbError> {
    let there = member::table.filter(member::conversation_id.eq(id)).filter(member::account_id.eq_any(people));
    on!(conn, |db| there.select(member::account_id).load(db).await)
}
