//! K4, K9: courses are made, changed, found and shared, by whom they are for.

use prost::Message as _;

use super::marker;
use super::school::{Member, School, full_quiz, get_course, make_course, mask, set_state};
use crate::harness::Clients;
use crate::harness::prelude::*;

async fn update(clients: &Clients, course: Course, paths: &[&str]) -> Result<Course, tonic::Status> {
    let request = UpdateCourseRequest { course: Some(course), update_mask: mask(paths) };
    Ok(clients.courses().update_course(request).await?.into_inner().course.unwrap())
}

async fn create(clients: &Clients, course: Course, key: &str) -> Result<Course, tonic::Status> {
    let request = CreateCourseRequest { course: Some(course), idempotency_key: key.to_owned() };
    Ok(clients.courses().create_course(request).await?.into_inner().course.unwrap())
}

async fn found(clients: &Clients, title_prefix: &str, scope: CourseScope) -> Vec<String> {
    let request = ListCoursesRequest {
        title_prefix: title_prefix.to_owned(),
        scope: scope.into(),
        page_size: 2,
        ..Default::default()
    };
    let mut titles = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListCoursesRequest { page_token, ..request.clone() };
        let page = clients.courses().list_courses(request).await.expect("no list").into_inner();
        titles.extend(page.courses.into_iter().map(|course| course.title));
        if page.next_page_token.is_empty() {
            return titles;
        }
        page_token = page.next_page_token;
    }
}

async fn export(clients: &Clients, course_id: &str) -> Result<Vec<u8>, tonic::Status> {
    let request = ExportCourseRequest { course_id: course_id.to_owned() };
    Ok(clients.courses().export_course(request).await?.into_inner().content.into())
}

async fn import(clients: &Clients, content: &[u8]) -> Result<Course, tonic::Status> {
    let request = ImportCourseRequest { content: content.to_vec().into() };
    Ok(clients.courses().import_course(request).await?.into_inner().course.unwrap())
}

fn named(course_id: &str) -> Course {
    Course { course_id: course_id.to_owned(), ..Default::default() }
}

#[tokio::test]
async fn k4_a_course_goes_from_draft_to_the_archive() {
    let school = School::shared().await;
    let clients = &school.teacher.clients;
    let made = school.draft("  Algebra  ").await;
    assert_eq!((made.title.as_str(), made.state()), ("Algebra", PublicationState::Draft));
    assert_eq!((made.enrolment_policy(), made.owner_account_id.clone()), (EnrolmentPolicy::Open, school.teacher.id()));
    assert_eq!(get_course(clients, &made.course_id).await.unwrap(), made);
    assert_eq!(refusal(get_course(&school.world.anonymous(), &made.course_id).await).is().1, "COURSE_NOT_FOUND");

    let published = school.set_state(&made.course_id, PublicationState::Published).await;
    assert_eq!(school.set_state(&made.course_id, PublicationState::Published).await, published, "changes nothing");
    assert_eq!(get_course(&school.world.anonymous(), &made.course_id).await.unwrap().title, "Algebra");
    let section = school.section(&made.course_id, "One").await;
    school.lesson(&section.section_id, "A").await;
    let counts = get_course(&school.world.anonymous(), &made.course_id).await.unwrap();
    assert_eq!((counts.section_count, counts.block_count), (1, 1));

    school.set_state(&made.course_id, PublicationState::Archived).await;
    assert_eq!(refusal(get_course(&school.world.anonymous(), &made.course_id).await).is().1, "COURSE_NOT_FOUND");
    let title = Course { title: "New".to_owned(), ..named(&made.course_id) };
    for error in [
        refusal(update(clients, title.clone(), &["title"]).await),
        refusal(set_state(clients, &made.course_id, PublicationState::Published).await),
    ] {
        assert_eq!(error.is(), (Code::FailedPrecondition, "COURSE_ARCHIVED"));
    }
    // Only administrators take it out again.
    set_state(&school.admin.clients, &made.course_id, PublicationState::Draft).await.unwrap();
    update(clients, title, &["title"]).await.unwrap();

    let delete = DeleteCourseRequest { course_id: made.course_id.clone(), ..Default::default() };
    clients.courses().delete_course(delete.clone()).await.unwrap();
    assert_eq!(refusal(clients.courses().delete_course(delete).await).is(), (Code::NotFound, "COURSE_NOT_FOUND"));
}

#[tokio::test]
async fn k4_a_change_is_what_the_mask_names_of_the_state_that_was_seen() {
    let school = School::shared().await;
    let clients = &school.teacher.clients;
    let made = school.draft("Algebra").await;
    let given = Course {
        title: "not this".to_owned(),
        description: "# About\n    code".to_owned(),
        etag: made.etag.clone(),
        ..named(&made.course_id)
    };
    let changed = update(clients, given.clone(), &["description"]).await.unwrap();
    let expected = Course {
        description: given.description.clone(),
        etag: changed.etag.clone(),
        update_time: changed.update_time,
        ..made.clone()
    };
    assert_eq!(changed, expected);
    assert_ne!(changed.etag, made.etag);
    let error = refusal(update(clients, given.clone(), &["title"]).await);
    assert_eq!(error.is(), (Code::Aborted, "ETAG_STALE"));
    let same = Course { etag: changed.etag.clone(), ..given };
    assert_eq!(update(clients, same, &["description"]).await.unwrap(), changed, "nothing changes");
    let stale = DeleteCourseRequest { course_id: made.course_id.clone(), etag: made.etag };
    assert_eq!(refusal(clients.courses().delete_course(stale).await).is(), (Code::Aborted, "ETAG_STALE"));
    for (paths, fields) in
        [(vec![], ["update_mask"]), (vec!["state"], ["update_mask"]), (vec!["title"], ["course.title"])]
    {
        assert_eq!(refusal(update(clients, named(&made.course_id), &paths).await).fields, fields, "{paths:?}");
    }
}

#[tokio::test]
async fn k4_a_code_is_asked_for_by_its_policy_and_told_to_teachers_alone() {
    let school = School::shared().await;
    let clients = &school.teacher.clients;
    let course = school.course("Algebra").await;
    let code = EnrolmentPolicy::Code.into();
    let change = |policy, code: &str| Course {
        enrolment_policy: policy,
        enrolment_code: code.to_owned(),
        ..named(&course.course_id)
    };
    let both = ["enrolment_policy", "enrolment_code"];
    for wrong in
        [update(clients, change(code, ""), &both[..1]).await, update(clients, change(0, "secret"), &both[1..]).await]
    {
        assert_eq!(refusal(wrong).fields, ["course.enrolment_code"]);
    }
    let changed = update(clients, change(code, "sesame"), &both).await.unwrap();
    assert_eq!(changed.enrolment_code, "sesame");
    let stranger = school.somebody().await;
    for other in [&stranger.clients, &school.world.anonymous(), &school.with_role("moderator").await.clients] {
        let seen = get_course(other, &course.course_id).await.unwrap();
        assert_eq!((seen.enrolment_policy(), seen.enrolment_code.as_str()), (EnrolmentPolicy::Code, ""));
    }
    let open = update(clients, change(EnrolmentPolicy::Open.into(), ""), &both[..1]).await.unwrap();
    assert_eq!(open.enrolment_code, "", "a code that nobody asks for is forgotten");
}

#[tokio::test]
async fn k4_the_same_key_answers_the_same_course_for_a_day() {
    let school = School::shared().await;
    let clients = &school.teacher.clients;
    let given = Course { title: "Algebra".to_owned(), ..Default::default() };
    let made = create(clients, given.clone(), "one").await.unwrap();
    let again: Vec<_> = (0..8).map(|_| create(clients, given.clone(), "one")).collect();
    for answer in futures_util::future::join_all(again).await {
        assert_eq!(answer.unwrap().course_id, made.course_id);
    }
    let other = Course { title: "Botany".to_owned(), ..Default::default() };
    let error = refusal(create(clients, other, "one").await);
    assert_eq!((error.code, error.fields), (Code::InvalidArgument, vec!["idempotency_key".to_owned()]));
    assert_ne!(create(clients, given.clone(), "two").await.unwrap().course_id, made.course_id);
    assert_ne!(create(&school.admin.clients, given.clone(), "one").await.unwrap().course_id, made.course_id);
    // Those who ask at the same time get the same one, too.
    let parallel: Vec<_> = (0..8).map(|_| create(clients, given.clone(), "three")).collect();
    let mut ids: Vec<_> =
        futures_util::future::join_all(parallel).await.into_iter().map(|c| c.unwrap().course_id).collect();
    ids.dedup();
    assert_eq!(ids.len(), 1);
}

#[tokio::test]
async fn k4_a_key_is_forgotten_after_a_day() {
    let school = School::of(World::own().await).await;
    let given = Course { title: "Algebra".to_owned(), ..Default::default() };
    let made = create(&school.teacher.clients, given.clone(), "one").await.unwrap();
    school.world.move_clock(Duration::from_secs(25 * 3600)).await;
    let person = &school.teacher.person;
    let clients = school.world.as_token(&school.world.sign_in(&person.email, &person.password).await.access_token);
    assert_ne!(create(&clients, given, "one").await.unwrap().course_id, made.course_id);
}

#[tokio::test]
async fn k4_courses_are_found_by_the_words_of_their_titles() {
    let school = School::shared().await;
    let marker = marker();
    for title in ["Éléments d'algèbre", "Elementary botany", "100% \"quoted\" \\ _"] {
        school.course(&format!("{marker}{title}")).await;
        school.course(&format!("{title} {marker}")).await;
    }
    school.draft(&format!("{marker} draft")).await;
    let anonymous = school.world.anonymous();
    let public = async |prefix: String| found(&anonymous, &prefix, CourseScope::Unspecified).await;
    assert_eq!(public(marker.to_lowercase()).await.len(), 6, "and no draft");
    assert_eq!(public(format!("ALGEBRE {marker}")).await, [format!("Éléments d'algèbre {marker}")]);
    assert_eq!(public(format!("lgebre {marker}")).await.len(), 0);
    assert_eq!(public(format!("%{marker}")).await.len(), 6, "what is no letter does not count");
    let too_long = ListCoursesRequest { title_prefix: "a".repeat(101), ..Default::default() };
    assert_eq!(refusal(anonymous.courses().list_courses(too_long).await).fields, ["title_prefix"]);
}

#[tokio::test]
async fn k4_people_list_what_they_teach_and_what_they_take() {
    let school = School::shared().await;
    let marker = marker();
    let title = |name: &str| format!("{marker} {name}");
    school.draft(&title("draft")).await;
    let open = school.course(&title("open")).await;
    let student = school.student(&open.course_id).await;
    let co_teacher = school.co_teacher(&open.course_id).await;
    let list = async |member: &Member, scope| found(&member.clients, &marker, scope).await;
    assert_eq!(list(&school.teacher, CourseScope::Teaching).await, [title("open"), title("draft")]);
    assert_eq!(list(&co_teacher, CourseScope::Teaching).await, [title("open")]);
    assert_eq!(list(&student, CourseScope::Teaching).await.len(), 0);
    assert_eq!(list(&student, CourseScope::Taking).await, [title("open")]);
    assert_eq!(list(&school.teacher, CourseScope::Taking).await.len(), 0);
    school.set_state(&open.course_id, PublicationState::Archived).await;
    assert_eq!(list(&student, CourseScope::Taking).await, [title("open")], "read by those who took it");
    assert_eq!(list(&student, CourseScope::Unspecified).await.len(), 0);
    school_admin_draft(&school, &open.course_id).await;
    assert_eq!(list(&student, CourseScope::Taking).await.len(), 0, "a draft is for its teachers");
    let anonymous = school.world.anonymous();
    let request = ListCoursesRequest { scope: CourseScope::Teaching.into(), ..Default::default() };
    let error = refusal(anonymous.courses().list_courses(request).await);
    assert_eq!(error.is(), (Code::Unauthenticated, "TOKEN_MISSING"));
}

async fn school_admin_draft(school: &School, course_id: &str) {
    set_state(&school.admin.clients, course_id, PublicationState::Draft).await.unwrap();
}

#[tokio::test]
async fn k9_a_course_has_teachers_beside_its_owner() {
    let school = School::shared().await;
    let course = school.course("Algebra").await;
    let id = &course.course_id;
    let student = school.student(id).await;
    let (first, second) = (school.co_teacher(id).await, school.co_teacher(id).await);
    let list = async |page_size| {
        let mut request = ListTeachersRequest { course_id: id.clone(), page_size, ..Default::default() };
        let mut teachers = Vec::new();
        loop {
            let page = student.clients.course_teachers().list_teachers(request.clone()).await.unwrap().into_inner();
            teachers.extend(page.teachers.into_iter().map(|teacher| (teacher.account_id, teacher.owner)));
            if page.next_page_token.is_empty() {
                return teachers;
            }
            request.page_token = page.next_page_token;
        }
    };
    let expected = [(school.teacher.id(), true), (first.id(), false), (second.id(), false)];
    for size in [1, 2, 3, 0] {
        assert_eq!(list(size).await, expected, "pages of {size}");
    }
    // Who becomes a teacher is no student any more.
    school.add_teacher(id, &student).await;
    assert_eq!(found(&student.clients, "", CourseScope::Taking).await.len(), 0);
    let nobody = AddTeacherRequest { course_id: id.clone(), account_id: course.course_id.clone() };
    let teachers = |member: &Member| member.clients.course_teachers();
    assert_eq!(refusal(teachers(&school.teacher).add_teacher(nobody).await).is(), (Code::NotFound, "PERSON_NOT_FOUND"));

    // A co-teacher may leave, and no other be sent away by them.
    let remove = |member: &Member| RemoveTeacherRequest { course_id: id.clone(), account_id: member.id() };
    let error = refusal(teachers(&first).remove_teacher(remove(&second)).await);
    assert_eq!(error.is(), (Code::PermissionDenied, "COURSE_RIGHT_MISSING"));
    teachers(&first).remove_teacher(remove(&first)).await.unwrap();
    teachers(&first).remove_teacher(remove(&first)).await.unwrap();

    let transfer = |member: &Member| TransferCourseRequest { course_id: id.clone(), account_id: member.id() };
    let error = refusal(teachers(&school.teacher).transfer_course(transfer(&first)).await);
    assert_eq!(error.is(), (Code::NotFound, "PERSON_NOT_FOUND"), "only to a co-teacher");
    teachers(&school.teacher).transfer_course(transfer(&second)).await.unwrap();
    let owners: Vec<_> = list(0).await.into_iter().filter(|(_, owner)| *owner).collect();
    assert_eq!(owners, [(second.id(), true)]);
    let error = refusal(teachers(&school.teacher).transfer_course(transfer(&student)).await);
    assert_eq!(error.is(), (Code::PermissionDenied, "COURSE_RIGHT_MISSING"));
}

#[tokio::test]
async fn k4_a_course_goes_into_a_file_and_comes_back_as_another() {
    let school = School::shared().await;
    let clients = &school.teacher.clients;
    let course = school.course("Algèbre \u{1f600}").await;
    let (one, two) = (school.section(&course.course_id, "One").await, school.section(&course.course_id, "Two").await);
    school.lesson(&one.section_id, "A").await;
    school.quiz(&one.section_id, full_quiz()).await;
    school.lesson(&two.section_id, "B").await;
    let file = export(clients, &course.course_id).await.unwrap();
    let made = import(clients, &file).await.unwrap();
    assert_ne!(made.course_id, course.course_id);
    assert_eq!((made.state(), made.section_count, made.block_count), (PublicationState::Draft, 2, 3));
    assert_eq!(export(clients, &made.course_id).await.unwrap(), file);
    let text = String::from_utf8(file).unwrap();
    for secret in [&school.teacher.id(), &school.teacher.person.email, &course.course_id] {
        assert!(!text.contains(secret.as_str()), "{secret} is in the file");
    }
    // All rules hold for what comes in by a file, and it says where it breaks.
    let wrong = text.replace("\"pass_percent\": 50", "\"pass_percent\": 500");
    let error = refusal(import(clients, wrong.as_bytes()).await);
    assert_eq!(error.is(), (Code::InvalidArgument, "COURSE_FILE_INVALID"));
    assert_eq!(error.fields, ["course.sections[0].blocks[1].quiz.pass_percent"]);
    let error = refusal(import(clients, &text.as_bytes()[..text.len() / 2]).await);
    assert_eq!(error.is(), (Code::InvalidArgument, "COURSE_FILE_INVALID"));
    assert!(error.message.contains("line"), "{error:?}");
}

/// Nobody waits for a file, and it has every block once, however they are moved meanwhile.
#[tokio::test]
async fn k4_s34_a_file_is_of_one_moment() {
    let school = School::shared().await;
    let clients = &school.teacher.clients;
    let course = school.course("Algebra").await;
    let (one, two) = (school.section(&course.course_id, "One").await, school.section(&course.course_id, "Two").await);
    let mut ids = Vec::new();
    for number in 0..20 {
        ids.push(school.lesson(&one.section_id, &format!("Lesson {number}")).await.block_id);
    }
    let moves = async {
        for round in 0..20 {
            let to = if round % 2 == 0 { &two } else { &one };
            let request = ReorderBlocksRequest { section_id: to.section_id.clone(), block_ids: ids.clone() };
            clients.blocks().reorder_blocks(request).await.unwrap();
        }
    };
    let files = async {
        let mut files = Vec::new();
        for _ in 0..20 {
            files.push(export(clients, &course.course_id).await.unwrap());
        }
        files
    };
    let ((), files) = tokio::join!(moves, files);
    for file in files {
        let file: serde_json::Value = serde_json::from_slice(&file).unwrap();
        let blocks = |section: usize| file["course"]["sections"][section]["blocks"].as_array().unwrap().len();
        assert!([(20, 0), (0, 20)].contains(&(blocks(0), blocks(1))), "{file}");
    }
}

#[tokio::test]
async fn k4_s40_a_page_of_long_courses_fits_into_a_message() {
    let school = School::shared().await;
    let clients = &school.teacher.clients;
    let marker = marker();
    for _ in 0..95 {
        let long = Course {
            title: format!("{marker} {}", "\u{1f600}".repeat(180)),
            description: "\u{1f600}".repeat(10_000),
            ..Default::default()
        };
        create(clients, long, "").await.unwrap();
    }
    let mut request = ListCoursesRequest {
        title_prefix: marker,
        page_size: 100,
        scope: CourseScope::Teaching.into(),
        ..Default::default()
    };
    let first = clients.courses().list_courses(request.clone()).await.unwrap().into_inner();
    assert!(first.encoded_len() < 3_600_000 && first.courses.len() < 95, "{}", first.courses.len());
    request.page_token = first.next_page_token;
    let second = clients.courses().list_courses(request).await.unwrap().into_inner();
    assert_eq!((first.courses.len() + second.courses.len(), second.next_page_token.as_str()), (95, ""));
}

#[tokio::test]
async fn s33_what_the_server_sets_of_a_course_is_refused() {
    let school = School::shared().await;
    let clients = &school.teacher.clients;
    let made = school.draft("Algebra").await;
    let time = Some(prost_types::Timestamp { seconds: 1, nanos: 0 });
    let set = [
        ("course.owner_account_id", Course { owner_account_id: "x".to_owned(), ..Default::default() }),
        ("course.owner_name", Course { owner_name: "x".to_owned(), ..Default::default() }),
        ("course.state", Course { state: 2, ..Default::default() }),
        ("course.section_count", Course { section_count: 1, ..Default::default() }),
        ("course.block_count", Course { block_count: 1, ..Default::default() }),
        ("course.create_time", Course { create_time: time, ..Default::default() }),
        ("course.update_time", Course { update_time: time, ..Default::default() }),
    ];
    for (field, given) in set {
        let given = Course { title: "New".to_owned(), ..given };
        assert_eq!(refusal(create(clients, given.clone(), "").await).fields, [field]);
        let given = Course { course_id: made.course_id.clone(), ..given };
        assert_eq!(refusal(update(clients, given, &["title"]).await).fields, [field]);
    }
    for (field, given) in [
        ("course.course_id", named(&made.course_id)),
        ("course.etag", Course { etag: "1".to_owned(), ..Default::default() }),
    ] {
        assert_eq!(refusal(create(clients, Course { title: "New".to_owned(), ..given }, "").await).fields, [field]);
    }
    assert_eq!(get_course(clients, &made.course_id).await.unwrap(), made);
}

#[tokio::test]
async fn s35_a_mutated_token_of_courses_is_refused_or_gives_a_page() {
    let school = School::shared().await;
    let marker = marker();
    for number in 0..3 {
        school.course(&format!("{marker} {number}")).await;
    }
    let clients = school.world.anonymous();
    let request = ListCoursesRequest { title_prefix: marker, page_size: 1, ..Default::default() };
    let token =
        clients.courses().list_courses(request.clone()).await.unwrap().into_inner().next_page_token.into_bytes();
    for place in 0..token.len() {
        for letter in *b"Az9-'" {
            let mut mutated = token.clone();
            mutated[place] = letter;
            let page_token = String::from_utf8(mutated).unwrap();
            match clients.courses().list_courses(ListCoursesRequest { page_token, ..request.clone() }).await {
                Ok(answer) => assert!(answer.into_inner().courses.len() <= 1),
                Err(status) => assert_eq!(Refusal::from(status).fields, ["page_token"]),
            }
        }
    }
    let page_token = String::from_utf8(token).unwrap();
    for other in [
        ListCoursesRequest { title_prefix: String::new(), page_token: page_token.clone(), ..request.clone() },
        ListCoursesRequest { page_size: -1, page_token: String::new(), ..request.clone() },
        ListCoursesRequest { scope: 9, page_token: String::new(), ..request },
    ] {
        assert_eq!(
            refusal(clients.courses().list_courses(other).await).is(),
            (Code::InvalidArgument, "FIELDS_INVALID")
        );
    }
}

#[tokio::test]
async fn s36_what_looks_like_sql_is_a_title_like_any_other() {
    let school = School::shared().await;
    let clients = &school.teacher.clients;
    for text in ["'", "\"", "\\", "%", "_", "'; drop table course; --", "$1", "?1", "\u{200f}", "null", "{{7*7}}"] {
        let made = make_course(clients, text).await;
        assert_eq!(made.title, text);
        found(clients, text, CourseScope::Teaching).await;
        for wrong in [refusal(get_course(clients, text).await), refusal(export(clients, text).await)] {
            assert_eq!(wrong.is(), (Code::NotFound, "COURSE_NOT_FOUND"));
        }
    }
    for unseen in ["a\0", "a\u{202e}", "\u{10ffff}"] {
        let error = refusal(create(clients, Course { title: unseen.to_owned(), ..Default::default() }, "").await);
        assert_eq!(error.fields, ["course.title"], "{unseen:?}");
    }
}
