//! `GradeService`.

use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use quartet_chassis::caller::Caller;
use quartet_chassis::failure::Fields;
use quartet_chassis::id::Id;
use quartet_chassis::page;
use quartet_proto::catalogue::v1::grade_service_server::GradeService;
use quartet_proto::catalogue::v1::*;
use tonic::{Request, Response, Status};

use super::ask::{block, course, student, whose};
use super::enrolment::block_progress;
use super::progress::TEXT_LENGTH;
use crate::class::ClassList;
use crate::course::markdown;
use crate::error::Error;
use crate::gradebook_file::record;
use crate::right::Asker;
use crate::store::Store;
use crate::store::enrolment::Student;
use crate::store::work::Column;

/// The longest reason of an override, in characters.
const REASON_LENGTH: usize = 500;
/// How many students are read at once for a file.
const PAGE: i32 = 100;
/// About how many bytes an assessment has beside its feedback.
const ROW: usize = 100;
/// What stands in a file before the blocks.
const HEADER: [&str; 7] =
    ["first_name", "last_name", "email", "completed_blocks", "total_blocks", "completed", "average_grade"];

pub struct GradeApi {
    pub store: Store,
}

#[tonic::async_trait]
impl GradeService for GradeApi {
    async fn grade_submission(
        &self,
        request: Request<GradeSubmissionRequest>,
    ) -> Result<Response<GradeSubmissionResponse>, Status> {
        let caller = Caller::of(&request)?;
        let GradeSubmissionRequest { block_id, account_id, grade, feedback } = request.into_inner();
        let mut fields = Fields::default();
        if grade.is_some_and(|grade| !(0..=100).contains(&grade)) {
            fields.refuse("grade", "must be from 0 to 100");
        }
        fields.take("feedback", markdown(&feedback, TEXT_LENGTH));
        if grade.is_none() && feedback.trim().is_empty() {
            fields.refuse("feedback", "must not be empty without a `grade`");
        }
        fields.finish()?;
        let (block, student) = (block(&block_id)?, student(&account_id)?);
        let said = self.store.grade_submission(block, student, &Asker::from(&caller), grade, &feedback).await?;
        Ok(Response::new(GradeSubmissionResponse { assessment: Some(said.into()) }))
    }

    async fn list_assessments(
        &self,
        request: Request<ListAssessmentsRequest>,
    ) -> Result<Response<ListAssessmentsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let ListAssessmentsRequest { block_id, account_id, page_size, page_token } = request.into_inner();
        let mut fields = Fields::default();
        let size = fields.take("page_size", page::size(page_size));
        let before = fields.take("page_token", page::decode::<i32>(&page_token));
        let (Some(size), Some(before)) = (size, before) else { return Err(Error::from(fields).into()) };
        let (block, student) = (block(&block_id)?, whose(&account_id, &caller)?);
        let mut rows = self.store.assessments(block, student, &Asker::from(&caller), before, size).await?;
        let next_page_token =
            page::cut_long(&mut rows, size, |row| row.feedback.len() + ROW, |row| page::encode(&row.number));
        let assessments = rows.into_iter().map(Assessment::from).collect();
        Ok(Response::new(ListAssessmentsResponse { assessments, next_page_token }))
    }

    async fn get_gradebook(
        &self,
        request: Request<GetGradebookRequest>,
    ) -> Result<Response<GetGradebookResponse>, Status> {
        let caller = Caller::of(&request)?;
        let GetGradebookRequest { course_id, page_size, page_token } = request.into_inner();
        let list = ClassList::parse(&course_id, page_size, &page_token).map_err(Error::from)?;
        let class = self.store.class(course(&course_id)?, &Asker::from(&caller), &list).await?;
        let next_page_token = class.next(&list).map(|next| next.token()).unwrap_or_default();
        let rows = class.students.into_iter().map(|student| row(&class.columns, student)).collect();
        let columns = class.columns.into_iter().map(GradebookColumn::from).collect();
        Ok(Response::new(GetGradebookResponse { columns, rows, next_page_token }))
    }

    async fn override_completion(
        &self,
        request: Request<OverrideCompletionRequest>,
    ) -> Result<Response<OverrideCompletionResponse>, Status> {
        let caller = Caller::of(&request)?;
        let OverrideCompletionRequest { course_id, account_id, completed, reason } = request.into_inner();
        let mut fields = Fields::default();
        fields.take("reason", why(completed, &reason));
        fields.finish()?;
        let (course, student) = (course(&course_id)?, student(&account_id)?);
        let asker = Asker::from(&caller);
        let far = self.store.override_completion(course, student, &asker, completed, reason.trim()).await?;
        Ok(Response::new(OverrideCompletionResponse { progress: Some(far.into()) }))
    }

    type ExportGradebookStream = BoxStream<'static, Result<ExportGradebookResponse, Status>>;

    async fn export_gradebook(
        &self,
        request: Request<ExportGradebookRequest>,
    ) -> Result<Response<Self::ExportGradebookStream>, Status> {
        let caller = Caller::of(&request)?;
        let course_id = request.into_inner().course_id;
        let list = ClassList::parse(&course_id, PAGE, "").map_err(Error::from)?;
        let course = course(&course_id)?;
        let mut file = File { store: self.store.clone(), course, asker: Asker::from(&caller), columns: None };
        // The first part is made here, so that a refusal is the call's.
        let (first, next) = file.part(&list).await?;
        let state = next.map(|list| (file, list));
        let rest = stream::unfold(state, async |state| {
            let (mut file, list) = state?;
            Some(match file.part(&list).await {
                Ok((part, next)) => (Ok(part), next.map(|list| (file, list))),
                Err(error) => (Err(error.into()), None),
            })
        });
        Ok(Response::new(stream::iter([Ok(first)]).chain(rest).boxed()))
    }
}

/// A gradebook that is being written. Who may no longer see it in the middle gets no more of it.
struct File {
    store: Store,
    course: Id,
    asker: Asker,
    /// Those of the first part: a block that comes later has no column.
    columns: Option<Vec<Column>>,
}

impl File {
    /// Some students, and behind whom to go on, if there are more.
    async fn part(&mut self, list: &ClassList) -> Result<(ExportGradebookResponse, Option<ClassList>), Error> {
        let class = self.store.class(self.course, &self.asker, list).await?;
        let next = class.next(list);
        let mut text = String::new();
        let columns = match &mut self.columns {
            Some(columns) => columns,
            none => {
                let titles = class.columns.iter().map(|column| column.title.as_str());
                text.push_str(&record(HEADER.into_iter().chain(titles)));
                none.insert(class.columns)
            }
        };
        for student in class.students {
            text.push_str(&line(columns, &student));
        }
        Ok((ExportGradebookResponse { content: text.into_bytes().into() }, next))
    }
}

fn line(columns: &[Column], student: &Student) -> String {
    let far = &student.progress;
    let average = far.average_grade.map(|grade| format!("{grade:.2}")).unwrap_or_default();
    let mut cells = vec![
        student.name.first_name.clone(),
        student.name.last_name.clone(),
        student.name.email.clone(),
        far.completed_blocks.to_string(),
        far.total_blocks.to_string(),
        far.completed.to_string(),
        average,
    ];
    let grade = |column: &Column| student.works.get(&column.id).and_then(crate::progress::Work::grade);
    cells.extend(columns.iter().map(|column| grade(column).map(|grade| grade.to_string()).unwrap_or_default()));
    record(cells.iter().map(String::as_str))
}

fn row(columns: &[Column], student: Student) -> GradebookRow {
    GradebookRow {
        account_id: student.row.student_id.to_string(),
        first_name: student.name.first_name,
        last_name: student.name.last_name,
        blocks: block_progress(columns, &student.works),
        progress: Some(student.progress.into()),
    }
}

fn why(completed: Option<bool>, reason: &str) -> Result<(), String> {
    let reason = reason.trim();
    if completed.is_none() && !reason.is_empty() {
        return Err("must be empty without `completed`".to_owned());
    }
    if completed.is_some() && reason.is_empty() {
        return Err("must not be empty".to_owned());
    }
    markdown(reason, REASON_LENGTH).map(drop)
}

impl From<Column> for GradebookColumn {
    fn from(column: Column) -> GradebookColumn {
        GradebookColumn { block_id: column.id.to_string(), title: column.title }
    }
}
