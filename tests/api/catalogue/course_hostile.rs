//! S-36: what looks like SQL, or like anything else that it is not, in every field of text of every rpc of courses.

use std::collections::BTreeMap;

use prost::Message as _;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, ReflectMessage as _, Value};
use quartet_chassis::line::unseen;
use serde_json::json;

use super::class::{Class, Somebody, answers, lesson, quiz};
use crate::harness::prelude::*;
use crate::harness::raw;
use crate::house::reflection::method;
use crate::house::rpcs;

const CORPUS: [&str; 14] = [
    "'",
    "\"",
    "\\",
    "%",
    "' or '1'='1",
    "'; drop table course; --",
    "$1",
    "?1",
    "))--",
    "\u{10ffff}",
    "\u{202e}",
    "null",
    "{{7*7}}",
    "a\0b",
];

const SERVICES: [&str; 7] = [
    "ContentBlockService",
    "CourseService",
    "CourseTeacherService",
    "EnrolmentService",
    "GradeService",
    "ProgressService",
    "SectionService",
];

/// Nobody's id, so that nothing is deleted.
const NOTHING: &str = "0198b3f2-7d0c-7a51-8f0e-5b1d2c3e4f60";

fn base(message: impl prost::Message) -> Vec<u8> {
    message.encode_to_vec()
}

/// For each rpc a request in which all is well, by its name.
fn requests(class: &Class, secret_course: &str) -> BTreeMap<&'static str, Vec<u8>> {
    let (course_id, section_id) = (class.course.clone(), class.section.clone());
    let (block_id, quiz_id, account_id) = (class.lesson.clone(), class.quiz.clone(), class.student.id());
    let nothing = || NOTHING.to_owned();
    let course = Course { title: "New".into(), ..Default::default() };
    let code = EnrolmentPolicy::Code.into();
    let coded = Course { enrolment_policy: code, enrolment_code: "sesame-open".into(), ..course.clone() };
    let changed = Some(Course { course_id: course_id.clone(), ..course });
    let mask = |path: &str| Some(prost_types::FieldMask { paths: vec![path.to_owned()] });
    let state = PublicationState::Published.into();
    let section = Section { title: "New".into(), state, ..Default::default() };
    let block = lesson("New");
    let mut by_name = BTreeMap::new();
    let mut add = |name, bytes| assert_eq!(by_name.insert(name, bytes), None);
    add("CreateCourse", base(CreateCourseRequest { course: Some(coded), ..Default::default() }));
    add("GetCourse", base(GetCourseRequest { course_id: course_id.clone() }));
    add("ListCourses", base(ListCoursesRequest::default()));
    add("UpdateCourse", base(UpdateCourseRequest { course: changed, update_mask: mask("title") }));
    add("DeleteCourse", base(DeleteCourseRequest { course_id: nothing(), ..Default::default() }));
    let asked = SetCourseStateRequest { course_id: course_id.clone(), state, ..Default::default() };
    add("SetCourseState", base(asked));
    add("ExportCourse", base(ExportCourseRequest { course_id: course_id.clone() }));
    add("ImportCourse", base(ImportCourseRequest { content: "{}".into() }));
    add("ListTeachers", base(ListTeachersRequest { course_id: course_id.clone(), ..Default::default() }));
    add("AddTeacher", base(AddTeacherRequest { course_id: course_id.clone(), account_id: nothing() }));
    add("RemoveTeacher", base(RemoveTeacherRequest { course_id: course_id.clone(), account_id: nothing() }));
    add("TransferCourse", base(TransferCourseRequest { course_id: course_id.clone(), account_id: nothing() }));
    let made = Section { course_id: course_id.clone(), ..section.clone() };
    add("CreateSection", base(CreateSectionRequest { section: Some(made) }));
    add("GetSection", base(GetSectionRequest { section_id: section_id.clone() }));
    add("ListSections", base(ListSectionsRequest { course_id: course_id.clone(), ..Default::default() }));
    let changed = Some(Section { section_id: section_id.clone(), ..section });
    add("UpdateSection", base(UpdateSectionRequest { section: changed, update_mask: mask("title") }));
    add("DeleteSection", base(DeleteSectionRequest { section_id: nothing(), ..Default::default() }));
    add("ReorderSections", base(ReorderSectionsRequest { course_id: course_id.clone(), section_ids: vec![] }));
    let made = ContentBlock { section_id: section_id.clone(), ..quiz("New", 0) };
    add("CreateBlock", base(CreateBlockRequest { block: Some(made) }));
    add("GetBlock", base(GetBlockRequest { block_id: block_id.clone() }));
    add("ListBlocks", base(ListBlocksRequest { section_id: section_id.clone(), ..Default::default() }));
    let changed = Some(ContentBlock { block_id: block_id.clone(), r#type: 0, ..block });
    add("UpdateBlock", base(UpdateBlockRequest { block: changed, update_mask: mask("content") }));
    add("DeleteBlock", base(DeleteBlockRequest { block_id: nothing(), ..Default::default() }));
    add("ReorderBlocks", base(ReorderBlocksRequest { section_id, block_ids: vec![] }));
    add("Enrol", base(EnrolRequest { course_id: secret_course.to_owned(), code: "wrong-code".into() }));
    add("Unenrol", base(UnenrolRequest { course_id: course_id.clone(), account_id: nothing() }));
    add("ListEnrolments", base(ListEnrolmentsRequest { course_id: course_id.clone(), ..Default::default() }));
    add("GetProgress", base(GetProgressRequest { course_id: course_id.clone(), account_id: account_id.clone() }));
    add("InviteStudents", base(InviteStudentsRequest { course_id: course_id.clone(), ..Default::default() }));
    add("ListInvitations", base(ListInvitationsRequest { course_id: course_id.clone(), ..Default::default() }));
    add("RevokeInvitation", base(RevokeInvitationRequest { course_id: course_id.clone(), ..Default::default() }));
    add("CompleteBlock", base(CompleteBlockRequest { block_id: block_id.clone(), ..Default::default() }));
    add("ReopenBlock", base(ReopenBlockRequest { block_id: block_id.clone() }));
    let tried = SubmitQuizRequest { block_id: quiz_id.clone(), answers: answers(1), ..Default::default() };
    add("SubmitQuiz", base(tried));
    add("ListQuizAttempts", base(ListQuizAttemptsRequest { block_id: quiz_id, ..Default::default() }));
    add("GetSubmission", base(GetSubmissionRequest { block_id: block_id.clone(), account_id: account_id.clone() }));
    let (grade, feedback) = (Some(50), String::new());
    let graded = GradeSubmissionRequest { block_id: block_id.clone(), account_id: account_id.clone(), grade, feedback };
    add("GradeSubmission", base(graded));
    let asked = ListAssessmentsRequest { block_id, account_id: account_id.clone(), ..Default::default() };
    add("ListAssessments", base(asked));
    add("GetGradebook", base(GetGradebookRequest { course_id: course_id.clone(), ..Default::default() }));
    let (completed, reason) = (Some(true), "seen".to_owned());
    let said = OverrideCompletionRequest { course_id: course_id.clone(), account_id, completed, reason };
    add("OverrideCompletion", base(said));
    add("ExportGradebook", base(ExportGradebookRequest { course_id }));
    by_name
}

/// Where text stands in a message and in what it holds.
fn places(message: &MessageDescriptor, before: &[FieldDescriptor]) -> Vec<Vec<FieldDescriptor>> {
    let mut found = Vec::new();
    for field in message.fields() {
        let here = [before, std::slice::from_ref(&field)].concat();
        match field.kind() {
            Kind::String => found.push(here),
            Kind::Message(inner) => found.extend(places(&inner, &here)),
            _ => {}
        }
    }
    found
}

fn put(message: &mut DynamicMessage, place: &[FieldDescriptor], text: &str) {
    let (field, deeper) = place.split_first().unwrap();
    let one = match deeper {
        [] => Value::String(text.to_owned()),
        _ => {
            let held = match message.get_field(field).into_owned() {
                Value::Message(held) => Some(held),
                Value::List(list) => list.into_iter().next().and_then(|first| first.as_message().cloned()),
                _ => None,
            };
            let Kind::Message(kind) = field.kind() else { panic!("{field:?} holds nothing") };
            let mut held = held.unwrap_or_else(|| DynamicMessage::new(kind));
            put(&mut held, deeper, text);
            Value::Message(held)
        }
    };
    message.set_field(field, if field.is_list() { Value::List(vec![one]) } else { one });
}

#[tokio::test]
async fn s36_no_text_in_a_request_of_courses_is_more_than_a_text() {
    let world = World::shared().await;
    let class = Class::new(&world).await;
    let secret_course = class.owner.course(EnrolmentPolicy::Code, "sesame-open").await;
    let requests = requests(&class, &secret_course);
    let mut tried = 0;
    for rpc in rpcs() {
        let (service, name) = rpc.path.rsplit_once('/').unwrap();
        if !SERVICES.iter().any(|known| service == format!("/quartet.catalogue.v1.{known}")) {
            continue;
        }
        let own = service.ends_with("ProgressService") || name == "Enrol";
        let token = if own { &class.student } else { &class.owner }.person.access_token.clone();
        let input = method(&rpc.path).input();
        let valid = DynamicMessage::decode(input.clone(), requests[name].as_slice()).unwrap();
        for place in places(&valid.descriptor(), &[]) {
            let where_it_is: Vec<&str> = place.iter().map(FieldDescriptor::name).collect();
            for text in CORPUS {
                let mut message = valid.clone();
                put(&mut message, &place, text);
                let answer = raw::call(world.channel(), &rpc.path, Some(&token), message.encode_to_vec()).await;
                tried += 1;
                let Err(status) = answer else { continue };
                let refused = Refusal::from(status);
                let known = matches!(
                    refused.code,
                    Code::InvalidArgument
                        | Code::NotFound
                        | Code::PermissionDenied
                        | Code::FailedPrecondition
                        | Code::AlreadyExists
                        | Code::Aborted
                        | Code::ResourceExhausted
                );
                assert!(known && !refused.reason.is_empty(), "{name} {where_it_is:?} {text:?}: {refused:?}");
            }
        }
    }
    assert!(tried > 1_000, "{tried}");
    let book = GetGradebookRequest { course_id: class.course.clone(), ..Default::default() };
    let book = class.owner.clients.grades().get_gradebook(book).await.unwrap().into_inner();
    assert_eq!(book.rows.len(), 1, "nobody else has come, and nobody has gone");
}

/// A file of a course in which this text stands wherever it may: titles hold nothing unseen.
fn file(text: &str) -> serde_json::Value {
    let title = if text.contains(unseen) { "New" } else { text };
    let kind = json!({"short_text": {"answers": [text]}});
    let question = json!({"text": text, "points": 1, "kind": kind});
    let quiz = json!({"questions": [question], "pass_percent": 50, "max_attempts": 0});
    let block = |kind: &str| json!({"type": kind, "title": title, "description": text, "state": "PUBLISHED"});
    let (mut lesson, mut tried) = (block("LESSON"), block("QUIZ"));
    lesson["content"] = json!(text);
    tried["quiz"] = quiz;
    let section = json!({"title": title, "description": text, "state": "PUBLISHED", "blocks": [lesson, tried]});
    let course = json!({"title": title, "description": text, "enrolment_policy": "OPEN", "sections": [section]});
    json!({"format": "quartet-course", "version": 1, "course": course})
}

async fn imported(owner: &Somebody, text: &str) -> (String, serde_json::Value) {
    let content = serde_json::to_vec(&file(text)).unwrap().into();
    let made = owner.clients.courses().import_course(ImportCourseRequest { content }).await.unwrap().into_inner();
    let course_id = made.course.unwrap().course_id;
    owner.set_state(&course_id, PublicationState::Published).await;
    let asked = ExportCourseRequest { course_id: course_id.clone() };
    let file = owner.clients.courses().export_course(asked).await.unwrap().into_inner().content;
    (course_id, serde_json::from_slice(&file).unwrap())
}

#[tokio::test]
async fn s36_what_is_stored_of_courses_and_work_comes_back_letter_by_letter() {
    let world = World::shared().await;
    let class = Class::new(&world).await;
    let (owner, student) = (&class.owner, &class.student);
    for text in CORPUS.into_iter().filter(|text| !text.contains('\0')) {
        let (course_id, exported) = imported(owner, text).await;
        assert_eq!(exported, file(text));
        let asked = CompleteBlockRequest { block_id: class.lesson.clone(), remarks: text.into(), url: String::new() };
        student.clients.progress().complete_block(asked).await.unwrap();
        owner.grade(&class.lesson, &student.id(), None, text).await.unwrap();
        let told = student.submission(&class.lesson, "").await.unwrap();
        assert_eq!((told.remarks.as_str(), told.assessment.unwrap().feedback.as_str()), (text, text));
        student.enrol(&course_id, "").await.unwrap();
        let said = owner.say(&course_id, &student.id(), Some(true), text).await.unwrap();
        assert_eq!(said.r#override.unwrap().reason, text);
        student.attempt(&class.quiz, 3, text).await.unwrap();
    }
    assert_eq!(student.attempts(&class.quiz, "").await.unwrap().len(), CORPUS.len() - 1, "each key is another one");
}
