//! Whatever is done with courses, and in whichever order: progress is what a plain re-computation from the rows gives, positions are
//! dense, and no row is left without what it belongs to. The same seed gives the same answer on both engines.

use std::collections::BTreeMap;

use diesel::sql_types::Text;
use diesel::{Connection as _, QueryableByName, RunQueryDsl as _, SqliteConnection, sql_query};

use super::class::{Somebody, lesson, outcome, quiz};
use crate::harness::prelude::*;

const STEPS: usize = 250;

/// Numbers that follow from a seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % sides
    }

    fn pick<'a, T>(&mut self, list: &'a [T]) -> Option<&'a T> {
        if list.is_empty() { None } else { list.get(self.roll(list.len())) }
    }
}

/// The lines that a question has for an answer.
async fn ask(world: &World, question: &str) -> Vec<String> {
    #[derive(QueryableByName)]
    struct Line {
        #[diesel(sql_type = Text)]
        line: String,
    }
    let question = format!("select {question}");
    if let Some(grounds) = world.grounds() {
        let database = grounds.database("catalogue");
        let answer = grounds.postgres.run(&database, &question).await;
        return answer.lines().map(str::to_owned).collect();
    }
    let path = world.data().unwrap().join("catalogue.db");
    let mut store = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
    sql_query("pragma busy_timeout = 5000").execute(&mut store).unwrap();
    let lines: Vec<Line> = sql_query(question).load(&mut store).unwrap();
    lines.into_iter().map(|line| line.line).collect()
}

/// What an id looks like as text on either engine.
fn hex(world: &World, column: &str) -> String {
    if world.grounds().is_some() { format!("encode({column}, 'hex')") } else { format!("lower(hex({column}))") }
}

struct School {
    teacher: Somebody,
    students: Vec<Somebody>,
    course: String,
    /// In the order in which they were made, like the two below; those that are gone are empty.
    sections: Vec<String>,
    blocks: Vec<String>,
    quizzes: Vec<String>,
}

fn there(ids: &[String]) -> Vec<String> {
    ids.iter().filter(|id| !id.is_empty()).cloned().collect()
}

fn state(dice: &mut Dice) -> PublicationState {
    if dice.roll(4) == 0 { PublicationState::Draft } else { PublicationState::Published }
}

impl School {
    /// Does something, and answers what became of it.
    async fn step(&mut self, dice: &mut Dice) -> String {
        let action = dice.roll(14);
        match action {
            0 => self.make_section(dice).await,
            1 | 2 => self.make_block(dice).await,
            3 => self.make_quiz(dice).await,
            4 => self.change(dice).await,
            5 => self.remove(dice).await,
            6 => self.reorder(dice).await,
            _ => self.work(action, dice).await,
        }
    }

    async fn make_section(&mut self, dice: &mut Dice) -> String {
        let id = self.teacher.section(&self.course, state(dice)).await;
        self.sections.push(id);
        "section".to_owned()
    }

    async fn make_block(&mut self, dice: &mut Dice) -> String {
        let sections = there(&self.sections);
        let Some(section) = dice.pick(&sections) else { return "no section".to_owned() };
        let block = ContentBlock { state: state(dice).into(), ..lesson("lesson") };
        self.blocks.push(self.teacher.block(section, block).await);
        "block".to_owned()
    }

    async fn make_quiz(&mut self, dice: &mut Dice) -> String {
        let sections = there(&self.sections);
        let Some(section) = dice.pick(&sections) else { return "no section".to_owned() };
        self.quizzes.push(self.teacher.block(section, quiz("quiz", 4)).await);
        "quiz".to_owned()
    }

    async fn change(&mut self, dice: &mut Dice) -> String {
        let blocks = there(&[self.blocks.clone(), self.quizzes.clone()].concat());
        let Some(block) = dice.pick(&blocks) else { return "no block".to_owned() };
        self.teacher.set_block_state(block, state(dice)).await;
        "state".to_owned()
    }

    async fn remove(&mut self, dice: &mut Dice) -> String {
        let list = if dice.roll(2) == 0 { &mut self.blocks } else { &mut self.quizzes };
        let known = there(list);
        if dice.roll(4) != 0 {
            let Some(id) = dice.pick(&known).cloned() else { return "no block".to_owned() };
            list.retain(|one| *one != id);
            self.teacher.delete_block(&id).await;
            return "block gone".to_owned();
        }
        let sections = there(&self.sections);
        let Some(section_id) = dice.pick(&sections).cloned() else { return "no section".to_owned() };
        let within = self.blocks_of(&section_id).await;
        let asked = DeleteSectionRequest { section_id: section_id.clone(), ..Default::default() };
        self.teacher.clients.sections().delete_section(asked).await.unwrap();
        self.sections.retain(|one| *one != section_id);
        for list in [&mut self.blocks, &mut self.quizzes] {
            list.retain(|one| !within.contains(one));
        }
        "section gone".to_owned()
    }

    async fn blocks_of(&self, section_id: &str) -> Vec<String> {
        let asked = ListBlocksRequest { section_id: section_id.to_owned(), page_size: 100, ..Default::default() };
        let listed = self.teacher.clients.blocks().list_blocks(asked).await.unwrap().into_inner().blocks;
        listed.into_iter().map(|block| block.block_id).collect()
    }

    /// Puts a section's blocks into another order, with one of another section among them.
    async fn reorder(&mut self, dice: &mut Dice) -> String {
        let sections = there(&self.sections);
        let Some(section_id) = dice.pick(&sections).cloned() else { return "no section".to_owned() };
        let mut block_ids = self.blocks_of(&section_id).await;
        let all = there(&[self.blocks.clone(), self.quizzes.clone()].concat());
        block_ids.extend(dice.pick(&all).filter(|one| !block_ids.contains(one)).cloned());
        for at in (1..block_ids.len()).rev() {
            block_ids.swap(at, dice.roll(at + 1));
        }
        if block_ids.is_empty() {
            return "nothing to order".to_owned();
        }
        let asked = ReorderBlocksRequest { section_id, block_ids };
        outcome(self.teacher.clients.blocks().reorder_blocks(asked).await)
    }

    async fn work(&mut self, action: usize, dice: &mut Dice) -> String {
        let (blocks, quizzes) = (there(&self.blocks), there(&self.quizzes));
        let student = &self.students[dice.roll(self.students.len())];
        let (block, tried) = (dice.pick(&blocks), dice.pick(&quizzes));
        let number = dice.roll(101);
        let done = match (action, block, tried) {
            (7, ..) => outcome(student.enrol(&self.course, "").await),
            (8, ..) if number < 30 => outcome(student.unenrol(&self.course, "").await),
            (8 | 9, Some(block), _) => outcome(student.complete(block).await),
            (10, Some(block), _) if number < 40 => outcome(student.reopen(block).await),
            (10 | 11, _, Some(quiz)) => outcome(student.attempt(quiz, number % 4, "").await),
            (12, Some(block), _) if number.is_multiple_of(2) => {
                outcome(self.teacher.grade(block, &student.id(), Some(number as i32), "").await)
            }
            (12, _, Some(quiz)) => outcome(self.teacher.grade(quiz, &student.id(), Some(number as i32), "").await),
            (13, ..) => {
                let said = [None, Some(true), Some(false)][number % 3];
                let reason = if said.is_some() { "a test" } else { "" };
                outcome(self.teacher.say(&self.course, &student.id(), said, reason).await)
            }
            _ => "nothing".to_owned(),
        };
        format!("{action} {done}")
    }

    /// How far everybody is, as they are told.
    async fn told(&self) -> Vec<String> {
        let mut told = Vec::new();
        for student in &self.students {
            told.push(match student.progress(&self.course, "").await {
                Ok(GetProgressResponse { progress, .. }) => {
                    let far = progress.unwrap();
                    let average = far.average_grade.map_or("-".to_owned(), |grade| format!("{grade:.6}"));
                    format!("{}/{} {} {average}", far.completed_blocks, far.total_blocks, far.completed)
                }
                Err(_) => "away".to_owned(),
            });
        }
        told
    }

    /// How far everybody is, counted from the rows.
    async fn counted(&self, world: &World) -> Vec<String> {
        let id = |column: &str| hex(world, column);
        let published = ask(
            world,
            &format!(
                "{} as line from content_block b join section s on s.id = b.section_id where b.state = 'PUBLISHED' and s.state = 'PUBLISHED'",
                id("b.id")
            ),
        )
        .await;
        let key = format!("{} || ' ' || {}", id("student_id"), id("block_id"));
        let done = ask(world, &format!("{key} as line from submission where completed")).await;
        let passed = ask(world, &format!("distinct {key} as line from quiz_attempt where passed")).await;
        let best = format!(
            "{key} || ' ' || max(points) || ' ' || max(max_points) as line from quiz_attempt group by student_id, block_id"
        );
        let best = ask(world, &best).await;
        let grades = format!("{key} || ' ' || grade as line from assessment where grade is not null order by number");
        let mut grade: BTreeMap<String, f64> = BTreeMap::new();
        for line in best {
            let words: Vec<&str> = line.split(' ').collect();
            let (points, max): (f64, f64) = (words[2].parse().unwrap(), words[3].parse().unwrap());
            grade.insert(format!("{} {}", words[0], words[1]), (100.0 * points / max).round());
        }
        for line in ask(world, &grades).await {
            let (key, last) = line.rsplit_once(' ').unwrap();
            grade.insert(key.to_owned(), last.parse().unwrap());
        }
        let active = ask(world, &format!("{} as line from enrolment where active", id("student_id"))).await;
        let said = format!(
            "{} || ' ' || case when override_completed then 'true' else 'false' end as line from enrolment where override_completed is not null",
            id("student_id")
        );
        let said = ask(world, &said).await;
        let mut counted = Vec::new();
        for student in &self.students {
            let own = student.id().replace('-', "");
            if !active.contains(&own) {
                counted.push("away".to_owned());
                continue;
            }
            let keys: Vec<String> = published.iter().map(|block| format!("{own} {block}")).collect();
            let completed = keys.iter().filter(|key| done.contains(key) || passed.contains(key)).count();
            let own_grades: Vec<f64> = keys.iter().filter_map(|key| grade.get(key)).copied().collect();
            let average = own_grades.iter().sum::<f64>() / own_grades.len() as f64;
            let average = if own_grades.is_empty() { "-".to_owned() } else { format!("{average:.6}") };
            let over = !keys.is_empty() && completed == keys.len();
            let over = match said.iter().find(|line| line.starts_with(&own)) {
                Some(line) => line.ends_with("true"),
                None => over,
            };
            counted.push(format!("{completed}/{} {over} {average}", keys.len()));
        }
        counted
    }
}

/// Rows that belong to nothing, and places that are missing or taken twice.
const WRONG: [&str; 10] = [
    "'section' as line from section where course_id not in (select id from course)",
    "'block' as line from content_block b where not exists (select 1 from section s where s.id = b.section_id and s.course_id = b.course_id)",
    "'enrolment' as line from enrolment where course_id not in (select id from course)",
    "'submission' as line from submission w where not exists (select 1 from content_block b where b.id = w.block_id and b.course_id = w.course_id)",
    "'attempt' as line from quiz_attempt w where not exists (select 1 from content_block b where b.id = w.block_id and b.course_id = w.course_id)",
    "'assessment' as line from assessment w where not exists (select 1 from content_block b where b.id = w.block_id and b.course_id = w.course_id)",
    "'attempts with gaps' as line from quiz_attempt group by block_id, student_id having count(*) <> max(number) or min(number) <> 1",
    "'grades with gaps' as line from assessment group by block_id, student_id having count(*) <> max(number) or min(number) <> 1",
    "'sections with gaps' as line from section group by course_id having count(*) <> max(position) or min(position) <> 1 or count(distinct position) <> count(*)",
    "'blocks with gaps' as line from content_block group by section_id having count(*) <> max(position) or min(position) <> 1 or count(distinct position) <> count(*)",
];

#[tokio::test]
async fn k4_k5_k6_k7_k8_x20_progress_is_what_the_rows_say_after_anything() {
    let world = World::own().await;
    let admin = world.admin().await;
    let teacher = Somebody::with_role(&world, &admin, "teacher").await;
    let course = teacher.course(EnrolmentPolicy::Open, "").await;
    let mut students = Vec::new();
    for name in ["ann", "ben", "cleo"] {
        students.push(Somebody::new(&world, name).await);
        students.last().unwrap().enrol(&course, "").await.unwrap();
    }
    let mut school = School { teacher, students, course, sections: vec![], blocks: vec![], quizzes: vec![] };
    let mut dice = Dice(2026);
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut history = Vec::new();
    for step in 1..=STEPS {
        *counts.entry(school.step(&mut dice).await).or_default() += 1;
        if step % 25 == 0 {
            let told = school.told().await;
            assert_eq!(told, school.counted(&world).await, "after {step} steps");
            for wrong in WRONG {
                assert_eq!(ask(&world, wrong).await, [""; 0], "after {step} steps");
            }
            history.push(format!("{step}: {}", told.join(", ")));
        }
    }
    let happened: Vec<String> = counts.into_iter().map(|(what, count)| format!("{what}: {count}")).collect();
    insta::assert_snapshot!(format!("{}\n{}", history.join("\n"), happened.join("\n")), @r"
    25: 0/0 false -, 0/0 false -, 0/0 true -
    50: 0/4 false -, 1/4 false 47.500000, 0/4 false -
    75: 1/7 false 33.000000, 3/7 true 48.000000, 0/7 false -
    100: 2/8 true 68.500000, away, 1/8 false 16.500000
    125: 2/11 true 68.500000, away, 2/11 false 16.500000
    150: 2/12 false 54.000000, away, 1/12 true 16.500000
    175: 2/15 false 54.000000, away, 2/15 true 50.000000
    200: 3/15 true 47.000000, 1/15 true 41.000000, 4/15 true 50.000000
    225: 3/18 true 47.000000, away, 5/18 false 50.000000
    250: away, 3/18 false 49.666667, 4/18 false 50.000000
    10 BLOCK_NOT_FOUND: 5
    10 SUBMISSION_NOT_FOUND: 2
    10 nothing: 5
    10 ok: 7
    11 BLOCK_NOT_FOUND: 3
    11 nothing: 3
    11 ok: 8
    12 ENROLMENT_NOT_FOUND: 1
    12 NOTHING_SUBMITTED: 13
    12 nothing: 1
    12 ok: 4
    13 ENROLMENT_NOT_FOUND: 4
    13 ok: 20
    7 ALREADY_ENROLLED: 17
    7 ok: 2
    8 BLOCK_NOT_FOUND: 5
    8 ok: 10
    9 BLOCK_NOT_FOUND: 10
    9 ok: 11
    block: 25
    block gone: 10
    no block: 8
    no section: 8
    nothing to order: 3
    ok: 14
    quiz: 19
    section: 18
    section gone: 3
    state: 11
    ");

    let asked = DeleteCourseRequest { course_id: school.course.clone(), ..Default::default() };
    school.teacher.clients.courses().delete_course(asked).await.unwrap();
    for table in ["section", "content_block", "enrolment", "submission", "quiz_attempt", "assessment"] {
        // What is in a deleted course goes behind the answer.
        let left = format!("'left' as line from {table}");
        eventually("nothing of it is left", async || ask(&world, &left).await.is_empty().then_some(())).await;
    }
}
