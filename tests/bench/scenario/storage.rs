//! Durable transactions of two statements through the storage layer, beside pgbench with the same two.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::db::{ANSWER, Conn, Db, DbError, Migrations};
use quartet_chassis::faults::Faults;
use quartet_chassis::on;

use crate::peer::postgres::Postgres;
use crate::report::{Bound, Report, figure, median};
use crate::settings::Settings;

diesel::table! {
    counter (id) {
        id -> BigInt,
        last -> BigInt,
    }
}

diesel::table! {
    entry (counter, seq) {
        counter -> BigInt,
        seq -> BigInt,
        body -> Text,
    }
}

const TABLES: [&str; 2] = [
    "create table counter (id bigint primary key, last bigint not null)",
    "create table entry (counter bigint not null, seq bigint not null, body text not null, primary key (counter, seq))",
];
const WRITERS: [usize; 3] = [1, 16, 64];
const BODY: &str = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";

pub fn run(settings: &Settings, report: &mut Report) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let folder = tempfile::tempdir()?;
    let postgres = Postgres::start()?;
    let url = postgres.create_database("storage")?;
    let (lite, pg) = runtime.block_on(async {
        let lite = prepared(&format!("sqlite:{}", folder.path().join("storage.db").display())).await?;
        anyhow::Ok((lite, prepared(&url).await?))
    })?;
    let script = postgres.folder().join("transaction.sql");
    std::fs::write(&script, pgbench_script())?;

    let mut rows = Vec::new();
    for writers in WRITERS {
        let (mut on_lite, mut on_pg, mut bench) = (vec![], vec![], vec![]);
        for _ in 0..settings.rounds {
            on_lite.push(runtime.block_on(transactions(&lite, writers, settings.slice))?);
            on_pg.push(runtime.block_on(transactions(&pg, writers, settings.slice))?);
            bench.push(pgbench(&postgres, &script, writers, settings.slice)?);
        }
        let (on_lite, on_pg, bench) = (median(on_lite), median(on_pg), median(bench));
        rows.push(vec![writers.to_string(), figure(on_lite), figure(on_pg), figure(bench), figure(on_pg / bench)]);
        if writers == 64 {
            report.goal("SQLite: durable transactions/s, 64 writers", on_lite, Bound::AtLeast(40_000.0));
        }
        if writers == 16 {
            report.goal("PostgreSQL: transactions/s of pgbench's, 16 writers", on_pg / bench, Bound::AtLeast(0.6));
        }
    }
    report.say("two statements a transaction, each durable when answered");
    report.table(&["writers", "SQLite tx/s", "PostgreSQL tx/s", "pgbench tx/s", "of pgbench"], &rows);
    Ok(())
}

async fn prepared(url: &str) -> anyhow::Result<Db> {
    fn none() -> diesel_migrations::EmbeddedMigrations {
        diesel_migrations::EmbeddedMigrations::new(&[])
    }
    let db = Db::open(url, Migrations { postgres: none, sqlite: none }, Faults::default(), ANSWER).await?;
    let made: Result<(), DbError> = db
        .transaction(async |conn| {
            for table in TABLES {
                on!(conn, |db| diesel::sql_query(table).execute(db).await)?;
            }
            for id in 0..64_i64 {
                let row = (counter::id.eq(id), counter::last.eq(0_i64));
                on!(conn, |db| diesel::insert_into(counter::table).values(row).execute(db).await)?;
            }
            Ok(())
        })
        .await;
    made.context("no tables")?;
    Ok(db)
}

async fn next(conn: &mut Conn, id: i64) -> Result<i64, DbError> {
    on!(conn, |db| diesel::update(counter::table.find(id))
        .set(counter::last.eq(counter::last + 1))
        .returning(counter::last)
        .get_result(db)
        .await)
}

async fn add(db: &Db, id: i64) -> Result<(), DbError> {
    db.transaction(async |conn| {
        let seq = next(conn, id).await?;
        let row = (entry::counter.eq(id), entry::seq.eq(seq), entry::body.eq(BODY));
        on!(conn, |db| diesel::insert_into(entry::table).values(row).execute(db).await)?;
        Ok(())
    })
    .await
}

/// Transactions a second.
async fn transactions(db: &Db, writers: usize, span: Duration) -> anyhow::Result<f64> {
    let began = Instant::now();
    let write = |writer| {
        let db = db.clone();
        async move {
            let mut done = 0;
            while began.elapsed() < span {
                add(&db, writer).await?;
                done += 1;
            }
            Ok::<u64, DbError>(done)
        }
    };
    let tasks: Vec<_> = (0..writers as i64).map(|writer| tokio::spawn(write(writer))).collect();
    let mut done = 0;
    for task in tasks {
        done += task.await??;
    }
    Ok(done as f64 / began.elapsed().as_secs_f64())
}

fn pgbench_script() -> String {
    format!(
        "begin;\nupdate counter set last = last + 1 where id = :client_id returning last as seq \\gset\n\
         insert into entry (counter, seq, body) values (:client_id, :seq, '{BODY}');\nend;\n"
    )
}

/// The transactions a second that pgbench reaches, with prepared statements and its connections made beforehand.
fn pgbench(postgres: &Postgres, script: &std::path::Path, clients: usize, span: Duration) -> anyhow::Result<f64> {
    let seconds = span.as_secs().max(1).to_string();
    let clients = clients.to_string();
    let threads = if clients == "1" { "1" } else { "2" };
    let mut command = postgres.client("pgbench");
    command
        .args(["-n", "-M", "prepared", "-c", &clients, "-j", threads, "-T", &seconds, "-f"])
        .arg(script)
        .arg("storage");
    let output = command.stdin(Stdio::null()).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.strip_prefix("tps = "));
    let rate = line.and_then(|line| line.split(' ').next()).and_then(|rate| rate.parse().ok());
    rate.with_context(|| format!("pgbench: {text}{}", String::from_utf8_lossy(&output.stderr)))
}
