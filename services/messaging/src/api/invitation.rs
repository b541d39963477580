//! Who is named in requests, counted: nobody tries out addresses, and nobody is added to more than they can bear.

use quartet_chassis::id::Id;
use quartet_chassis::throttle::Bucket;

use crate::error::Error;
use crate::rates::Rates;
use crate::store::Store;
use crate::store::invitation::{InviteTo, Invited};
use crate::store::person::Person;

/// People who were looked up and counted.
pub struct Counted {
    pub invited: Invited,
    taken: Vec<Bucket>,
}

impl Counted {
    /// Gives back what was counted for people who were not brought in after all.
    pub async fn unless_refused<T>(self, rates: &Rates, outcome: Result<T, Error>) -> Result<T, Error> {
        if outcome.is_err() {
            rates.give_back(&self.taken).await;
        }
        outcome
    }
}

/// Looks up people whom somebody names. Counted are the calls, the people, the addresses that were nobody's, and how often somebody is reached by
/// those to whom they have never written.
pub async fn invite(
    store: &Store,
    rates: &Rates,
    caller: Id,
    persons: &[Person],
    to: InviteTo,
) -> Result<Counted, Error> {
    rates.start(caller).await?;
    rates.name(caller, persons.len()).await?;
    let invited = look_up(store, rates, caller, persons, to).await?;
    let taken = rates.invite(caller, &invited.strangers, to).await?;
    Ok(Counted { invited, taken })
}

/// Who has named too many addresses that were nobody's is not told of any, so the places among them are taken before the look.
async fn look_up(store: &Store, rates: &Rates, caller: Id, persons: &[Person], to: InviteTo) -> Result<Invited, Error> {
    let addresses = persons.iter().filter(|person| matches!(person, Person::Address { .. })).count();
    if addresses == 0 {
        return store.invited(caller, persons, to).await;
    }
    let places = rates.miss(caller, addresses).await?;
    let outcome = store.invited(caller, persons, to).await;
    let missed = match &outcome {
        Err(Error::PersonNotFound(missing)) => missing.iter().filter(|text| text.contains('@')).count(),
        Ok(_) | Err(_) => 0,
    };
    rates.missed(places, missed).await?;
    outcome
}
