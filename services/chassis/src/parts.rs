//! What every service of a process stands on, put together once when the process starts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quartet_proto::control::v1::Fault;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::auth::Auth;
use crate::bus::Bus;
use crate::clock::Clock;
use crate::crypt::MasterKey;

/// The shared parts of a process.
#[derive(Clone)]
pub struct Parts {
    pub clock: Clock,
    pub master: MasterKey,
    pub auth: Auth,
    pub bus: Bus,
    pub faults: Faults,
    /// Cancelled when the process is to stop: workers end, streams tell their clients to resume elsewhere.
    pub stopping: CancellationToken,
    /// What must end before the process does: workers, and the calls in progress.
    pub tasks: TaskTracker,
    pub limits: Limits,
}

impl Parts {
    /// Runs a worker until it ends or the process stops.
    pub fn spawn(&self, worker: impl Future<Output = ()> + Send + 'static) {
        let stopping = self.stopping.clone();
        self.tasks.spawn(async move {
            stopping.run_until_cancelled(worker).await;
        });
    }
}

/// How much a service takes on at once.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Calls in progress per service; one more is answered RESOURCE_EXHAUSTED.
    pub calls: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { calls: 4096 }
    }
}

/// What the control service makes fail: a bit for each fault. None outside tests.
#[derive(Clone, Default, Debug)]
pub struct Faults(Arc<AtomicU64>);

impl Faults {
    pub fn is(&self, fault: Fault) -> bool {
        self.0.load(Ordering::Relaxed) & bit(fault) != 0
    }

    pub fn set(&self, fault: Fault, failing: bool) {
        if failing {
            self.0.fetch_or(bit(fault), Ordering::Relaxed);
        } else {
            self.0.fetch_and(!bit(fault), Ordering::Relaxed);
        }
    }

    /// Whether the fault is set, for one that happens once.
    pub fn take(&self, fault: Fault) -> bool {
        self.is(fault) && self.0.fetch_and(!bit(fault), Ordering::Relaxed) & bit(fault) != 0
    }
}

fn bit(fault: Fault) -> u64 {
    1 << fault as u32
}
