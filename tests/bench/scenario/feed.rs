//! How far the catalogue's copy of accounts is behind identity while accounts change.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use diesel::{QueryDsl as _, TextExpressionMethods as _};
use diesel_async::RunQueryDsl as _;
use prost_types::FieldMask;
use quartet_chassis::db::{ANSWER, Db, DbError, Migrations};
use quartet_chassis::faults::Faults;
use quartet_chassis::on;
use quartet_proto::identity::v1::profile_service_client::ProfileServiceClient;
use quartet_proto::identity::v1::session_service_client::SessionServiceClient;
use quartet_proto::identity::v1::{Profile, SignInRequest, UpdateProfileRequest};
use tokio::task::JoinSet;
use tonic::Request;
use tonic::transport::Channel;

use crate::installation::{self, Embedded, Engine, PASSWORD};
use crate::peer::postgres::Postgres;
use crate::process::{Meter, quartet};
use crate::report::{Bound, Report, figure};
use crate::settings::Settings;

/// Changes a second, and the accounts that change.
const RATE: u32 = 200;
const ACCOUNTS: usize = 40;
/// How often the copy is looked at.
const LOOK: Duration = Duration::from_millis(1);

diesel::table! {
    account (id) {
        id -> Binary,
        first_name -> Text,
        last_name -> Text,
    }
}

/// What is known of one account: its name is the number of its last change.
#[derive(Default)]
struct Told {
    /// When each change was answered, in their order.
    answered: Vec<Instant>,
    /// How many of them the copy has been seen to have.
    seen: usize,
}

pub fn run(settings: &Settings, report: &mut Report) -> anyhow::Result<()> {
    let postgres = Postgres::start()?;
    let mut rows = Vec::new();
    for engine in [Engine::Sqlite, Engine::Postgres(&postgres)] {
        let embedded = Embedded::start(engine, "feed", &["--identity-bcrypt-cost", "4"])?;
        import(&embedded)?;
        let copy = match engine {
            Engine::Sqlite => format!("sqlite:{}", embedded.server.data.join("catalogue.db").display()),
            Engine::Postgres(postgres) => postgres.url("catalogue_feed"),
        };
        let mut meters = vec![embedded.server.meter()];
        meters.extend(matches!(engine, Engine::Postgres(_)).then(|| postgres.meter()));
        let span = settings.longer(10);
        let before: Vec<_> = meters.iter().map(Meter::cpu).collect();
        let began = Instant::now();
        let (mut lags, changes) = runtime()?.block_on(lags(&embedded, &copy, span))?;
        let seconds = began.elapsed().as_secs_f64();
        let after = meters.iter().map(Meter::cpu);
        let mut cpu =
            after.zip(before).map(|(after, before)| (after - before).as_secs_f64() * 1e6 / changes as f64).map(figure);
        lags.sort_unstable();
        let at =
            |share: f64| lags.get((lags.len() as f64 * share) as usize).map_or(f64::NAN, |lag| lag.as_secs_f64() * 1e3);
        rows.push(vec![
            engine.name().to_owned(),
            figure(changes as f64 / seconds),
            figure(at(0.5)),
            figure(at(0.99)),
            cpu.next().unwrap_or_default(),
            cpu.next().unwrap_or_else(|| "–".to_owned()),
            figure(embedded.server.meter().memory()),
        ]);
        report.goal(format!("the feed's lag, p99 ms, {}", engine.name()), at(0.99), Bound::AtMost(250.0));
    }
    report.say(&format!(
        "{ACCOUNTS} people change their names, {RATE} times a second in all: from the answer to the commit of the catalogue's copy, \
         looked at each millisecond (its cost is among the database's)"
    ));
    let columns = ["engine", "changes/s", "lag p50 ms", "lag p99 ms", "server µs", "database µs", "MiB"];
    report.table(&columns, &rows);
    Ok(())
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}

fn email(number: usize) -> String {
    format!("feed.{number}@example.com")
}

fn import(embedded: &Embedded) -> anyhow::Result<()> {
    let hash = bcrypt::hash(PASSWORD, 4)?;
    let mut csv = "email,password_hash,first_name,last_name\n".to_owned();
    for number in 0..ACCOUNTS {
        let _ = writeln!(csv, "{},{hash},0,Feed{number}", email(number));
    }
    let file = embedded.server.data.join("feed.csv");
    std::fs::write(&file, csv)?;
    let (data, file) = (embedded.server.data.display().to_string(), file.display().to_string());
    quartet(&["import", "accounts", &file, "--data", &data])?;
    Ok(())
}

/// Changes names at the rate for `span`; answers the lags of all changes, and how many there were.
async fn lags(embedded: &Embedded, copy: &str, span: Duration) -> anyhow::Result<(Vec<Duration>, usize)> {
    let none = || diesel_migrations::EmbeddedMigrations::new(&[]);
    let copy = Db::open(copy, Migrations { postgres: none, sqlite: none }, Faults::default(), ANSWER).await?;
    let told: Arc<Vec<std::sync::Mutex<Told>>> = Arc::new((0..ACCOUNTS).map(|_| Default::default()).collect());
    let mut writers = JoinSet::new();
    let channel = installation::channel(embedded.address()).await?;
    for number in 0..ACCOUNTS {
        writers.spawn(change(channel.clone(), number, told.clone(), span));
    }
    let done = Arc::new(AtomicBool::new(false));
    let looker = tokio::spawn(look(copy, told.clone(), done.clone()));
    while let Some(writer) = writers.join_next().await {
        writer??;
    }
    done.store(true, Ordering::Relaxed);
    let lags = looker.await??;
    let count = lags.len();
    Ok((lags, count))
}

async fn change(
    channel: Channel,
    number: usize,
    told: Arc<Vec<std::sync::Mutex<Told>>>,
    span: Duration,
) -> anyhow::Result<()> {
    let asked = SignInRequest { email: email(number), password: PASSWORD.to_owned(), ..Default::default() };
    let token = SessionServiceClient::new(channel.clone()).sign_in(asked).await?.into_inner().access_token;
    let mut profiles = ProfileServiceClient::new(channel);
    let pause = Duration::from_secs(1) * ACCOUNTS as u32 / RATE;
    // Each at its own moment of the period.
    tokio::time::sleep(pause * number as u32 / ACCOUNTS as u32).await;
    let mut ticks = tokio::time::interval(pause);
    let end = Instant::now() + span;
    for turn in 1.. {
        ticks.tick().await;
        if Instant::now() > end {
            break;
        }
        let profile = Profile { first_name: format!("{turn}"), ..Default::default() };
        let update_mask = Some(FieldMask { paths: vec!["first_name".to_owned()] });
        let mut asked = Request::new(UpdateProfileRequest { profile: Some(profile), update_mask });
        asked.metadata_mut().insert("authorization", format!("Bearer {token}").parse().context("no token")?);
        profiles.update_profile(asked).await?;
        let told = told.get(number).context("no such account")?;
        told.lock().map_err(|_| anyhow::anyhow!("a writer panicked"))?.answered.push(Instant::now());
    }
    Ok(())
}

/// Looks at the copy until it has all that was answered.
async fn look(
    copy: Db,
    told: Arc<Vec<std::sync::Mutex<Told>>>,
    done: Arc<AtomicBool>,
) -> anyhow::Result<Vec<Duration>> {
    let mut lags = Vec::new();
    let mut patience = 20_000;
    loop {
        // Not the `load` of a query.
        let ending = AtomicBool::load(&done, Ordering::Relaxed);
        let names = names(&copy).await?;
        let now = Instant::now();
        let mut behind = false;
        for (last_name, first_name) in names {
            let number: usize = last_name.trim_start_matches("Feed").parse().context("no account of ours")?;
            let has: usize = first_name.parse()?;
            let told = told.get(number).context("no such account")?;
            let mut told = told.lock().map_err(|_| anyhow::anyhow!("a writer panicked"))?;
            // What the copy has before its writer has heard the answer is not behind at all.
            while told.seen < has.min(told.answered.len()) {
                lags.push(now.saturating_duration_since(told.answered[told.seen]));
                told.seen += 1;
            }
            behind |= told.seen < told.answered.len();
        }
        if ending && !behind {
            return Ok(lags);
        }
        patience -= usize::from(ending);
        ensure!(patience > 0, "the copy does not come");
        tokio::time::sleep(LOOK).await;
    }
}

async fn names(copy: &Db) -> Result<Vec<(String, String)>, DbError> {
    let conn = &mut copy.read().await?;
    let query =
        account::table.filter(account::last_name.like("Feed%")).select((account::last_name, account::first_name));
    on!(conn, |db| query.load(db).await)
}
