//! K8 and X20: work is handed in by students, quizzes are graded by the server, and progress follows from both.

use futures_util::future::{join, join_all};

use super::class::{Class, Somebody, answers, lesson, outcome, quiz};
use crate::harness::prelude::*;

async fn far(who: &Somebody, course: &str) -> (i32, i32, bool) {
    let progress = who.progress(course, "").await.unwrap().progress.unwrap();
    (progress.completed_blocks, progress.total_blocks, progress.completed)
}

#[tokio::test]
async fn k8_x20_progress_follows_from_what_is_handed_in() {
    let world = World::shared().await;
    let class = Class::new(&world).await;
    let (owner, student, course) = (&class.owner, &class.student, class.course.as_str());
    assert_eq!(far(student, course).await, (0, 2, false));
    let submission = student.complete(&class.lesson).await.unwrap();
    assert_eq!((submission.url.as_str(), submission.remarks.as_str()), ("https://example.com/work", "my work"));
    assert!(submission.completed && submission.complete_time.is_some() && submission.assessment.is_none());
    assert_eq!(far(student, course).await, (1, 2, false));
    let asked = CompleteBlockRequest { block_id: class.lesson.clone(), ..Default::default() };
    let again = student.clients.progress().complete_block(asked).await.unwrap().into_inner().submission.unwrap();
    assert_eq!((again.url.as_str(), far(student, course).await.0), ("", 1), "it replaces what there was");

    assert!(!student.attempt(&class.quiz, 1, "").await.unwrap().passed);
    assert_eq!(far(student, course).await, (1, 2, false));
    assert!(student.attempt(&class.quiz, 2, "").await.unwrap().passed);
    assert_eq!(far(student, course).await, (2, 2, true));
    assert!(!student.attempt(&class.quiz, 0, "").await.unwrap().passed);
    assert_eq!(far(student, course).await, (2, 2, true), "the best try counts");
    let told = student.progress(course, "").await.unwrap();
    assert_eq!(told.blocks.iter().map(|block| block.grade).collect::<Vec<_>>(), [None, Some(67)]);
    assert_eq!(told.progress.unwrap().average_grade, Some(67.0));

    student.reopen(&class.lesson).await.unwrap();
    assert_eq!(far(student, course).await, (1, 2, false));
    assert!(!student.submission(&class.lesson, "").await.unwrap().completed);
    student.complete(&class.lesson).await.unwrap();

    // What is not published counts for nothing, and is handed in by nobody.
    let more = owner.block(&class.section, lesson("More")).await;
    assert_eq!(far(student, course).await, (2, 3, false));
    owner.set_block_state(&more, PublicationState::Draft).await;
    assert_eq!(far(student, course).await, (2, 2, true));
    assert_eq!(outcome(student.complete(&more).await), "BLOCK_NOT_FOUND");
    let hidden = owner.section(course, PublicationState::Draft).await;
    let within = owner.block(&hidden, lesson("Within")).await;
    assert_eq!((outcome(student.complete(&within).await), far(student, course).await.1), ("BLOCK_NOT_FOUND".into(), 2));
    owner.delete_block(&class.quiz).await;
    assert_eq!(far(student, course).await, (1, 1, true));
    owner.delete_block(&class.lesson).await;
    assert_eq!(far(student, course).await, (0, 0, false), "a course without blocks is done by nobody");
}

#[tokio::test]
async fn k8_a_quiz_and_a_lesson_are_done_in_their_own_ways() {
    let world = World::shared().await;
    let class = Class::new(&world).await;
    let student = &class.student;
    assert_eq!(outcome(student.complete(&class.quiz).await), "BLOCK_IS_QUIZ");
    assert_eq!(outcome(student.reopen(&class.quiz).await), "BLOCK_IS_QUIZ");
    assert_eq!(outcome(student.attempt(&class.lesson, 3, "").await), "BLOCK_IS_NO_QUIZ");
    assert_eq!(outcome(student.attempts(&class.lesson, "").await), "BLOCK_IS_NO_QUIZ");
    assert_eq!(outcome(student.reopen(&class.lesson).await), "SUBMISSION_NOT_FOUND");
    for block in [&class.lesson, &class.quiz] {
        assert_eq!(outcome(student.submission(block, "").await), "SUBMISSION_NOT_FOUND");
    }
    student.attempt(&class.quiz, 0, "").await.unwrap();
    assert!(!student.submission(&class.quiz, "").await.unwrap().completed);
    student.attempt(&class.quiz, 3, "").await.unwrap();
    let done = student.submission(&class.quiz, "").await.unwrap();
    assert!(done.completed && done.complete_time.is_some());
}

#[tokio::test]
async fn k8_a_try_says_what_was_right_and_answers_stay_with_the_server() {
    let world = World::shared().await;
    let class = Class::new(&world).await;
    let tried = class.student.attempt(&class.quiz, 1, "").await.unwrap();
    assert_eq!((tried.number, tried.points, tried.max_points, tried.passed), (1, 1, 3, false));
    assert_eq!(tried.correct, [true, false, false]);
    let asked = GetBlockRequest { block_id: class.quiz.clone() };
    let shown = class.student.clients.blocks().get_block(asked).await.unwrap().into_inner();
    let text = format!("{shown:?}");
    assert!(!text.contains("Amélie") && !text.contains("answer: Some") && !text.contains("answers: [0"), "{text}");
    let listed = class.student.attempts(&class.quiz, "").await.unwrap();
    assert_eq!(listed, [tried]);
}

#[tokio::test]
async fn k8_s34_tries_are_numbered_without_gaps_and_never_more_than_allowed() {
    let world = World::shared().await;
    let class = Class::new(&world).await;
    let block = class.owner.block(&class.section, quiz("Five tries", 5)).await;
    let student = &class.student;
    let all = join_all((0..12).map(|at| student.attempt(&block, at % 4, ""))).await;
    let made: Vec<i32> = all.iter().flatten().map(|attempt| attempt.number).collect();
    let mut numbers = made.clone();
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2, 3, 4, 5]);
    for refused in all.into_iter().filter(Result::is_err) {
        let refused = refusal(refused);
        assert_eq!(refused.is(), (Code::FailedPrecondition, "ATTEMPTS_EXHAUSTED"));
        assert_eq!(refused.metadata["max_attempts"], "5");
    }
    let listed: Vec<i32> = student.attempts(&block, "").await.unwrap().iter().map(|one| one.number).collect();
    assert_eq!(listed, [5, 4, 3, 2, 1]);
    let mut asked = ListQuizAttemptsRequest { block_id: block, page_size: 2, ..Default::default() };
    let page = student.clients.progress().list_quiz_attempts(asked.clone()).await.unwrap().into_inner();
    asked.page_token = page.next_page_token;
    let page = student.clients.progress().list_quiz_attempts(asked).await.unwrap().into_inner();
    assert_eq!(page.attempts.iter().map(|one| one.number).collect::<Vec<_>>(), [3, 2]);
}

#[tokio::test]
async fn k8_the_same_key_answers_the_same_try() {
    let world = World::shared().await;
    let class = Class::new(&world).await;
    let block = class.owner.block(&class.section, quiz("One try", 1)).await;
    let all = join_all((0..6).map(|_| class.student.attempt(&block, 3, "once"))).await;
    let ids: std::collections::BTreeSet<String> = all.into_iter().map(|one| one.unwrap().attempt_id).collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(outcome(class.student.attempt(&block, 3, "twice").await), "ATTEMPTS_EXHAUSTED");
    let other = &class.stranger;
    other.enrol(&class.course, "").await.unwrap();
    assert!(!ids.contains(&other.attempt(&block, 3, "once").await.unwrap().attempt_id), "each student's own");
}

#[tokio::test]
async fn k8_s36_what_is_handed_in_is_checked() {
    let world = World::shared().await;
    let class = Class::new(&world).await;
    let student = &class.student;
    for url in ["http://example.com", "javascript:alert(1)", "https://", "https://a b.example", "ftp://example.com/x"] {
        let (block_id, url, remarks) = (class.lesson.clone(), url.to_owned(), "x".repeat(10_001));
        let asked = CompleteBlockRequest { block_id, url, remarks };
        let error = refusal(student.clients.progress().complete_block(asked).await);
        assert_eq!(error.fields, ["url", "remarks"]);
    }
    let try_with = async |answers: Vec<Answer>, key: &str| {
        let (block_id, idempotency_key) = (class.quiz.clone(), key.to_owned());
        let asked = SubmitQuizRequest { block_id, answers, idempotency_key };
        refusal(student.clients.progress().submit_quiz(asked).await).fields
    };
    assert_eq!(try_with(answers(3), &"k".repeat(65)).await, ["idempotency_key"]);
    assert_eq!(try_with(answers(3)[..2].to_vec(), "").await, ["answers"]);
    let answer = |kind| Answer { kind: Some(kind) };
    let wrong = vec![
        answer(answer::Kind::Choice(3)),
        answer(answer::Kind::Choice(1)),
        answer(answer::Kind::Text("x".repeat(201))),
    ];
    assert_eq!(try_with(wrong, "").await, ["answers[0]", "answers[1]", "answers[2]"]);
    assert_eq!(try_with(vec![answer(answer::Kind::Text("a\0".to_owned()))], "").await, ["answers[0]"]);
    for block in ["", "nothing", &class.course, "' or 1=1 --"] {
        assert_eq!(outcome(student.complete(block).await), "BLOCK_NOT_FOUND");
        assert_eq!(outcome(student.attempt(block, 1, "").await), "BLOCK_NOT_FOUND");
    }
    assert_eq!(student.attempts(&class.quiz, "").await.unwrap(), []);
}

async fn rights(class: &Class) -> String {
    let mut lines = Vec::new();
    let student = class.student.id();
    for (name, who) in class.everybody() {
        let outcomes = [
            outcome(who.complete(&class.lesson).await),
            outcome(who.reopen(&class.lesson).await),
            outcome(who.attempt(&class.quiz, 1, "").await),
            outcome(who.attempts(&class.quiz, &student).await),
            outcome(who.submission(&class.lesson, &student).await),
            outcome(who.submission(&class.lesson, &class.elsewhere.id()).await),
        ];
        lines.push(format!("{name}: {}", outcomes.join(" ")));
    }
    lines.join("\n")
}

#[tokio::test]
async fn k8_k9_s32_students_hand_in_and_teachers_look() {
    let world = World::shared().await;
    let class = Class::new(&world).await;
    class.student.complete(&class.lesson).await.unwrap();
    insta::assert_snapshot!(rights(&class).await, @r"
    stranger: BLOCK_NOT_FOUND BLOCK_NOT_FOUND BLOCK_NOT_FOUND BLOCK_NOT_FOUND BLOCK_NOT_FOUND BLOCK_NOT_FOUND
    elsewhere: BLOCK_NOT_FOUND BLOCK_NOT_FOUND BLOCK_NOT_FOUND BLOCK_NOT_FOUND BLOCK_NOT_FOUND BLOCK_NOT_FOUND
    student: ok ok ok ok ok COURSE_RIGHT_MISSING
    moderator: COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING
    co: COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING ok ok ENROLMENT_NOT_FOUND
    owner: COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING ok ok ENROLMENT_NOT_FOUND
    admin: COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING ok ok ENROLMENT_NOT_FOUND
    ");
    class.owner.set_state(&class.course, PublicationState::Archived).await;
    insta::assert_snapshot!(rights(&class).await, @r"
    stranger: BLOCK_NOT_FOUND BLOCK_NOT_FOUND BLOCK_NOT_FOUND BLOCK_NOT_FOUND BLOCK_NOT_FOUND BLOCK_NOT_FOUND
    elsewhere: BLOCK_NOT_FOUND BLOCK_NOT_FOUND BLOCK_NOT_FOUND BLOCK_NOT_FOUND BLOCK_NOT_FOUND BLOCK_NOT_FOUND
    student: COURSE_ARCHIVED COURSE_ARCHIVED COURSE_ARCHIVED ok ok COURSE_RIGHT_MISSING
    moderator: COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING
    co: COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING ok ok ENROLMENT_NOT_FOUND
    owner: COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING ok ok ENROLMENT_NOT_FOUND
    admin: COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING ok ok ENROLMENT_NOT_FOUND
    ");
}

#[tokio::test]
async fn k8_s34_nothing_is_handed_in_once_a_course_is_archived() {
    let world = World::shared().await;
    let class = Class::new(&world).await;
    let (owner, student) = (&class.owner, &class.student);
    for _ in 0..5 {
        let course = owner.course(EnrolmentPolicy::Open, "").await;
        let section = owner.section(&course, PublicationState::Published).await;
        let block = owner.block(&section, quiz("A quiz", 0)).await;
        student.enrol(&course, "").await.unwrap();
        let works = join_all((0..6).map(|_| student.attempt(&block, 3, "")));
        let ((), works) = join(owner.set_state(&course, PublicationState::Archived), works).await;
        let there = student.attempts(&block, "").await.unwrap().len();
        assert_eq!(works.iter().filter(|one| one.is_ok()).count(), there, "what was answered is what there is");
        assert!(works.into_iter().map(outcome).all(|one| one == "ok" || one == "COURSE_ARCHIVED"));
        assert_eq!(outcome(student.attempt(&block, 3, "").await), "COURSE_ARCHIVED");
        assert_eq!(student.attempts(&block, "").await.unwrap().len(), there);
    }
}
