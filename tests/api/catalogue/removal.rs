//! Courses that are deleted, at once for everybody and bit by bit in the database, and what an erasure leaves behind in courses: nothing,
//! whatever others do with the person at that moment.

use diesel::{Connection as _, QueryableByName, RunQueryDsl as _, SqliteConnection, sql_query, sql_types::Text};
use futures_util::future::join_all;
use quartet_proto::control::v1::SetFaultRequest;
use quartet_proto::control::v1::control_service_client::ControlServiceClient;

use super::class::{Class, Somebody, lesson, outcome, quiz};
use crate::harness::prelude::*;
use crate::harness::{Process, channel};
use crate::identity::erasure::{completed, copied, delete};

/// More than a transaction removes.
const MANY: usize = 2300;
/// The tables of what is in a course.
const TABLES: [&str; 8] = [
    "section",
    "content_block",
    "course_teacher",
    "enrolment",
    "invitation",
    "submission",
    "quiz_attempt",
    "assessment",
];

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    text: String,
}

/// Asks the catalogue's database for lines of text. `{ID}` stands for 16 bytes that nothing has yet, `{0}` and so on for ids.
async fn ask(world: &World, sql: &str, ids: &[&str]) -> Vec<String> {
    let (random, quote): (_, fn(&str) -> String) = match world.grounds() {
        Some(_) => ("decode(md5(random()::text || n), 'hex')", |id| format!("decode('{id}', 'hex')")),
        None => ("randomblob(16)", |id| format!("x'{id}'")),
    };
    let mut sql = sql.replace("{ID}", random);
    for (at, id) in ids.iter().enumerate() {
        sql = sql.replace(&format!("{{{at}}}"), &quote(&id.replace('-', "")));
    }
    match world.grounds() {
        Some(grounds) => {
            let database = grounds.database("catalogue");
            grounds.postgres.run(&database, &sql).await.lines().map(str::to_owned).collect()
        }
        None => {
            let path = world.data().unwrap().join("catalogue.db");
            let mut store = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
            sql_query("pragma busy_timeout = 5000").execute(&mut store).unwrap();
            sql_query("pragma foreign_keys = on").execute(&mut store).unwrap();
            if sql.starts_with("select") {
                let lines: Vec<Line> = sql_query(sql).load(&mut store).unwrap();
                return lines.into_iter().map(|line| line.text).collect();
            }
            sql_query(sql).execute(&mut store).unwrap();
            Vec::new()
        }
    }
}

/// The tables that hold something of a course, itself among them.
async fn left_of(world: &World, course: &str) -> Vec<String> {
    let parts = TABLES.map(|table| format!("select distinct '{table}' as text from {table} where course_id = {{0}}"));
    let sql = format!("{} union all select 'course' as text from course where id = {{0}}", parts.join(" union all "));
    ask(world, &sql, &[course]).await
}

/// Gives a course a class of many, with many tries of its quiz.
async fn fill(world: &World, course: &str, block: &str) {
    let numbers = format!(
        "with recursive numbers (n) as (select 1 union all select n + 1 from numbers where n < {MANY}) insert into"
    );
    let students = "enrolment (course_id, student_id, active, name_key, create_time, override_reason) \
                    select {0}, {ID}, true, 'x', '2026-01-01 00:00:00', '' from numbers";
    ask(world, &format!("{numbers} {students}"), &[course]).await;
    let attempts = "quiz_attempt (id, block_id, student_id, course_id, number, answers, correct, points, max_points, \
                    passed, create_time) select {ID}, {1}, {0}, {0}, n, '[]', '[]', 0, 6, false, \
                    '2026-01-01 00:00:00' from numbers";
    ask(world, &format!("{numbers} {attempts}"), &[course, block]).await;
    let works = "submission (block_id, student_id, course_id, url, remarks, completed) \
                 select {1}, {ID}, {0}, '', '', false from numbers";
    ask(world, &format!("{numbers} {works}"), &[course, block]).await;
}

async fn delete_course(who: &Somebody, course: &str) -> Result<(), tonic::Status> {
    let asked = DeleteCourseRequest { course_id: course.to_owned(), ..Default::default() };
    who.clients.courses().delete_course(asked).await.map(drop)
}

async fn listed(who: &Somebody, scope: CourseScope) -> Vec<String> {
    let asked = ListCoursesRequest { scope: scope.into(), page_size: 100, ..Default::default() };
    let courses = who.clients.courses().list_courses(asked).await.unwrap().into_inner().courses;
    courses.into_iter().map(|course| course.course_id).collect()
}

#[tokio::test]
async fn k4_s32_a_deleted_course_is_gone_for_everybody_at_once_and_all_of_it_in_the_end() {
    let world = World::own().await;
    let class = Class::new(&world).await;
    let (course, block) = (class.course.as_str(), class.lesson.as_str());
    class.student.complete(block).await.unwrap();
    class.student.attempt(&class.quiz, 3, "").await.unwrap();
    class.owner.grade(block, &class.student.id(), Some(80), "Good.").await.unwrap();
    fill(&world, course, &class.quiz).await;
    assert_eq!(left_of(&world, course).await.len(), 8, "all but an invitation");

    delete_course(&class.owner, course).await.unwrap();
    for (name, who) in class.everybody() {
        let asked = GetCourseRequest { course_id: course.to_owned() };
        assert_eq!(outcome(who.clients.courses().get_course(asked).await), "COURSE_NOT_FOUND", "{name}");
        assert_eq!(outcome(who.progress(course, &class.student.id()).await), "COURSE_NOT_FOUND", "{name}");
        assert_eq!(outcome(who.enrol(course, "").await), "COURSE_NOT_FOUND", "{name}");
        assert_eq!(outcome(who.complete(block).await), "BLOCK_NOT_FOUND", "{name}");
        assert_eq!(outcome(delete_course(who, course).await), "COURSE_NOT_FOUND", "{name}");
        for scope in [CourseScope::Unspecified, CourseScope::Teaching, CourseScope::Taking] {
            assert!(!listed(who, scope).await.contains(&class.course), "{name} {scope:?}");
        }
    }
    eventually("nothing of it is left", async || left_of(&world, course).await.is_empty().then_some(())).await;
    assert_eq!(listed(&class.elsewhere, CourseScope::Taking).await.len(), 1, "others stay");
}

#[tokio::test]
async fn k4_f02_a_deleted_course_is_removed_though_the_process_ends_in_the_middle() {
    let mut world = if std::env::var("QUARTET_TEST_MODE").is_ok_and(|mode| mode == "fleet") {
        World::own().await
    } else {
        World::lone(&[]).await
    };
    for fault in [Fault::CrashBeforeCommit, Fault::CrashAfterCommit] {
        let admin = world.admin().await;
        let owner = Somebody::with_role(&world, &admin, "teacher").await;
        let course = owner.course(EnrolmentPolicy::Open, "").await;
        let section = owner.section(&course, PublicationState::Published).await;
        let block = owner.block(&section, quiz("Tried", 0)).await;
        fill(&world, &course, &block).await;
        match world.fleet() {
            Some(fleet) => aim(&fleet.catalogue, fault, "course removal").await,
            None => world.process().aim(fault, "course removal", 0).await,
        }
        // The answer may be lost with the process. The course is deleted all the same.
        delete_course(&owner, &course).await.ok();
        if world.is_embedded() || world.fleet().is_none() {
            world.process().revive().await;
        } else {
            let catalogue = &mut world.fleet_mut().catalogue;
            catalogue.crashed().await;
            catalogue.restart().await;
        }
        eventually("nothing of it is left", async || left_of(&world, &course).await.is_empty().then_some(())).await;
        eventually("the catalogue answers", async || {
            world.anonymous().courses().list_courses(ListCoursesRequest::default()).await.ok()
        })
        .await;
    }
}

async fn aim(process: &Process, fault: Fault, step: &str) {
    let asked = SetFaultRequest { fault: fault.into(), failing: true, rpc: step.to_owned(), skip: 0 };
    let mut control = ControlServiceClient::new(channel(process.started.control));
    control.set_fault(asked).await.expect("the fault can't be set");
}

#[tokio::test]
async fn i16_whose_course_is_large_is_erased_and_their_courses_with_them() {
    let world = World::own().await;
    let admin = world.admin().await;
    let ada = Somebody::with_role(&world, &admin, "teacher").await;
    copied(&world).await;
    let mut courses = Vec::new();
    for _ in 0..3 {
        let course = ada.course(EnrolmentPolicy::Open, "").await;
        let section = ada.section(&course, PublicationState::Published).await;
        let block = ada.block(&section, quiz("Tried", 0)).await;
        fill(&world, &course, &block).await;
        courses.push(course);
    }
    // One that she has deleted herself is removed by then, and counts as hers no more.
    delete_course(&ada, &courses[2]).await.unwrap();
    let told = completed(&world, &delete(&world, &ada.person).await).await;
    let catalogue = told.contexts.iter().find(|one| one.context == "catalogue").unwrap();
    let removed: Vec<(&str, i32)> = catalogue.removed.iter().map(|one| (one.kind.as_str(), one.count)).collect();
    assert_eq!(removed, [("account", 1), ("course", 2)]);
    for course in courses {
        assert_eq!(left_of(&world, &course).await, [""; 0]);
    }
    assert_eq!(world.stored().await.traces(&ada.person.email, &ada.id()), [""; 0]);
}

/// Calls until it is refused.
async fn until_refused(mut call: impl AsyncFnMut() -> Result<(), tonic::Status>) -> String {
    loop {
        match call().await {
            Ok(()) => {}
            Err(status) => return Refusal::from(status).reason,
        }
    }
}

#[tokio::test]
async fn i16_s34_nothing_about_somebody_comes_behind_their_erasure() {
    let world = World::own().await;
    let admin = world.admin().await;
    let owner = Somebody::with_role(&world, &admin, "teacher").await;
    for round in 0..4 {
        let ada = Somebody::with_role(&world, &admin, "teacher").await;
        copied(&world).await;
        let mut courses = Vec::new();
        for _ in 0..4 {
            courses.push(owner.course(EnrolmentPolicy::Open, "").await);
        }
        let (id, teachers) = (ada.id(), owner.clients.course_teachers());
        let asked = |course: &str| (course.to_owned(), ada.id());
        let invited = until_refused(async || {
            let (course_id, account_id) = asked(&courses[0]);
            let account_ids = vec![id.clone()];
            let invite = InviteStudentsRequest { course_id: course_id.clone(), account_ids, emails: Vec::new() };
            owner.clients.enrolments().invite_students(invite).await?;
            let revoke = RevokeInvitationRequest { course_id, account_id, ..Default::default() };
            owner.clients.enrolments().revoke_invitation(revoke).await.map(drop)
        });
        let taught = until_refused(async || {
            let (course_id, account_id) = asked(&courses[1]);
            let add = AddTeacherRequest { course_id: course_id.clone(), account_id: account_id.clone() };
            teachers.clone().add_teacher(add).await?;
            teachers.clone().remove_teacher(RemoveTeacherRequest { course_id, account_id }).await.map(drop)
        });
        let given = until_refused(async || {
            let (course_id, account_id) = asked(&courses[2]);
            let add = AddTeacherRequest { course_id: course_id.clone(), account_id: account_id.clone() };
            teachers.clone().add_teacher(add).await?;
            let mut hers = world.as_token(&admin.access_token).course_teachers();
            hers.transfer_course(TransferCourseRequest { course_id: course_id.clone(), account_id }).await?;
            let back = TransferCourseRequest { course_id, account_id: owner.id() };
            hers.transfer_course(back).await.map(drop)
        });
        let enrolled = until_refused(async || {
            ada.enrol(&courses[3], "").await?;
            match ada.unenrol(&courses[3], "").await.map_err(Refusal::from) {
                // It may go before it is known everywhere that her session is over.
                Err(refused) if refused.reason == "ENROLMENT_NOT_FOUND" => Ok(()),
                left => left.map_err(|refused| refused.status),
            }
        });
        let made = until_refused(async || {
            let course = Some(Course { title: "Hers".to_owned(), ..Default::default() });
            let asked = CreateCourseRequest { course, ..Default::default() };
            ada.clients.courses().create_course(asked).await.map(drop)
        });
        let gone = async { completed(&world, &delete(&world, &ada.person).await).await };
        let (.., invited, taught, given, enrolled, made) = tokio::join!(gone, invited, taught, given, enrolled, made);
        assert_eq!([invited, taught], ["PERSON_NOT_FOUND"; 2], "round {round}");
        // The course may be hers when she goes: then it goes with her, or to the owner whose it was.
        assert!(["PERSON_NOT_FOUND", "COURSE_NOT_FOUND", "COURSE_RIGHT_MISSING"].contains(&given.as_str()), "{given}");
        for refused in [enrolled, made] {
            let known = ["SESSION_REVOKED", "PERSON_NOT_FOUND", "TOKEN_INVALID"].contains(&refused.as_str());
            assert!(known, "round {round}: {refused}");
        }
        assert_eq!(world.stored().await.traces(&ada.person.email, &ada.id()), [""; 0], "round {round}");
    }
}

#[tokio::test]
async fn i16_a_course_goes_to_who_can_sign_in() {
    let world = World::own().await;
    let class = Class::new(&world).await;
    let ada = Somebody::with_role(&world, &world.admin().await, "teacher").await;
    copied(&world).await;
    let (both, alone) = (ada.course(EnrolmentPolicy::Open, "").await, ada.course(EnrolmentPolicy::Open, "").await);
    for (course, person) in [(&both, &class.elsewhere), (&both, &class.stranger), (&alone, &class.elsewhere)] {
        let asked = AddTeacherRequest { course_id: course.clone(), account_id: person.id() };
        eventually("the teacher is known", async || {
            ada.clients.course_teachers().add_teacher(asked.clone()).await.ok()
        })
        .await;
    }
    let suspended = SetAccountStatusRequest {
        account_id: class.elsewhere.id(),
        state: AccountState::Suspended.into(),
        reason: "a test".to_owned(),
    };
    class.admin.person.roles(&world).set_account_status(suspended).await.unwrap();
    eventually("the catalogue knows of it", async || {
        let account_ids = vec![class.elsewhere.id()];
        let asked = InviteStudentsRequest { course_id: both.clone(), account_ids, emails: Vec::new() };
        let invited = ada.clients.enrolments().invite_students(asked).await;
        invited.err().map(Refusal::from).filter(|refused| refused.reason == "PERSON_NOT_FOUND")
    })
    .await;
    completed(&world, &delete(&world, &ada.person).await).await;
    for (course, heir, why) in [
        (both, &class.stranger, "who came later can sign in"),
        (alone, &class.elsewhere, "what others have made too is kept for them"),
    ] {
        let asked = GetCourseRequest { course_id: course };
        let found = class.admin.clients.courses().get_course(asked).await.unwrap().into_inner().course.unwrap();
        assert_eq!(found.owner_account_id, heir.id(), "{why}");
    }
}

#[tokio::test]
async fn k9_s34_nobody_hands_in_or_enrols_in_a_course_while_it_is_deleted() {
    let world = World::own().await;
    let admin = world.admin().await;
    let owner = Somebody::with_role(&world, &admin, "teacher").await;
    let students = join_all((0..3).map(|_| Somebody::new(&world, "student"))).await;
    for round in 0..6 {
        let course = owner.course(EnrolmentPolicy::Open, "").await;
        let section = owner.section(&course, PublicationState::Published).await;
        let block = owner.block(&section, lesson("Late")).await;
        let working = students.iter().map(async |student| {
            until_refused(async || {
                student.enrol(&course, "").await?;
                student.complete(&block).await?;
                student.unenrol(&course, "").await
            })
            .await
        });
        let (deleted, refused) = tokio::join!(delete_course(&owner, &course), join_all(working));
        deleted.unwrap();
        for reason in refused {
            assert!(["COURSE_NOT_FOUND", "BLOCK_NOT_FOUND"].contains(&reason.as_str()), "round {round}: {reason}");
        }
        eventually("nothing of it is left", async || left_of(&world, &course).await.is_empty().then_some(())).await;
    }
}
