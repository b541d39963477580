//! K8 and X20: what teachers say of work, the gradebook, and what stays of all that when somebody goes.

use std::collections::BTreeSet;

use futures_util::future::{join, join_all};
use prost::Message as _;
use serde_json::json;

use super::class::{Class, Somebody, lesson, outcome};
use crate::harness::prelude::*;
use crate::identity::erasure::{completed, copied, delete};

async fn assessments(who: &Somebody, block: &str, account_id: &str) -> Result<Vec<Assessment>, tonic::Status> {
    let (block_id, account_id) = (block.to_owned(), account_id.to_owned());
    let mut asked = ListAssessmentsRequest { block_id, account_id, page_size: 2, ..Default::default() };
    let mut all = Vec::new();
    loop {
        let page = who.clients.grades().list_assessments(asked.clone()).await?.into_inner();
        all.extend(page.assessments);
        if page.next_page_token.is_empty() {
            return Ok(all);
        }
        asked.page_token = page.next_page_token;
    }
}

async fn gradebook(who: &Somebody, course: &str, page_size: i32) -> Result<GetGradebookResponse, tonic::Status> {
    let mut asked = GetGradebookRequest { course_id: course.to_owned(), page_size, ..Default::default() };
    let mut book = GetGradebookResponse::default();
    loop {
        let page = who.clients.grades().get_gradebook(asked.clone()).await?.into_inner();
        book.columns = page.columns;
        book.rows.extend(page.rows);
        if page.next_page_token.is_empty() {
            return Ok(book);
        }
        asked.page_token = page.next_page_token;
    }
}

async fn export(who: &Somebody, course: &str) -> Result<String, tonic::Status> {
    let asked = ExportGradebookRequest { course_id: course.to_owned() };
    let mut parts = who.clients.grades().export_gradebook(asked).await?.into_inner();
    let mut file = Vec::new();
    while let Some(part) = parts.message().await? {
        file.extend_from_slice(&part.content);
    }
    Ok(String::from_utf8(file).unwrap())
}

async fn average(who: &Somebody, course: &str) -> Option<f64> {
    who.progress(course, "").await.unwrap().progress.unwrap().average_grade
}

#[tokio::test]
async fn k8_x20_every_grade_is_kept_and_the_newest_counts() {
    let world = World::shared().await;
    let class = Class::new(&world).await;
    let (owner, co, student) = (&class.owner, &class.co, &class.student);
    let id = student.id();
    assert_eq!(outcome(owner.grade(&class.lesson, &id, Some(50), "").await), "NOTHING_SUBMITTED");
    assert_eq!(outcome(owner.grade(&class.quiz, &id, Some(50), "").await), "NOTHING_SUBMITTED");
    student.complete(&class.lesson).await.unwrap();
    let first = owner.grade(&class.lesson, &id, Some(50), "Half of it.").await.unwrap();
    assert_eq!((first.grade, first.feedback.as_str(), first.teacher_account_id), (Some(50), "Half of it.", owner.id()));
    co.grade(&class.lesson, &id, Some(80), "").await.unwrap();
    owner.grade(&class.lesson, &id, None, "Look again at the end.").await.unwrap();
    assert_eq!(average(student, &class.course).await, Some(80.0), "feedback alone leaves the grade");
    let listed = assessments(student, &class.lesson, "").await.unwrap();
    assert_eq!(listed.iter().map(|one| one.grade).collect::<Vec<_>>(), [None, Some(80), Some(50)]);
    assert_eq!(assessments(co, &class.lesson, &id).await.unwrap(), listed);
    let shown = student.submission(&class.lesson, "").await.unwrap();
    assert_eq!(
        (shown.assessment.unwrap().feedback.as_str(), shown.remarks.as_str()),
        ("Look again at the end.", "my work")
    );

    student.attempt(&class.quiz, 3, "").await.unwrap();
    assert_eq!(average(student, &class.course).await, Some(90.0), "a quiz has the grade of its best try");
    owner.grade(&class.quiz, &id, Some(0), "Copied.").await.unwrap();
    assert_eq!(average(student, &class.course).await, Some(40.0), "until a teacher says otherwise");
    student.reopen(&class.lesson).await.unwrap();
    assert_eq!(average(student, &class.course).await, Some(40.0), "grades stay");
    assert_eq!(outcome(owner.grade(&class.lesson, &id, Some(1), "").await), "NOTHING_SUBMITTED");
}

#[tokio::test]
async fn x20_a_teacher_says_that_a_course_is_done_and_takes_it_back() {
    let world = World::shared().await;
    let class = Class::new(&world).await;
    let (owner, student, course) = (&class.owner, &class.student, class.course.as_str());
    let said = owner.say(course, &student.id(), Some(true), " Done at another school. ").await.unwrap();
    assert!(said.completed && said.completed_blocks == 0);
    let shown = student.progress(course, "").await.unwrap().progress.unwrap();
    let why = shown.r#override.clone().unwrap();
    assert_eq!((why.completed, why.reason.as_str()), (true, "Done at another school."));
    assert_eq!((why.teacher_account_id, shown.completed), (owner.id(), true));
    let taken_back = class.co.say(course, &student.id(), None, "").await.unwrap();
    assert!(!taken_back.completed && taken_back.r#override.is_none());
    student.complete(&class.lesson).await.unwrap();
    student.attempt(&class.quiz, 3, "").await.unwrap();
    let denied = owner.say(course, &student.id(), Some(false), "The exam is missing.").await.unwrap();
    assert!(!denied.completed && denied.completed_blocks == 2);
    for (completed, reason) in [(Some(true), ""), (Some(true), "  "), (None, "why"), (Some(false), &*"x".repeat(501))] {
        assert_eq!(refusal(owner.say(course, &student.id(), completed, reason).await).fields, ["reason"]);
    }
    assert_eq!(outcome(owner.say(course, &class.stranger.id(), Some(true), "x").await), "ENROLMENT_NOT_FOUND");
}

#[tokio::test]
async fn k8_a_gradebook_has_every_student_and_block() {
    let world = World::shared().await;
    let class = Class::new(&world).await;
    let (owner, course) = (&class.owner, class.course.as_str());
    let evil = owner.block(&class.section, lesson("=SUM(A1:A9)")).await;
    let names = [("Ada", "L, \"Countess\""), ("@Bob", "B"), ("", "")];
    let mut people = Vec::new();
    for (first, last) in names {
        let somebody = Somebody::new(&world, "pupil").await;
        somebody.is_called(&world, first, last).await;
        somebody.enrol(course, "").await.unwrap();
        people.push(somebody);
    }
    people[0].complete(&class.lesson).await.unwrap();
    people[0].complete(&evil).await.unwrap();
    owner.grade(&class.lesson, &people[0].id(), Some(75), "").await.unwrap();
    people[1].attempt(&class.quiz, 2, "").await.unwrap();
    let book = eventually("the names are known", async || {
        let book = gradebook(owner, course, 1).await.unwrap();
        (book.rows.iter().filter(|row| !row.first_name.is_empty()).count() == 2).then_some(book)
    })
    .await;
    let titles: Vec<&str> = book.columns.iter().map(|column| column.title.as_str()).collect();
    assert_eq!(titles, ["A lesson", "A quiz", "=SUM(A1:A9)"]);
    let ada = book.rows.iter().find(|row| row.first_name == "Ada").unwrap();
    assert_eq!(ada.blocks.iter().map(|one| one.completed).collect::<Vec<_>>(), [true, false, true]);
    assert_eq!(ada.blocks.iter().map(|one| one.grade).collect::<Vec<_>>(), [Some(75), None, None]);
    assert_eq!(ada.progress.as_ref().unwrap().average_grade, Some(75.0));
    assert_eq!(book.rows.len(), 4);

    let file = export(owner, course).await.unwrap();
    let lines: Vec<&str> = file.split("\r\n").collect();
    let header = "first_name,last_name,email,completed_blocks,total_blocks,completed,average_grade,A lesson,A quiz,";
    assert_eq!(lines[0], format!("{header}'=SUM(A1:A9)"));
    let of = |who: &Somebody| *lines.iter().find(|line| line.contains(&who.person.email)).unwrap();
    let email = |who: &Somebody| who.person.email.clone();
    assert_eq!(of(&people[0]), format!("Ada,\"L, \"\"Countess\"\"\",{},2,3,false,75.00,75,,", email(&people[0])));
    assert_eq!(of(&people[1]), format!("'@Bob,B,{},1,3,false,67.00,,67,", email(&people[1])));
    assert_eq!(lines.len(), 6);
}

/// Grades that two teachers give at the same time, from whichever process, are one after the other.
#[tokio::test]
async fn k8_s34_the_newest_grade_is_the_one_that_was_given_last() {
    let world = World::shared().await;
    let class = Class::new(&world).await;
    let (owner, co, student, id) = (&class.owner, &class.co, &class.student, class.student.id());
    student.complete(&class.lesson).await.unwrap();
    let given = join_all((0..20).map(|grade| {
        let teacher = if grade % 2 == 0 { owner } else { co };
        teacher.grade(&class.lesson, &id, Some(grade), "")
    }))
    .await;
    assert!(given.iter().all(Result::is_ok));
    let listed: Vec<i32> =
        assessments(student, &class.lesson, "").await.unwrap().iter().flat_map(|one| one.grade).collect();
    assert_eq!(listed.iter().copied().collect::<BTreeSet<i32>>().len(), 20, "all are kept: {listed:?}");
    let newest = || async {
        let book = gradebook(owner, &class.course, 0).await.unwrap();
        (book.rows[0].blocks[0].grade, average(student, &class.course).await)
    };
    assert_eq!(newest().await, (Some(listed[0]), Some(f64::from(listed[0]))));
    // Less than before, and 0 is a grade.
    for grade in [100, 7, 0] {
        owner.grade(&class.lesson, &id, Some(grade), "").await.unwrap();
        owner.grade(&class.lesson, &id, None, "only words").await.unwrap();
        assert_eq!(newest().await, (Some(grade), Some(f64::from(grade))));
    }
}

#[tokio::test]
async fn k8_s34_nobody_is_graded_who_has_left() {
    let world = World::shared().await;
    let class = Class::new(&world).await;
    let (owner, student, id) = (&class.owner, &class.student, class.student.id());
    student.complete(&class.lesson).await.unwrap();
    for _ in 0..5 {
        let before = assessments(owner, &class.lesson, &id).await.unwrap().len();
        let grades = join_all((0..6).map(|grade| owner.grade(&class.lesson, &id, Some(grade), "")));
        let (left, grades) = join(student.unenrol(&class.course, ""), grades).await;
        left.unwrap();
        let given = grades.iter().filter(|one| one.is_ok()).count();
        assert!(grades.into_iter().map(outcome).all(|one| one == "ok" || one == "ENROLMENT_NOT_FOUND"));
        assert_eq!(assessments(owner, &class.lesson, &id).await.unwrap().len(), before + given);
        assert_eq!(outcome(owner.grade(&class.lesson, &id, Some(1), "").await), "ENROLMENT_NOT_FOUND");
        student.enrol(&class.course, "").await.unwrap();
    }
}

/// A course of so many published lessons with the longest titles.
async fn with_lessons(owner: &Somebody, count: usize) -> String {
    let title = "\u{1f600}".repeat(200);
    let block = json!({"type": "LESSON", "title": title, "description": "", "state": "PUBLISHED"});
    let section = json!({"title": "Section", "description": "", "state": "PUBLISHED", "blocks": vec![block; count]});
    let course = json!({"title": "Long", "description": "", "enrolment_policy": "OPEN", "sections": [section]});
    let file = json!({"format": "quartet-course", "version": 1, "course": course});
    let content = serde_json::to_vec(&file).unwrap().into();
    let made = owner.clients.courses().import_course(ImportCourseRequest { content }).await.unwrap().into_inner();
    let course_id = made.course.unwrap().course_id;
    owner.set_state(&course_id, PublicationState::Published).await;
    course_id
}

#[tokio::test]
async fn k8_s40_a_gradebook_of_many_blocks_has_short_pages() {
    let world = World::shared().await;
    let admin = world.admin().await;
    let owner = Somebody::with_role(&world, &admin, "teacher").await;
    let course_id = with_lessons(&owner, 1_000).await;
    let mut ids = BTreeSet::new();
    for _ in 0..21 {
        let student = Somebody::new(&world, "student").await;
        student.enrol(&course_id, "").await.unwrap();
        ids.insert(student.id());
    }
    let mut asked = GetGradebookRequest { course_id: course_id.clone(), page_size: 100, ..Default::default() };
    let first = owner.clients.grades().get_gradebook(asked.clone()).await.unwrap().into_inner();
    assert_eq!((first.columns.len(), first.rows.len()), (1_000, 20));
    assert!(first.encoded_len() < 4_000_000, "{}", first.encoded_len());
    asked.page_token = first.next_page_token.clone();
    let second = owner.clients.grades().get_gradebook(asked.clone()).await.unwrap().into_inner();
    assert_eq!((second.rows.len(), second.next_page_token.as_str()), (1, ""));
    let all = [first.rows, second.rows].concat();
    assert_eq!(all.iter().map(|row| row.account_id.clone()).collect::<BTreeSet<_>>(), ids);
    assert_eq!(export(&owner, &course_id).await.unwrap().lines().count(), 22);

    // A class is counted with its first page, whoever comes in the meantime.
    let mut asked = ListEnrolmentsRequest { course_id: course_id.clone(), page_size: 10, ..Default::default() };
    let page = owner.clients.enrolments().list_enrolments(asked.clone()).await.unwrap().into_inner();
    assert_eq!((page.enrolments.len(), page.total_size), (10, 21));
    asked.page_token = page.next_page_token;
    let late = Somebody::new(&world, "late").await;
    late.enrol(&course_id, "").await.unwrap();
    let page = owner.clients.enrolments().list_enrolments(asked.clone()).await.unwrap().into_inner();
    assert_eq!((page.enrolments.len(), page.total_size), (10, 21));
    // Such a token is that course's alone.
    asked.course_id = owner.course(EnrolmentPolicy::Open, "").await;
    assert_eq!(refusal(owner.clients.enrolments().list_enrolments(asked).await).fields, ["page_token"]);
}

#[tokio::test]
async fn k8_s40_a_page_of_long_feedback_fits_into_a_message() {
    let world = World::shared().await;
    let class = Class::new(&world).await;
    let (owner, id) = (&class.owner, class.student.id());
    class.student.complete(&class.lesson).await.unwrap();
    let long = "\u{1f600}".repeat(10_000);
    for grade in 0..95 {
        owner.grade(&class.lesson, &id, Some(grade), &long).await.unwrap();
    }
    let mut asked =
        ListAssessmentsRequest { block_id: class.lesson.clone(), account_id: id, page_size: 100, ..Default::default() };
    let first = owner.clients.grades().list_assessments(asked.clone()).await.unwrap().into_inner();
    assert!(first.encoded_len() < 3_600_000 && first.assessments.len() < 95, "{}", first.assessments.len());
    asked.page_token = first.next_page_token;
    let second = owner.clients.grades().list_assessments(asked).await.unwrap().into_inner();
    let grades: Vec<i32> = first.assessments.iter().chain(&second.assessments).flat_map(|one| one.grade).collect();
    assert_eq!((grades, second.next_page_token.as_str()), ((0..95).rev().collect(), ""));
}

async fn rights(class: &Class) -> String {
    let mut lines = Vec::new();
    let (course, student) = (class.course.as_str(), class.student.id());
    for (name, who) in class.everybody() {
        let outcomes = [
            outcome(who.grade(&class.lesson, &student, Some(10), "").await),
            outcome(assessments(who, &class.lesson, &student).await),
            outcome(gradebook(who, course, 0).await),
            outcome(who.say(course, &student, Some(true), "x").await),
            outcome(export(who, course).await),
            outcome(who.grade(&class.lesson, &class.elsewhere.id(), Some(10), "").await),
        ];
        lines.push(format!("{name}: {}", outcomes.join(" ")));
    }
    lines.join("\n")
}

#[tokio::test]
async fn k8_k9_s32_teachers_alone_grade() {
    let world = World::shared().await;
    let class = Class::new(&world).await;
    class.student.complete(&class.lesson).await.unwrap();
    insta::assert_snapshot!(rights(&class).await, @r"
    stranger: BLOCK_NOT_FOUND BLOCK_NOT_FOUND COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING BLOCK_NOT_FOUND
    elsewhere: BLOCK_NOT_FOUND BLOCK_NOT_FOUND COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING BLOCK_NOT_FOUND
    student: COURSE_RIGHT_MISSING ok COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING
    moderator: COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING
    co: ok ok ok ok ok ENROLMENT_NOT_FOUND
    owner: ok ok ok ok ok ENROLMENT_NOT_FOUND
    admin: ok ok ok ok ok ENROLMENT_NOT_FOUND
    ");
    class.owner.set_state(&class.course, PublicationState::Archived).await;
    insta::assert_snapshot!(rights(&class).await, @r"
    stranger: BLOCK_NOT_FOUND BLOCK_NOT_FOUND COURSE_NOT_FOUND COURSE_NOT_FOUND COURSE_NOT_FOUND BLOCK_NOT_FOUND
    elsewhere: BLOCK_NOT_FOUND BLOCK_NOT_FOUND COURSE_NOT_FOUND COURSE_NOT_FOUND COURSE_NOT_FOUND BLOCK_NOT_FOUND
    student: COURSE_RIGHT_MISSING ok COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING
    moderator: COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING
    co: COURSE_ARCHIVED ok ok COURSE_ARCHIVED ok COURSE_ARCHIVED
    owner: COURSE_ARCHIVED ok ok COURSE_ARCHIVED ok COURSE_ARCHIVED
    admin: COURSE_ARCHIVED ok ok COURSE_ARCHIVED ok COURSE_ARCHIVED
    ");
}

#[tokio::test]
async fn k8_s36_grades_are_checked() {
    let world = World::shared().await;
    let class = Class::new(&world).await;
    let (owner, id) = (&class.owner, class.student.id());
    for (grade, feedback, fields) in [
        (Some(-1), String::new(), vec!["grade"]),
        (Some(101), "x".repeat(10_001), vec!["grade", "feedback"]),
        (None, " ".to_owned(), vec!["feedback"]),
        (Some(i32::MAX), "a\0b".to_owned(), vec!["grade", "feedback"]),
    ] {
        assert_eq!(refusal(owner.grade(&class.lesson, &id, grade, &feedback).await).fields, fields);
    }
    for who in ["", "nobody", "' or 1=1 --"] {
        assert_eq!(outcome(owner.grade(&class.lesson, who, Some(1), "").await), "ENROLMENT_NOT_FOUND");
    }
    let asked = ListAssessmentsRequest {
        block_id: class.lesson.clone(),
        page_token: "x".into(),
        page_size: -1,
        ..Default::default()
    };
    let error = refusal(owner.clients.grades().list_assessments(asked).await);
    assert_eq!(error.fields, ["page_size", "page_token"]);
}

#[tokio::test]
async fn i16_s15_x20_of_who_is_erased_nothing_is_left_in_courses_and_others_keep_theirs() {
    let world = World::own().await;
    let class = Class::new(&world).await;
    let ada = Somebody::with_role(&world, &world.admin().await, "teacher").await;
    copied(&world).await;
    // She takes one course, teaches it and grades in it later, is invited to another, and has two of her own.
    let invited = class.owner.course(EnrolmentPolicy::Invitation, "").await;
    for emails in [vec![ada.person.email.clone()], vec![]] {
        let account_ids = if emails.is_empty() { vec![ada.id()] } else { vec![] };
        let asked = InviteStudentsRequest { course_id: invited.clone(), account_ids, emails };
        class.owner.clients.enrolments().invite_students(asked).await.unwrap();
    }
    ada.enrol(&class.course, "").await.unwrap();
    ada.complete(&class.lesson).await.unwrap();
    ada.attempt(&class.quiz, 2, "").await.unwrap();
    class.owner.grade(&class.lesson, &ada.id(), Some(70), "Good, Ada.").await.unwrap();
    class.owner.say(&class.course, &ada.id(), Some(true), "seen").await.unwrap();
    let alone = ada.course(EnrolmentPolicy::Open, "").await;
    let shared = ada.course(EnrolmentPolicy::Open, "").await;
    let section = ada.section(&shared, PublicationState::Published).await;
    let block = ada.block(&section, lesson("Hers")).await;
    for teacher in [&class.co, &class.owner] {
        let asked = AddTeacherRequest { course_id: shared.clone(), account_id: teacher.id() };
        ada.clients.course_teachers().add_teacher(asked).await.unwrap();
    }
    class.student.enrol(&shared, "").await.unwrap();
    class.student.complete(&block).await.unwrap();
    ada.grade(&block, &class.student.id(), Some(90), "Well done.").await.unwrap();
    ada.say(&shared, &class.student.id(), Some(true), "enough").await.unwrap();

    let told = completed(&world, &delete(&world, &ada.person).await).await;
    let catalogue = told.contexts.iter().find(|one| one.context == "catalogue").unwrap();
    let removed: Vec<(&str, i32)> = catalogue.removed.iter().map(|one| (one.kind.as_str(), one.count)).collect();
    let expected = [
        ("account", 1),
        ("assessment", 1),
        ("course", 1),
        ("enrolment", 1),
        ("invitation", 2),
        ("quiz_attempt", 1),
        ("submission", 1),
    ];
    assert_eq!(removed, expected);
    assert_eq!(world.stored().await.traces(&ada.person.email, &ada.id()), [""; 0]);

    let asked = GetCourseRequest { course_id: alone };
    assert_eq!(outcome(class.admin.clients.courses().get_course(asked).await), "COURSE_NOT_FOUND");
    let asked = GetCourseRequest { course_id: shared.clone() };
    let course = class.student.clients.courses().get_course(asked).await.unwrap().into_inner().course.unwrap();
    assert_eq!(course.owner_account_id, class.co.id(), "who has taught it for the longest");
    let shown = class.student.submission(&block, "").await.unwrap().assessment.unwrap();
    assert_eq!((shown.grade, shown.teacher_account_id.as_str()), (Some(90), ""));
    let progress = class.student.progress(&shared, "").await.unwrap().progress.unwrap();
    assert_eq!(progress.r#override.unwrap().teacher_account_id, "");
    assert_eq!(gradebook(&class.owner, &class.course, 0).await.unwrap().rows.len(), 1);
}
