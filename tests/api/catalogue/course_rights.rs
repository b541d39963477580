//! K9, S-32: who may do what in a course, rpc by rpc. Calls are made so that they change nothing where they are allowed: with an etag of
//! another state, a place that there is not, a person whom nobody knows.

use super::school::{
    Member, School, full_quiz, get_course, make_block, make_section, mask, published_lesson, published_section,
    sections, set_state,
};
use crate::harness::prelude::*;

/// A course of the teacher's with a section and a block, and who calls.
struct Scene {
    school: School,
    course_id: String,
    section_id: String,
    block_id: String,
    callers: Vec<(&'static str, Member)>,
}

impl Scene {
    /// Everything in it is published.
    async fn set() -> Scene {
        let school = School::shared().await;
        let course_id = school.course("Algebra").await.course_id;
        let section_id = school.section(&course_id, "One").await.section_id;
        let block_id = school.quiz(&section_id, full_quiz()).await.block_id;
        let other = school.course("Botany").await.course_id;
        let callers = vec![
            ("stranger", school.somebody().await),
            ("other's student", school.student(&other).await),
            ("student", school.student(&course_id).await),
            ("moderator", school.with_role("moderator").await),
            ("co-teacher", school.co_teacher(&course_id).await),
        ];
        Scene { school, course_id, section_id, block_id, callers }
    }

    /// What comes of each call, a line an rpc and a column a caller.
    async fn table(&self) -> String {
        let mut columns = Vec::new();
        for (_, member) in &self.callers {
            columns.push(self.outcomes(member).await);
        }
        columns.push(self.outcomes(&self.school.teacher).await);
        columns.push(self.outcomes(&self.school.admin).await);
        let line = |row: usize| {
            let cells: Vec<&str> = columns.iter().map(|column| column[row].1.as_str()).collect();
            format!("{}: {}", columns[0][row].0, cells.join(" "))
        };
        (0..columns[0].len()).map(line).collect::<Vec<_>>().join("\n")
    }

    async fn outcomes(&self, member: &Member) -> Vec<(&'static str, String)> {
        let (courses, teachers) = (member.clients.courses(), member.clients.course_teachers());
        let (sections, blocks) = (member.clients.sections(), member.clients.blocks());
        let (course_id, section_id) = (self.course_id.clone(), self.section_id.clone());
        let (block_id, etag) = (self.block_id.clone(), "ffff".to_owned());
        let nobody = self.course_id.clone();
        let state = self.school_state().await;
        let course = Course { course_id: course_id.clone(), etag: etag.clone(), ..named("New") };
        let section = Section { section_id: section_id.clone(), etag: etag.clone(), ..Default::default() };
        let section = Section { title: "New".to_owned(), ..section };
        let block = ContentBlock { block_id: block_id.clone(), etag: etag.clone(), ..Default::default() };
        let block = ContentBlock { title: "New".to_owned(), ..block };
        let far_section = Section { position: 999, ..published_section(&course_id, "New") };
        let far_block = ContentBlock { position: 999, ..published_lesson(&section_id, "New") };
        let update_mask = mask(&["title"]);
        macro_rules! calls {
            ($($client:ident.$rpc:ident($request:expr)),* $(,)?) => {
                vec![$((stringify!($rpc), outcome($client.clone().$rpc($request).await))),*]
            };
        }
        calls![
            courses.get_course(GetCourseRequest { course_id: course_id.clone() }),
            courses.update_course(UpdateCourseRequest { course: Some(course), update_mask: update_mask.clone() }),
            courses.delete_course(DeleteCourseRequest { course_id: course_id.clone(), etag: etag.clone() }),
            courses.set_course_state(SetCourseStateRequest {
                course_id: course_id.clone(),
                state,
                etag: String::new()
            }),
            courses.export_course(ExportCourseRequest { course_id: course_id.clone() }),
            teachers.list_teachers(ListTeachersRequest { course_id: course_id.clone(), ..Default::default() }),
            teachers.add_teacher(AddTeacherRequest { course_id: course_id.clone(), account_id: nobody.clone() }),
            teachers.remove_teacher(RemoveTeacherRequest { course_id: course_id.clone(), account_id: nobody.clone() }),
            teachers.transfer_course(TransferCourseRequest { course_id: course_id.clone(), account_id: nobody }),
            sections.create_section(CreateSectionRequest { section: Some(far_section) }),
            sections.get_section(GetSectionRequest { section_id: section_id.clone() }),
            sections.list_sections(ListSectionsRequest { course_id: course_id.clone(), ..Default::default() }),
            sections.update_section(UpdateSectionRequest { section: Some(section), update_mask: update_mask.clone() }),
            sections.delete_section(DeleteSectionRequest { section_id: section_id.clone(), etag: etag.clone() }),
            sections.reorder_sections(ReorderSectionsRequest { course_id, section_ids: vec![section_id.clone()] }),
            blocks.create_block(CreateBlockRequest { block: Some(far_block) }),
            blocks.get_block(GetBlockRequest { block_id: block_id.clone() }),
            blocks.list_blocks(ListBlocksRequest { section_id: section_id.clone(), ..Default::default() }),
            blocks.update_block(UpdateBlockRequest { block: Some(block), update_mask }),
            blocks.delete_block(DeleteBlockRequest { block_id: block_id.clone(), etag }),
            blocks.reorder_blocks(ReorderBlocksRequest { section_id, block_ids: vec![block_id] }),
        ]
    }

    /// The state that the course has, which may be set once more.
    async fn school_state(&self) -> i32 {
        get_course(&self.school.teacher.clients, &self.course_id).await.unwrap().state
    }
}

fn named(title: &str) -> Course {
    Course { title: title.to_owned(), ..Default::default() }
}

/// A dot for what went well, else the reason.
fn outcome<T>(result: Result<tonic::Response<T>, tonic::Status>) -> String {
    match result {
        Ok(_) => ".".to_owned(),
        Err(status) => Refusal::from(status).reason,
    }
}

#[tokio::test]
async fn k9_s32_in_a_published_course_each_may_what_is_theirs() {
    let scene = Scene::set().await;
    insta::assert_snapshot!(scene.table().await, @"
    get_course: . . . . . . .
    update_course: COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING ETAG_STALE ETAG_STALE ETAG_STALE
    delete_course: COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING ETAG_STALE ETAG_STALE
    set_course_state: COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING . . .
    export_course: COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING . . .
    list_teachers: COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING . . . . .
    add_teacher: COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING PERSON_NOT_FOUND PERSON_NOT_FOUND
    remove_teacher: COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING . .
    transfer_course: COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING PERSON_NOT_FOUND PERSON_NOT_FOUND
    create_section: COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING FIELDS_INVALID FIELDS_INVALID FIELDS_INVALID
    get_section: SECTION_NOT_FOUND SECTION_NOT_FOUND . . . . .
    list_sections: COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING . . . . .
    update_section: SECTION_NOT_FOUND SECTION_NOT_FOUND COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING ETAG_STALE ETAG_STALE ETAG_STALE
    delete_section: SECTION_NOT_FOUND SECTION_NOT_FOUND COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING ETAG_STALE ETAG_STALE ETAG_STALE
    reorder_sections: COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING . . .
    create_block: SECTION_NOT_FOUND SECTION_NOT_FOUND COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING FIELDS_INVALID FIELDS_INVALID FIELDS_INVALID
    get_block: BLOCK_NOT_FOUND BLOCK_NOT_FOUND . . . . .
    list_blocks: SECTION_NOT_FOUND SECTION_NOT_FOUND . . . . .
    update_block: BLOCK_NOT_FOUND BLOCK_NOT_FOUND COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING ETAG_STALE ETAG_STALE ETAG_STALE
    delete_block: BLOCK_NOT_FOUND BLOCK_NOT_FOUND COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING ETAG_STALE ETAG_STALE ETAG_STALE
    reorder_blocks: SECTION_NOT_FOUND SECTION_NOT_FOUND COURSE_RIGHT_MISSING COURSE_RIGHT_MISSING . . .
    ");
}

#[tokio::test]
async fn k9_s32_a_draft_is_its_teachers_alone() {
    let scene = Scene::set().await;
    scene.school.set_state(&scene.course_id, PublicationState::Draft).await;
    let table = scene.table().await;
    // Strangers, students of others and its own learn nothing of it.
    for line in table.lines() {
        let cells: Vec<&str> = line.split(' ').collect();
        assert!(cells[1..4].iter().all(|cell| cell.ends_with("_NOT_FOUND")), "{line}");
        assert!(
            cells[5..].iter().all(|cell| [
                ".",
                "ETAG_STALE",
                "FIELDS_INVALID",
                "PERSON_NOT_FOUND",
                "COURSE_RIGHT_MISSING"
            ]
            .contains(cell)),
            "{line}"
        );
    }
}

#[tokio::test]
async fn k9_s32_in_the_archive_nothing_changes_any_more() {
    let scene = Scene::set().await;
    scene.school.set_state(&scene.course_id, PublicationState::Archived).await;
    let table = scene.table().await;
    for line in table.lines() {
        let (rpc, cells) = line.split_once(": ").unwrap();
        let cells: Vec<&str> = cells.split(' ').collect();
        assert!(cells[..2].iter().all(|cell| cell.ends_with("_NOT_FOUND")), "{line}");
        let reads = ["get_course", "list_teachers", "get_section", "list_sections", "get_block", "list_blocks"];
        let expected = if reads.contains(&rpc) { "." } else { "COURSE_RIGHT_MISSING" };
        assert_eq!(cells[2], expected, "{line}");
        let changes = rpc.contains("section") || rpc.contains("block") || rpc == "update_course";
        if changes && !reads.contains(&rpc) {
            assert_eq!(cells[4..], ["COURSE_ARCHIVED"; 3], "{line}");
        }
    }
}

#[tokio::test]
async fn k9_s32_what_is_a_draft_in_a_published_course_is_its_teachers_alone() {
    let mut scene = Scene::set().await;
    let teacher = scene.school.teacher.clients.clone();
    let draft = Section { state: 0, ..published_section(&scene.course_id, "Draft") };
    let section = make_section(&teacher, draft).await.unwrap();
    assert_eq!(section.state(), PublicationState::Draft);
    let block = make_block(&teacher, published_lesson(&section.section_id, "Published in a draft")).await.unwrap();
    let hidden = make_block(&teacher, ContentBlock { state: 0, ..published_lesson(&scene.section_id, "Draft") }).await;
    let hidden = hidden.unwrap().block_id;
    for (block_id, section_id) in [(block.block_id, Some(section.section_id)), (hidden, None)] {
        scene.block_id = block_id;
        if let Some(section_id) = section_id.clone() {
            scene.section_id = section_id;
        }
        let table = scene.table().await;
        for line in
            table.lines().filter(|line| line.contains("block") && !line.contains("list_") && !line.contains("order"))
        {
            let cells: Vec<&str> = line.split(' ').collect();
            if section_id.is_none() && line.starts_with("create") {
                continue;
            }
            assert!(cells[1..5].iter().all(|cell| cell.ends_with("_NOT_FOUND")), "{line}");
            assert!(cells[5..].iter().all(|cell| !cell.ends_with("_NOT_FOUND")), "{line}");
        }
    }
    let student = &scene.callers[2].1.clients;
    let titles = |sections: Vec<Section>| sections.into_iter().map(|section| section.title).collect::<Vec<_>>();
    assert_eq!(titles(sections(student, &scene.course_id).await.unwrap()), ["One"]);
    assert_eq!(titles(sections(&teacher, &scene.course_id).await.unwrap()), ["One", "Draft"]);
    let counts = async |member: &Member| {
        let course = get_course(&member.clients, &scene.course_id).await.unwrap();
        (course.section_count, course.block_count)
    };
    assert_eq!(counts(&scene.callers[2].1).await, (1, 1));
    assert_eq!(counts(&scene.school.teacher).await, (2, 3));
}

#[tokio::test]
async fn k9_moderators_archive_what_they_do_not_teach() {
    let school = School::shared().await;
    let course = school.course("Nonsense").await;
    let moderator = school.with_role("moderator").await;
    let archived = set_state(&moderator.clients, &course.course_id, PublicationState::Archived).await.unwrap();
    assert_eq!(archived.state(), PublicationState::Archived);
    for state in [PublicationState::Published, PublicationState::Draft] {
        let error = refusal(set_state(&moderator.clients, &course.course_id, state).await);
        assert_eq!(error.is(), (Code::PermissionDenied, "COURSE_RIGHT_MISSING"));
        let error = refusal(set_state(&school.teacher.clients, &course.course_id, state).await);
        assert_eq!(error.is(), (Code::FailedPrecondition, "COURSE_ARCHIVED"));
    }
}
