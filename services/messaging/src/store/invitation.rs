//! Who is invited by a request: brought into a conversation without having asked for it.

use quartet_chassis::id::Id;

use super::conversation::{not_found, without};
use super::member::{member_in, present};
use super::person::{self, Person};
use super::{Store, address, block};
use crate::error::Error;

/// Where people are to come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InviteTo {
    Direct,
    NewGroup,
    Group(Id),
}

/// People whom somebody names.
#[derive(Debug)]
pub struct Invited {
    /// Who of them is not the caller.
    pub others: Vec<Id>,
    /// Who of those would come in anew, and has never written to the caller in a direct conversation.
    pub strangers: Vec<Id>,
}

impl Store {
    /// Whom somebody names, if they may. For reading: what is written upon is asked again when it is written.
    pub async fn invited(&self, caller: Id, persons: &[Person], to: InviteTo) -> Result<Invited, Error> {
        self.db
            .long_snapshot(async |conn| {
                if let InviteTo::Group(id) = to {
                    let (row, _) = member_in(conn, id, caller).await?.ok_or_else(|| not_found(id))?;
                    row.check_group()?;
                }
                let found = person::known(conn, caller, persons).await?;
                let others = without(caller, &found);
                let mut new = others.clone();
                if let InviteTo::Group(id) = to {
                    // They stay as they are, whoever has blocked whom.
                    let there = present(conn, id, &others).await?;
                    new.retain(|id| !there.contains(id));
                }
                block::check(conn, caller, &found.only(&new)).await?;
                let acquainted = address::acquainted(conn, caller, &new).await?;
                let is_stranger = |id: &Id| match to {
                    InviteTo::Direct => !acquainted.contains_key(id),
                    InviteTo::NewGroup | InviteTo::Group(_) => acquainted.get(id) != Some(&true),
                };
                let strangers = new.into_iter().filter(is_stranger).collect();
                Ok::<_, Error>(Invited { others, strangers })
            })
            .await
    }
}
