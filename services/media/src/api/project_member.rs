//! `ProjectMemberService`.

use chrono::DateTime;
use quartet_chassis::accounts::address::address;
use quartet_chassis::caller::Caller;
use quartet_chassis::clock::{Time, timestamp};
use quartet_chassis::failure::Fields;
use quartet_chassis::id::Id;
use quartet_chassis::page;
use quartet_proto::media::v1::project_member_service_server::ProjectMemberService;
use quartet_proto::media::v1::*;
use serde::{Deserialize, Serialize};
use tonic::{Request, Response, Status};

use super::ask;
use crate::error::Error;
use crate::project::Role;
use crate::store::Store;
use crate::store::member::{MemberRow, Person};

/// The rpcs of the members of projects.
pub struct ProjectMemberApi {
    pub store: Store,
}

#[tonic::async_trait]
impl ProjectMemberService for ProjectMemberApi {
    async fn list_members(
        &self,
        request: Request<ListMembersRequest>,
    ) -> Result<Response<ListMembersResponse>, Status> {
        let caller = Caller::of(&request)?;
        let ListMembersRequest { project_id, page_size, page_token } = request.into_inner();
        let mut fields = Fields::default();
        let size = fields.take("page_size", page::size(page_size));
        let after = fields.take("page_token", position(&page_token, &project_id));
        let (Some(size), Some(after)) = (size, after) else { return Err(Error::from(fields).into()) };
        let project = ask::project(&project_id)?;
        let (role, mut rows) = self.store.members(project, caller.account_id, after, size).await?;
        let next_page_token = page::cut(&mut rows, size, |last| token(last, &project_id));
        let members = rows.into_iter().map(|row| shown(row, role)).collect();
        Ok(Response::new(ListMembersResponse { members, next_page_token }))
    }

    async fn set_member(&self, request: Request<SetMemberRequest>) -> Result<Response<SetMemberResponse>, Status> {
        let caller = Caller::of(&request)?;
        let SetMemberRequest { project_id, person, role } = request.into_inner();
        let mut fields = Fields::default();
        let role = fields.take("role", Role::given(role));
        let person = named(person, &mut fields);
        let (Some(role), Some(person)) = (role, person) else { return Err(Error::from(fields).into()) };
        let project = ask::project(&project_id)?;
        let member = self.store.set_member(project, caller.account_id, &person, role).await?;
        Ok(Response::new(SetMemberResponse { member: Some(shown(member, Role::Owner)) }))
    }

    async fn remove_member(
        &self,
        request: Request<RemoveMemberRequest>,
    ) -> Result<Response<RemoveMemberResponse>, Status> {
        let caller = Caller::of(&request)?;
        let RemoveMemberRequest { project_id, account_id } = request.into_inner();
        let project = ask::project(&project_id)?;
        self.store.remove_member(project, caller.account_id, ask::person(&account_id)).await?;
        Ok(Response::new(RemoveMemberResponse {}))
    }

    async fn transfer_project(
        &self,
        request: Request<TransferProjectRequest>,
    ) -> Result<Response<TransferProjectResponse>, Status> {
        let caller = Caller::of(&request)?;
        let TransferProjectRequest { project_id, account_id } = request.into_inner();
        let project = ask::project(&project_id)?;
        let project = self.store.transfer_project(project, caller.account_id, ask::person(&account_id)).await?;
        Ok(Response::new(TransferProjectResponse { project: Some(project.into()) }))
    }
}

/// Whom a request names: by id, which is opaque, or by address.
fn named(person: Option<set_member_request::Person>, fields: &mut Fields) -> Option<Person> {
    match person {
        None => {
            fields.refuse("account_id", "must be given, or `email` in its place");
            None
        }
        Some(set_member_request::Person::AccountId(id)) => Some(Person::Account(ask::person(&id))),
        Some(set_member_request::Person::Email(email)) => {
            let address = fields.take("email", address(&email))?;
            Some(Person::Address { text: address.text, key: address.key })
        }
    }
}

/// Behind whom a page begins.
#[derive(Serialize, Deserialize)]
struct Token {
    project: String,
    /// Microseconds since 1970; before all others behind the owner.
    time: i64,
    id: String,
}

fn token(row: &MemberRow, project: &str) -> String {
    let time = if row.role.owns() { 0 } else { row.create_time.and_utc().timestamp_micros() };
    let id = if row.role.owns() { Id::NIL } else { row.account_id };
    page::encode(&Token { project: project.to_owned(), time, id: id.to_string() })
}

fn position(token: &str, project: &str) -> Result<Option<(Time, Id)>, &'static str> {
    let Some(token) = page::decode::<Token>(token)? else { return Ok(None) };
    // A year that no calendar of the databases has is none that was told.
    let time = DateTime::from_timestamp_micros(token.time).filter(|_| (0..1 << 53).contains(&token.time));
    let (Some(time), Ok(id), true) = (time, token.id.parse(), token.project == project) else {
        return Err(page::NOT_A_TOKEN);
    };
    Ok(Some((time.naive_utc(), id)))
}

/// A member as somebody with this role sees them: addresses are for the owner.
fn shown(row: MemberRow, to: Role) -> Member {
    let email = row.account.as_ref().filter(|_| to.owns()).map(|account| account.email.clone());
    Member {
        account_id: row.account_id.to_string(),
        name: row.account.map(|account| account.name()).unwrap_or_default(),
        email: email.unwrap_or_default(),
        role: ProjectRole::from(row.role).into(),
        offered: row.offered,
        create_time: Some(timestamp(row.create_time)),
    }
}
