//! `DirectoryService`.

use quartet_chassis::caller::Caller;
use quartet_chassis::id::Id;
use quartet_chassis::names::NameList;
use quartet_chassis::page;
use quartet_proto::identity::v1::directory_service_server::DirectoryService;
use quartet_proto::identity::v1::*;
use tonic::{Request, Response, Status};

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
            return Err(Error::RoleMissing(role::ADMIN).into());
        }
        let request = request.into_inner();
        let prefix = squeeze(&request.name_prefix);
        let list = NameList::parse(&prefix, request.page_size, &request.page_token, Id::NIL)?;

        let mut rows = self.store.users(&list, caller.account_id).await.map_err(Error::from)?;
        let token = |row: &UserRow| list.token(&row.sort_key, &row.account_id);
        let next_page_token = page::cut(&mut rows, list.size, token);
        let users = rows.into_iter().map(User::from).collect();
        Ok(Response::new(ListUsersResponse { users, next_page_token }))
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
