//! What the tests stand on: an installation to speak to, people who use it, and ways to look at what comes back.

mod certificate;
mod database;
mod embedded;
mod fleet;
mod installation;
mod left_out;
mod lone;
pub mod mail;
mod person;
mod postgres;
pub mod process;
pub mod raw;
pub mod redis;
mod refusal;
mod role;
pub mod s3;
pub mod s3_proxy;
mod s3_server;
mod scan;
pub mod smtp;
mod times;
pub mod wire;
mod world;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub use self::certificate::{Authority, Pair};
pub use self::database::DatabaseHome;
pub use self::fleet::{Fleet, Grounds, gateway_flags};
pub use self::left_out::left_out;
pub use self::person::{PASSWORD, Person};
pub use self::postgres::{OwnPostgres, Postgres};
pub use self::process::{Output, Process, free_port, quartet, quartet_command};
pub use self::refusal::{Refusal, refusal};
pub use self::world::{Bearer, Clients, World, channel};

/// What nearly every test needs.
pub mod prelude {
    pub use std::time::Duration;

    pub use quartet_proto::catalogue::v1::*;
    pub use quartet_proto::control::v1::Fault;
    pub use quartet_proto::identity::v1::*;
    pub use quartet_proto::media::v1::*;
    pub use quartet_proto::messaging::v1::*;
    pub use tonic::{Code, Request};

    pub use super::{DatabaseHome, PASSWORD, Person, Refusal, World, eventually, fixture, refusal};
}

/// A file of `tests/fixtures`.
pub fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

/// A folder or file of the repository.
pub fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// A number that no other test of this run has.
pub fn unique() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// How long something may take that is promised within `limit`: that long on a quiet machine, five times as long beside other tests.
pub fn promised(limit: Duration) -> Duration {
    if std::env::var("QUARTET_TEST_QUIET").is_ok() { limit } else { limit * 5 }
}

/// How often something is tried that goes wrong by chance: so often in a short run, so often in a long one.
pub fn rounds(short: usize, long: usize) -> usize {
    if std::env::var("QUARTET_TEST_LONG").is_ok() { long } else { short }
}

/// Asks again and again until there is an answer, for thirty seconds at most.
pub async fn eventually<T>(what: &str, question: impl AsyncFnMut() -> Option<T>) -> T {
    within(Duration::from_secs(30), what, question).await
}

/// Asks again and again until there is an answer, for `limit` at most.
pub async fn within<T>(limit: Duration, what: &str, mut question: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = question().await {
            return answer;
        }
        assert!(start.elapsed() < limit, "not within {limit:?}: {what}");
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}
