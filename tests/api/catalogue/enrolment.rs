//! K7: who takes a course, how they get in, and what is known of them.

use futures_util::future::{join, join_all};

use super::class::{Class, Somebody, lesson, outcome};
use crate::harness::PATIENT;
use crate::harness::prelude::*;

async fn invite(who: &Somebody, course_id: &str, ids: &[&str], emails: &[&str]) -> Result<i32, tonic::Status> {
    let text = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let (account_ids, emails) = (text(ids), text(emails));
    let asked = InviteStudentsRequest { course_id: course_id.to_owned(), account_ids, emails };
    Ok(who.clients.enrolments().invite_students(asked).await?.into_inner().invited_count)
}

async fn invitations(who: &Somebody, course_id: &str) -> Result<Vec<Invitation>, tonic::Status> {
    let mut asked = ListInvitationsRequest { course_id: course_id.to_owned(), page_size: 2, ..Default::default() };
    let mut all = Vec::new();
    loop {
        let page = who.clients.enrolments().list_invitations(asked.clone()).await?.into_inner();
        all.extend(page.invitations);
        if page.next_page_token.is_empty() {
            return Ok(all);
        }
        asked.page_token = page.next_page_token;
    }
}

async fn revoke(who: &Somebody, course_id: &str, email: &str, account_id: &str) -> Result<(), tonic::Status> {
    let (course_id, email, account_id) = (course_id.to_owned(), email.to_owned(), account_id.to_owned());
    let asked = RevokeInvitationRequest { course_id, email, account_id };
    who.clients.enrolments().revoke_invitation(asked).await.map(drop)
}

async fn class(who: &Somebody, course_id: &str, page_size: i32) -> Result<Vec<Enrolment>, tonic::Status> {
    let mut asked = ListEnrolmentsRequest { course_id: course_id.to_owned(), page_size, ..Default::default() };
    let mut all = Vec::new();
    loop {
        let page = who.clients.enrolments().list_enrolments(asked.clone()).await?.into_inner();
        all.extend(page.enrolments);
        if page.next_page_token.is_empty() {
            return Ok(all);
        }
        asked.page_token = page.next_page_token;
    }
}

#[tokio::test]
async fn k7_a_course_is_taken_once_and_work_counts_again_after_leaving() {
    let world = World::shared().await;
    let class = Class::new(&world).await;
    let (student, course) = (&class.stranger, class.course.as_str());
    let enrolled = student.enrol(course, "").await.unwrap();
    let progress = enrolled.progress.unwrap();
    assert_eq!((progress.completed_blocks, progress.total_blocks, progress.completed), (0, 2, false));
    assert_eq!((enrolled.account_id, enrolled.course_id.as_str()), (student.id(), course));
    let again = refusal(student.enrol(course, "").await);
    assert_eq!(again.is(), (Code::AlreadyExists, "ALREADY_ENROLLED"));

    student.complete(&class.lesson).await.unwrap();
    student.unenrol(course, "").await.unwrap();
    assert_eq!(outcome(student.unenrol(course, "").await), "ENROLMENT_NOT_FOUND");
    assert_eq!(outcome(student.progress(course, "").await), "ENROLMENT_NOT_FOUND");
    assert_eq!(outcome(student.complete(&class.lesson).await), "BLOCK_NOT_FOUND");
    assert_eq!(outcome(student.submission(&class.lesson, "").await), "BLOCK_NOT_FOUND");
    let kept = class.owner.submission(&class.lesson, &student.id()).await.unwrap();
    assert!(kept.completed, "the work is kept, and its teachers see it");

    let back = student.enrol(course, "").await.unwrap();
    assert_eq!((back.progress.unwrap().completed_blocks, back.create_time), (1, enrolled.create_time));
    class.co.unenrol(course, &student.id()).await.unwrap();
    assert_eq!(outcome(student.progress(course, "").await), "ENROLMENT_NOT_FOUND");
}

#[tokio::test]
async fn k7_an_invitation_by_account_or_address_lets_in_once() {
    let world = World::shared().await;
    let admin = world.admin().await;
    let owner = Somebody::with_role(&world, &admin, "teacher").await;
    let (ada, bob, eve) =
        (Somebody::new(&world, "ada").await, Somebody::new(&world, "bob").await, Somebody::new(&world, "eve").await);
    let course = owner.course(EnrolmentPolicy::Invitation, "").await;
    for somebody in [&ada, &bob, &eve] {
        let refused = refusal(somebody.enrol(&course, "").await);
        assert_eq!(refused.is(), (Code::PermissionDenied, "INVITATION_MISSING"));
    }
    eventually("ada is known", async || invite(&owner, &course, &[&ada.id()], &[]).await.ok()).await;
    let shouted = bob.person.email.to_uppercase();
    assert_eq!(invite(&owner, &course, &[], &[&shouted, "nobody.yet@example.com"]).await.unwrap(), 2);
    assert_eq!(invite(&owner, &course, &[&ada.id()], &[&bob.person.email]).await.unwrap(), 0, "again, nothing changes");
    let open = invitations(&owner, &course).await.unwrap();
    let whom: Vec<(&str, String)> = open.iter().map(|one| (one.email.as_str(), one.account_id.clone())).collect();
    let expected = [("nobody.yet@example.com", String::new()), (shouted.as_str(), String::new()), ("", ada.id())];
    assert_eq!(whom, expected, "the newest first, each as it was made");

    ada.enrol(&course, "").await.unwrap();
    eventually("bob's address is known", async || bob.enrol(&course, "").await.ok()).await;
    assert_eq!(invitations(&owner, &course).await.unwrap().len(), 1, "used up");
    ada.unenrol(&course, "").await.unwrap();
    assert_eq!(outcome(ada.enrol(&course, "").await), "INVITATION_MISSING");
    assert_eq!(invite(&owner, &course, &[&bob.id(), &owner.id()], &[]).await.unwrap(), 0, "they belong to it");

    assert_eq!(outcome(revoke(&owner, &course, "NOBODY.yet@example.com", "").await), "ok");
    assert_eq!(outcome(revoke(&owner, &course, "", &ada.id()).await), "ok");
    assert_eq!(invitations(&owner, &course).await.unwrap(), []);
    let unknown = refusal(invite(&owner, &course, &[&course], &[]).await);
    assert_eq!(unknown.is(), (Code::NotFound, "PERSON_NOT_FOUND"));
}

#[tokio::test]
async fn k7_s06_a_code_lets_in_and_is_not_guessed() {
    let world = World::with(&PATIENT).await;
    let admin = world.admin().await;
    let owner = Somebody::with_role(&world, &admin, "teacher").await;
    let (ada, eve) = (Somebody::new(&world, "ada").await, Somebody::new(&world, "eve").await);
    let course = owner.course(EnrolmentPolicy::Code, "Sesame42").await;
    assert_eq!(outcome(ada.enrol(&course, "").await), "ENROLMENT_CODE_WRONG");
    let wrong = refusal(ada.enrol(&course, "sesame42").await);
    assert_eq!(wrong.is(), (Code::PermissionDenied, "ENROLMENT_CODE_WRONG"));
    ada.enrol(&course, " Sesame42 ").await.unwrap();
    for _ in 0..10 {
        assert_eq!(outcome(eve.enrol(&course, "Sesame43").await), "ENROLMENT_CODE_WRONG");
    }
    let limited = refusal(eve.enrol(&course, "Sesame42").await);
    assert_eq!(limited.is(), (Code::ResourceExhausted, "RATE_LIMITED"));
    let other = owner.course(EnrolmentPolicy::Code, "Another1").await;
    eve.enrol(&other, "Another1").await.unwrap();
    assert_eq!(refusal(eve.enrol(&course, &"x".repeat(65)).await).fields, ["code"]);
    // Who was invited needs no code.
    assert_eq!(invite(&owner, &course, &[], &[&eve.person.email]).await.unwrap(), 1);
    eventually("eve's address is known", async || eve.enrol(&course, "").await.ok()).await;
}

#[tokio::test]
async fn k7_a_class_is_listed_by_name() {
    let world = World::shared().await;
    let class_of = Class::new(&world).await;
    let names = [("Zoë", "Adams"), ("ángel", "Zamora"), ("Bea", "B"), ("bea", "a")];
    let mut people = Vec::new();
    for (first, last) in names {
        let somebody = Somebody::new(&world, "pupil").await;
        somebody.is_called(&world, first, last).await;
        somebody.enrol(&class_of.course, "").await.unwrap();
        people.push(somebody);
    }
    eventually("the names are known", async || {
        let listed = class(&class_of.owner, &class_of.course, 100).await.unwrap();
        let named = listed.iter().filter(|one| !one.first_name.is_empty()).count();
        (named == names.len()).then_some(())
    })
    .await;
    let listed = class(&class_of.owner, &class_of.course, 2).await.unwrap();
    let order: Vec<&str> = listed.iter().map(|one| one.last_name.as_str()).collect();
    assert_eq!(order, ["Zamora", "a", "B", "Adams", ""], "without regard to case and accents, the nameless last");
    assert_eq!(listed[0].email, people[1].person.email);
    assert_eq!(listed[4].account_id, class_of.student.id());
    people[2].is_called(&world, "Aaron", "B").await;
    eventually("the new name is known", async || {
        let listed = class(&class_of.owner, &class_of.course, 1).await.unwrap();
        (listed[0].first_name == "Aaron").then_some(())
    })
    .await;
    people[2].unenrol(&class_of.course, "").await.unwrap();
    let asked = ListEnrolmentsRequest { course_id: class_of.course.clone(), page_size: 1, ..Default::default() };
    let page = class_of.owner.clients.enrolments().list_enrolments(asked).await.unwrap().into_inner();
    assert_eq!((page.enrolments.len(), page.total_size), (1, 4));
    assert_eq!(class(&class_of.co, &class_of.course, 100).await.unwrap().len(), 4);
}

/// What becomes of each rpc for each of them, in the order of [`Class::everybody`].
async fn rights(class: &Class) -> String {
    let mut lines = Vec::new();
    let (course, student) = (class.course.as_str(), class.student.id());
    for (name, who) in class.everybody() {
        let outcomes = [
            outcome(who.progress(course, &student).await),
            outcome(super::enrolment::class(who, course, 0).await),
            outcome(invitations(who, course).await),
            outcome(invite(who, course, &[], &["guest@example.com"]).await),
            outcome(revoke(who, course, "guest@example.com", "").await),
            outcome(who.unenrol(course, &class.elsewhere.id()).await),
        ];
        lines.push(format!("{name}: {}", outcomes.join(" ")));
    }
    lines.join("\n")
}

#[tokio::test]
async fn k7_k9_s32_students_are_their_teachers_business() {
    let world = World::shared().await;
    let class = Class::new(&world).await;
    insta::assert_snapshot!(rights(&class).await, @r"
    stranger: COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING
    elsewhere: COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING ENROLMENT_NOT_FOUND
    student: ok COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING
    moderator: COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING
    co: ok ok ok ok ok ENROLMENT_NOT_FOUND
    owner: ok ok ok ok ok ENROLMENT_NOT_FOUND
    admin: ok ok ok ok ok ENROLMENT_NOT_FOUND
    ");
    class.owner.set_state(&class.course, PublicationState::Draft).await;
    insta::assert_snapshot!(rights(&class).await, @r"
    stranger: COURSE_NOT_FOUND COURSE_NOT_FOUND COURSE_NOT_FOUND COURSE_NOT_FOUND COURSE_NOT_FOUND COURSE_NOT_FOUND
    elsewhere: COURSE_NOT_FOUND COURSE_NOT_FOUND COURSE_NOT_FOUND COURSE_NOT_FOUND COURSE_NOT_FOUND COURSE_NOT_FOUND
    student: COURSE_NOT_FOUND COURSE_NOT_FOUND COURSE_NOT_FOUND COURSE_NOT_FOUND COURSE_NOT_FOUND COURSE_NOT_FOUND
    moderator: COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING
    co: ok ok ok ok ok ENROLMENT_NOT_FOUND
    owner: ok ok ok ok ok ENROLMENT_NOT_FOUND
    admin: ok ok ok ok ok ENROLMENT_NOT_FOUND
    ");
    class.owner.set_state(&class.course, PublicationState::Archived).await;
    insta::assert_snapshot!(rights(&class).await, @r"
    stranger: COURSE_NOT_FOUND COURSE_NOT_FOUND COURSE_NOT_FOUND COURSE_NOT_FOUND COURSE_NOT_FOUND COURSE_NOT_FOUND
    elsewhere: COURSE_NOT_FOUND COURSE_NOT_FOUND COURSE_NOT_FOUND COURSE_NOT_FOUND COURSE_NOT_FOUND COURSE_NOT_FOUND
    student: ok COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING
    moderator: COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING
    co: ok ok ok COURSE_ARCHIVED COURSE_ARCHIVED COURSE_ARCHIVED
    owner: ok ok ok COURSE_ARCHIVED COURSE_ARCHIVED COURSE_ARCHIVED
    admin: ok ok ok COURSE_ARCHIVED COURSE_ARCHIVED COURSE_ARCHIVED
    ");
}

#[tokio::test]
async fn k7_k9_s32_who_may_enrol() {
    let world = World::shared().await;
    let (closed, class) = (Class::new(&world).await, Class::new(&world).await);
    let mut lines = Vec::new();
    use PublicationState::{Archived, Draft, Published};
    for (class, state) in [(&closed, Draft), (&closed, Archived), (&class, Published)] {
        class.owner.set_state(&class.course, state).await;
        for (name, who) in class.everybody() {
            lines.push(format!("{state:?} {name}: {}", outcome(who.enrol(&class.course, "").await)));
        }
    }
    insta::assert_snapshot!(lines.join("\n"), @r"
    Draft stranger: COURSE_NOT_FOUND
    Draft elsewhere: COURSE_NOT_FOUND
    Draft student: COURSE_NOT_FOUND
    Draft moderator: COURSE_NOT_FOUND
    Draft co: TEACHES_COURSE
    Draft owner: TEACHES_COURSE
    Draft admin: TEACHES_COURSE
    Archived stranger: COURSE_NOT_FOUND
    Archived elsewhere: COURSE_NOT_FOUND
    Archived student: COURSE_ARCHIVED
    Archived moderator: COURSE_ARCHIVED
    Archived co: TEACHES_COURSE
    Archived owner: TEACHES_COURSE
    Archived admin: TEACHES_COURSE
    Published stranger: ok
    Published elsewhere: ok
    Published student: ALREADY_ENROLLED
    Published moderator: ok
    Published co: TEACHES_COURSE
    Published owner: TEACHES_COURSE
    Published admin: TEACHES_COURSE
    ");
    for course in ["", "nothing", &class.lesson] {
        assert_eq!(outcome(class.stranger.enrol(course, "").await), "COURSE_NOT_FOUND");
    }
}

#[tokio::test]
async fn k7_s34_many_at_once_enrol_once_and_nobody_hands_in_who_has_left() {
    let world = World::shared().await;
    let class = Class::new(&world).await;
    let student = &class.stranger;
    let outcomes = join_all((0..8).map(async |_| outcome(student.enrol(&class.course, "").await))).await;
    assert_eq!(outcomes.iter().filter(|one| *one == "ok").count(), 1, "{outcomes:?}");
    assert!(outcomes.iter().all(|one| one == "ok" || one == "ALREADY_ENROLLED"), "{outcomes:?}");
    for round in 0..10 {
        let block = class.owner.block(&class.section, lesson(&format!("Round {round}"))).await;
        let (left, done) = join(student.unenrol(&class.course, ""), student.complete(&block)).await;
        left.unwrap();
        let kept = class.owner.submission(&block, &student.id()).await.is_ok();
        assert_eq!(kept, done.is_ok(), "what was answered is what there is");
        assert!(done.is_ok() || outcome(done) == "BLOCK_NOT_FOUND");
        student.enrol(&class.course, "").await.unwrap();
    }
}

#[tokio::test]
async fn s35_s36_what_is_asked_of_classes_is_checked() {
    let world = World::shared().await;
    let class_of = Class::new(&world).await;
    let (owner, course) = (&class_of.owner, class_of.course.as_str());
    let many = vec!["x@example.com"; 101];
    assert_eq!(refusal(invite(owner, course, &[], &many).await).fields, ["account_ids"]);
    assert_eq!(refusal(invite(owner, course, &[], &[]).await).fields, ["account_ids"]);
    let wrong = refusal(invite(owner, course, &["x"], &["y", "a@b.example", "a b@c.example"]).await);
    assert_eq!(wrong.fields, ["account_ids[0]", "emails[0]", "emails[2]"]);
    assert_eq!(refusal(revoke(owner, course, "", "").await).fields, ["email"]);
    assert_eq!(refusal(revoke(owner, course, "a@example.com", &owner.id()).await).fields, ["email"]);
    for token in ["x", "e30", "IjEi", "bnVsbA", "' or 1=1 --"] {
        let (course_id, page_token) = (course.to_owned(), token.to_owned());
        let asked = ListEnrolmentsRequest { course_id, page_token, page_size: -1 };
        let error = refusal(owner.clients.enrolments().list_enrolments(asked.clone()).await);
        assert!(error.fields.contains(&"page_size".to_owned()), "{error:?}");
        let asked = ListInvitationsRequest { course_id: asked.course_id, page_token: asked.page_token, page_size: 0 };
        match owner.clients.enrolments().list_invitations(asked).await {
            Ok(_) => {}
            Err(status) => assert_eq!(Refusal::from(status).fields, ["page_token"], "{token}"),
        }
    }
    for text in ["'; drop table enrolment; --", "%", "_@example.com'"] {
        assert_eq!(outcome(owner.progress(course, text).await), "ENROLMENT_NOT_FOUND");
        assert_eq!(outcome(owner.progress(text, "").await), "COURSE_NOT_FOUND");
    }
}
