//! `CourseService`.

use quartet_chassis::caller::Caller;
use quartet_chassis::clock::timestamp;
use quartet_chassis::crypt::Tagger;
use quartet_chassis::etag;
use quartet_chassis::failure::Fields;
use quartet_chassis::id::Id;
use quartet_chassis::idempotency;
use quartet_chassis::page;
use quartet_proto::catalogue::v1::course_service_server::CourseService;
use quartet_proto::catalogue::v1::*;
use serde::{Deserialize, Serialize};
use tonic::{Request, Response, Status};

use super::ask;
use crate::course::{self, policy_name};
use crate::course_file;
use crate::course_given;
use crate::error::Error;
use crate::right::Asker;
use crate::store::Store;
use crate::store::course::RequestKey;
use crate::store::course_view::{CourseList, CourseView, Scope};

/// The rpcs of courses.
pub struct CourseApi {
    pub store: Store,
    /// Tells requests with one key apart without keeping them.
    pub tagger: Tagger,
}

#[tonic::async_trait]
impl CourseService for CourseApi {
    async fn create_course(
        &self,
        request: Request<CreateCourseRequest>,
    ) -> Result<Response<CreateCourseResponse>, Status> {
        let caller = Caller::of(&request)?;
        let CreateCourseRequest { course, idempotency_key } = request.into_inner();
        let mut fields = Fields::default();
        let key = fields.take("idempotency_key", idempotency::key(idempotency_key));
        let new = course_given::new_course(&course.unwrap_or_default(), &mut fields);
        let (Some(key), Some(new), true) = (key, new, fields.is_empty()) else {
            return Err(Error::from(fields).into());
        };
        let body = [&new.title, &new.description, policy_name(new.entrance.policy), &new.entrance.code];
        let body_hash = || self.tagger.tag(&body.map(str::as_bytes));
        let key = key.map(|key| RequestKey { key, body_hash: body_hash() });
        let made = self.store.create_course(&Asker::from(&caller), caller.account_id, &new, key.as_ref()).await?;
        Ok(Response::new(CreateCourseResponse { course: Some(made.into()) }))
    }

    async fn get_course(&self, request: Request<GetCourseRequest>) -> Result<Response<GetCourseResponse>, Status> {
        let asker = Asker::of(Caller::find(&request).as_ref());
        let GetCourseRequest { course_id } = request.into_inner();
        let id = ask::course(&course_id)?;
        let found = self.store.course(id, &asker).await.map_err(Error::from)?;
        let found = found.ok_or(Error::CourseNotFound(course_id))?;
        Ok(Response::new(GetCourseResponse { course: Some(found.into()) }))
    }

    async fn list_courses(
        &self,
        request: Request<ListCoursesRequest>,
    ) -> Result<Response<ListCoursesResponse>, Status> {
        let scope = match CourseScope::try_from(request.get_ref().scope) {
            Ok(CourseScope::Teaching) => Some(Scope::Teaching(Caller::of(&request)?.account_id)),
            Ok(CourseScope::Taking) => Some(Scope::Taking(Caller::of(&request)?.account_id)),
            Ok(CourseScope::Unspecified) => Some(Scope::Published),
            Err(_) => None,
        };
        let asker = Asker::of(Caller::find(&request).as_ref());
        let list = list(request.get_ref(), scope)?;
        let mut found = self.store.courses(&list, &asker).await.map_err(Error::from)?;
        let next_page_token = page::cut_long(&mut found, list.size, length, |last| Token::of(&list, last.row.id));
        let courses = found.into_iter().map(Course::from).collect();
        Ok(Response::new(ListCoursesResponse { courses, next_page_token }))
    }

    async fn update_course(
        &self,
        request: Request<UpdateCourseRequest>,
    ) -> Result<Response<UpdateCourseResponse>, Status> {
        let asker = Asker::from(&Caller::of(&request)?);
        let UpdateCourseRequest { course, update_mask } = request.into_inner();
        let given = course.unwrap_or_default();
        let mut fields = Fields::default();
        let patch = course_given::course_patch(&given, &update_mask.unwrap_or_default().paths, &mut fields);
        fields.finish()?;
        let id = ask::course(&given.course_id)?;
        let changed = self.store.update_course(id, etag::version(&given.etag), &patch, &asker).await?;
        Ok(Response::new(UpdateCourseResponse { course: Some(changed.into()) }))
    }

    async fn delete_course(
        &self,
        request: Request<DeleteCourseRequest>,
    ) -> Result<Response<DeleteCourseResponse>, Status> {
        let asker = Asker::from(&Caller::of(&request)?);
        let DeleteCourseRequest { course_id, etag } = request.into_inner();
        self.store.delete_course(ask::course(&course_id)?, etag::version(&etag), &asker).await?;
        Ok(Response::new(DeleteCourseResponse {}))
    }

    async fn set_course_state(
        &self,
        request: Request<SetCourseStateRequest>,
    ) -> Result<Response<SetCourseStateResponse>, Status> {
        let asker = Asker::from(&Caller::of(&request)?);
        let SetCourseStateRequest { course_id, state, etag } = request.into_inner();
        let mut fields = Fields::default();
        let state = fields.take("state", course::state(state));
        let Some(state) = state else { return Err(Error::from(fields).into()) };
        let changed =
            self.store.set_course_state(ask::course(&course_id)?, etag::version(&etag), state, &asker).await?;
        Ok(Response::new(SetCourseStateResponse { course: Some(changed.into()) }))
    }

    async fn export_course(
        &self,
        request: Request<ExportCourseRequest>,
    ) -> Result<Response<ExportCourseResponse>, Status> {
        let asker = Asker::from(&Caller::of(&request)?);
        let id = ask::course(&request.into_inner().course_id)?;
        let whole = self.store.whole_course(id, &asker).await?;
        let content = course_file::write(whole).ok_or(Error::CourseFileTooLarge)?;
        Ok(Response::new(ExportCourseResponse { content: content.into(), file_name: format!("course-{id}.json") }))
    }

    async fn import_course(
        &self,
        request: Request<ImportCourseRequest>,
    ) -> Result<Response<ImportCourseResponse>, Status> {
        let caller = Caller::of(&request)?;
        let whole = course_file::read(&request.into_inner().content)?;
        let made = self.store.create_whole_course(caller.account_id, &whole, &Asker::from(&caller)).await?;
        Ok(Response::new(ImportCourseResponse { course: Some(made.into()) }))
    }
}

/// About how many bytes a course has in an answer.
fn length(view: &CourseView) -> usize {
    let CourseView { row, owner_name, .. } = view;
    row.title.len() + row.description.len() + row.enrolment_code.len() + owner_name.len() + 300
}

/// Behind which course a page of which list begins.
#[derive(Serialize, Deserialize)]
struct Token {
    scope: String,
    prefix: String,
    after: String,
}

impl Token {
    fn of(list: &CourseList, after: Id) -> String {
        let (scope, prefix) = (scope_name(list.scope), list.prefix.clone());
        page::encode(&Token { scope: scope.to_owned(), prefix, after: after.to_string() })
    }
}

/// Whose list it is says the caller, so a token says only of what kind.
fn scope_name(scope: Scope) -> &'static str {
    match scope {
        Scope::Published => "published",
        Scope::Teaching(_) => "teaching",
        Scope::Taking(_) => "taking",
    }
}

fn list(request: &ListCoursesRequest, scope: Option<Scope>) -> Result<CourseList, Error> {
    let mut fields = Fields::default();
    let size = fields.take("page_size", page::size(request.page_size));
    let token = fields.take("page_token", page::decode::<Token>(&request.page_token));
    let scope = fields.take("scope", scope.ok_or("must be a known scope"));
    let prefix = fields.take("title_prefix", course::title_prefix(&request.title_prefix));
    let (Some(size), Some(token), Some(scope), Some(prefix)) = (size, token, scope, prefix) else {
        return Err(fields.into());
    };
    let own = |token: Token| {
        let same = token.scope == scope_name(scope) && token.prefix == prefix;
        token.after.parse().ok().filter(|_| same).ok_or(page::NOT_A_TOKEN)
    };
    let after = fields.take("page_token", token.map(own).transpose());
    let Some(after) = after else { return Err(fields.into()) };
    Ok(CourseList { scope, prefix, after, size })
}

impl From<CourseView> for Course {
    fn from(CourseView { row, owner_name, taught, sections, blocks }: CourseView) -> Course {
        Course {
            course_id: row.id.to_string(),
            state: row.state().into(),
            enrolment_policy: row.policy().into(),
            enrolment_code: if taught { row.enrolment_code } else { String::new() },
            title: row.title,
            description: row.description,
            owner_account_id: row.owner_id.to_string(),
            owner_name,
            section_count: page::count(sections),
            block_count: page::count(blocks),
            etag: etag::of(row.version),
            create_time: Some(timestamp(row.create_time)),
            update_time: Some(timestamp(row.update_time)),
        }
    }
}
