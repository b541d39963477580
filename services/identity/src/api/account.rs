//! Accounts: registration, activation, one's own account. Passwords and leaving are in files of their own.

use quartet_chassis::caller::{Caller, Client};
use quartet_chassis::clock::timestamp;
use quartet_chassis::failure::Fields;
use quartet_proto::identity::v1::account_service_server::AccountService;
use quartet_proto::identity::v1::*;
use tonic::{Request, Response, Status};

use crate::authenticate::Authenticator;
use crate::challenge::{Proof, Purpose};
use crate::email::Email;
use crate::error::Error;
use crate::hasher::Hasher;
use crate::password::{Password, Policy};
use crate::security::{Event, Outcome, note};
use crate::store::Store;
use crate::store::account::{AccountRow, Standing, State};
use crate::wish::What;

const REGISTRATION_FAILED: &str = "An error occurred during user creation.";
const REGISTERED: &str = "Thank you for registering. You will receive an email with instructions.";
pub(super) const INSTRUCTIONS: &str = "If you are registered, you will receive an email with instructions.";
const ACTIVATED: &str = "User account activated successfully.";
/// What is wrong with a request that proves nothing.
pub(super) const PROOF: &str = "must not be empty";

/// The rpcs of accounts.
pub struct AccountApi {
    pub store: Store,
    pub hasher: Hasher,
    pub authenticator: Authenticator,
    pub policy: Policy,
    /// What a new account is.
    pub first_state: State,
    /// Whether a registration hides that the address is taken.
    pub silent: bool,
}

#[tonic::async_trait]
impl AccountService for AccountApi {
    async fn register(&self, request: Request<RegisterRequest>) -> Result<Response<RegisterResponse>, Status> {
        let client = Client::of(&request);
        let request = request.into_inner();
        let mut fields = Fields::default();
        let email = fields.take("email", Email::parse(&request.email));
        let password = fields.take("password", Password::new(request.password, self.policy, email.as_ref()));
        let (Some(email), Some(password)) = (email, password) else { return Err(Error::from(fields).into()) };

        let hash = self.hasher.hash(password).await?;
        let account_id = if self.silent {
            let active = self.first_state == State::Active;
            let what = What::Account { email: email.as_str().to_owned(), password_hash: hash, active };
            self.store.wish(what, &client).await?;
            String::new()
        } else {
            let registered = self.store.register(&email, &hash, self.first_state).await;
            let account = registered.map_err(|error| error.saying(REGISTRATION_FAILED))?;
            note(Event::Registration, Outcome::Done, Some(account.pseudonym), &client);
            account.id.to_string()
        };
        Ok(Response::new(RegisterResponse { account_id, email: request.email, message: REGISTERED.to_owned() }))
    }

    async fn activate(&self, request: Request<ActivateRequest>) -> Result<Response<ActivateResponse>, Status> {
        use activate_request::Proof as Wire;
        let (caller, client) = (Caller::find(&request), Client::of(&request));
        let request = request.into_inner();
        let mut fields = Fields::default();
        let email = fields.take("email", Email::parse(&request.email));
        let proof = match request.proof {
            Some(Wire::Token(token)) => fields.take("token", Proof::parse(token)).map(|token| (token, true)),
            Some(Wire::Code(code)) => fields.take("code", Proof::parse(code)).map(|code| (code, false)),
            None => fields.take("token", Err(PROOF)),
        };
        let (Some(email), Some((proof, is_token))) = (email, proof) else { return Err(Error::from(fields).into()) };

        let activated = if is_token {
            self.store.activate_by_token(&email, &proof, caller.as_ref()).await
        } else {
            self.store.activate_by_code(&email, &proof, caller.as_ref()).await
        };
        let activated = noted(&self.store, Event::Activation, &email, &client, activated).await?;
        note(Event::Activation, Outcome::Done, Some(activated.pseudonym), &client);
        let password_needed = activated.password_needed;
        Ok(Response::new(ActivateResponse { message: ACTIVATED.to_owned(), password_needed }))
    }

    async fn resend_activation(
        &self,
        request: Request<ResendActivationRequest>,
    ) -> Result<Response<ResendActivationResponse>, Status> {
        let client = Client::of(&request);
        let email = parse_email(&request.into_inner().email)?;
        self.store.wish(challenge(&email, Purpose::Activate), &client).await?;
        Ok(Response::new(ResendActivationResponse { message: INSTRUCTIONS.to_owned() }))
    }

    async fn request_password_reset(
        &self,
        request: Request<RequestPasswordResetRequest>,
    ) -> Result<Response<RequestPasswordResetResponse>, Status> {
        let client = Client::of(&request);
        let email = parse_email(&request.into_inner().email)?;
        self.store.wish(challenge(&email, Purpose::Reset), &client).await?;
        Ok(Response::new(RequestPasswordResetResponse { message: INSTRUCTIONS.to_owned() }))
    }

    async fn verify_reset_code(
        &self,
        request: Request<VerifyResetCodeRequest>,
    ) -> Result<Response<VerifyResetCodeResponse>, Status> {
        Ok(Response::new(self.verify_code(Client::of(&request), request.into_inner()).await?))
    }

    async fn complete_password_reset(
        &self,
        request: Request<CompletePasswordResetRequest>,
    ) -> Result<Response<CompletePasswordResetResponse>, Status> {
        Ok(Response::new(self.complete_reset(Client::of(&request), request.into_inner()).await?))
    }

    async fn update_password(
        &self,
        request: Request<UpdatePasswordRequest>,
    ) -> Result<Response<UpdatePasswordResponse>, Status> {
        let (caller, client) = (Caller::of(&request)?, Client::of(&request));
        Ok(Response::new(self.change_password(&caller, &client, request.into_inner()).await?))
    }

    async fn deactivate(&self, request: Request<DeactivateRequest>) -> Result<Response<DeactivateResponse>, Status> {
        let (caller, client) = (Caller::of(&request)?, Client::of(&request));
        self.put_aside(&caller, &client, request.into_inner().password).await?;
        Ok(Response::new(DeactivateResponse {}))
    }

    async fn reactivate(&self, request: Request<ReactivateRequest>) -> Result<Response<ReactivateResponse>, Status> {
        Ok(Response::new(self.take_back(Client::of(&request), request.into_inner()).await?))
    }

    async fn delete_account(
        &self,
        request: Request<DeleteAccountRequest>,
    ) -> Result<Response<DeleteAccountResponse>, Status> {
        let (caller, client) = (Caller::of(&request)?, Client::of(&request));
        let account = self.authenticator.owner(&caller, request.into_inner().password, &client).await?;
        let (erasure_id, secret) = self.store.begin_erasure(&account, &client).await?;
        note(Event::AccountDeleted, Outcome::Done, Some(account.pseudonym), &client);
        Ok(Response::new(DeleteAccountResponse { erasure_id: erasure_id.to_string(), secret }))
    }

    async fn get_me(&self, request: Request<GetMeRequest>) -> Result<Response<GetMeResponse>, Status> {
        let caller = Caller::of(&request)?;
        let found = self.store.account(caller.account_id).await.map_err(Error::from)?;
        let found = found.ok_or(Error::AccountNotFound)?;
        Ok(Response::new(GetMeResponse { account: Some(account(found)) }))
    }
}

/// Notes the refusal of what somebody has tried with an address.
pub(super) async fn note_refusal(
    store: &Store,
    event: Event,
    email: Option<&Email>,
    client: &Client,
) -> Result<(), Error> {
    let account = match email {
        Some(email) => store.account_by_email(email).await?,
        None => None,
    };
    note(event, Outcome::Refused, account.map(|account| account.pseudonym), client);
    Ok(())
}

/// The same where it was refused.
pub(super) async fn noted<T>(
    store: &Store,
    event: Event,
    email: &Email,
    client: &Client,
    done: Result<T, Error>,
) -> Result<T, Error> {
    if done.is_err() {
        note_refusal(store, event, Some(email), client).await?;
    }
    done
}

/// The wish for a mail with a link and a code.
pub(super) fn challenge(email: &Email, purpose: Purpose) -> What {
    What::Challenge { email: email.as_str().to_owned(), purpose }
}

/// The address of a request that has nothing else.
pub(super) fn parse_email(text: &str) -> Result<Email, Error> {
    let mut fields = Fields::default();
    fields.take("email", Email::parse(text)).ok_or_else(|| fields.into())
}

pub(super) fn account((row, standing): (AccountRow, Standing)) -> Account {
    Account {
        account_id: row.id.to_string(),
        email: row.email,
        state: AccountState::from(standing.state).into(),
        roles: standing.roles,
        create_time: Some(timestamp(row.create_time)),
        email_verified: row.email_verified,
    }
}

impl From<State> for AccountState {
    fn from(state: State) -> AccountState {
        match state {
            State::Pending => AccountState::Pending,
            State::Active => AccountState::Active,
            State::Deactivated => AccountState::Deactivated,
            State::Suspended => AccountState::Suspended,
            State::Erasing => AccountState::Erasing,
        }
    }
}
