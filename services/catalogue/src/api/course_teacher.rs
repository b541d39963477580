//! `CourseTeacherService`.

use chrono::DateTime;
use quartet_chassis::caller::Caller;
use quartet_chassis::clock::{Time, timestamp};
use quartet_chassis::failure::Fields;
use quartet_chassis::id::Id;
use quartet_chassis::page;
use quartet_proto::catalogue::v1::course_teacher_service_server::CourseTeacherService;
use quartet_proto::catalogue::v1::*;
use serde::{Deserialize, Serialize};
use tonic::{Request, Response, Status};

use super::ask;
use crate::error::Error;
use crate::right::Asker;
use crate::store::Store;
use crate::store::course_teacher::TeacherRow;

/// The rpcs of those who teach courses.
pub struct CourseTeacherApi {
    pub store: Store,
}

#[tonic::async_trait]
impl CourseTeacherService for CourseTeacherApi {
    async fn list_teachers(
        &self,
        request: Request<ListTeachersRequest>,
    ) -> Result<Response<ListTeachersResponse>, Status> {
        let asker = Asker::from(&Caller::of(&request)?);
        let ListTeachersRequest { course_id, page_size, page_token } = request.into_inner();
        let mut fields = Fields::default();
        let size = fields.take("page_size", page::size(page_size));
        let after = fields.take("page_token", position(&page_token, &course_id));
        let (Some(size), Some(after)) = (size, after) else { return Err(Error::from(fields).into()) };
        let mut rows = self.store.teachers(ask::course(&course_id)?, after, size, &asker).await?;
        let next_page_token = page::cut(&mut rows, size, |row| token(row, &course_id));
        let teachers = rows.into_iter().map(Teacher::from).collect();
        Ok(Response::new(ListTeachersResponse { teachers, next_page_token }))
    }

    async fn add_teacher(&self, request: Request<AddTeacherRequest>) -> Result<Response<AddTeacherResponse>, Status> {
        let asker = Asker::from(&Caller::of(&request)?);
        let AddTeacherRequest { course_id, account_id } = request.into_inner();
        let course = ask::course(&course_id)?;
        self.store.add_teacher(course, person(&account_id), &asker).await?;
        Ok(Response::new(AddTeacherResponse {}))
    }

    async fn remove_teacher(
        &self,
        request: Request<RemoveTeacherRequest>,
    ) -> Result<Response<RemoveTeacherResponse>, Status> {
        let asker = Asker::from(&Caller::of(&request)?);
        let RemoveTeacherRequest { course_id, account_id } = request.into_inner();
        let course = ask::course(&course_id)?;
        self.store.remove_teacher(course, person(&account_id), &asker).await?;
        Ok(Response::new(RemoveTeacherResponse {}))
    }

    async fn transfer_course(
        &self,
        request: Request<TransferCourseRequest>,
    ) -> Result<Response<TransferCourseResponse>, Status> {
        let asker = Asker::from(&Caller::of(&request)?);
        let TransferCourseRequest { course_id, account_id } = request.into_inner();
        let course = ask::course(&course_id)?;
        self.store.transfer_course(course, person(&account_id), &asker).await?;
        Ok(Response::new(TransferCourseResponse {}))
    }
}

/// Ids are opaque: what is none is nobody's, and rights come first.
fn person(account_id: &str) -> Id {
    account_id.parse().unwrap_or(Id::NIL)
}

/// Behind whom a page begins.
#[derive(Serialize, Deserialize)]
struct Token {
    course: String,
    /// Microseconds since 1970; before all others behind the owner.
    time: i64,
    id: String,
}

fn token(row: &TeacherRow, course: &str) -> String {
    let time = if row.owner { 0 } else { row.create_time.and_utc().timestamp_micros() };
    page::encode(&Token { course: course.to_owned(), time, id: row.account_id.to_string() })
}

fn position(token: &str, course: &str) -> Result<Option<(Time, Id)>, &'static str> {
    let Some(token) = page::decode::<Token>(token)? else { return Ok(None) };
    // A year that no calendar of the databases has is none that was told.
    let time = DateTime::from_timestamp_micros(token.time).filter(|_| (0..1 << 53).contains(&token.time));
    let (Some(time), Ok(id), true) = (time, token.id.parse(), token.course == course) else {
        return Err(page::NOT_A_TOKEN);
    };
    Ok(Some((time.naive_utc(), id)))
}

impl From<TeacherRow> for Teacher {
    fn from(row: TeacherRow) -> Teacher {
        let known = row.account.map(|account| (account.first_name, account.last_name, account.avatar_url));
        let (first_name, last_name, avatar_url) = known.unwrap_or_default();
        Teacher {
            account_id: row.account_id.to_string(),
            first_name,
            last_name,
            avatar_url,
            owner: row.owner,
            create_time: Some(timestamp(row.create_time)),
        }
    }
}
