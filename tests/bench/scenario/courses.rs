//! What teachers and students read of a large course, on both engines: 500 students, 200 blocks, everything handed in and graded twice.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, SqliteConnection};
use prost::Message;
use quartet_proto::catalogue::v1::course_service_client::CourseServiceClient;
use quartet_proto::catalogue::v1::grade_service_client::GradeServiceClient;
use quartet_proto::catalogue::v1::section_service_client::SectionServiceClient;
use quartet_proto::catalogue::v1::{
    ExportCourseRequest, ExportGradebookRequest, GetCourseRequest, GetGradebookRequest, GetProgressRequest,
    ImportCourseRequest, ListBlocksRequest, ListEnrolmentsRequest, ListSectionsRequest, PublicationState,
    SetCourseStateRequest,
};
use serde_json::{Value, json};
use tonic::Request;

use crate::contest::{Contestant, contest};
use crate::installation::{self, Embedded, Engine, always, channel, wait};
use crate::load::{Load, Script};
use crate::peer::postgres::Postgres;
use crate::process::Meter;
use crate::report::{Bound, Report, figure};
use crate::settings::Settings;

const CALLERS: usize = 4;
const STUDENTS: usize = 500;
const LESSONS: usize = 160;
const QUIZZES: usize = 40;
const DATABASE: &str = "courses";

/// A script of calls, and what it is.
struct Call {
    name: &'static str,
    path: &'static str,
    script: Script,
}

pub fn run(settings: &Settings, report: &mut Report) -> anyhow::Result<()> {
    let postgres = Postgres::start()?;
    let students = if settings.quick { 50 } else { STUDENTS };
    report.say(&format!(
        "everything in one process; a course of {LESSONS} lessons and {QUIZZES} quizzes in one section, {students} students, \
         each lesson handed in, each quiz tried twice, each of both graded twice; {CALLERS} connections × 1"
    ));
    for engine in [Engine::Sqlite, Engine::Postgres(&postgres)] {
        let embedded = Embedded::start(engine, DATABASE, &[])?;
        let token = wait(async { Ok(installation::sign_in(embedded.address()).await?.access_token) })?;
        let course_id = wait(import(&embedded, &token))?;
        fill(engine, &embedded.server.data, students)?;
        measure(settings, report, engine, &embedded, &postgres, &token, &course_id)?;
        let (pages, whole, file) = wait(read_whole(&embedded, &token, &course_id, students))?;
        let name = engine.name();
        report.say(&format!(
            "{name}: the whole gradebook in {pages} pages, one after the other: {} ms; as a CSV file: {} ms\n",
            figure(whole),
            figure(file)
        ));
        let what = format!("{name}: a gradebook of {STUDENTS} × {} page by page, ms", LESSONS + QUIZZES);
        report.goal(what, whole, Bound::AtMost(2_000.0));
    }
    Ok(())
}

fn with_token<T>(message: T, token: &str) -> anyhow::Result<Request<T>> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse()?);
    Ok(request)
}

/// Makes the course by its file, and publishes it.
async fn import(embedded: &Embedded, token: &str) -> anyhow::Result<String> {
    let mut courses = CourseServiceClient::new(channel(embedded.address()).await?)
        .max_decoding_message_size(8 << 20)
        .max_encoding_message_size(8 << 20);
    let content = serde_json::to_vec(&file())?.into();
    let made = courses.import_course(with_token(ImportCourseRequest { content }, token)?).await?.into_inner();
    let course_id = made.course.context("no course")?.course_id;
    let state = PublicationState::Published.into();
    let asked = SetCourseStateRequest { course_id: course_id.clone(), state, ..Default::default() };
    courses.set_course_state(with_token(asked, token)?).await?;
    Ok(course_id)
}

fn file() -> Value {
    let text = "One paragraph of a lesson, with a few words in it. ".repeat(40);
    let block = |kind: &str, number: usize| json!({"type": kind, "title": format!("{kind} {number}"), "description": "What it is about", "state": "PUBLISHED"});
    let lesson = |number: usize| {
        let mut lesson = block("LESSON", number);
        lesson["content"] = json!(text);
        lesson
    };
    let question =
        json!({"text": "Which?", "points": 1, "kind": {"single_choice": {"choices": ["a", "b"], "answer": 0}}});
    let quiz = |number: usize| {
        let mut quiz = block("QUIZ", number);
        quiz["quiz"] = json!({"questions": vec![question.clone(); 10], "pass_percent": 50, "max_attempts": 0});
        quiz
    };
    let blocks: Vec<Value> = (0..LESSONS).map(lesson).chain((0..QUIZZES).map(quiz)).collect();
    let section = json!({"title": "All", "description": "", "state": "PUBLISHED", "blocks": blocks});
    let course = json!({"title": "Large", "description": "", "enrolment_policy": "OPEN", "sections": [section]});
    json!({"format": "quartet-course", "version": 1, "course": course})
}

/// Puts students and their work into the database: by rpcs it would take 340,000 calls.
fn fill(engine: Engine<'_>, data: &Path, students: usize) -> anyhow::Result<()> {
    let id = match engine {
        Engine::Sqlite => "randomblob(16)",
        Engine::Postgres(_) => "uuid_send(gen_random_uuid())",
    };
    let time = "cast('2026-01-01 00:00:00' as timestamp)";
    let time = if matches!(engine, Engine::Sqlite) { "'2026-01-01 00:00:00'" } else { time };
    let twice = "(select 1 as number union all select 2) as turn";
    let statements = [
        format!(
            "insert into account (id, email, first_name, last_name, avatar_url, avatar_media_id, state) \
             with recursive n(i) as (select 1 union all select i + 1 from n where i < {students}) \
             select {id}, 'student' || i || '@example.com', 'Student', 'Number ' || i, '', '', 'ACTIVE' from n"
        ),
        format!(
            "insert into enrolment (course_id, student_id, active, name_key, create_time, override_reason) \
             select course.id, account.id, true, 'student ' || account.last_name, {time}, '' \
             from course, account where account.first_name = 'Student'"
        ),
        format!(
            "insert into submission (block_id, student_id, course_id, url, remarks, completed, complete_time) \
             select content_block.id, student_id, enrolment.course_id, '', 'This is what I have to say of it.', true, {time} \
             from content_block, enrolment where type = 'LESSON'"
        ),
        format!(
            "insert into quiz_attempt (id, block_id, student_id, course_id, number, answers, correct, points, max_points, \
             passed, create_time) \
             select {id}, content_block.id, student_id, enrolment.course_id, number, '[]', '[]', 4 * number, 10, number = 2, {time} \
             from content_block, enrolment, {twice} where type = 'QUIZ'"
        ),
        format!(
            "insert into assessment (id, block_id, student_id, course_id, number, grade, feedback, create_time) \
             select {id}, content_block.id, student_id, enrolment.course_id, number, 40 * number, \
             'A few words that a teacher says of what was handed in.', {time} \
             from content_block, enrolment, {twice}"
        ),
    ];
    match engine {
        Engine::Sqlite => {
            let path = data.join("catalogue.db");
            let mut conn = SqliteConnection::establish(path.to_str().context("no path")?)?;
            conn.batch_execute("pragma busy_timeout = 10000; begin immediate")?;
            for statement in &statements {
                conn.batch_execute(statement)?;
            }
            conn.batch_execute("commit")?;
        }
        Engine::Postgres(postgres) => {
            let database = format!("catalogue_{DATABASE}");
            for statement in &statements {
                postgres.run(&database, statement)?;
            }
            // As autovacuum does after a while.
            postgres.run(&database, "vacuum analyze")?;
        }
    }
    Ok(())
}

fn measure(
    settings: &Settings,
    report: &mut Report,
    engine: Engine<'_>,
    embedded: &Embedded,
    postgres: &Postgres,
    token: &str,
    course_id: &str,
) -> anyhow::Result<()> {
    let calls = wait(calls(embedded, token, course_id))?;
    let meters = [Some(embedded.server.meter()), matches!(engine, Engine::Postgres(_)).then(|| postgres.meter())];
    let meters: Vec<Meter> = meters.into_iter().flatten().collect();
    let contestant = |call: &Call| Contestant {
        name: format!("{} on {}", call.name, engine.name()),
        load: Load {
            address: embedded.address(),
            path: call.path,
            web: false,
            token: Some(token.to_owned()),
            script: call.script.clone(),
            connections: CALLERS,
            streams: 1,
        },
        meters: meters.clone(),
    };
    let contestants: Vec<Contestant> = calls.iter().map(contestant).collect();
    let results = contest(settings, &contestants)?;
    let rows = contestants.iter().zip(&results).map(|(contestant, result)| {
        vec![
            contestant.name.clone(),
            figure(result.rate),
            figure(result.p50),
            figure(result.p99),
            result.cpu_text(0),
            result.cpu_text(1),
        ]
    });
    let rows: Vec<_> = rows.collect();
    report.table(&["call", "req/s", "p50 ms", "p99 ms", "server µs", "database µs"], &rows);
    Ok(())
}

async fn calls(embedded: &Embedded, token: &str, course_id: &str) -> anyhow::Result<Vec<Call>> {
    let course_id = || course_id.to_owned();
    let mut sections = SectionServiceClient::new(channel(embedded.address()).await?);
    let asked = ListSectionsRequest { course_id: course_id(), ..Default::default() };
    let sections = sections.list_sections(with_token(asked.clone(), token)?).await?.into_inner().sections;
    let section_id = sections.first().context("no section")?.section_id.clone();
    let book = |page_size| GetGradebookRequest { course_id: course_id(), page_size, ..Default::default() };
    let mut grades = GradeServiceClient::new(channel(embedded.address()).await?);
    let rows = grades.get_gradebook(with_token(book(1), token)?).await?.into_inner().rows;
    let account_id = rows.first().context("no student")?.account_id.clone();
    let call = |name, path, script| Call { name, path, script };
    Ok(vec![
        call("GetGradebook, 100 students", "/quartet.catalogue.v1.GradeService/GetGradebook", always(&book(100))),
        call("GetGradebook, 25 students", "/quartet.catalogue.v1.GradeService/GetGradebook", always(&book(25))),
        call(
            "ListEnrolments, 25 students",
            "/quartet.catalogue.v1.EnrolmentService/ListEnrolments",
            always(&ListEnrolmentsRequest { course_id: course_id(), page_size: 25, ..Default::default() }),
        ),
        call(
            "GetProgress of one",
            "/quartet.catalogue.v1.EnrolmentService/GetProgress",
            always(&GetProgressRequest { course_id: course_id(), account_id }),
        ),
        call(
            "GetCourse",
            "/quartet.catalogue.v1.CourseService/GetCourse",
            always(&GetCourseRequest { course_id: course_id() }),
        ),
        call("ListSections", "/quartet.catalogue.v1.SectionService/ListSections", always(&asked)),
        call(
            "ListBlocks, 100 of 200",
            "/quartet.catalogue.v1.ContentBlockService/ListBlocks",
            always(&ListBlocksRequest { section_id, page_size: 100, ..Default::default() }),
        ),
        call(
            "ExportCourse",
            "/quartet.catalogue.v1.CourseService/ExportCourse",
            always(&ExportCourseRequest { course_id: course_id() }),
        ),
    ])
}

/// Reads all of a gradebook, by pages and as a file: how many pages, and the milliseconds of both.
async fn read_whole(
    embedded: &Embedded,
    token: &str,
    course_id: &str,
    students: usize,
) -> anyhow::Result<(usize, f64, f64)> {
    let mut grades = GradeServiceClient::new(channel(embedded.address()).await?);
    let mut asked = GetGradebookRequest { course_id: course_id.to_owned(), page_size: 100, ..Default::default() };
    let began = Instant::now();
    let (mut pages, mut rows) = (0, 0);
    loop {
        let page = grades.get_gradebook(with_token(asked.clone(), token)?).await?.into_inner();
        ensure!(page.encoded_len() < 4 << 20, "a page of {} bytes", page.encoded_len());
        let cells = page.rows.iter().flat_map(|row| &row.blocks);
        ensure!(cells.clone().all(|cell| cell.grade == Some(80) && cell.completed), "a cell is wrong");
        pages += 1;
        rows += page.rows.len();
        if page.next_page_token.is_empty() {
            break;
        }
        asked.page_token = page.next_page_token;
    }
    let whole = began.elapsed().as_secs_f64() * 1e3;
    ensure!(rows == students, "{rows} students");
    let began = Instant::now();
    let request = with_token(ExportGradebookRequest { course_id: course_id.to_owned() }, token)?;
    let mut file = grades.export_gradebook(request).await?.into_inner();
    let mut lines = 0;
    while let Some(part) = file.message().await? {
        lines += part.content.iter().filter(|byte| **byte == b'\n').count();
    }
    ensure!(lines == students + 1, "{lines} lines");
    Ok((pages, whole, began.elapsed().as_secs_f64() * 1e3))
}
