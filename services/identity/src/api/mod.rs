//! The rpcs, one file per resource.

pub mod account;
pub mod account_feed;
pub mod account_import;
pub mod account_leaving;
pub mod account_password;
pub mod administration;
pub mod audit;
pub mod client;
pub mod directory;
pub mod email_change;
pub mod erasure;
pub mod issue_token;
pub mod key;
pub mod profile;
pub mod revocation;
pub mod role;
pub mod session;
pub mod session_view;

use quartet_chassis::caller::{Caller, Client, Operator};
use quartet_chassis::id::Id;
use quartet_chassis::page;
use tonic::Request;

use crate::error::Error;
use crate::store::audit::{Actor, Doer};

/// Who does an administrative act: the caller, or the machine's operator. Somebody who acts for an administrator is none.
fn administrator<T>(request: &Request<T>) -> Result<Doer, tonic::Status> {
    let client = Client::of(request);
    if request.extensions().get::<Operator>().is_some() {
        return Ok(Doer { actor: Actor::Operator, client });
    }
    let caller = Caller::of(request)?;
    if caller.actor.is_some() {
        return Err(Error::ActorRefused.into());
    }
    Ok(Doer { actor: Actor::Account(caller.account_id), client })
}

/// Where a page begins: behind the row that the page before ended with.
fn position(token: &str) -> Result<Option<Id>, &'static str> {
    let text: Option<String> = page::decode(token)?;
    text.map(|text| text.parse()).transpose().map_err(|_| page::NOT_A_TOKEN)
}
