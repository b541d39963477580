//! Accounts by the hundred thousand: their import, and the directory when there are a million.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use quartet_chassis::page;
use quartet_proto::identity::v1::directory_service_client::DirectoryServiceClient;
use quartet_proto::identity::v1::{ListUsersRequest, ListUsersResponse};
use tonic::Request;

use crate::contest::{Contestant, Result, contest};
use crate::installation::{self, Embedded, Engine, always, wait};
use crate::load::Load;
use crate::peer::postgres::Postgres;
use crate::process::{Meter, quartet};
use crate::report::{Bound, Report, figure};
use crate::settings::Settings;

const LIST: &str = "/quartet.identity.v1.DirectoryService/ListUsers";
const CALLERS: usize = 16;
const FIRST_NAMES: [&str; 50] = [
    "Ada",
    "Ágnes",
    "Alan",
    "Anna",
    "Barbara",
    "Björn",
    "Carlos",
    "Chiara",
    "Daniel",
    "Dilek",
    "Edsger",
    "Émile",
    "Farid",
    "Fatima",
    "Grace",
    "Guido",
    "Hanna",
    "Hedy",
    "Ines",
    "Ivan",
    "Jana",
    "John",
    "Katherine",
    "Kurt",
    "Lena",
    "Łukasz",
    "Margaret",
    "Minh",
    "Nadia",
    "Niklaus",
    "Olga",
    "Omar",
    "Paul",
    "Priya",
    "Quentin",
    "Radia",
    "René",
    "Sofia",
    "Søren",
    "Tim",
    "Tove",
    "Ursula",
    "Uwe",
    "Vera",
    "Vint",
    "Wanda",
    "Xin",
    "Yuki",
    "Zita",
    "Zoë",
];
/// A hash as it comes along with an account. Nobody signs in by it.
const HASH: &str = "$2y$12$abcdefghijklmnopqrstuuOYVFdQWTLDPMpKQYqxvFMRbzGvWs9MO";

/// How many accounts are imported while the clock runs, and how many there are in the end.
fn sizes(settings: &Settings) -> (usize, usize) {
    if settings.quick { (2_000, 20_000) } else { (100_000, 1_000_000) }
}

pub fn run(settings: &Settings, report: &mut Report) -> anyhow::Result<()> {
    let postgres = Postgres::start()?;
    let folder = tempfile::tempdir()?;
    let (measured, all) = sizes(settings);
    let [first, rest] = [("first.csv", 0..measured), ("rest.csv", measured..all)].map(|(name, rows)| {
        let path = folder.path().join(name);
        std::fs::write(&path, file(rows, all)).map(|()| path)
    });
    let (first, rest) = (first?, rest?);
    let mut rows = Vec::new();
    for engine in [Engine::Sqlite, Engine::Postgres(&postgres)] {
        let embedded = Embedded::start(engine, "accounts", &[])?;
        let mut meters = vec![embedded.server.meter()];
        meters.extend(matches!(engine, Engine::Postgres(_)).then(|| postgres.meter()));
        let idle = memory(&meters);
        let seconds = import(&embedded, &first, measured)?;
        rows.push(vec![
            format!("{measured} accounts, {}", engine.name()),
            figure(seconds),
            figure(measured as f64 / seconds),
            figure(idle),
            figure(memory(&meters)),
        ]);
        report.goal(format!("import of {measured} accounts, {}, s", engine.name()), seconds, Bound::AtMost(10.0));
        let seconds = import(&embedded, &rest, all - measured)?;
        rows.push(vec![
            format!("{} more", all - measured),
            figure(seconds),
            figure((all - measured) as f64 / seconds),
            figure(idle),
            figure(memory(&meters)),
        ]);
        pages(settings, report, &embedded, engine, &meters)?;
    }
    report.table(&["import", "seconds", "per second", "MiB before", "MiB after"], &rows);
    Ok(())
}

/// A file of accounts whose names come in no order.
fn file(rows: std::ops::Range<usize>, all: usize) -> String {
    let mut csv = "email,password_hash,first_name,last_name,create_time\n".to_owned();
    for row in rows {
        let place = row * 7_919 % all;
        let first = FIRST_NAMES[place % FIRST_NAMES.len()];
        let last = place / FIRST_NAMES.len();
        let _ = writeln!(csv, "person{row}@example.com,{HASH},{first},Family{last:05},2021-05-04T03:02:01Z");
    }
    csv
}

/// By the command, as an operator does it: seconds.
fn import(embedded: &Embedded, file: &Path, count: usize) -> anyhow::Result<f64> {
    let (data, file) = (embedded.server.data.display().to_string(), file.display().to_string());
    let began = Instant::now();
    let output = quartet(&["import", "accounts", &file, "--data", &data])?;
    let seconds = began.elapsed().as_secs_f64();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(said.contains(&format!(" {count} accounts made, 0 unchanged, 0 refused")), "{said}");
    Ok(seconds)
}

/// Of the server in MiB.
fn memory(meters: &[Meter]) -> f64 {
    meters.first().map_or(f64::NAN, Meter::memory)
}

fn pages(
    settings: &Settings,
    report: &mut Report,
    embedded: &Embedded,
    engine: Engine<'_>,
    meters: &[Meter],
) -> anyhow::Result<()> {
    let token = wait(async { Ok(installation::sign_in(embedded.address()).await?.access_token) })?;
    // A token is a plain place in the order: this one is near the end.
    let place =
        serde_json::json!({ "prefix": "", "rest": "zoe family00100", "id": "00000000-0000-0000-0000-000000000000" });
    let list = |token: &str, prefix: &str| ListUsersRequest {
        page_size: 25,
        page_token: token.to_owned(),
        name_prefix: prefix.to_owned(),
    };
    let requests = [
        ("first page", list("", "")),
        ("deep page by token", list(&page::encode(&place), "")),
        ("first page of a prefix", list("", "Łukasz fam")),
    ];
    let mut contestants = Vec::new();
    for (name, request) in requests {
        let answer = wait(ask(embedded, &token, request.clone()))?;
        ensure!(answer.users.len() == 25 && !answer.next_page_token.is_empty(), "{name}: {}", answer.users.len());
        contestants.push(Contestant {
            name: format!("{name}, {}", engine.name()),
            load: Load {
                address: embedded.address(),
                path: LIST,
                web: false,
                token: Some(token.clone()),
                script: always(&request),
                connections: CALLERS,
                streams: 1,
            },
            meters: meters.to_vec(),
        });
    }
    let results = contest(settings, &contestants)?;
    print(report, &contestants, &results);
    report.say(&format!("resident after the pages, {}: {} MiB\n", engine.name(), figure(memory(meters))));
    let [first, deep, prefix] = results.as_slice() else { return Ok(()) };
    let cost = |result: &Result| result.cpu.iter().sum::<f64>();
    report.goal(
        format!("{}: cost of a deep page of the directory, of the first", engine.name()),
        cost(deep) / cost(first),
        Bound::AtMost(1.15),
    );
    report.goal(
        format!("{}: cost of a prefix's page, of the first", engine.name()),
        cost(prefix) / cost(first),
        Bound::AtMost(1.15),
    );
    Ok(())
}

async fn ask(embedded: &Embedded, token: &str, request: ListUsersRequest) -> anyhow::Result<ListUsersResponse> {
    let mut directory = DirectoryServiceClient::new(installation::channel(embedded.address()).await?);
    let mut request = Request::new(request);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().context("no token")?);
    Ok(directory.list_users(request).await?.into_inner())
}

fn print(report: &mut Report, contestants: &[Contestant], results: &[Result]) {
    let row = |(contestant, result): (&Contestant, &Result)| {
        vec![
            contestant.name.clone(),
            figure(result.rate),
            figure(result.p50),
            figure(result.p99),
            result.cpu_text(0),
            result.cpu_text(1),
        ]
    };
    let rows: Vec<_> = contestants.iter().zip(results).map(row).collect();
    report.table(&["pages of 25 people", "pages/s", "p50 ms", "p99 ms", "server µs", "database µs"], &rows);
}
