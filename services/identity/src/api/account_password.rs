//! Passwords of accounts: reset by mail, and replaced by their owners.

use quartet_chassis::caller::{Caller, Client};
use quartet_chassis::failure::Fields;
use quartet_chassis::page;
use quartet_proto::identity::v1::*;

use super::account::{AccountApi, PROOF, noted};
use crate::challenge::Proof;
use crate::email::Email;
use crate::error::Error;
use crate::password::Password;
use crate::security::{Event, Outcome, note};

const RESET: &str = "Password reset successfully.";
const RESET_FAILED: &str = "An error occurred while resetting the password.";

impl AccountApi {
    /// Trades the code of a reset mail for a grant.
    pub(super) async fn verify_code(
        &self,
        client: Client,
        request: VerifyResetCodeRequest,
    ) -> Result<VerifyResetCodeResponse, Error> {
        let mut fields = Fields::default();
        let email = fields.take("email", Email::parse(&request.email));
        let code = fields.take("code", Proof::parse(request.code));
        let (Some(email), Some(code)) = (email, code) else { return Err(fields.into()) };

        let granted = self.store.grant_reset(&email, &code).await?.ok_or(Error::ResetInvalid);
        let reset_grant = noted(&self.store, Event::PasswordReset, &email, &client, granted).await?;
        Ok(VerifyResetCodeResponse { reset_grant })
    }

    /// Sets a new password by what a reset mail brought.
    pub(super) async fn complete_reset(
        &self,
        client: Client,
        request: CompletePasswordResetRequest,
    ) -> Result<CompletePasswordResetResponse, Error> {
        use complete_password_reset_request::Proof as Wire;
        let mut fields = Fields::default();
        let email = fields.take("email", Email::parse(&request.email));
        let proof = match request.proof {
            Some(Wire::Token(token)) => fields.take("token", Proof::parse(token)).map(|token| (token, true)),
            Some(Wire::ResetGrant(grant)) => {
                fields.take("reset_grant", Proof::parse(grant)).map(|grant| (grant, false))
            }
            None => fields.take("token", Err(PROOF)),
        };
        let password = fields.take("password", Password::new(request.password, self.policy, email.as_ref()));
        let (Some(email), Some(proof), Some(password)) = (email, proof, password) else { return Err(fields.into()) };

        let reset = self.reset(&email, proof, password, &client).await.map_err(|error| error.saying(RESET_FAILED));
        noted(&self.store, Event::PasswordReset, &email, &client, reset).await?;
        Ok(CompletePasswordResetResponse { message: RESET.to_owned() })
    }

    async fn reset(
        &self,
        email: &Email,
        (proof, is_token): (Proof, bool),
        password: Password,
        client: &Client,
    ) -> Result<(), Error> {
        let ticket = if is_token {
            self.store.reset_by_token(email, &proof).await?
        } else {
            self.store.reset_by_grant(email, &proof).await?
        };
        let ticket = ticket.ok_or(Error::ResetInvalid)?;
        let pseudonym = ticket.account.pseudonym;
        let hash = self.hasher.hash(password).await?;
        if !self.store.complete_reset(ticket, &hash).await? {
            return Err(Error::ResetInvalid);
        }
        note(Event::PasswordReset, Outcome::Done, Some(pseudonym), client);
        Ok(())
    }

    /// Sets a new password in the place of the one that the caller shows.
    pub(super) async fn change_password(
        &self,
        caller: &Caller,
        client: &Client,
        request: UpdatePasswordRequest,
    ) -> Result<UpdatePasswordResponse, Error> {
        // For the rule alone that a password is not the address. Who the caller is is found out afterwards, so that a new password
        // that breaks a rule spends no try.
        let (own, _) = self.store.account(caller.account_id).await?.ok_or(Error::AccountNotFound)?;
        let email = Email::parse(&own.email).ok();
        let mut fields = Fields::default();
        let password = fields.take("new_password", Password::new(request.new_password, self.policy, email.as_ref()));
        if password.as_ref().is_some_and(|password| password.is(&request.current_password)) {
            fields.refuse("new_password", "must not be the password until now");
        }
        let (Some(password), true) = (password, fields.is_empty()) else { return Err(fields.into()) };

        let account = self.authenticator.owner(caller, request.current_password, client).await?;
        let hash = self.hasher.hash(password).await?;
        let ended = self.store.update_password(&account, caller.session_id, &hash).await?;
        let ended = ended.ok_or(Error::CredentialsInvalid)?;
        note(Event::PasswordChanged, Outcome::Done, Some(account.pseudonym), client);
        Ok(UpdatePasswordResponse { revoked_count: page::count(ended) })
    }
}
