//! What requests have in common: ids, which are opaque, so that what is none names nothing, and people by id or address.

use quartet_chassis::accounts::address::address;
use quartet_chassis::caller::Caller;
use quartet_chassis::failure::Fields;
use quartet_chassis::id::Id;
use quartet_proto::messaging::v1::{self as pb, person};

use crate::conversation::NAMED;
use crate::error::Error;
use crate::store::person::Person;

pub fn conversation(id: &str) -> Result<Id, Error> {
    id.parse().map_err(|_| Error::ConversationNotFound(id.to_owned()))
}

/// Nothing, if a call comes from the account itself, with all that its session may do: what outlives the token is for nobody else.
pub fn whole(caller: &Caller) -> Result<(), Error> {
    if caller.is_whole() { Ok(()) } else { Err(Error::ActorRefused) }
}

/// Somebody who is named. Rights come first, so what is no id is nobody's.
pub fn account(id: &str) -> Id {
    id.parse().unwrap_or(Id::NIL)
}

/// People whom a request names; nothing when one of them can't be read, or there are too many.
pub fn persons(given: Vec<pb::Person>, fields: &mut Fields) -> Option<Vec<Person>> {
    if given.is_empty() || given.len() > NAMED {
        fields.refuse("participants", "must be 1 to 1,000");
        return None;
    }
    let read = |(at, given): (usize, pb::Person)| match given.by {
        None => {
            fields.refuse(&format!("participants[{at}]"), "must have an `account_id` or an `email`");
            None
        }
        Some(person::By::AccountId(id)) => Some(Person::Account(id)),
        Some(person::By::Email(email)) => {
            let address = fields.take(&format!("participants[{at}].email"), address(&email))?;
            Some(Person::Address { text: address.text, key: address.key })
        }
    };
    // All of them are looked at, so that all that is wrong is told at once.
    let read: Vec<Option<Person>> = given.into_iter().enumerate().map(read).collect();
    read.into_iter().collect()
}
