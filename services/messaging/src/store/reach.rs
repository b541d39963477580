//! Whom a request reaches who has not asked for it.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
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
            .snapshot(async |conn| {
                if let Way::Group(id) = way {
                    let (row, _) = member_in(conn, id, caller).await?.ok_or_else(|| not_found(id))?;
                    row.is_group()?;
                }
                let found = person::known(conn, caller, persons).await?;
                block::check(conn, caller, &found).await?;
                let others = without(caller, &found);
                let mut strangers = others.clone();
                let acquainted = address::acquainted(conn, caller, &others).await?;
                match way {
                    Way::Direct => strangers.retain(|id| !acquainted.contains_key(id)),
                    Way::NewGroup | Way::Group(_) => strangers.retain(|id| acquainted.get(id) != Some(&true)),
                }
                if let Way::Group(id) = way {
                    let there = member::table.filter(member::conversation_id.eq(id));
                    let there = there.filter(member::account_id.eq_any(&others)).select(member::account_id);
                    let there: Vec<Id> = on!(conn, |db| there.load(db).await)?;
                    strangers.retain(|id| !there.contains(id));
                }
                Ok::<_, Error>(Reached { others, strangers })
            })
            .await
    }
}
