//! The import of a movie file into an empty catalogue, as an administrator's program does it.

use std::time::Instant;

use anyhow::ensure;

use crate::installation::{self, Embedded, Engine, wait};
use crate::movies::{self, Movies};
use crate::peer::postgres::Postgres;
use crate::report::{Bound, Report, figure, median};
use crate::settings::Settings;

/// What FastAPI with PostgreSQL needs for the same, in seconds; measured once, on the machine that README.md names.
const FASTAPI: [f64; 2] = [2.3, 42.7];
const GOALS: [f64; 2] = [0.5, 1.0];

pub fn run(settings: &Settings, report: &mut Report) -> anyhow::Result<()> {
    let postgres = Postgres::start()?;
    let files = [movies::plain(settings)?, movies::with_names(settings)];
    let engines = [Engine::Sqlite, Engine::Postgres(&postgres)];
    let mut seconds = vec![vec![Vec::new(); engines.len()]; files.len()];
    for round in 0..settings.rounds {
        for (file, movies) in files.iter().enumerate() {
            for (at, engine) in engines.into_iter().enumerate() {
                seconds[file][at].push(import(engine, &format!("import_{round}_{file}"), movies)?);
            }
        }
    }
    let mut rows = Vec::new();
    for (file, movies) in files.iter().enumerate() {
        for (at, engine) in engines.into_iter().enumerate() {
            let taken = median(seconds[file][at].iter().map(|(seconds, _)| *seconds));
            let cpu = median(seconds[file][at].iter().map(|(_, cpu)| *cpu));
            rows.push(vec![
                movies.what.clone(),
                engine.name().to_owned(),
                figure(taken),
                figure(cpu),
                figure(FASTAPI[file]),
            ]);
            let what = if file == 0 { "import of the file" } else { "import with 17 names a movie" };
            report.goal(format!("{what}, {}, s", engine.name()), taken, Bound::AtMost(GOALS[file]));
        }
    }
    report.table(&["file", "engine", "seconds", "CPU s", "FastAPI s"], &rows);
    Ok(())
}

/// Seconds, and seconds of CPU of service and database together.
fn import(engine: Engine<'_>, name: &str, movies: &Movies) -> anyhow::Result<(f64, f64)> {
    let embedded = Embedded::start(engine, name, &[])?;
    let mut meters = vec![embedded.server.meter()];
    if let Engine::Postgres(postgres) = engine {
        meters.push(postgres.meter());
    }
    let cpu = || -> f64 { meters.iter().map(|meter| meter.cpu().as_secs_f64()).sum() };
    wait(async {
        let token = installation::sign_in(embedded.address()).await?.access_token;
        let (began, before) = (Instant::now(), cpu());
        let summary = installation::import(embedded.address(), &token, &movies.csv).await?;
        let taken = (began.elapsed().as_secs_f64(), cpu() - before);
        ensure!(summary.movies_stored * 10 > summary.rows_read * 9, "most rows were not stored: {summary:?}");
        Ok(taken)
    })
}
