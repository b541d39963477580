//! The shared parts of a process, put together for each way to run.

use std::time::Duration;

use anyhow::Context as _;
use quartet_chassis::auth::Auth;
use quartet_chassis::bus::{self, Bus, RedisBus};
use quartet_chassis::clock::Clock;
use quartet_chassis::crypt::MasterKey;
use quartet_chassis::db;
use quartet_chassis::faults::Faults;
use quartet_chassis::parts::{Limits, Parts};
use quartet_chassis::random;
use quartet_chassis::throttle::Throttle;
use secrecy::ExposeSecret as _;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::home::Home;
use crate::settings::Options;

/// What the keys and channels in Redis begin with.
const REDIS_PREFIX: &str = "quartet";

/// Everything in one process: the master key lies in the data directory, and whoever revokes writes into the set that all look at.
pub fn embedded(options: &Options, home: &Home) -> anyhow::Result<Parts> {
    let master = match &options.fleet.master_key {
        Some(key) => MasterKey::parse(key.expose_secret())?,
        None => MasterKey::read_or_create(&home.join("master.key"))?,
    };
    let clock = clock(options, Some(home))?;
    // Only who is told the secret could call as a service, by the operator's socket: without one, nobody.
    let secret = match &options.fleet.fleet_secret {
        Some(secret) => MasterKey::parse(secret.expose_secret())?.derive("service tokens"),
        None => random::bytes::<32>(),
    };
    let auth = Auth::new(clock.clone(), secret.as_slice());
    auth.revocations().set_complete();
    let bus = Bus::Local(auth.revocations().clone());
    Ok(parts(options, clock, master, auth, bus))
}

/// One role of a fleet.
pub fn role(options: &Options, home: Option<&Home>) -> anyhow::Result<Parts> {
    let secret = options.fleet.fleet_secret.as_ref().context("there is no fleet secret")?;
    let clock = clock(options, home)?;
    let auth = Auth::new(clock.clone(), MasterKey::parse(secret.expose_secret())?.derive("service tokens").as_slice());
    let bus = redis(options, &clock)?.context("there is no Redis")?;
    Ok(parts(options, clock, master(options)?, auth, bus))
}

/// A command that works on a fleet's database. Without Redis, identity spreads later what it revokes.
pub fn command(options: &Options) -> anyhow::Result<Parts> {
    let clock = clock(options, None)?;
    let auth = Auth::new(clock.clone(), &random::bytes::<32>());
    auth.revocations().set_complete();
    let bus = redis(options, &clock)?.unwrap_or_else(|| Bus::Local(auth.revocations().clone()));
    Ok(parts(options, clock, master(options)?, auth, bus))
}

/// The installation's key, for the one role that has it. The others seal nothing that it opens, and have a key that all of their
/// instances share: what one of them tags another one knows again. A command alone needs none.
fn master(options: &Options) -> anyhow::Result<MasterKey> {
    let key = match (&options.fleet.master_key, &options.fleet.fleet_secret) {
        (Some(key), _) => return MasterKey::parse(key.expose_secret()),
        (None, Some(secret)) => MasterKey::parse(secret.expose_secret())?.derive("roles without the master key"),
        (None, None) => random::bytes::<32>(),
    };
    MasterKey::parse(&hex::encode(key))
}

fn redis(options: &Options, clock: &Clock) -> anyhow::Result<Option<Bus>> {
    let Some(url) = &options.fleet.redis_url else { return Ok(None) };
    let answer = options.trial.redis_answer_milliseconds.map_or(bus::ANSWER, Duration::from_millis);
    let bus = RedisBus::open(url.expose_secret(), REDIS_PREFIX, clock.clone(), answer);
    // The error may quote the address with its password.
    Ok(Some(Bus::Redis(bus.ok().context("`QUARTET_REDIS_URL` is not an address such as `redis://HOST:6379`")?)))
}

/// The machine's clock, or in a test one that can be moved.
fn clock(options: &Options, home: Option<&Home>) -> anyhow::Result<Clock> {
    let file = match (&options.trial.clock_file, home) {
        (Some(file), _) => file.clone(),
        (None, Some(home)) if options.trial.ephemeral => home.join("clock"),
        _ => return Ok(Clock::System),
    };
    Clock::movable(&file).with_context(|| format!("can't use {} as the clock", file.display()))
}

fn parts(options: &Options, clock: Clock, master: MasterKey, auth: Auth, bus: Bus) -> Parts {
    let throttle = Throttle::new(&bus, &clock);
    let database_answer = options.trial.database_answer_milliseconds.map(Duration::from_millis);
    if let Some(answer) = database_answer {
        // What is revoked is read there.
        auth.revocations().trust_for(answer);
    }
    Parts {
        clock,
        master,
        auth,
        bus,
        throttle,
        faults: Faults::default(),
        stopping: CancellationToken::new(),
        tasks: TaskTracker::new(),
        limits: Limits { database_answer: database_answer.unwrap_or(db::ANSWER), ..Limits::default() },
    }
}
