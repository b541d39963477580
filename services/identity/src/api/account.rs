//! Accounts: registration, activation, password reset.

use quartet_chassis::caller::Caller;
use quartet_chassis::clock::timestamp;
use quartet_chassis::failure::Fields;
use quartet_proto::identity::v1::account_service_server::AccountService;
use quartet_proto::identity::v1::*;
use tonic::{Request, Response, Status};

use crate::challenge::{Proof, Purpose};
use crate::email::Email;
use crate::error::Error;
use crate::hasher::Hasher;
use crate::password::{Password, Policy};
use crate::store::Store;
use crate::store::account::{AccountRow, Standing, State};

const REGISTRATION_FAILED: &str = "An error occurred during user creation.";
const RESET_FAILED: &str = "An error occurred while resetting the password.";
const REGISTERED: &str = "Thank you for registering. You will receive an email with instructions.";
const INSTRUCTIONS: &str = "If you are registered, you will receive an email with instructions.";
const PROOF: &str = "must not be empty";

/// The rpcs of accounts.
pub struct AccountApi {
    pub store: Store,
    pub hasher: Hasher,
    pub policy: Policy,
    /// What a new account is.
    pub first_state: State,
    /// Whether a registration hides that the address is taken.
    pub silent: bool,
}

#[tonic::async_trait]
impl AccountService for AccountApi {
    async fn register(&self, request: Request<RegisterRequest>) -> Result<Response<RegisterResponse>, Status> {
        let request = request.into_inner();
        let (email, password) = self.new_credentials(&request.email, request.password)?;

        let hash = self.hasher.hash(password).await?;
        let account_id = match self.store.register(&email, &hash, self.first_state).await {
            Err(Error::EmailTaken(_)) if self.silent => {
                self.store.tell_of_registration(&email).await?;
                String::new()
            }
            Ok(_) if self.silent => String::new(),
            registered => registered.map_err(|error| error.saying(REGISTRATION_FAILED))?.to_string(),
        };
        Ok(Response::new(RegisterResponse { account_id, email: request.email, message: REGISTERED.to_owned() }))
    }

    async fn activate(&self, request: Request<ActivateRequest>) -> Result<Response<ActivateResponse>, Status> {
        use activate_request::Proof as Wire;
        let request = request.into_inner();
        let mut fields = Fields::default();
        let email = fields.take("email", Email::parse(&request.email));
        let proof = match request.proof {
            Some(Wire::Token(token)) => fields.take("token", Proof::parse(token)).map(|token| (token, true)),
            Some(Wire::Code(code)) => fields.take("code", Proof::parse(code)).map(|code| (code, false)),
            None => fields.take("token", Err(PROOF)),
        };
        let (Some(email), Some((proof, is_token))) = (email, proof) else { return Err(Error::from(fields).into()) };

        if is_token {
            self.store.activate_by_token(&email, &proof).await?;
        } else {
            self.store.activate_by_code(&email, &proof).await?;
        }
        Ok(Response::new(ActivateResponse { message: "User account activated successfully.".to_owned() }))
    }

    async fn resend_activation(
        &self,
        request: Request<ResendActivationRequest>,
    ) -> Result<Response<ResendActivationResponse>, Status> {
        let email = parse_email(&request.into_inner().email)?;
        self.store.request_challenge(&email, Purpose::Activate).await?;
        Ok(Response::new(ResendActivationResponse { message: INSTRUCTIONS.to_owned() }))
    }

    async fn request_password_reset(
        &self,
        request: Request<RequestPasswordResetRequest>,
    ) -> Result<Response<RequestPasswordResetResponse>, Status> {
        let email = parse_email(&request.into_inner().email)?;
        self.store.request_challenge(&email, Purpose::Reset).await?;
        Ok(Response::new(RequestPasswordResetResponse { message: INSTRUCTIONS.to_owned() }))
    }

    async fn verify_reset_code(
        &self,
        request: Request<VerifyResetCodeRequest>,
    ) -> Result<Response<VerifyResetCodeResponse>, Status> {
        let request = request.into_inner();
        let mut fields = Fields::default();
        let email = fields.take("email", Email::parse(&request.email));
        let code = fields.take("code", Proof::parse(request.code));
        let (Some(email), Some(code)) = (email, code) else { return Err(Error::from(fields).into()) };

        let reset_grant = self.store.grant_reset(&email, &code).await?.ok_or(Error::ResetInvalid)?;
        Ok(Response::new(VerifyResetCodeResponse { reset_grant }))
    }

    async fn complete_password_reset(
        &self,
        request: Request<CompletePasswordResetRequest>,
    ) -> Result<Response<CompletePasswordResetResponse>, Status> {
        use complete_password_reset_request::Proof as Wire;
        let request = request.into_inner();
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
        let (Some(email), Some((proof, is_token)), Some(password)) = (email, proof, password) else {
            return Err(Error::from(fields).into());
        };

        let ticket = if is_token {
            self.store.reset_by_token(&email, &proof).await
        } else {
            self.store.reset_by_grant(&email, &proof).await
        };
        let saying = |error: Error| error.saying(RESET_FAILED);
        let ticket = ticket.map_err(|error| saying(error.into()))?.ok_or(Error::ResetInvalid)?;
        let hash = self.hasher.hash(password).await.map_err(saying)?;
        if !self.store.complete_reset(ticket, &hash).await.map_err(saying)? {
            return Err(Error::ResetInvalid.into());
        }
        Ok(Response::new(CompletePasswordResetResponse { message: "Password reset successfully.".to_owned() }))
    }

    async fn get_me(&self, request: Request<GetMeRequest>) -> Result<Response<GetMeResponse>, Status> {
        let caller = Caller::of(&request)?;
        let found = self.store.account(caller.account_id).await.map_err(Error::from)?;
        let found = found.ok_or(Error::AccountNotFound)?;
        Ok(Response::new(GetMeResponse { account: Some(account(found)) }))
    }
}

impl AccountApi {
    fn new_credentials(&self, email: &str, password: String) -> Result<(Email, Password), Error> {
        let mut fields = Fields::default();
        let email = fields.take("email", Email::parse(email));
        let password = fields.take("password", Password::new(password, self.policy, email.as_ref()));
        let (Some(email), Some(password)) = (email, password) else { return Err(fields.into()) };
        Ok((email, password))
    }
}

fn parse_email(text: &str) -> Result<Email, Error> {
    let mut fields = Fields::default();
    fields.take("email", Email::parse(text)).ok_or_else(|| fields.into())
}

fn account((row, standing): (AccountRow, Standing)) -> Account {
    let state = match standing.state {
        State::Pending => AccountState::Pending,
        State::Active => AccountState::Active,
        State::Deactivated => AccountState::Deactivated,
        State::Suspended => AccountState::Suspended,
        State::Erasing => AccountState::Erasing,
    };
    Account {
        account_id: row.id.to_string(),
        email: row.email,
        state: state.into(),
        roles: standing.roles,
        create_time: Some(timestamp(row.create_time)),
        email_verified: row.email_verified,
    }
}
