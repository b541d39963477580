//! The end of a process: nothing new, a while to finish, and then nobody waits.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long connections get to finish what they began. A process is to be gone ten seconds after it was told to stop.
const PERIOD: Duration = Duration::from_secs(8);
/// How long a connection that has just been made may take to say what it wants.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// What the listeners and connections of a process share to end together (F-12).
#[derive(Clone)]
pub struct Drain {
    stopping: CancellationToken,
    connections: TaskTracker,
}

impl Drain {
    /// A drain that begins when `stopping` is cancelled.
    pub fn new(stopping: CancellationToken) -> Drain {
        Drain { stopping, connections: TaskTracker::new() }
    }

    /// Cancelled when the process is to stop.
    pub fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }

    /// When connections are asked to end: a moment after that, so that what is on its way when the door closes is answered too.
    pub async fn last_words(&self) {
        self.stopping.cancelled().await;
        tokio::time::sleep(LAST_WORDS).await;
    }

    /// How long a connection may go on after that.
    pub fn period(&self) -> Duration {
        PERIOD
    }

    /// When streams without an end of their own are to be told to go on elsewhere: early enough that they hear it.
    pub async fn streams_end(&self) {
        self.stopping.cancelled().await;
        tokio::time::sleep(PERIOD / 4).await;
    }

    /// Runs a connection, which ends by itself within the period.
    pub fn spawn(&self, connection: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(self.connections.track_future(connection));
    }

    /// Returns when the process is to stop and every connection has ended or the period is over.
    pub async fn finished(&self) {
        self.stopping.cancelled().await;
        self.connections.close();
        if tokio::time::timeout(PERIOD + Duration::from_millis(500), self.connections.wait()).await.is_err() {
            tracing::warn!(connections = self.connections.len(), "some connections did not end in time");
        }
    }
}
