//! A course, and everybody who may or may not do something in it.

use quartet_proto::identity::v1::profile_service_client::ProfileServiceClient;

use crate::harness::prelude::*;
use crate::harness::{Bearer, Clients};

/// Somebody who calls.
pub struct Somebody {
    pub person: Person,
    pub clients: Clients,
}

impl Somebody {
    pub async fn new(world: &World, name: &str) -> Somebody {
        let person = world.sign_up(name).await;
        Somebody { clients: world.as_token(&person.access_token), person }
    }

    pub async fn with_role(world: &World, admin: &Person, role: &str) -> Somebody {
        let mut person = world.sign_up(role).await;
        world.with_role_by(admin, &person, role).await;
        person.renewed(world.try_refresh(&person.refresh_token).await.unwrap());
        Somebody { clients: world.as_token(&person.access_token), person }
    }

    pub fn id(&self) -> String {
        self.person.account_id.clone()
    }

    /// Gives themselves a name.
    pub async fn is_called(&self, world: &World, first_name: &str, last_name: &str) {
        let mut profiles = ProfileServiceClient::new(Bearer::new(world.channel(), Some(&self.person.access_token)));
        let (first_name, last_name) = (first_name.to_owned(), last_name.to_owned());
        let profile = Profile { first_name, last_name, ..Default::default() };
        let paths = vec!["first_name".to_owned(), "last_name".to_owned()];
        let update_mask = Some(prost_types::FieldMask { paths });
        profiles.update_profile(UpdateProfileRequest { profile: Some(profile), update_mask }).await.unwrap();
    }

    pub async fn enrol(&self, course_id: &str, code: &str) -> Result<Enrolment, tonic::Status> {
        let asked = EnrolRequest { course_id: course_id.to_owned(), code: code.to_owned() };
        Ok(self.clients.enrolments().enrol(asked).await?.into_inner().enrolment.unwrap())
    }

    /// Leaves, or has somebody leave.
    pub async fn unenrol(&self, course_id: &str, account_id: &str) -> Result<(), tonic::Status> {
        let asked = UnenrolRequest { course_id: course_id.to_owned(), account_id: account_id.to_owned() };
        self.clients.enrolments().unenrol(asked).await.map(drop)
    }

    pub async fn progress(&self, course_id: &str, account_id: &str) -> Result<GetProgressResponse, tonic::Status> {
        let asked = GetProgressRequest { course_id: course_id.to_owned(), account_id: account_id.to_owned() };
        Ok(self.clients.enrolments().get_progress(asked).await?.into_inner())
    }

    pub async fn complete(&self, block_id: &str) -> Result<Submission, tonic::Status> {
        let (url, remarks) = ("https://example.com/work".to_owned(), "my work".to_owned());
        let asked = CompleteBlockRequest { block_id: block_id.to_owned(), url, remarks };
        Ok(self.clients.progress().complete_block(asked).await?.into_inner().submission.unwrap())
    }

    pub async fn reopen(&self, block_id: &str) -> Result<(), tonic::Status> {
        let asked = ReopenBlockRequest { block_id: block_id.to_owned() };
        self.clients.progress().reopen_block(asked).await.map(drop)
    }

    pub async fn submission(&self, block_id: &str, account_id: &str) -> Result<Submission, tonic::Status> {
        let asked = GetSubmissionRequest { block_id: block_id.to_owned(), account_id: account_id.to_owned() };
        Ok(self.clients.progress().get_submission(asked).await?.into_inner().submission.unwrap())
    }

    /// Tries a quiz that [`quiz`] made: so many of its three questions are answered rightly.
    pub async fn attempt(&self, block_id: &str, right: usize, key: &str) -> Result<QuizAttempt, tonic::Status> {
        let (block_id, idempotency_key) = (block_id.to_owned(), key.to_owned());
        let asked = SubmitQuizRequest { block_id, answers: answers(right), idempotency_key };
        Ok(self.clients.progress().submit_quiz(asked).await?.into_inner().attempt.unwrap())
    }

    pub async fn attempts(&self, block_id: &str, account_id: &str) -> Result<Vec<QuizAttempt>, tonic::Status> {
        let (block_id, account_id) = (block_id.to_owned(), account_id.to_owned());
        let asked = ListQuizAttemptsRequest { block_id, account_id, page_size: 100, ..Default::default() };
        Ok(self.clients.progress().list_quiz_attempts(asked).await?.into_inner().attempts)
    }

    pub async fn grade(
        &self,
        block_id: &str,
        account_id: &str,
        grade: Option<i32>,
        feedback: &str,
    ) -> Result<Assessment, tonic::Status> {
        let (block_id, account_id, feedback) = (block_id.to_owned(), account_id.to_owned(), feedback.to_owned());
        let asked = GradeSubmissionRequest { block_id, account_id, grade, feedback };
        Ok(self.clients.grades().grade_submission(asked).await?.into_inner().assessment.unwrap())
    }

    pub async fn say(
        &self,
        course_id: &str,
        account_id: &str,
        completed: Option<bool>,
        reason: &str,
    ) -> Result<Progress, tonic::Status> {
        let (course_id, account_id, reason) = (course_id.to_owned(), account_id.to_owned(), reason.to_owned());
        let asked = OverrideCompletionRequest { course_id, account_id, completed, reason };
        Ok(self.clients.grades().override_completion(asked).await?.into_inner().progress.unwrap())
    }

    /// Makes a course in which one gets so, published.
    pub async fn course(&self, policy: EnrolmentPolicy, code: &str) -> String {
        let course = Course {
            title: "A course".to_owned(),
            enrolment_policy: policy.into(),
            enrolment_code: code.to_owned(),
            ..Default::default()
        };
        let asked = CreateCourseRequest { course: Some(course), ..Default::default() };
        let id = self.clients.courses().create_course(asked).await.unwrap().into_inner().course.unwrap().course_id;
        self.set_state(&id, PublicationState::Published).await;
        id
    }

    pub async fn set_state(&self, course_id: &str, state: PublicationState) {
        let (course_id, state) = (course_id.to_owned(), state.into());
        let asked = SetCourseStateRequest { course_id, state, ..Default::default() };
        self.clients.courses().set_course_state(asked).await.unwrap();
    }

    pub async fn section(&self, course_id: &str, state: PublicationState) -> String {
        let (course_id, title) = (course_id.to_owned(), "A section".to_owned());
        let section = Section { course_id, title, state: state.into(), ..Default::default() };
        let asked = CreateSectionRequest { section: Some(section) };
        self.clients.sections().create_section(asked).await.unwrap().into_inner().section.unwrap().section_id
    }

    /// Puts a block into a section and answers its id.
    pub async fn block(&self, section_id: &str, block: ContentBlock) -> String {
        let block = Some(ContentBlock { section_id: section_id.to_owned(), ..block });
        let asked = CreateBlockRequest { block };
        self.clients.blocks().create_block(asked).await.unwrap().into_inner().block.unwrap().block_id
    }

    pub async fn set_block_state(&self, block_id: &str, state: PublicationState) {
        let block = Some(ContentBlock { block_id: block_id.to_owned(), state: state.into(), ..Default::default() });
        let update_mask = Some(prost_types::FieldMask { paths: vec!["state".to_owned()] });
        self.clients.blocks().update_block(UpdateBlockRequest { block, update_mask }).await.unwrap();
    }

    pub async fn delete_block(&self, block_id: &str) {
        let asked = DeleteBlockRequest { block_id: block_id.to_owned(), ..Default::default() };
        self.clients.blocks().delete_block(asked).await.unwrap();
    }
}

/// A published lesson.
pub fn lesson(title: &str) -> ContentBlock {
    ContentBlock {
        r#type: BlockType::Lesson.into(),
        title: title.to_owned(),
        content: "Read this.".to_owned(),
        state: PublicationState::Published.into(),
        ..Default::default()
    }
}

/// A published quiz of three questions, a point each, that half of the points pass.
pub fn quiz(title: &str, max_attempts: i32) -> ContentBlock {
    use question::Kind;
    let choices = vec!["one".to_owned(), "two".to_owned(), "three".to_owned()];
    let question = |kind| Question { text: "Which?".to_owned(), points: 1, kind: Some(kind) };
    let questions = vec![
        question(Kind::SingleChoice(SingleChoice { choices: choices.clone(), answer: Some(2) })),
        question(Kind::MultipleChoice(MultipleChoice { choices, answers: vec![0, 2] })),
        question(Kind::ShortText(ShortText { answers: vec!["Amélie".to_owned()] })),
    ];
    ContentBlock {
        r#type: BlockType::Quiz.into(),
        title: title.to_owned(),
        quiz: Some(Quiz { questions, pass_percent: 50, max_attempts }),
        state: PublicationState::Published.into(),
        ..Default::default()
    }
}

/// Answers to [`quiz`], of which so many are right.
pub fn answers(right: usize) -> Vec<Answer> {
    use answer::Kind;
    let answers = [
        [Kind::Choice(2), Kind::Choice(0)],
        [Kind::Choices(Choices { indexes: vec![2, 0] }), Kind::Choices(Choices { indexes: vec![0, 1] })],
        [Kind::Text(" amelie ".to_owned()), Kind::Text("Nino".to_owned())],
    ];
    let chosen = answers.into_iter().enumerate().map(|(at, [good, bad])| if at < right { good } else { bad });
    chosen.map(|kind| Answer { kind: Some(kind) }).collect()
}

/// A published course, open to everybody, and everybody.
pub struct Class {
    pub owner: Somebody,
    pub co: Somebody,
    pub student: Somebody,
    /// Takes another course of the same owner.
    pub elsewhere: Somebody,
    pub stranger: Somebody,
    pub moderator: Somebody,
    pub admin: Somebody,
    pub course: String,
    pub section: String,
    pub lesson: String,
    pub quiz: String,
}

impl Class {
    pub async fn new(world: &World) -> Class {
        let admin = world.admin().await;
        let owner = Somebody::with_role(world, &admin, "teacher").await;
        let co = Somebody::new(world, "co").await;
        let student = Somebody::new(world, "student").await;
        let elsewhere = Somebody::new(world, "elsewhere").await;
        let stranger = Somebody::new(world, "stranger").await;
        let moderator = Somebody::with_role(world, &admin, "moderator").await;
        let course = owner.course(EnrolmentPolicy::Open, "").await;
        let section = owner.section(&course, PublicationState::Published).await;
        let lesson = owner.block(&section, lesson("A lesson")).await;
        let quiz = owner.block(&section, quiz("A quiz", 0)).await;
        student.enrol(&course, "").await.unwrap();
        let other = owner.course(EnrolmentPolicy::Open, "").await;
        elsewhere.enrol(&other, "").await.unwrap();
        let asked = AddTeacherRequest { course_id: course.clone(), account_id: co.id() };
        eventually("the teacher is known", async || {
            owner.clients.course_teachers().add_teacher(asked.clone()).await.ok()
        })
        .await;
        let admin = Somebody { clients: world.as_token(&admin.access_token), person: admin };
        Class { owner, co, student, elsewhere, stranger, moderator, admin, course, section, lesson, quiz }
    }

    /// Everybody, by what they are.
    pub fn everybody(&self) -> [(&'static str, &Somebody); 7] {
        [
            ("stranger", &self.stranger),
            ("elsewhere", &self.elsewhere),
            ("student", &self.student),
            ("moderator", &self.moderator),
            ("co", &self.co),
            ("owner", &self.owner),
            ("admin", &self.admin),
        ]
    }
}

/// `ok`, or the reason of the refusal.
pub fn outcome<T: std::fmt::Debug>(result: Result<T, tonic::Status>) -> String {
    match result {
        Ok(_) => "ok".to_owned(),
        Err(status) => Refusal::from(status).reason,
    }
}
