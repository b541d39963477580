//! What the tests stand on: an installation to speak to, people who use it, and ways to look at what comes back.

mod certificate;
mod database;
mod embedded;
mod fleet;
mod installation;
mod left_out;
mod lone;
pub mod mail;
mod moment;
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

use futures_util::future::join_all;
use tonic::{Code, Status};

pub use self::certificate::{Authority, Pair};
pub use self::database::DatabaseHome;
pub use self::fleet::{Fleet, Grounds, gateway_flags};
pub use self::left_out::left_out;
pub use self::moment::{bytes, told_amid};
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

    pub use super::{
        DatabaseHome, PASSWORD, Person, Refusal, World, eventually, fixture, patiently, refusal, refused_at_last,
    };
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

/// Flags by which a Redis that a busy machine keeps from answering is waited for, lest each instance count and know by itself.
pub const PATIENT: [&str; 2] = ["--redis-answer-milliseconds", "20000"];
/// For how long something is asked again.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// Whether nothing runs beside this test: `tests/run long` does that with the tests whose subject is time.
pub fn is_quiet() -> bool {
    std::env::var("QUARTET_TEST_QUIET").is_ok()
}

/// How long something may take that is promised within `limit`: that long on a quiet machine, five times as long beside other tests.
pub fn promised(limit: Duration) -> Duration {
    if is_quiet() { limit } else { limit * 5 }
}

/// Whether there is time: `tests/run long`.
pub fn is_long() -> bool {
    std::env::var("QUARTET_TEST_LONG").is_ok()
}

/// How often something is tried that goes wrong by chance: so often in a short run, so often in a long one.
pub fn rounds(short: usize, long: usize) -> usize {
    if is_long() { long } else { short }
}

/// Asks again and again until there is an answer, for a minute and a half at most.
pub async fn eventually<T>(what: &str, question: impl AsyncFnMut() -> Option<T>) -> T {
    within(PATIENCE, what, question).await
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

/// What is refused at last, as what a revoked token shows is soon. That nobody knows for a moment is no refusal.
pub async fn refused_at_last<T>(mut ask: impl AsyncFnMut() -> Result<T, Status>) -> Refusal {
    let asked = async || ask().await.err().filter(|status| !is_unknown(status)).map(Refusal::from);
    eventually("it is refused", asked).await
}

/// Of so many calls at once how many go well. The others are refused.
pub async fn accepted<T>(count: usize, call: impl AsyncFn() -> Result<T, Status>) -> usize {
    let answers = join_all((0..count).map(|_| call())).await;
    let is_refusal = |status: &&Status| {
        matches!(
            status.code(),
            Code::InvalidArgument
                | Code::Unauthenticated
                | Code::NotFound
                | Code::FailedPrecondition
                | Code::ResourceExhausted
                | Code::PermissionDenied
                | Code::AlreadyExists
        )
    };
    let other = answers.iter().filter_map(|answer| answer.as_ref().err()).find(|status| !is_refusal(status));
    assert!(other.is_none(), "{other:?}");
    answers.iter().filter(|answer| answer.is_ok()).count()
}

/// Whether what was asked for is not known, for something did not answer.
fn is_unknown(status: &Status) -> bool {
    status.code() == Code::Unavailable
}

/// Asks again while the answer is that something did not answer. This is for tests that take something away: a process, Redis, PostgreSQL. Gives
/// back any other answer: who has been told so once may find that it was done.
pub async fn patiently<T>(what: &str, mut ask: impl AsyncFnMut() -> Result<T, Status>) -> Result<T, Status> {
    let start = Instant::now();
    loop {
        match ask().await {
            Err(status) if is_unknown(&status) => {
                assert!(start.elapsed() < PATIENCE, "{what}: {status:?}");
            }
            answered => return answered,
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}
