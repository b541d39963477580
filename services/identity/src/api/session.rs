//! Sessions: signing in, staying so, signing out.

use quartet_chassis::auth::{Auth, Refusal};
use quartet_chassis::caller::{Caller, Client, ServiceCaller};
use quartet_chassis::clock::{from_unix_seconds, timestamp};
use quartet_chassis::failure::{Failure, Fields};
use quartet_chassis::id::Id;
use quartet_chassis::page;
use quartet_proto::identity::v1::session_service_server::SessionService;
use quartet_proto::identity::v1::*;
use tonic::{Request, Response, Status};

use super::account::{INSTRUCTIONS, challenge, parse_email};
use super::issue_token::Issuer;
use super::position;
use super::session_view::{BEARER, Tokens, device_name, session_id, session_page, sign_in_proof};
use crate::authenticate::Authenticator;
use crate::challenge::{Proof, Purpose};
use crate::device::Device;
use crate::email::Email;
use crate::error::Error;
use crate::keys::Keys;
use crate::password::Password;
use crate::refresh::RefreshKey;
use crate::security::{Event, Outcome, note};
use crate::store::Store;
use crate::store::account::{AccountRow, Standing, State};
use crate::store::session::{Beginning, Begun, Refreshed, SessionRow};
use crate::token::Subject;

const SIGN_IN_FAILED: &str = "An error occurred while processing the request.";
/// Ways to show who one is, RFC 8176.
const PASSWORD: &str = "pwd";
const MAILED: &str = "otp";
/// How many sessions another service asks about at once.
const CHECKED: usize = 1000;

/// The rpcs of sessions.
pub struct SessionApi {
    pub store: Store,
    pub authenticator: Authenticator,
    pub keys: Keys,
    pub refresh_key: RefreshKey,
    pub auth: Auth,
    pub issuer: Issuer,
}

#[tonic::async_trait]
impl SessionService for SessionApi {
    async fn sign_in(&self, request: Request<SignInRequest>) -> Result<Response<SignInResponse>, Status> {
        let client = Client::of(&request);
        let request = request.into_inner();
        let mut fields = Fields::default();
        let email = fields.take("email", Email::parse(&request.email));
        let password = fields.take("password", Password::given(request.password));
        let device_name = fields.take("device_name", device_name(request.device_name));
        let (Some(email), Some(password), Some(device_name)) = (email, password, device_name) else {
            return Err(Error::from(fields).into());
        };
        let known = Known { device_token: request.device_token, device_name };
        let signed_in = self.with_password(&email, password, known, &client).await;
        let (begun, tokens) = signed_in.map_err(|error| error.saying(SIGN_IN_FAILED))?;
        Ok(Response::new(SignInResponse {
            access_token: tokens.access,
            refresh_token: tokens.refresh,
            token_type: BEARER.to_owned(),
            expires_in_seconds: tokens.expires_in_seconds,
            session_id: begun.session.id.to_string(),
            account_id: begun.session.account_id.to_string(),
            device_token: self.device_token(&begun)?,
        }))
    }

    async fn request_sign_in_code(
        &self,
        request: Request<RequestSignInCodeRequest>,
    ) -> Result<Response<RequestSignInCodeResponse>, Status> {
        let client = Client::of(&request);
        let email = parse_email(&request.into_inner().email)?;
        self.store.wish(challenge(&email, Purpose::SignIn), &client).await?;
        Ok(Response::new(RequestSignInCodeResponse { message: INSTRUCTIONS.to_owned() }))
    }

    async fn sign_in_with_code(
        &self,
        request: Request<SignInWithCodeRequest>,
    ) -> Result<Response<SignInWithCodeResponse>, Status> {
        let client = Client::of(&request);
        let request = request.into_inner();
        let mut fields = Fields::default();
        let email = fields.take("email", Email::parse(&request.email));
        let proof = sign_in_proof(&mut fields, request.proof);
        let device_name = fields.take("device_name", device_name(request.device_name));
        let (Some(email), Some(proof), Some(device_name)) = (email, proof, device_name) else {
            return Err(Error::from(fields).into());
        };
        let known = Known { device_token: request.device_token, device_name };
        let signed_in = self.with_code(&email, proof, known, &client).await;
        let (begun, tokens) = signed_in.map_err(|error| error.saying(SIGN_IN_FAILED))?;
        Ok(Response::new(SignInWithCodeResponse {
            access_token: tokens.access,
            refresh_token: tokens.refresh,
            token_type: BEARER.to_owned(),
            expires_in_seconds: tokens.expires_in_seconds,
            session_id: begun.session.id.to_string(),
            account_id: begun.session.account_id.to_string(),
            device_token: self.device_token(&begun)?,
        }))
    }

    async fn refresh(&self, request: Request<RefreshRequest>) -> Result<Response<RefreshResponse>, Status> {
        let client = Client::of(&request);
        let presented = self.refresh_key.read(&request.into_inner().refresh_token, self.store.now())?;
        let (row, standing) = match self.store.refresh(&presented).await? {
            Refreshed::Live(row, standing) => (row, standing),
            Refreshed::Superseded => return Err(Error::RefreshTokenSuperseded.into()),
            Refreshed::Reused(account) => {
                note(Event::RefreshTokenReused, Outcome::Refused, Some(account), &client);
                return Err(Error::RefreshTokenReused.into());
            }
            Refreshed::Expired => return Err(Error::RefreshTokenExpired.into()),
            Refreshed::NotFound => return Err(Error::RefreshTokenNotFound.into()),
            Refreshed::AccountNotFound => return Err(Error::AccountNotFound.into()),
        };
        let tokens = self.tokens(&row, standing).await?;
        Ok(Response::new(RefreshResponse {
            access_token: tokens.access,
            refresh_token: tokens.refresh,
            token_type: BEARER.to_owned(),
            expires_in_seconds: tokens.expires_in_seconds,
            session_id: row.id.to_string(),
            account_id: row.account_id.to_string(),
        }))
    }

    async fn sign_out(&self, request: Request<SignOutRequest>) -> Result<Response<SignOutResponse>, Status> {
        let (caller, client) = (Caller::of(&request)?, Client::of(&request));
        self.end(&caller, caller.session_id, &client).await?;
        Ok(Response::new(SignOutResponse {}))
    }

    async fn list_sessions(
        &self,
        request: Request<ListSessionsRequest>,
    ) -> Result<Response<ListSessionsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let mut fields = Fields::default();
        let size = fields.take("page_size", page::size(request.page_size));
        let after = fields.take("page_token", position(&request.page_token));
        let (Some(size), Some(after)) = (size, after) else { return Err(Error::from(fields).into()) };

        // One more than asked for shows whether there is another page.
        let rows = self.store.sessions(caller.account_id, after, size + 1).await.map_err(Error::from)?;
        Ok(Response::new(session_page(rows, size, caller.session_id)))
    }

    async fn revoke_session(
        &self,
        request: Request<RevokeSessionRequest>,
    ) -> Result<Response<RevokeSessionResponse>, Status> {
        let (caller, client) = (Caller::of(&request)?, Client::of(&request));
        let id = session_id(&request.into_inner().session_id)?;
        if id != caller.session_id {
            owner_only(&caller)?;
        }
        if !self.end(&caller, id, &client).await? {
            return Err(Error::SessionNotFound.into());
        }
        Ok(Response::new(RevokeSessionResponse {}))
    }

    async fn revoke_all_sessions(
        &self,
        request: Request<RevokeAllSessionsRequest>,
    ) -> Result<Response<RevokeAllSessionsResponse>, Status> {
        let (caller, client) = (Caller::of(&request)?, Client::of(&request));
        owner_only(&caller)?;
        let keep = request.into_inner().keep_current.then_some(caller.session_id);
        let count = self.store.end_all_sessions(caller.account_id, keep).await.map_err(Error::from)?;
        let pseudonym = self.store.pseudonym(caller.account_id).await.map_err(Error::from)?;
        note(Event::SessionsEnded, Outcome::Done, pseudonym, &client);
        Ok(Response::new(RevokeAllSessionsResponse { revoked_count: page::count(count) }))
    }

    async fn issue_token(&self, request: Request<IssueTokenRequest>) -> Result<Response<IssueTokenResponse>, Status> {
        let (caller, client) = (Caller::find(&request), Client::of(&request));
        Ok(Response::new(self.issuer.issue(caller, &client, request.into_inner()).await?))
    }

    async fn introspect(&self, request: Request<IntrospectRequest>) -> Result<Response<IntrospectResponse>, Status> {
        let ServiceCaller(asking) = ServiceCaller::of(&request)?;
        let claims = match self.auth.verify(&request.into_inner().access_token, &asking).await {
            Ok(claims) => claims,
            Err(Refusal::Unknown) => return Err(Failure::from(Refusal::Unknown).into()),
            Err(_) => return Ok(Response::new(IntrospectResponse::default())),
        };
        let owner = self.store.session_owner(claims.sid).await.map_err(Error::from)?;
        let good = |account: &AccountRow| account.id == claims.sub && account.state == State::Active;
        let Some((account, _)) = owner.filter(|(account, _)| good(account)) else {
            return Ok(Response::new(IntrospectResponse::default()));
        };
        Ok(Response::new(IntrospectResponse {
            active: true,
            account_id: account.id.to_string(),
            session_id: claims.sid.to_string(),
            roles: claims.roles.clone(),
            expire_time: from_unix_seconds(claims.exp).map(timestamp),
            email: account.email,
            actor: claims.act.as_ref().map(ToString::to_string).unwrap_or_default(),
        }))
    }

    async fn check_sessions(
        &self,
        request: Request<CheckSessionsRequest>,
    ) -> Result<Response<CheckSessionsResponse>, Status> {
        let CheckSessionsRequest { session_ids } = request.into_inner();
        if session_ids.len() > CHECKED {
            let mut fields = Fields::default();
            fields.refuse("session_ids", format!("must be at most {CHECKED}"));
            return Err(Error::from(fields).into());
        }
        // What is no id is no session's.
        let ids: Vec<Id> = session_ids.iter().filter_map(|id| id.parse().ok()).collect();
        let live = self.store.live_sessions(&ids).await.map_err(Error::from)?;
        let live_session_ids = live.iter().map(Id::to_string).collect();
        Ok(Response::new(CheckSessionsResponse { live_session_ids }))
    }
}

/// What a request says of the device that it comes from.
struct Known {
    device_token: String,
    device_name: String,
}

impl SessionApi {
    /// Starts a session for who has the password.
    async fn with_password(
        &self,
        email: &Email,
        password: Password,
        known: Known,
        client: &Client,
    ) -> Result<(Begun, Tokens), Error> {
        let shown = self.authenticator.password(email, password, client, Some(&known.device_token)).await?;
        if let Err(error) = may_sign_in(shown.account.state) {
            note(Event::SignIn, Outcome::Refused, Some(shown.account.pseudonym), client);
            return Err(error);
        }
        let beginning = Beginning {
            renewed_hash: shown.renewed,
            amr: PASSWORD,
            device: shown.device,
            device_name: known.device_name,
            ..Beginning::default()
        };
        self.begin(&shown.account, beginning, client).await?.ok_or(Error::CredentialsInvalid)
    }

    /// Starts a session for who has got the mail.
    async fn with_code(
        &self,
        email: &Email,
        (proof, is_token): (Proof, bool),
        known: Known,
        client: &Client,
    ) -> Result<(Begun, Tokens), Error> {
        let account = if is_token {
            self.store.sign_in_by_token(email, &proof).await?
        } else {
            self.store.sign_in_by_code(email, &proof).await?
        };
        let Some(account) = account else {
            note(Event::SignInWithCode, Outcome::Refused, None, client);
            return Err(Error::SignInCodeInvalid);
        };
        let device = self.authenticator.known_device(Some(&account), Some(&known.device_token)).await?;
        let beginning = Beginning { amr: MAILED, device, device_name: known.device_name, ..Beginning::default() };
        self.begin(&account, beginning, client).await?.ok_or(Error::SignInCodeInvalid)
    }

    async fn begin(
        &self,
        account: &AccountRow,
        beginning: Beginning,
        client: &Client,
    ) -> Result<Option<(Begun, Tokens)>, Error> {
        let Some(begun) = self.store.start_session(account, beginning, client).await? else { return Ok(None) };
        note(Event::SignIn, Outcome::Done, Some(account.pseudonym), client);
        if begun.is_new_device {
            note(Event::NewDevice, Outcome::Done, Some(account.pseudonym), client);
        }
        let tokens = self.tokens(&begun.session, begun.standing.clone()).await?;
        Ok(Some((begun, tokens)))
    }

    /// Ends one of the caller's sessions.
    async fn end(&self, caller: &Caller, id: Id, client: &Client) -> Result<bool, Error> {
        let ended = self.store.end_session(caller.account_id, id).await?;
        if ended {
            note(Event::SessionEnded, Outcome::Done, self.store.pseudonym(caller.account_id).await?, client);
        }
        Ok(ended)
    }

    fn device_token(&self, begun: &Begun) -> Result<String, Error> {
        let Some(row) = &begun.device else { return Ok(String::new()) };
        self.authenticator.devices.token(Device { account_id: row.account_id, id: row.id }, row.create_time)
    }

    async fn tokens(&self, row: &SessionRow, standing: Standing) -> Result<Tokens, Error> {
        let Standing { roles, epoch, .. } = standing;
        let amr = row.amr.split_whitespace().map(str::to_owned).collect();
        let subject = Subject { account_id: row.account_id, session_id: row.id, roles, epoch, amr };
        let (access, expires_in_seconds) = self.keys.sign(&subject).await?;
        let refresh = self.refresh_key.token(&self.store.generation(row))?;
        Ok(Tokens { access, expires_in_seconds, refresh })
    }
}

/// Who acts for the owner may end the session that this is done in, and no other.
fn owner_only(caller: &Caller) -> Result<(), Error> {
    if caller.actor.is_some() { Err(Error::ActorRefused) } else { Ok(()) }
}

fn may_sign_in(state: State) -> Result<(), Error> {
    match state {
        State::Active => Ok(()),
        State::Pending => Err(Error::AccountNotActivated),
        State::Deactivated | State::Suspended | State::Erasing => Err(Error::AccountDisabled),
    }
}
