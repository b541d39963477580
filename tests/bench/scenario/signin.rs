//! Signing in beside the bare hash, and what it does to everybody else.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use quartet_proto::identity::v1::SignInRequest;

use crate::installation::{self, EMAIL, Embedded, Engine, PASSWORD, always, wait};
use crate::load::{Load, Reached, distance_rate, run as run_loads};
use crate::movies;
use crate::report::{Bound, Report, figure, median};
use crate::settings::Settings;

const COST: u32 = 12;
const CLIENTS: usize = 4;
const READERS: usize = 16;

pub fn run(settings: &Settings, report: &mut Report) -> anyhow::Result<()> {
    let embedded = Embedded::start(Engine::Sqlite, "signin", &["--identity-bcrypt-cost", &COST.to_string()])?;
    let movies = movies::plain(settings)?;
    let get_movies = wait(async {
        let token = installation::sign_in(embedded.address()).await?.access_token;
        installation::import(embedded.address(), &token, &movies.csv).await?;
        installation::get_movies(embedded.address()).await
    })?;
    let load = |path, script, connections| Load {
        address: embedded.address(),
        path,
        web: false,
        token: None,
        script,
        connections,
        streams: 1,
    };
    let request = SignInRequest { email: EMAIL.to_owned(), password: PASSWORD.to_owned(), ..Default::default() };
    let sign_ins = load("/quartet.identity.v1.SessionService/SignIn", always(&request), CLIENTS);
    let reads = load("/quartet.catalogue.v1.MovieService/GetMovie", get_movies, READERS);

    let span = settings.longer(8);
    let meter = embedded.server.meter();
    let (mut raw, mut alone, mut reads_alone, mut reads_beside, mut beside) = (vec![], vec![], vec![], vec![], vec![]);
    let only = |loads: &[&Load]| -> anyhow::Result<Vec<Reached>> {
        Ok(run_loads(loads, Duration::from_millis(500), span, &[&meter])?.loads)
    };
    for _ in 0..settings.rounds {
        raw.push(raw_rate(span)?);
        alone.extend(only(&[&sign_ins])?);
        reads_alone.extend(only(&[&reads])?);
        let mut both = only(&[&reads, &sign_ins])?.into_iter();
        reads_beside.extend(both.next());
        beside.extend(both.next());
    }
    let rate = |of: &[Reached]| median(of.iter().map(|reached| reached.rate));
    let p99 = |of: &[Reached]| median(of.iter().map(|reached| reached.p99.as_secs_f64() * 1e3));
    let raw = median(raw);
    let row = |name: &str, of: &[Reached], to: f64| {
        vec![name.to_owned(), figure(rate(of)), figure(rate(of) / to), figure(p99(of))]
    };
    report.table(
        &["what", "per second", "ratio", "p99 ms"],
        &[
            vec![format!("bcrypt at cost {COST} on all cores"), figure(raw), "1".to_owned(), "–".to_owned()],
            row(&format!("SignIn, {CLIENTS} clients"), &alone, raw),
            row(&format!("GetMovie, {READERS} clients, alone"), &reads_alone, rate(&reads_alone)),
            row("GetMovie while 4 clients sign in", &reads_beside, rate(&reads_alone)),
            row("SignIn beside it", &beside, raw),
        ],
    );
    report.goal("SignIn, of bcrypt on all cores", rate(&alone) / raw, Bound::AtLeast(0.97));
    report.goal("GetMovie while others sign in, p99 ms", p99(&reads_beside), Bound::AtMost(5.0));
    report.goal(
        "GetMovie while others sign in, of its rate",
        rate(&reads_beside) / rate(&reads_alone),
        Bound::AtLeast(0.8),
    );
    Ok(())
}

/// Hashes a second, one thread per core.
fn raw_rate(span: Duration) -> anyhow::Result<f64> {
    let threads = std::thread::available_parallelism()?.get();
    std::thread::scope(|scope| {
        let hashers: Vec<_> = (0..threads).map(|_| scope.spawn(|| hash_for(span))).collect();
        let rates = hashers.into_iter().map(|hasher| hasher.join().ok().context("a hasher panicked")?);
        rates.sum()
    })
}

fn hash_for(span: Duration) -> anyhow::Result<f64> {
    let end = Instant::now() + span;
    let (mut times, mut first, mut last) = (0, None, None);
    while Instant::now() < end {
        bcrypt::hash(PASSWORD, COST)?;
        times += 1;
        last = Some(Instant::now());
        first = first.or(last);
    }
    Ok(distance_rate(times, first, last))
}
