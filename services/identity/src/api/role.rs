//! Roles and status of accounts, for administrators.

use quartet_chassis::failure::Fields;
use quartet_chassis::id::Id;
use quartet_chassis::page;
use quartet_proto::identity::v1::role_service_server::RoleService;
use quartet_proto::identity::v1::*;
use tonic::{Request, Response};

use super::account::account;
use super::{administrator, position};
use crate::email::Email;
use crate::error::Error;
use crate::role::{self, ROLES};
use crate::security::{self, Event, Outcome};
use crate::store::Store;
use crate::store::account::{AccountRow, Standing, State};
use crate::store::audit::Doer;
use crate::store::role::{AccountFilter, Status};

/// The most characters of a reason.
const REASON: usize = 500;

/// The rpcs of roles.
pub struct RoleApi {
    pub store: Store,
}

#[tonic::async_trait]
impl RoleService for RoleApi {
    async fn list_roles(&self, _: Request<ListRolesRequest>) -> Result<Response<ListRolesResponse>, tonic::Status> {
        let roles = ROLES.iter().map(|role| Role { name: role.name.into(), description: role.description.into() });
        Ok(Response::new(ListRolesResponse { roles: roles.collect() }))
    }

    async fn assign_role(
        &self,
        request: Request<AssignRoleRequest>,
    ) -> Result<Response<AssignRoleResponse>, tonic::Status> {
        let doer = administrator(&request)?;
        let request = request.into_inner();
        let mut fields = Fields::default();
        let id = fields.take("account_id", request.account_id.parse::<Id>());
        let role = fields.take("role", role::parse(&request.role));
        let (Some(id), Some(role)) = (id, role) else { return Err(Error::from(fields).into()) };

        let done = self.store.assign_role(&doer, id, role).await;
        let account = self.noted(Event::RoleAssigned, &doer, done).await?;
        Ok(Response::new(AssignRoleResponse { account: Some(account) }))
    }

    async fn revoke_role(
        &self,
        request: Request<RevokeRoleRequest>,
    ) -> Result<Response<RevokeRoleResponse>, tonic::Status> {
        let doer = administrator(&request)?;
        let request = request.into_inner();
        let mut fields = Fields::default();
        let id = fields.take("account_id", request.account_id.parse::<Id>());
        let role = fields.take("role", role::parse(&request.role));
        if role == Some(role::USER) {
            fields.refuse("role", "must not be `user`, which is everybody's");
        }
        let (Some(id), Some(role), true) = (id, role, fields.is_empty()) else {
            return Err(Error::from(fields).into());
        };

        let done = self.store.revoke_role(&doer, id, role).await;
        let account = self.noted(Event::RoleRevoked, &doer, done).await?;
        Ok(Response::new(RevokeRoleResponse { account: Some(account) }))
    }

    async fn set_account_status(
        &self,
        request: Request<SetAccountStatusRequest>,
    ) -> Result<Response<SetAccountStatusResponse>, tonic::Status> {
        let doer = administrator(&request)?;
        let request = request.into_inner();
        let mut fields = Fields::default();
        let id = fields.take("account_id", request.account_id.parse::<Id>());
        let status = status(request.state(), request.reason, &mut fields);
        let (Some(id), Some(status)) = (id, status) else { return Err(Error::from(fields).into()) };

        let event = match status {
            Status::Open => Event::AccountUnsuspended,
            Status::Suspended { .. } => Event::AccountSuspended,
        };
        let done = self.store.set_status(&doer, id, status).await;
        let account = self.noted(event, &doer, done).await?;
        Ok(Response::new(SetAccountStatusResponse { account: Some(account) }))
    }

    async fn list_accounts(
        &self,
        request: Request<ListAccountsRequest>,
    ) -> Result<Response<ListAccountsResponse>, tonic::Status> {
        administrator(&request)?;
        let request = request.into_inner();
        let mut fields = Fields::default();
        let size = fields.take("page_size", page::size(request.page_size));
        let after = fields.take("page_token", position(&request.page_token));
        let filter = filter(&request, &mut fields);
        let (Some(size), Some(after), true) = (size, after, fields.is_empty()) else {
            return Err(Error::from(fields).into());
        };

        // One more than asked for shows whether there is another page.
        let mut rows = self.store.accounts(filter, after, size + 1).await.map_err(Error::from)?;
        let more = rows.len() as i64 > size;
        rows.truncate(size as usize);
        let last = rows.last().filter(|_| more).map(|(row, _)| page::encode(&row.id.to_string()));
        let accounts = rows.into_iter().map(account).collect();
        Ok(Response::new(ListAccountsResponse { accounts, next_page_token: last.unwrap_or_default() }))
    }

    async fn get_account(
        &self,
        request: Request<GetAccountRequest>,
    ) -> Result<Response<GetAccountResponse>, tonic::Status> {
        administrator(&request)?;
        let mut fields = Fields::default();
        let id = fields.take("account_id", request.into_inner().account_id.parse::<Id>());
        let Some(id) = id else { return Err(Error::from(fields).into()) };

        let found = self.store.account(id).await.map_err(Error::from)?.ok_or(Error::AccountNotFound)?;
        Ok(Response::new(GetAccountResponse { account: Some(account(found)) }))
    }
}

impl RoleApi {
    /// The account as the act has left it; the act and what came of it are in the security log.
    async fn noted(
        &self,
        event: Event,
        doer: &Doer,
        done: Result<(AccountRow, Standing), Error>,
    ) -> Result<Account, Error> {
        let actor = self.store.name_of(&doer.actor).await.unwrap_or_default();
        let (outcome, subject) = match &done {
            Ok((row, _)) => (Outcome::Done, Some(row.pseudonym)),
            Err(_) => (Outcome::Refused, None),
        };
        security::note_act(event, outcome, &actor, subject, &doer.client);
        done.map(account)
    }
}

fn filter(request: &ListAccountsRequest, fields: &mut Fields) -> AccountFilter {
    let given = |text: &str| !text.is_empty();
    let email = Some(&request.email).filter(|email| given(email));
    let role = Some(&request.role).filter(|role| given(role));
    AccountFilter {
        email: email.and_then(|email| fields.take("email", Email::parse(email))),
        role: role.and_then(|role| fields.take("role", role::parse(role))),
        state: fields.take("state", state(request.state)).flatten(),
    }
}

/// The state of this number; none for 0.
fn state(number: i32) -> Result<Option<State>, &'static str> {
    match AccountState::try_from(number) {
        Ok(AccountState::Unspecified) => Ok(None),
        Ok(AccountState::Pending) => Ok(Some(State::Pending)),
        Ok(AccountState::Active) => Ok(Some(State::Active)),
        Ok(AccountState::Deactivated) => Ok(Some(State::Deactivated)),
        Ok(AccountState::Suspended) => Ok(Some(State::Suspended)),
        Ok(AccountState::Erasing) => Ok(Some(State::Erasing)),
        Err(_) => Err("must be a known state"),
    }
}

fn status(state: AccountState, reason: String, fields: &mut Fields) -> Option<Status> {
    if reason.chars().count() > REASON {
        fields.refuse("reason", "must have at most 500 characters");
    }
    let suspend = match state {
        AccountState::Active => false,
        AccountState::Suspended => true,
        _ => {
            fields.refuse("state", "must be ACCOUNT_STATE_ACTIVE or ACCOUNT_STATE_SUSPENDED");
            return None;
        }
    };
    if suspend && reason.trim().is_empty() {
        fields.refuse("reason", "must not be empty to suspend");
    }
    let status = if suspend { Status::Suspended { reason } } else { Status::Open };
    fields.is_empty().then_some(status)
}
