//! People and courses that tests begin with.

use prost_types::FieldMask;

use crate::harness::Clients;
use crate::harness::prelude::*;

/// Somebody, and what they call with.
pub struct Member {
    pub person: Person,
    pub clients: Clients,
}

impl Member {
    pub fn id(&self) -> String {
        self.person.account_id.clone()
    }
}

/// An administrator, a teacher, and whoever else is asked for.
pub struct School {
    pub world: World,
    pub admin: Member,
    pub teacher: Member,
}

impl School {
    pub async fn shared() -> School {
        School::of(World::shared().await).await
    }

    pub async fn of(world: World) -> School {
        let admin = world.admin().await;
        let teacher = with_role(&world, &admin, "teacher").await;
        let admin = Member { clients: world.as_token(&admin.access_token), person: admin };
        School { world, admin, teacher }
    }

    /// Somebody without any role.
    pub async fn somebody(&self) -> Member {
        let person = self.world.sign_up("somebody").await;
        Member { clients: self.world.as_token(&person.access_token), person }
    }

    /// Somebody with a role.
    pub async fn with_role(&self, role: &str) -> Member {
        with_role(&self.world, &self.admin.person, role).await
    }

    /// A co-teacher of a course of the teacher's.
    pub async fn co_teacher(&self, course_id: &str) -> Member {
        let member = self.somebody().await;
        self.add_teacher(course_id, &member).await;
        member
    }

    /// Makes somebody a co-teacher, as soon as it is known who they are.
    pub async fn add_teacher(&self, course_id: &str, member: &Member) {
        let request = AddTeacherRequest { course_id: course_id.to_owned(), account_id: member.id() };
        eventually("the person is known", async || {
            self.teacher.clients.course_teachers().add_teacher(request.clone()).await.ok()
        })
        .await;
    }

    /// Somebody who takes a course that is open.
    pub async fn student(&self, course_id: &str) -> Member {
        let member = self.somebody().await;
        let request = EnrolRequest { course_id: course_id.to_owned(), ..Default::default() };
        member.clients.enrolments().enrol(request).await.expect("not enrolled");
        member
    }

    /// A draft of the teacher's.
    pub async fn draft(&self, title: &str) -> Course {
        make_course(&self.teacher.clients, title).await
    }

    /// An open course of the teacher's.
    pub async fn course(&self, title: &str) -> Course {
        let course = self.draft(title).await;
        self.set_state(&course.course_id, PublicationState::Published).await
    }

    pub async fn set_state(&self, course_id: &str, state: PublicationState) -> Course {
        set_state(&self.teacher.clients, course_id, state).await.expect("no new state")
    }

    /// A published section at the end.
    pub async fn section(&self, course_id: &str, title: &str) -> Section {
        make_section(&self.teacher.clients, published_section(course_id, title)).await.expect("no section")
    }

    /// A published lesson at the end.
    pub async fn lesson(&self, section_id: &str, title: &str) -> ContentBlock {
        make_block(&self.teacher.clients, published_lesson(section_id, title)).await.expect("no block")
    }

    /// A published quiz at the end.
    pub async fn quiz(&self, section_id: &str, quiz: Quiz) -> ContentBlock {
        let quiz_block = ContentBlock {
            r#type: BlockType::Quiz.into(),
            content: String::new(),
            quiz: Some(quiz),
            ..published_lesson(section_id, "Quiz")
        };
        make_block(&self.teacher.clients, quiz_block).await.expect("no quiz")
    }
}

async fn with_role(world: &World, admin: &Person, role: &str) -> Member {
    let mut person = world.sign_up(role).await;
    world.with_role_by(admin, &person, role).await;
    person.renewed(world.try_refresh(&person.refresh_token).await.expect("not renewed"));
    Member { clients: world.as_token(&person.access_token), person }
}

pub async fn make_course(clients: &Clients, title: &str) -> Course {
    let course = Some(Course { title: title.to_owned(), ..Default::default() });
    let request = CreateCourseRequest { course, ..Default::default() };
    clients.courses().create_course(request).await.expect("no course").into_inner().course.unwrap()
}

pub async fn get_course(clients: &Clients, course_id: &str) -> Result<Course, tonic::Status> {
    let request = GetCourseRequest { course_id: course_id.to_owned() };
    Ok(clients.courses().get_course(request).await?.into_inner().course.unwrap())
}

pub async fn set_state(clients: &Clients, course_id: &str, state: PublicationState) -> Result<Course, tonic::Status> {
    let course_id = course_id.to_owned();
    let request = SetCourseStateRequest { course_id, state: state.into(), ..Default::default() };
    Ok(clients.courses().set_course_state(request).await?.into_inner().course.unwrap())
}

pub fn published_section(course_id: &str, title: &str) -> Section {
    Section {
        course_id: course_id.to_owned(),
        title: title.to_owned(),
        state: PublicationState::Published.into(),
        ..Default::default()
    }
}

pub async fn make_section(clients: &Clients, section: Section) -> Result<Section, tonic::Status> {
    let request = CreateSectionRequest { section: Some(section) };
    Ok(clients.sections().create_section(request).await?.into_inner().section.unwrap())
}

pub fn published_lesson(section_id: &str, title: &str) -> ContentBlock {
    ContentBlock {
        section_id: section_id.to_owned(),
        title: title.to_owned(),
        content: format!("# {title}\n"),
        r#type: BlockType::Lesson.into(),
        state: PublicationState::Published.into(),
        ..Default::default()
    }
}

pub async fn make_block(clients: &Clients, block: ContentBlock) -> Result<ContentBlock, tonic::Status> {
    let request = CreateBlockRequest { block: Some(block) };
    Ok(clients.blocks().create_block(request).await?.into_inner().block.unwrap())
}

/// The sections of a course in their order, with their places.
pub async fn sections(clients: &Clients, course_id: &str) -> Result<Vec<Section>, tonic::Status> {
    let mut request = ListSectionsRequest { course_id: course_id.to_owned(), page_size: 7, ..Default::default() };
    let mut sections = Vec::new();
    loop {
        let page = clients.sections().list_sections(request.clone()).await?.into_inner();
        sections.extend(page.sections);
        if page.next_page_token.is_empty() {
            return Ok(sections);
        }
        request.page_token = page.next_page_token;
    }
}

/// The blocks of a section in their order.
pub async fn blocks(clients: &Clients, section_id: &str) -> Result<Vec<ContentBlock>, tonic::Status> {
    let mut request = ListBlocksRequest { section_id: section_id.to_owned(), page_size: 7, ..Default::default() };
    let mut blocks = Vec::new();
    loop {
        let page = clients.blocks().list_blocks(request.clone()).await?.into_inner();
        blocks.extend(page.blocks);
        if page.next_page_token.is_empty() {
            return Ok(blocks);
        }
        request.page_token = page.next_page_token;
    }
}

pub fn mask(paths: &[&str]) -> Option<FieldMask> {
    Some(FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() })
}

/// A quiz with a question of each kind: six points, of which half pass.
pub fn full_quiz() -> Quiz {
    let choices: Vec<String> = ["Rome", "Paris", "Lima"].map(str::to_owned).into();
    let single = SingleChoice { choices: choices.clone(), answer: Some(1) };
    let multiple = MultipleChoice { choices, answers: vec![0, 2] };
    let number = NumberQuestion { answer: Some(2.5), tolerance: Some(0.25) };
    let short = ShortText { answers: vec!["Sesame".to_owned(), "Sésam".to_owned()] };
    let ask = |text: &str, points, kind| Question { text: text.to_owned(), points, kind: Some(kind) };
    Quiz {
        questions: vec![
            ask("Which?", 1, question::Kind::SingleChoice(single)),
            ask("Which ones?", 2, question::Kind::MultipleChoice(multiple)),
            ask("How much?", 1, question::Kind::Number(number)),
            ask("The word?", 2, question::Kind::ShortText(short)),
        ],
        pass_percent: 50,
        max_attempts: 3,
    }
}
