//! `ProjectService`.

use quartet_chassis::caller::Caller;
use quartet_chassis::clock::timestamp;
use quartet_chassis::etag;
use quartet_chassis::failure::Fields;
use quartet_chassis::id::Id;
use quartet_chassis::idempotency::{self, RequestKey};
use quartet_chassis::line::named;
use quartet_chassis::page;
use quartet_proto::media::v1::project_service_server::ProjectService;
use quartet_proto::media::v1::{
    self as pb, CreateProjectRequest, CreateProjectResponse, DeleteProjectRequest, DeleteProjectResponse,
    GetProjectRequest, GetProjectResponse, GetUsageRequest, GetUsageResponse, ListProjectsRequest,
    ListProjectsResponse, Media, Project, ProjectRole, UndeleteProjectRequest, UndeleteProjectResponse,
    UpdateProjectRequest, UpdateProjectResponse,
};
use serde::{Deserialize, Serialize};
use tonic::{Request, Response, Status};

use super::ask;
use crate::error::Error;
use crate::project::NAME;
use crate::store::Store;
use crate::store::project_view::{ProjectList, ProjectView, Scope};

/// About how many bytes a file takes in an answer beside its names.
const FILE: usize = 400;

/// The rpcs of projects.
pub struct ProjectApi {
    pub store: Store,
}

#[tonic::async_trait]
impl ProjectService for ProjectApi {
    async fn create_project(
        &self,
        request: Request<CreateProjectRequest>,
    ) -> Result<Response<CreateProjectResponse>, Status> {
        let caller = Caller::of(&request)?;
        let CreateProjectRequest { name: given, idempotency_key } = request.into_inner();
        let mut fields = Fields::default();
        let name = fields.take("name", named(&given, NAME));
        let key = fields.take("idempotency_key", idempotency::key(idempotency_key));
        let (Some(name), Some(key)) = (name, key) else { return Err(Error::from(fields).into()) };
        let key = key.map(|key| RequestKey::new(key, &[b"project", name.as_bytes()]));
        let made = self.store.create_project(caller.account_id, &name, key.as_ref()).await?;
        Ok(Response::new(CreateProjectResponse { project: Some(made.into()) }))
    }

    async fn get_project(&self, request: Request<GetProjectRequest>) -> Result<Response<GetProjectResponse>, Status> {
        let caller = Caller::of(&request)?;
        let GetProjectRequest { project_id, view } = request.into_inner();
        let mut fields = Fields::default();
        let with_media = fields.take("view", with_media(view));
        let Some(with_media) = with_media else { return Err(Error::from(fields).into()) };
        let id = ask::project(&project_id)?;
        let found = self.store.project(id, caller.account_id, with_media).await.map_err(Error::from)?;
        let found = found.ok_or(Error::ProjectNotFound(project_id))?;
        Ok(Response::new(GetProjectResponse { project: Some(found.into()) }))
    }

    async fn list_projects(
        &self,
        request: Request<ListProjectsRequest>,
    ) -> Result<Response<ListProjectsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let list = list(request.get_ref(), caller.account_id)?;
        let (mut found, count) = self.store.projects(&list).await.map_err(Error::from)?;
        let next_page_token = page::cut_long(&mut found, list.size, length, |last| Token::of(&list, last.row.id));
        let projects = found.into_iter().map(Project::from).collect();
        let total_size = page::count(count);
        Ok(Response::new(ListProjectsResponse { projects, next_page_token, total_size }))
    }

    async fn update_project(
        &self,
        request: Request<UpdateProjectRequest>,
    ) -> Result<Response<UpdateProjectResponse>, Status> {
        let caller = Caller::of(&request)?;
        let UpdateProjectRequest { project, update_mask } = request.into_inner();
        let given = project.unwrap_or_default();
        let mut fields = Fields::default();
        fields.check_name_mask(&update_mask.unwrap_or_default().paths);
        let name = fields.take("project.name", named(&given.name, NAME));
        let (Some(name), true) = (name, fields.is_empty()) else { return Err(Error::from(fields).into()) };
        let id = ask::project(&given.project_id)?;
        let changed = self.store.rename_project(id, caller.account_id, etag::version(&given.etag), &name).await?;
        Ok(Response::new(UpdateProjectResponse { project: Some(changed.into()) }))
    }

    async fn delete_project(
        &self,
        request: Request<DeleteProjectRequest>,
    ) -> Result<Response<DeleteProjectResponse>, Status> {
        let caller = Caller::of(&request)?;
        let id = ask::project(&request.into_inner().project_id)?;
        let purge_time = self.store.delete_project(id, caller.account_id).await?;
        Ok(Response::new(DeleteProjectResponse { purge_time: Some(timestamp(purge_time)) }))
    }

    async fn undelete_project(
        &self,
        request: Request<UndeleteProjectRequest>,
    ) -> Result<Response<UndeleteProjectResponse>, Status> {
        let caller = Caller::of(&request)?;
        let id = ask::project(&request.into_inner().project_id)?;
        let project = self.store.undelete_project(id, caller.account_id).await?;
        Ok(Response::new(UndeleteProjectResponse { project: Some(project.into()) }))
    }

    async fn get_usage(&self, request: Request<GetUsageRequest>) -> Result<Response<GetUsageResponse>, Status> {
        let caller = Caller::of(&request)?;
        let used_bytes = self.store.used_bytes(caller.account_id).await.map_err(Error::from)?;
        let limits = self.store.limits();
        Ok(Response::new(GetUsageResponse {
            used_bytes,
            quota_bytes: limits.account_bytes,
            project_quota_bytes: limits.project_bytes,
            max_file_bytes: limits.file_bytes,
        }))
    }
}

/// Whether a view has the files, too.
fn with_media(number: i32) -> Result<bool, &'static str> {
    match pb::ProjectView::try_from(number) {
        Ok(pb::ProjectView::WithMedia) => Ok(true),
        Ok(pb::ProjectView::Unspecified | pb::ProjectView::Basic) => Ok(false),
        Err(_) => Err("must be a known view"),
    }
}

fn list(asked: &ListProjectsRequest, account: Id) -> Result<ProjectList, Error> {
    let mut fields = Fields::default();
    if asked.owned_only && asked.deleted {
        fields.refuse("owned_only", "goes without `deleted`: those are the caller's own anyway");
    }
    let scope = match (asked.deleted, asked.owned_only) {
        (true, _) => Scope::Deleted,
        (false, true) => Scope::Owned,
        (false, false) => Scope::Member,
    };
    let with_media = fields.take("view", with_media(asked.view));
    let size = fields.take("page_size", page::size(asked.page_size));
    let after = fields.take("page_token", Token::read(&asked.page_token, scope));
    let (Some(with_media), Some(size), Some(after), true) = (with_media, size, after, fields.is_empty()) else {
        return Err(fields.into());
    };
    Ok(ProjectList { account, scope, after, size, with_media })
}

/// Behind which project a page begins.
#[derive(Serialize, Deserialize)]
struct Token {
    scope: u8,
    id: String,
}

impl Token {
    fn of(list: &ProjectList, id: Id) -> String {
        page::encode(&Token { scope: list.scope as u8, id: id.to_string() })
    }

    fn read(token: &str, scope: Scope) -> Result<Option<Id>, &'static str> {
        let Some(Token { scope: own, id }) = page::decode(token)? else { return Ok(None) };
        if own != scope as u8 {
            return Err(page::NOT_A_TOKEN);
        }
        id.parse().map(Some).map_err(|_| page::NOT_A_TOKEN)
    }
}

/// About how many bytes a project takes in an answer.
fn length(view: &ProjectView) -> usize {
    let files: usize = view.media.iter().map(|file| FILE + file.media.name.len()).sum();
    FILE + view.row.name.len() + view.owner_name.len() + files
}

impl From<ProjectView> for Project {
    fn from(view: ProjectView) -> Project {
        let ProjectView { row, role, owner_name, media } = view;
        Project {
            project_id: row.id.to_string(),
            name: row.name,
            owner_account_id: row.owner_id.to_string(),
            owner_name,
            role: ProjectRole::from(role).into(),
            media_count: row.media_count,
            size_bytes: row.size_bytes,
            media: media.into_iter().map(Media::from).collect(),
            etag: etag::of(row.version),
            create_time: Some(timestamp(row.create_time)),
            update_time: Some(timestamp(row.update_time)),
            delete_time: row.delete_time.map(timestamp),
            purge_time: row.purge_time.map(timestamp),
        }
    }
}
