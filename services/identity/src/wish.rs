//! Wishes: what somebody asks for about an address that may have an account or not. A wish is written down and answered at once, and
//! what comes of it is found out behind the answer: how long the answer took tells nothing about the address (S-10).

use quartet_chassis::caller::Client;
use quartet_chassis::clock::Time;
use quartet_chassis::id::Id;
use serde::{Deserialize, Serialize};

use crate::challenge::Purpose;
use crate::email::Email;
use crate::error::Error;
use crate::security::{Event, Outcome, note};
use crate::store::Store;
use crate::store::account::State;

/// The kind of an outbox row that holds a [`Wish`].
pub const WISH: &str = "wish";

/// What is asked for, and by whom, as it waits in the outbox.
#[derive(Serialize, Deserialize)]
pub struct Wish {
    pub what: What,
    /// When it was asked for.
    time: Time,
    address: String,
    user_agent: String,
    request_id: String,
}

#[derive(Serialize, Deserialize)]
pub enum What {
    /// A mail with a link and a code, where one is due.
    Challenge { email: String, purpose: Purpose },
    /// An account, where the address has none.
    Account { email: String, password_hash: String, active: bool },
    /// Another address for an account, where that has none.
    Address { account_id: String, session_id: String, email: String },
}

impl Wish {
    pub fn new(what: What, time: Time, client: &Client) -> Wish {
        let address = client.address_text();
        let (user_agent, request_id) = (client.user_agent.clone(), client.request_id.clone());
        Wish { what, time, address, user_agent, request_id }
    }

    fn client(&self) -> Client {
        let (user_agent, request_id) = (self.user_agent.clone(), self.request_id.clone());
        Client { address: self.address.parse().ok(), user_agent, request_id }
    }
}

/// Does what is asked for, as far as that is right. Done a second time it does no harm: the later mail counts.
pub async fn fulfil(wish: &Wish, store: &Store) -> Result<(), Error> {
    let client = wish.client();
    match &wish.what {
        What::Challenge { email, purpose } => {
            let mailed = store.request_challenge(&parse(email)?, *purpose, wish.time).await?;
            note(event(*purpose), Outcome::Done, mailed, &client);
        }
        What::Account { email, password_hash, active } => {
            let (email, state) = (parse(email)?, if *active { State::Active } else { State::Pending });
            match store.register(&email, password_hash, state).await {
                Ok(account) => note(Event::Registration, Outcome::Done, Some(account.pseudonym), &client),
                Err(Error::EmailTaken(_)) => {
                    let owner = store.account_by_email(&email).await?;
                    if owner.as_ref().is_some_and(|owner| owner.password_hash == *password_hash) {
                        // This very wish has made it, before a crash.
                        return Ok(());
                    }
                    store.tell_of_registration(&email).await?;
                    note(Event::Registration, Outcome::Refused, owner.map(|owner| owner.pseudonym), &client);
                }
                Err(error) => return Err(error),
            }
        }
        What::Address { account_id, session_id, email } => {
            let (account_id, session_id): (Id, Id) = (id(account_id)?, id(session_id)?);
            let owner = store.session_owner(session_id).await?.map(|(owner, _)| owner);
            let owner = owner.filter(|owner| owner.id == account_id && owner.state == State::Active);
            // Who has signed out meanwhile, or was, asks for nothing any more.
            let Some(owner) = owner else { return Ok(()) };
            store.request_email_change(&owner, &parse(email)?, session_id).await?;
        }
    }
    Ok(())
}

fn event(purpose: Purpose) -> Event {
    match purpose {
        Purpose::Activate => Event::ActivationAsked,
        Purpose::Reset => Event::PasswordResetAsked,
        Purpose::SignIn => Event::SignInCodeAsked,
        Purpose::ChangeEmail => Event::EmailChangeAsked,
        Purpose::Reactivate => Event::ReactivationAsked,
    }
}

fn parse(email: &str) -> Result<Email, Error> {
    Email::parse(email).map_err(Error::defect)
}

fn id(text: &str) -> Result<Id, Error> {
    text.parse().map_err(Error::defect)
}
