//! Who is named in requests, counted: nobody tries out addresses, and nobody is added to more than they can bear.

use quartet_chassis::id::Id;
use quartet_chassis::throttle::Bucket;

use crate::error::Error;
use crate::rates::Rates;
use crate::store::Store;
use crate::store::person::Person;
use crate::store::reach::{Reached, Way};

/// People who were looked up and counted.
pub struct Counted {
    pub reached: Reached,
    taken: Vec<Bucket>,
}

impl Counted {
    /// Gives back what was counted for people who were not reached after all.
    pub async fn unless_refused<T>(self, rates: &Rates, outcome: Result<T, Error>) -> Result<T, Error> {
        if outcome.is_err() {
            rates.give_back(&self.taken).await;
        }
        outcome
    }
}

/// Looks up people whom somebody names. Counted are the calls, the people, the addresses that were nobody's, and how often somebody is reached by
/// those to whom they have never written.
pub async fn reach(store: &Store, rates: &Rates, caller: Id, persons: &[Person], way: Way) -> Result<Counted, Error> {
    rates.start(caller).await?;
    rates.name(caller, persons.len()).await?;
    let reached = look_up(store, rates, caller, persons, way).await?;
    let taken = rates.reach(caller, &reached.strangers).await?;
    Ok(Counted { reached, taken })
}

/// Who has named too many addresses that were nobody's is not told of any, so a place among them is taken before the look.
async fn look_up(store: &Store, rates: &Rates, caller: Id, persons: &[Person], way: Way) -> Result<Reached, Error> {
    if !persons.iter().any(|person| matches!(person, Person::Address { .. })) {
        return store.reached(caller, persons, way).await;
    }
    let place = rates.miss(caller, 1).await?;
    let outcome = store.reached(caller, persons, way).await;
    let missed = match &outcome {
        Err(Error::PersonNotFound(missing)) => missing.iter().filter(|text| text.contains('@')).count(),
        Ok(_) | Err(_) => 0,
    };
    match missed {
        0 => rates.give_back(&place).await,
        more => drop(rates.miss(caller, more - 1).await?),
    }
    outcome
}
