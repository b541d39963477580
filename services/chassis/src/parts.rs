//! What every service of a process stands on, put together once when the process starts.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::auth::Auth;
use crate::bus::Bus;
use crate::clock::Clock;
use crate::crypt::MasterKey;
use crate::db::{ANSWER, Db, Migrations};
pub use crate::faults::Faults;
use crate::throttle::Throttle;

/// The shared parts of a process.
#[derive(Clone)]
pub struct Parts {
    pub clock: Clock,
    pub master: MasterKey,
    pub auth: Auth,
    pub bus: Bus,
    /// How often somebody may do something.
    pub throttle: Throttle,
    pub faults: Faults,
    /// Cancelled when the process is to stop: workers end, streams tell their clients to resume elsewhere.
    pub stopping: CancellationToken,
    /// What must end before the process does: workers, and the calls in progress.
    pub tasks: TaskTracker,
    pub limits: Limits,
}

impl Parts {
    /// Opens a service's database: see [`Db::open`].
    pub async fn open(&self, url: &str, migrations: Migrations) -> anyhow::Result<Db> {
        Db::open(url, migrations, self.faults.clone(), self.limits.database_answer).await
    }

    /// Runs a worker until it ends or the process stops.
    pub fn spawn(&self, worker: impl Future<Output = ()> + Send + 'static) {
        let stopping = self.stopping.clone();
        self.tasks.spawn(async move {
            stopping.run_until_cancelled(worker).await;
        });
    }
}

/// How much a service takes on at once, and how long it waits.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Calls in progress per service; one more is answered RESOURCE_EXHAUSTED.
    pub calls: usize,
    /// How long its database may take to answer.
    pub database_answer: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { calls: 4096, database_answer: ANSWER }
    }
}
