//! Sessions: signing in, staying so, signing out.

use quartet_chassis::auth::{Auth, Refusal};
use quartet_chassis::caller::{Caller, Client};
use quartet_chassis::clock::{from_unix_seconds, timestamp};
use quartet_chassis::failure::{Failure, Fields};
use quartet_chassis::id::Id;
use quartet_chassis::page;
use quartet_proto::identity::v1::session_service_server::SessionService;
use quartet_proto::identity::v1::*;
use tonic::{Request, Response, Status};

use crate::email::Email;
use crate::error::Error;
use crate::hasher::{Hasher, Verdict};
use crate::keys::Keys;
use crate::password::Password;
use crate::refresh::RefreshKey;
use crate::store::Store;
use crate::store::account::{AccountRow, Standing, State};
use crate::store::session::{Refreshed, SessionRow};
use crate::token::Subject;

const SIGN_IN_FAILED: &str = "An error occurred while processing the request.";
const BEARER: &str = "bearer";

/// The rpcs of sessions.
pub struct SessionApi {
    pub store: Store,
    pub hasher: Hasher,
    pub keys: Keys,
    pub refresh_key: RefreshKey,
    pub auth: Auth,
}

/// A session's tokens.
struct Tokens {
    access: String,
    expires_in_seconds: i32,
    refresh: String,
}

#[tonic::async_trait]
impl SessionService for SessionApi {
    async fn sign_in(&self, request: Request<SignInRequest>) -> Result<Response<SignInResponse>, Status> {
        let client = Client::of(&request);
        let request = request.into_inner();
        let mut fields = Fields::default();
        let email = fields.take("email", Email::parse(&request.email));
        let password = fields.take("password", Password::given(request.password));
        let (Some(email), Some(password)) = (email, password) else { return Err(Error::from(fields).into()) };

        let saying = |error: Error| error.saying(SIGN_IN_FAILED);
        let (row, standing) = self.authenticate(&email, password, &client).await.map_err(saying)?;
        let tokens = self.tokens(&row, standing).await.map_err(saying)?;
        Ok(Response::new(SignInResponse {
            access_token: tokens.access,
            refresh_token: tokens.refresh,
            token_type: BEARER.to_owned(),
            expires_in_seconds: tokens.expires_in_seconds,
            session_id: row.id.to_string(),
            account_id: row.account_id.to_string(),
        }))
    }

    async fn refresh(&self, request: Request<RefreshRequest>) -> Result<Response<RefreshResponse>, Status> {
        let presented = self.refresh_key.read(&request.into_inner().refresh_token, self.store.now())?;
        let (row, standing) = match self.store.refresh(&presented).await? {
            Refreshed::Live(row, standing) => (row, standing),
            Refreshed::Superseded => return Err(Error::RefreshTokenSuperseded.into()),
            Refreshed::Reused => return Err(Error::RefreshTokenReused.into()),
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
        let caller = Caller::of(&request)?;
        self.store.end_session(caller.account_id, caller.session_id).await.map_err(Error::from)?;
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
        let mut rows = self.store.sessions(caller.account_id, after, size + 1).await.map_err(Error::from)?;
        let more = rows.len() as i64 > size;
        rows.truncate(size as usize);
        let last = rows.last().filter(|_| more).map(|row| page::encode(&row.id.to_string()));
        let sessions = rows.into_iter().map(|row| session(row, caller.session_id)).collect();
        Ok(Response::new(ListSessionsResponse { sessions, next_page_token: last.unwrap_or_default() }))
    }

    async fn revoke_session(
        &self,
        request: Request<RevokeSessionRequest>,
    ) -> Result<Response<RevokeSessionResponse>, Status> {
        let caller = Caller::of(&request)?;
        let mut fields = Fields::default();
        let id = fields.take("session_id", request.into_inner().session_id.parse::<Id>());
        let Some(id) = id else { return Err(Error::from(fields).into()) };

        if !self.store.end_session(caller.account_id, id).await.map_err(Error::from)? {
            return Err(Error::SessionNotFound.into());
        }
        Ok(Response::new(RevokeSessionResponse {}))
    }

    async fn revoke_all_sessions(
        &self,
        request: Request<RevokeAllSessionsRequest>,
    ) -> Result<Response<RevokeAllSessionsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let keep = request.into_inner().keep_current.then_some(caller.session_id);
        let count = self.store.end_all_sessions(caller.account_id, keep).await.map_err(Error::from)?;
        Ok(Response::new(RevokeAllSessionsResponse { revoked_count: i32::try_from(count).unwrap_or(i32::MAX) }))
    }

    async fn introspect(&self, request: Request<IntrospectRequest>) -> Result<Response<IntrospectResponse>, Status> {
        let claims = match self.auth.verify(&request.into_inner().access_token).await {
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
        }))
    }
}

impl SessionApi {
    /// Checks the password and starts a session. An unknown address takes as long as a known one and answers the same; what state
    /// an account is in learns only who has its password.
    async fn authenticate(
        &self,
        email: &Email,
        password: Password,
        client: &Client,
    ) -> Result<(SessionRow, Standing), Error> {
        let account = self.store.account_by_email(email).await?;
        let stored = account.as_ref().map(|account| account.password_hash.clone());
        let verdict = self.hasher.verify(password, stored).await?;
        let (Some(account), Verdict::Right { renewed }) = (account, verdict) else {
            return Err(Error::CredentialsInvalid);
        };
        match account.state {
            State::Active => {}
            State::Pending => return Err(Error::AccountNotActivated),
            State::Deactivated | State::Suspended | State::Erasing => return Err(Error::AccountDisabled),
        }
        self.store.start_session(&account, renewed, client).await?.ok_or(Error::CredentialsInvalid)
    }

    async fn tokens(&self, row: &SessionRow, standing: Standing) -> Result<Tokens, Error> {
        let Standing { roles, epoch, .. } = standing;
        let subject = Subject { account_id: row.account_id, session_id: row.id, roles, epoch };
        let (access, expires_in_seconds) = self.keys.sign(&subject).await?;
        let refresh = self.refresh_key.token(&self.store.generation(row))?;
        Ok(Tokens { access, expires_in_seconds, refresh })
    }
}

/// Where a page begins: behind the session that the page before ended with.
fn position(token: &str) -> Result<Option<Id>, &'static str> {
    let text: Option<String> = page::decode(token)?;
    text.map(|text| text.parse()).transpose().map_err(|_| page::NOT_A_TOKEN)
}

fn session(row: SessionRow, current: Id) -> Session {
    Session {
        session_id: row.id.to_string(),
        create_time: Some(timestamp(row.create_time)),
        last_use_time: Some(timestamp(row.last_use_time)),
        expire_time: Some(timestamp(row.expire_time)),
        client_address: row.client_address,
        user_agent: row.user_agent,
        current: row.id == current,
    }
}
