//! Searches with facets beside lists, over a movie file and over a million movies.

use std::time::Instant;

use anyhow::ensure;
use quartet_proto::catalogue::v1::{ListMoviesRequest, MovieFilter, SearchMoviesRequest};

use crate::contest::{Contestant, contest};
use crate::grpc::frame;
use crate::installation::{self, Embedded, Engine, always, wait};
use crate::load::{Load, Script};
use crate::movies;
use crate::peer::postgres::Postgres;
use crate::process::Meter;
use crate::report::{Bound, Report, figure};
use crate::settings::Settings;

const CALLERS: usize = 16;
const LIST: &str = "/quartet.catalogue.v1.MovieService/ListMovies";
const SEARCH: &str = "/quartet.catalogue.v1.MovieService/SearchMovies";
/// What a list page costs FastAPI, see `calls`: microseconds of CPU of server and database. It has no search to compare with.
const FASTAPI_PAGE: f64 = 960.0 + 1_070.0;

const FIRST: [&str; 40] = [
    "the", "night", "love", "war", "man", "girl", "story", "last", "dark", "house", "king", "dead", "city", "dragon",
    "secret", "family", "young", "world", "black", "star", "death", "island", "life", "return", "ghost", "blood",
    "school", "mother", "summer", "doctor", "angel", "fire", "police", "friend", "murder", "space", "monster", "witch",
    "game", "money",
];

/// A script of calls, and what it is.
struct Call {
    name: &'static str,
    path: &'static str,
    script: Script,
}

pub fn run(settings: &Settings, report: &mut Report) -> anyhow::Result<()> {
    let postgres = Postgres::start()?;
    report.say(&format!("everything in one process, {CALLERS} connections × 1, pages of 10"));
    for engine in [Engine::Sqlite, Engine::Postgres(&postgres)] {
        let embedded = Embedded::start(engine, "search", &[])?;
        let movies = movies::plain(settings)?;
        wait(async {
            let token = installation::sign_in(embedded.address()).await?.access_token;
            installation::import(embedded.address(), &token, &movies.csv).await
        })?;
        measure(settings, report, engine, &embedded, &postgres, &movies.what, true)?;
    }
    Ok(())
}

/// The same over a hundred times as many movies.
pub fn million(settings: &Settings, report: &mut Report) -> anyhow::Result<()> {
    const PART: usize = 50_000;
    let postgres = Postgres::start()?;
    let parts = if settings.quick { 1 } else { 20 };
    for engine in [Engine::Sqlite, Engine::Postgres(&postgres)] {
        let embedded = Embedded::start(engine, "million", &[])?;
        let began = Instant::now();
        wait(async {
            let token = installation::sign_in(embedded.address()).await?.access_token;
            for part in 0..parts {
                let movies = movies::part(part * PART, PART);
                let summary = installation::import(embedded.address(), &token, &movies).await?;
                ensure!(summary.movies_stored == summary.rows_read, "not all were stored: {summary:?}");
            }
            Ok(())
        })?;
        let what = format!("{} generated movies, {}", parts * PART, engine.name());
        report.say(&format!("{what}: imported in {} s", figure(began.elapsed().as_secs_f64())));
        measure(settings, report, engine, &embedded, &postgres, &what, false)?;
    }
    Ok(())
}

fn measure(
    settings: &Settings,
    report: &mut Report,
    engine: Engine<'_>,
    embedded: &Embedded,
    postgres: &Postgres,
    what: &str,
    goal: bool,
) -> anyhow::Result<()> {
    let calls = wait(calls(embedded))?;
    let meters: Vec<Meter> =
        [Some(embedded.server.meter()), matches!(engine, Engine::Postgres(_)).then(|| postgres.meter())]
            .into_iter()
            .flatten()
            .collect();
    let contestants = calls.iter().map(|call| Contestant {
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
        meters: meters.clone(),
    });
    let contestants: Vec<Contestant> = contestants.collect();
    let results = contest(settings, &contestants)?;
    let mut rows = Vec::new();
    for (contestant, result) in contestants.iter().zip(&results) {
        let cpu: f64 = result.cpu.iter().sum();
        rows.push(vec![
            contestant.name.clone(),
            figure(result.rate),
            figure(result.p50),
            figure(result.p99),
            result.cpu_text(0),
            result.cpu_text(1),
            figure(1e6 / cpu),
            figure(FASTAPI_PAGE / cpu),
        ]);
        if goal && contestant.name.starts_with("SearchMovies") {
            let what = format!("{}: calls per CPU second, times FastAPI's list page", contestant.name);
            report.goal(what, FASTAPI_PAGE / cpu, Bound::AtLeast(20.0));
        }
    }
    report.say(what);
    let columns =
        ["call", "req/s", "p50 ms", "p99 ms", "server µs", "database µs", "per CPU s", "times FastAPI's page"];
    report.table(&columns, &rows);
    let cost = |at: usize| results.get(at).map_or(f64::NAN, |result| result.cpu.iter().sum());
    report.goal(
        format!("{what}: cost of a page far in the list by token, of the 2nd"),
        cost(1) / cost(0),
        Bound::AtMost(1.25),
    );
    Ok(())
}

async fn calls(embedded: &Embedded) -> anyhow::Result<Vec<Call>> {
    let first = ListMoviesRequest { page_size: 10, ..Default::default() };
    let answer = installation::list(embedded.address(), first.clone()).await?;
    let far = ListMoviesRequest { page: (answer.total_pages - 1).clamp(1, 1_000_000), ..first.clone() };
    let far = installation::list(embedded.address(), far).await?.next_page_token;
    let list = |page_token: String| always(&ListMoviesRequest { page_token, ..first.clone() });
    let search = |query: &str, filter: Option<MovieFilter>| SearchMoviesRequest {
        query: query.to_owned(),
        filter,
        page_size: 10,
        with_facets: true,
        ..Default::default()
    };
    let drama = MovieFilter { genres: vec!["Drama".to_owned()], ..Default::default() };
    // More questions than are remembered, each of two words.
    let pairs = FIRST.iter().flat_map(|one| FIRST.iter().map(move |two| format!("{one} {two}")));
    let pairs =
        pairs.flat_map(|pair| (0..3).map(move |length| pair.chars().take(pair.len() - length).collect::<String>()));
    let new: Vec<_> = pairs.map(|pair| frame(&search(&pair, None))).collect();
    Ok(vec![
        Call { name: "ListMovies, 2nd page by token", path: LIST, script: list(answer.next_page_token) },
        Call { name: "ListMovies, far page by token", path: LIST, script: list(far) },
        Call { name: "SearchMovies of two words, new each time", path: SEARCH, script: Script::Cycle(new.into()) },
        Call {
            name: "SearchMovies of a common word, remembered",
            path: SEARCH,
            script: always(&search("the", Some(drama))),
        },
    ])
}
