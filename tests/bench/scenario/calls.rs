//! What applications call all day, on both engines, beside what FastAPI needs for the same.

use quartet_proto::catalogue::v1::ListMoviesRequest;

use crate::contest::{Contestant, Result, contest};
use crate::installation::{self, Embedded, Engine, always, wait};
use crate::load::{Load, Script};
use crate::movies;
use crate::peer::postgres::Postgres;
use crate::report::{Bound, Report, figure};
use crate::settings::Settings;

const CALLERS: usize = 16;
const LIST: &str = "/quartet.catalogue.v1.MovieService/ListMovies";

/// What the same costs FastAPI 0.115 with SQLAlchemy 2, uvicorn and PostgreSQL 15: microseconds of CPU of server and database a call,
/// the best of three runs on 2 cores of a virtual AMD EPYC. Not measured again here.
struct FastApi {
    what: &'static str,
    cpu: f64,
}

const DETAIL: FastApi = FastApi { what: "movie detail", cpu: 1_235.0 + 730.0 };
const PAGE: FastApi = FastApi { what: "movie list page", cpu: 960.0 + 1_070.0 };
const REFRESH: FastApi = FastApi { what: "token refresh", cpu: 1_500.0 + 370.0 };

struct Call {
    name: &'static str,
    path: &'static str,
    script: Script,
    peer: Option<&'static FastApi>,
}

pub fn run(settings: &Settings, report: &mut Report) -> anyhow::Result<()> {
    let postgres = Postgres::start()?;
    report.say(&format!("everything in one process, {CALLERS} connections × 1; FastAPI's figures are constants, see tests/bench/README.md"));
    for engine in [Engine::Sqlite, Engine::Postgres(&postgres)] {
        let embedded = Embedded::start(engine, "calls", &[])?;
        let movies = movies::plain(settings)?;
        let calls = wait(async {
            let token = installation::sign_in(embedded.address()).await?.access_token;
            installation::import(embedded.address(), &token, &movies.csv).await?;
            calls(&embedded).await
        })?;
        let meters = [Some(embedded.server.meter()), matches!(engine, Engine::Postgres(_)).then(|| postgres.meter())];
        let contestant = |call: &Call| Contestant {
            name: format!("{} on {}", call.name, engine.name()),
            load: Load {
                address: embedded.address(),
                path: call.path,
                web: false,
                token: None,
                script: call.script.clone(),
                connections: CALLERS,
                streams: 1,
            },
            meters: meters.iter().flatten().cloned().collect(),
        };
        let contestants: Vec<_> = calls.iter().map(contestant).collect();
        let results = contest(settings, &contestants)?;
        print(report, &calls, &contestants, &results);
    }
    Ok(())
}

async fn calls(embedded: &Embedded) -> anyhow::Result<Vec<Call>> {
    let first = ListMoviesRequest { page_size: 10, ..Default::default() };
    let answer = installation::list(embedded.address(), first.clone()).await?;
    let last = ListMoviesRequest { page: (answer.total_pages - 1).max(1), ..first.clone() };
    let far = installation::list(embedded.address(), last.clone()).await?.next_page_token;
    let (near, far) = (
        ListMoviesRequest { page_token: answer.next_page_token, ..first.clone() },
        ListMoviesRequest { page_token: far, ..first.clone() },
    );
    let list = |name, request: &ListMoviesRequest, peer| Call { name, path: LIST, script: always(request), peer };
    Ok(vec![
        Call {
            name: "GetMovie",
            path: "/quartet.catalogue.v1.MovieService/GetMovie",
            script: installation::get_movies(embedded.address()).await?,
            peer: Some(&DETAIL),
        },
        list("ListMovies, first page of 10", &first, Some(&PAGE)),
        list("ListMovies, 2nd page by token", &near, None),
        list("ListMovies, last page by token", &far, None),
        list("ListMovies, page before the last by number", &last, None),
        Call {
            name: "Refresh",
            path: "/quartet.identity.v1.SessionService/Refresh",
            script: installation::refreshes(embedded.address(), CALLERS).await?,
            peer: Some(&REFRESH),
        },
    ])
}

fn print(report: &mut Report, calls: &[Call], contestants: &[Contestant], results: &[Result]) {
    let mut rows = Vec::new();
    for ((call, contestant), result) in calls.iter().zip(contestants).zip(results) {
        let cpu: f64 = result.cpu.iter().sum();
        let times = call.peer.map(|peer| peer.cpu / cpu);
        rows.push(vec![
            contestant.name.clone(),
            figure(result.rate),
            figure(result.p50),
            figure(result.p99),
            result.cpu_text(0),
            result.cpu_text(1),
            figure(1e6 / cpu),
            call.peer.map_or_else(|| "–".to_owned(), |peer| format!("{} ({})", figure(1e6 / peer.cpu), peer.what)),
            times.map_or_else(|| "–".to_owned(), figure),
        ]);
        if let Some(times) = times {
            report.goal(
                format!("{}: calls per CPU second, times FastAPI's", contestant.name),
                times,
                Bound::AtLeast(20.0),
            );
        }
    }
    let columns =
        ["call", "req/s", "p50 ms", "p99 ms", "server µs", "database µs", "per CPU s", "FastAPI per CPU s", "times"];
    report.table(&columns, &rows);
    let cost = |name: &str| {
        let found = calls.iter().zip(results).find(|(call, _)| call.name.starts_with(name));
        found.map_or(f64::NAN, |(_, result)| result.cpu.iter().sum())
    };
    let engine = contestants.first().and_then(|first| first.name.rsplit(' ').next()).unwrap_or_default();
    let ratio = cost("ListMovies, last") / cost("ListMovies, 2nd");
    report.goal(format!("{engine}: cost of the last page by token, of the 2nd"), ratio, Bound::AtMost(1.15));
}
