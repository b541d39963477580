//! `ProgressService`.

use quartet_chassis::caller::Caller;
use quartet_chassis::clock::timestamp;
use quartet_chassis::failure::Fields;
use quartet_chassis::id::Id;
use quartet_chassis::idempotency;
use quartet_chassis::page;
use quartet_proto::catalogue::v1::progress_service_server::ProgressService;
use quartet_proto::catalogue::v1::*;
use tonic::{Request, Response, Status};

use super::ask::{block, whose};
use crate::course::markdown;
use crate::error::Error;
use crate::grading::Given;
use crate::link::https;
use crate::right::Asker;
use crate::store::Store;
use crate::store::assessment::AssessmentRow;
use crate::store::quiz_attempt::AttemptRow;
use crate::store::submission::Handed;

/// The longest remarks of students, and feedback of teachers, in characters.
pub const TEXT_LENGTH: usize = 10_000;

pub struct ProgressApi {
    pub store: Store,
}

#[tonic::async_trait]
impl ProgressService for ProgressApi {
    async fn complete_block(
        &self,
        request: Request<CompleteBlockRequest>,
    ) -> Result<Response<CompleteBlockResponse>, Status> {
        let caller = Caller::of(&request)?;
        let CompleteBlockRequest { block_id, url, remarks } = request.into_inner();
        let mut fields = Fields::default();
        if !url.is_empty() {
            fields.take("url", https(&url));
        }
        fields.take("remarks", markdown(&remarks, TEXT_LENGTH));
        fields.finish()?;
        let (block, student) = (block(&block_id)?, caller.account_id);
        let handed = self.store.complete_block(block, student, &Asker::from(&caller), &url, &remarks).await?;
        Ok(Response::new(CompleteBlockResponse { submission: Some(submission(block, student, handed)) }))
    }

    async fn reopen_block(
        &self,
        request: Request<ReopenBlockRequest>,
    ) -> Result<Response<ReopenBlockResponse>, Status> {
        let caller = Caller::of(&request)?;
        let block = block(&request.into_inner().block_id)?;
        self.store.reopen_block(block, caller.account_id, &Asker::from(&caller)).await?;
        Ok(Response::new(ReopenBlockResponse {}))
    }

    async fn submit_quiz(&self, request: Request<SubmitQuizRequest>) -> Result<Response<SubmitQuizResponse>, Status> {
        let caller = Caller::of(&request)?;
        let SubmitQuizRequest { block_id, answers, idempotency_key } = request.into_inner();
        let mut fields = Fields::default();
        let key = fields.take("idempotency_key", idempotency::key(idempotency_key)).flatten();
        let given = given(answers, &mut fields);
        fields.finish()?;
        let (block, student) = (block(&block_id)?, caller.account_id);
        let tried = self.store.submit_quiz(block, student, &Asker::from(&caller), &given, key.as_deref()).await?;
        Ok(Response::new(SubmitQuizResponse { attempt: Some(tried.into()) }))
    }

    async fn list_quiz_attempts(
        &self,
        request: Request<ListQuizAttemptsRequest>,
    ) -> Result<Response<ListQuizAttemptsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let ListQuizAttemptsRequest { block_id, account_id, page_size, page_token } = request.into_inner();
        let mut fields = Fields::default();
        let size = fields.take("page_size", page::size(page_size));
        let before = fields.take("page_token", page::decode::<i32>(&page_token));
        let (Some(size), Some(before)) = (size, before) else { return Err(Error::from(fields).into()) };
        let (block, student) = (block(&block_id)?, whose(&account_id, &caller)?);
        let mut rows = self.store.attempts(block, student, &Asker::from(&caller), before, size).await?;
        let next_page_token = page::cut(&mut rows, size, |row| page::encode(&row.number));
        let attempts = rows.into_iter().map(QuizAttempt::from).collect();
        Ok(Response::new(ListQuizAttemptsResponse { attempts, next_page_token }))
    }

    async fn get_submission(
        &self,
        request: Request<GetSubmissionRequest>,
    ) -> Result<Response<GetSubmissionResponse>, Status> {
        let caller = Caller::of(&request)?;
        let GetSubmissionRequest { block_id, account_id } = request.into_inner();
        let (block, student) = (block(&block_id)?, whose(&account_id, &caller)?);
        let handed = self.store.submission(block, student, &Asker::from(&caller)).await?;
        Ok(Response::new(GetSubmissionResponse { submission: Some(submission(block, student, handed)) }))
    }
}

/// Reads answers; whether they fit their questions is seen when those are known. What a database can't store is refused here.
fn given(answers: Vec<Answer>, fields: &mut Fields) -> Vec<Given> {
    let mut given = Vec::with_capacity(answers.len());
    for (at, answer) in answers.into_iter().enumerate() {
        given.push(match answer.kind {
            None => Given::Nothing,
            Some(answer::Kind::Choice(choice)) => Given::Choice(choice),
            Some(answer::Kind::Choices(choices)) => Given::Choices(choices.indexes),
            Some(answer::Kind::Number(number)) => Given::Number(number),
            Some(answer::Kind::Text(text)) => {
                if text.contains('\0') {
                    fields.refuse(&format!("answers[{at}]"), "must not hold a NUL character");
                }
                Given::Text(text)
            }
        });
    }
    given
}

fn submission(block: Id, student: Id, handed: Handed) -> Submission {
    Submission {
        block_id: block.to_string(),
        account_id: student.to_string(),
        url: handed.row.url,
        remarks: handed.row.remarks,
        completed: handed.row.completed,
        complete_time: handed.row.complete_time.map(timestamp),
        assessment: handed.assessment.map(Assessment::from),
    }
}

impl From<AttemptRow> for QuizAttempt {
    fn from(row: AttemptRow) -> QuizAttempt {
        QuizAttempt {
            attempt_id: row.id.to_string(),
            number: row.number,
            points: row.points,
            max_points: row.max_points,
            passed: row.passed,
            correct: serde_json::from_str(&row.correct).unwrap_or_default(),
            create_time: Some(timestamp(row.create_time)),
        }
    }
}

impl From<AssessmentRow> for Assessment {
    fn from(row: AssessmentRow) -> Assessment {
        Assessment {
            grade: row.grade,
            feedback: row.feedback,
            teacher_account_id: row.teacher_id.map(|id| id.to_string()).unwrap_or_default(),
            create_time: Some(timestamp(row.create_time)),
        }
    }
}
