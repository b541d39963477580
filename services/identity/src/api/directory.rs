//! `DirectoryService`.

use quartet_chassis::caller::Caller;
use quartet_chassis::failure::Failure;
use quartet_chassis::id::Id;
use quartet_chassis::names::NameList;
use quartet_proto::identity::v1::directory_service_server::DirectoryService;
use quartet_proto::identity::v1::*;
use quartet_proto::r#type::v1::ErrorReason;
use tonic::{Code, Request, Response, Status};

use crate::config::Audience;
use crate::error::Error;
use crate::profile::squeeze;
use crate::role;
use crate::store::Store;
use crate::store::directory::UserRow;

/// The rpcs of the directory.
pub struct DirectoryApi {
    pub store: Store,
    pub open_to: Audience,
}

#[tonic::async_trait]
impl DirectoryService for DirectoryApi {
    async fn list_users(&self, request: Request<ListUsersRequest>) -> Result<Response<ListUsersResponse>, Status> {
        let caller = Caller::of(&request)?;
        if !is_open_to(self.open_to, &caller) {
            let failure = Failure::new(
                Code::PermissionDenied,
                ErrorReason::RoleMissing,
                "the directory is open to administrators",
            );
            return Err(failure.with("roles", role::ADMIN).into());
        }
        let request = request.into_inner();
        let prefix = squeeze(&request.name_prefix);
        let list = NameList::parse(&prefix, request.page_size, &request.page_token, Id::NIL)?;

        let mut rows = self.store.users(&list, caller.account_id).await.map_err(Error::from)?;
        let more = rows.len() as i64 > list.size;
        rows.truncate(list.size as usize);
        let next = rows.last().filter(|_| more).map(|row| list.token(&row.sort_key, &row.account_id));
        let users = rows.into_iter().map(User::from).collect();
        Ok(Response::new(ListUsersResponse { users, next_page_token: next.unwrap_or_default() }))
    }
}

/// Whether somebody may look others up.
pub fn is_open_to(audience: Audience, caller: &Caller) -> bool {
    audience == Audience::Members || caller.roles.iter().any(|role| role == role::ADMIN)
}

impl From<UserRow> for User {
    fn from(row: UserRow) -> User {
        User {
            account_id: row.account_id.to_string(),
            first_name: row.first_name,
            last_name: row.last_name,
            avatar_url: row.avatar_url,
            avatar_media_id: row.avatar_media_id,
        }
    }
}
