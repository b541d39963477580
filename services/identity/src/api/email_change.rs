//! A new address for an account.

use quartet_chassis::caller::{Caller, Client};
use quartet_chassis::failure::Fields;
use quartet_proto::identity::v1::email_change_service_server::EmailChangeService;
use quartet_proto::identity::v1::*;
use tonic::{Request, Response, Status};

use super::account::{PROOF, note_refusal};
use crate::authenticate::Authenticator;
use crate::challenge::Proof;
use crate::email::Email;
use crate::error::Error;
use crate::security::{Event, Outcome, note};
use crate::store::Store;
use crate::wish::What;

const ASKED: &str = "You will receive an email with instructions at the new address.";
const CHANGED: &str = "Email address changed successfully.";

/// The rpcs of email changes.
pub struct EmailChangeApi {
    pub store: Store,
    pub authenticator: Authenticator,
}

#[tonic::async_trait]
impl EmailChangeService for EmailChangeApi {
    async fn request_email_change(
        &self,
        request: Request<RequestEmailChangeRequest>,
    ) -> Result<Response<RequestEmailChangeResponse>, Status> {
        let (caller, client) = (Caller::of(&request)?, Client::of(&request));
        let request = request.into_inner();
        let mut fields = Fields::default();
        let Some(email) = fields.take("new_email", Email::parse(&request.new_email)) else {
            return Err(Error::from(fields).into());
        };
        let account = self.authenticator.owner(&caller, request.password, &client).await?;
        if email.key() == account.email_key {
            fields.refuse("new_email", "must not be the address that the account has");
            return Err(Error::from(fields).into());
        }

        let (account_id, session_id) = (account.id.to_string(), caller.session_id.to_string());
        let what = What::Address { account_id, session_id, email: email.as_str().to_owned() };
        self.store.wish(what, &client).await?;
        note(Event::EmailChangeAsked, Outcome::Done, Some(account.pseudonym), &client);
        Ok(Response::new(RequestEmailChangeResponse { message: ASKED.to_owned() }))
    }

    async fn confirm_email_change(
        &self,
        request: Request<ConfirmEmailChangeRequest>,
    ) -> Result<Response<ConfirmEmailChangeResponse>, Status> {
        use confirm_email_change_request::Proof as Wire;
        let client = Client::of(&request);
        let request = request.into_inner();
        let mut fields = Fields::default();
        let email = fields.take("email", Email::parse(&request.email));
        let proof = match request.proof {
            Some(Wire::Token(token)) => fields.take("token", Proof::parse(token)).map(|token| (token, true)),
            Some(Wire::Code(code)) => fields.take("code", Proof::parse(code)).map(|code| (code, false)),
            None => fields.take("token", Err(PROOF)),
        };
        let (Some(email), Some((proof, is_token))) = (email, proof) else { return Err(Error::from(fields).into()) };

        let changed = if is_token {
            self.store.change_email_by_token(&email, &proof).await?
        } else {
            self.store.change_email_by_code(&email, &proof).await?
        };
        let Some(account) = changed else {
            note_refusal(&self.store, Event::EmailChangeConfirmed, None, &client).await?;
            return Err(Error::EmailChangeInvalid.into());
        };
        note(Event::EmailChangeConfirmed, Outcome::Done, Some(account.pseudonym), &client);
        Ok(Response::new(ConfirmEmailChangeResponse { message: CHANGED.to_owned() }))
    }
}
