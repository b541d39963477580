//! Accounts that are put aside and taken into use again.

use quartet_chassis::caller::{Caller, Client};
use quartet_chassis::failure::Fields;
use quartet_proto::identity::v1::*;

use super::account::AccountApi;
use crate::challenge::Proof;
use crate::email::Email;
use crate::error::Error;
use crate::password::Password;
use crate::security::{Event, Outcome, note};
use crate::store::account::{AccountRow, State};

const MAILED: &str = "You will receive an email with instructions.";
const REACTIVATED: &str = "User account reactivated successfully.";

impl AccountApi {
    pub(super) async fn put_aside(&self, caller: &Caller, client: &Client, password: String) -> Result<(), Error> {
        let account = self.authenticator.owner(caller, password, client).await?;
        if account.password_hash.is_empty() {
            let mut fields = Fields::default();
            fields.refuse("password", "must be set first: without one nobody could take the account into use again");
            return Err(fields.into());
        }
        self.store.deactivate(&account).await?;
        note(Event::AccountDeactivated, Outcome::Done, Some(account.pseudonym), client);
        Ok(())
    }

    /// Mails a code to who has the password, and takes the account into use for who has both.
    pub(super) async fn take_back(
        &self,
        client: Client,
        request: ReactivateRequest,
    ) -> Result<ReactivateResponse, Error> {
        use reactivate_request::Proof as Wire;
        let mut fields = Fields::default();
        let email = fields.take("email", Email::parse(&request.email));
        let password = fields.take("password", Password::given(request.password));
        let proof = match request.proof {
            Some(Wire::Token(token)) => fields.take("token", Proof::parse(token)).map(|token| Some((token, true))),
            Some(Wire::Code(code)) => fields.take("code", Proof::parse(code)).map(|code| Some((code, false))),
            None => Some(None),
        };
        let (Some(email), Some(password), Some(proof)) = (email, password, proof) else { return Err(fields.into()) };

        let account = self.authenticator.password(&email, password, &client, None).await?.account;
        if account.state != State::Deactivated {
            return Err(Error::AccountNotDeactivated);
        }
        let Some(proof) = proof else {
            self.store.request_reactivation(&account).await?;
            note(Event::ReactivationAsked, Outcome::Done, Some(account.pseudonym), &client);
            return Ok(ReactivateResponse { reactivated: false, message: MAILED.to_owned() });
        };
        if let Err(error) = self.reactivate_with(&account, &email, proof).await {
            note(Event::AccountReactivated, Outcome::Refused, Some(account.pseudonym), &client);
            return Err(error);
        }
        note(Event::AccountReactivated, Outcome::Done, Some(account.pseudonym), &client);
        Ok(ReactivateResponse { reactivated: true, message: REACTIVATED.to_owned() })
    }

    async fn reactivate_with(
        &self,
        account: &AccountRow,
        email: &Email,
        (proof, is_token): (Proof, bool),
    ) -> Result<(), Error> {
        let done = if is_token {
            self.store.reactivate_by_token(account, email, &proof).await?
        } else {
            self.store.reactivate_by_code(account, email, &proof).await?
        };
        if done { Ok(()) } else { Err(Error::ReactivationInvalid) }
    }
}
