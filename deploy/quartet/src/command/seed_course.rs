//! The demonstration's course: one who teaches it, one who takes it, some work and a grade. Every step can be repeated.

use quartet_chassis::upstream::Upstream;
use quartet_proto::catalogue::v1::content_block_service_client::ContentBlockServiceClient;
use quartet_proto::catalogue::v1::course_service_client::CourseServiceClient;
use quartet_proto::catalogue::v1::enrolment_service_client::EnrolmentServiceClient;
use quartet_proto::catalogue::v1::grade_service_client::GradeServiceClient;
use quartet_proto::catalogue::v1::progress_service_client::ProgressServiceClient;
use quartet_proto::catalogue::v1::section_service_client::SectionServiceClient;
use quartet_proto::catalogue::v1::{
    Answer, BlockType, CompleteBlockRequest, ContentBlock, Course, CourseScope, EnrolRequest, GetProgressRequest,
    GradeSubmissionRequest, ImportCourseRequest, ListAssessmentsRequest, ListBlocksRequest, ListCoursesRequest,
    ListSectionsRequest, PublicationState, SetCourseStateRequest, SubmitQuizRequest, answer,
};
use tonic::{Code, Response, Status};

use super::seed::Pass;
use crate::reach::failed;

/// The course, as `ExportCourse` answers one.
const COURSE: &[u8] = include_bytes!("seed_course.json");
/// The title in it.
const TITLE: &str = "Silent film in two lessons";

/// Makes the course with all that has happened in it, and says what there is.
pub async fn make(catalogue: &Upstream, teacher: &Pass, student: &Pass) -> anyhow::Result<String> {
    let course = published(catalogue, teacher).await.map_err(failed)?;
    let progress = attended(catalogue, teacher, student, &course.course_id).await.map_err(failed)?;
    Ok(format!("A course, `{}` ({}), {progress}", course.title, course.course_id))
}

/// The teacher's course, made unless it is there.
async fn published(catalogue: &Upstream, teacher: &Pass) -> Result<Course, Status> {
    let mut courses = CourseServiceClient::new(catalogue.clone());
    let mine = ListCoursesRequest { scope: CourseScope::Teaching.into(), page_size: 100, ..Default::default() };
    let mine = courses.list_courses(teacher.asks(mine)).await?.into_inner().courses;
    let course = match mine.into_iter().find(|course| course.title == TITLE) {
        Some(course) => course,
        None => {
            let file = ImportCourseRequest { content: COURSE.to_vec().into() };
            courses.import_course(teacher.asks(file)).await?.into_inner().course.unwrap_or_default()
        }
    };
    if course.state() == PublicationState::Published {
        return Ok(course);
    }
    let state = PublicationState::Published.into();
    let publish = SetCourseStateRequest { course_id: course.course_id, state, ..Default::default() };
    Ok(courses.set_course_state(teacher.asks(publish)).await?.into_inner().course.unwrap_or_default())
}

/// The student takes the course and does all but the second lesson; the teacher grades.
async fn attended(catalogue: &Upstream, teacher: &Pass, student: &Pass, course: &str) -> Result<String, Status> {
    let mut enrolments = EnrolmentServiceClient::new(catalogue.clone());
    let enrol = EnrolRequest { course_id: course.to_owned(), ..Default::default() };
    unless(enrolments.enrol(student.asks(enrol)).await, Code::AlreadyExists)?;
    for block in blocks(catalogue, student, course).await? {
        match block.r#type() {
            BlockType::Quiz => try_quiz(catalogue, student, block).await?,
            BlockType::Assignment => {
                complete(catalogue, student, &block, "The rocket lands, and nobody says a word.").await?;
                grade(catalogue, teacher, student, block).await?;
            }
            _ if block.title == "The camera moves" => {}
            _ => complete(catalogue, student, &block, "").await?,
        }
    }
    let ask = GetProgressRequest { course_id: course.to_owned(), ..Default::default() };
    let progress = enrolments.get_progress(student.asks(ask)).await?.into_inner().progress.unwrap_or_default();
    let (done, all) = (progress.completed_blocks, progress.total_blocks);
    Ok(format!("of which a student has done {done} of {all} blocks, with {} on average", progress.average_grade()))
}

/// The course's blocks in their order.
async fn blocks(catalogue: &Upstream, student: &Pass, course: &str) -> Result<Vec<ContentBlock>, Status> {
    let ask = ListSectionsRequest { course_id: course.to_owned(), page_size: 100, ..Default::default() };
    let sections = SectionServiceClient::new(catalogue.clone()).list_sections(student.asks(ask)).await?;
    let mut blocks = Vec::new();
    for section in sections.into_inner().sections {
        let ask = ListBlocksRequest { section_id: section.section_id, page_size: 100, ..Default::default() };
        let listed = ContentBlockServiceClient::new(catalogue.clone()).list_blocks(student.asks(ask)).await?;
        blocks.extend(listed.into_inner().blocks);
    }
    Ok(blocks)
}

async fn complete(catalogue: &Upstream, student: &Pass, block: &ContentBlock, remarks: &str) -> Result<(), Status> {
    let work =
        CompleteBlockRequest { block_id: block.block_id.clone(), url: String::new(), remarks: remarks.to_owned() };
    ProgressServiceClient::new(catalogue.clone()).complete_block(student.asks(work)).await.map(drop)
}

/// Right in the first question, wrong in the second.
async fn try_quiz(catalogue: &Upstream, student: &Pass, block: ContentBlock) -> Result<(), Status> {
    let answers = [answer::Kind::Number(1902.0), answer::Kind::Choice(1)];
    let attempt = SubmitQuizRequest {
        block_id: block.block_id,
        answers: answers.into_iter().map(|kind| Answer { kind: Some(kind) }).collect(),
        idempotency_key: "quartet seed".to_owned(),
    };
    ProgressServiceClient::new(catalogue.clone()).submit_quiz(student.asks(attempt)).await.map(drop)
}

async fn grade(catalogue: &Upstream, teacher: &Pass, student: &Pass, block: ContentBlock) -> Result<(), Status> {
    let mut grades = GradeServiceClient::new(catalogue.clone());
    let (block_id, account_id) = (block.block_id, student.account_id.clone());
    let given =
        ListAssessmentsRequest { block_id: block_id.clone(), account_id: account_id.clone(), ..Default::default() };
    if !grades.list_assessments(teacher.asks(given)).await?.into_inner().assessments.is_empty() {
        return Ok(());
    }
    let feedback = "Well seen. What does the next shot add?".to_owned();
    let grade = GradeSubmissionRequest { block_id, account_id, grade: Some(90), feedback };
    grades.grade_submission(teacher.asks(grade)).await.map(drop)
}

/// A refusal that says that it was done before is none.
fn unless<T>(answer: Result<Response<T>, Status>, before: Code) -> Result<(), Status> {
    match answer {
        Err(status) if status.code() != before => Err(status),
        _ => Ok(()),
    }
}
