//! What requests have in common: ids, which are opaque, so that what is none names nothing, people by id or address, and times.

use std::time::Duration;

use chrono::DateTime;
use prost_types::Timestamp;
use quartet_chassis::accounts::address::address;
use quartet_chassis::caller::Caller;
use quartet_chassis::clock::{Time, cut};
use quartet_chassis::failure::Fields;
use quartet_chassis::id::Id;
use quartet_proto::messaging::v1::{self as pb, person};

use crate::conversation::NAMED;
use crate::error::Error;
use crate::store::person::Person;

/// How much later than now counts as for good.
const FOR_GOOD: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

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

/// Until when something lasts; what is over lasts no more.
pub fn until(given: Option<Timestamp>, now: Time) -> Result<Option<Time>, &'static str> {
    let Some(given) = given else { return Ok(None) };
    let nanos = u32::try_from(given.nanos).ok();
    let time = nanos.and_then(|nanos| DateTime::from_timestamp(given.seconds, nanos)).ok_or("must be a time")?;
    // Both databases have a last year.
    let last = now + FOR_GOOD;
    Ok(Some(cut(time.naive_utc().min(last))).filter(|time| *time > now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g1_what_is_over_lasts_no_more_and_nothing_lasts_beyond_the_calendar() {
        let now = DateTime::UNIX_EPOCH.naive_utc();
        let at = |seconds, nanos| until(Some(Timestamp { seconds, nanos }), now);
        assert_eq!((until(None, now), at(0, 0), at(-1, 0)), (Ok(None), Ok(None), Ok(None)));
        assert_eq!(at(1, 1999), Ok(Some(now + chrono::TimeDelta::microseconds(1_000_001))));
        assert_eq!(at(200_000_000_000, 0), Ok(Some(now + FOR_GOOD)));
        assert!(at(i64::MAX, 0).is_err() && at(1, -1).is_err() && at(1, 2_000_000_000).is_err());
    }
}
