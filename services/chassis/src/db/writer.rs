//! Group commit: the transactions that queue for SQLite's one writing connection share a commit, and each is answered after it.
//!
//! Each body runs in a savepoint of an open outer transaction. The outer one is committed when nobody waits any more, or when the
//! batch is large or old enough. When a ROLLBACK TO, RELEASE or COMMIT fails, SQLite may have undone the whole outer transaction (it
//! does so when the disk is full): then every body of the batch fails and the connection is replaced.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use diesel::ConnectionError;
use diesel_async::SimpleAsyncConnection as _;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, oneshot};

use super::Conn;
use super::error::DbError;
use super::sqlite::{Lite, OnThread, connect};
use crate::faults::AtCommit;

/// A batch is committed after so many bodies …
const BODIES: usize = 64;
/// … or when it is this old.
const AGE: Duration = Duration::from_millis(4);

/// Those who wait to write.
#[derive(Clone)]
pub(super) struct Queue {
    writer: Arc<Mutex<Writer>>,
    waiting: Arc<AtomicUsize>,
}

/// The connection that writes, and the batch that is open on it.
pub struct Writer {
    conn: Lite,
    thread: OnThread,
    path: String,
    batch: Option<Batch>,
    /// The connection's state is not known: it is replaced before the next use.
    broken: bool,
    /// The disk has lost a commit. What lies in the cache of the operating system can't be trusted any more.
    dead: bool,
}

struct Batch {
    began: Instant,
    bodies: usize,
    in_body: bool,
    at_commit: AtCommit,
    /// The finished bodies that wait for the commit.
    finished: Vec<oneshot::Sender<Result<(), DbError>>>,
}

/// One body's turn at the connection.
pub(super) struct Turn {
    conn: Option<Conn>,
    queue: Queue,
}

/// A place in the queue. When it is given up by a caller who goes away, the batch may have waited for that caller alone.
struct Place<'a> {
    queue: &'a Queue,
    taken: bool,
}

impl Queue {
    pub async fn open(path: &str) -> Result<Queue, ConnectionError> {
        let thread = OnThread::new(false);
        let conn = connect(path, thread.clone()).await?;
        let writer = Writer { conn, thread, path: path.to_owned(), batch: None, broken: false, dead: false };
        Ok(Queue { writer: Arc::new(Mutex::new(writer)), waiting: Arc::default() })
    }

    /// Waits for the connection and opens a savepoint on it. `long` statements hand over their thread's other tasks first.
    pub async fn turn(&self, long: bool) -> Result<Turn, DbError> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let mut place = Place { queue: self, taken: false };
        let mut writer = self.writer.clone().lock_owned().await;
        place.taken = true;
        self.waiting.fetch_sub(1, Ordering::SeqCst);

        writer.thread.set(long);
        match writer.enter().await {
            Ok(()) => Ok(Turn { conn: Some(Conn::Writer(writer)), queue: self.clone() }),
            Err(error) => {
                writer.fail(&error);
                Err(error)
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) == 0
    }

    /// Commits an open batch that nobody else would.
    async fn settle(self) {
        let mut writer = self.writer.lock().await;
        if self.is_empty() {
            writer.commit().await.ok();
        }
    }

    fn settle_soon(&self) {
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(self.clone().settle());
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if !self.taken {
            self.queue.waiting.fetch_sub(1, Ordering::SeqCst);
            self.queue.settle_soon();
        }
    }
}

impl Turn {
    pub fn conn(&mut self) -> &mut Conn {
        #[expect(clippy::expect_used, reason = "only `end` takes the connection, and it takes the turn with it")]
        self.conn.as_mut().expect("a turn has a connection until it ends")
    }

    /// Keeps the body's work on `Ok`, undoes it on `Err`, and answers when the commit that holds it is durable.
    pub async fn end<T, E: From<DbError>>(mut self, result: Result<T, E>, at_commit: AtCommit) -> Result<T, E> {
        let Some(Conn::Writer(mut writer)) = self.conn.take() else { return result };
        if let Err(error) = writer.leave(result.is_ok(), at_commit).await {
            writer.fail(&error);
            return result.and(Err(error.into()));
        }
        if self.queue.is_empty() || writer.is_due() {
            let committed = writer.commit().await;
            let value = result?;
            committed?;
            return Ok(value);
        }
        let value = match result {
            Ok(value) => value,
            Err(error) => return Err(error),
        };
        let committed = writer.wait();
        drop(writer);
        committed.await.unwrap_or_else(|_| Err(lost()))?;
        Ok(value)
    }
}

impl Drop for Turn {
    /// The caller went away in the middle: the next turn undoes the body; when nobody comes, the batch is settled here.
    fn drop(&mut self) {
        if self.conn.take().is_some() {
            self.queue.settle_soon();
        }
    }
}

impl Writer {
    pub fn inner(&mut self) -> &mut Lite {
        &mut self.conn
    }

    async fn enter(&mut self) -> Result<(), DbError> {
        self.mend().await?;
        if self.batch.is_none() {
            self.conn.batch_execute("begin immediate").await?;
            // Bounds a batch, not a thing that tests move.
            let began = Instant::now();
            let at_commit = AtCommit::default();
            self.batch = Some(Batch { began, bodies: 0, in_body: false, at_commit, finished: Vec::new() });
        }
        self.conn.batch_execute("savepoint body").await?;
        if let Some(batch) = &mut self.batch {
            batch.in_body = true;
        }
        Ok(())
    }

    async fn leave(&mut self, keep: bool, at_commit: AtCommit) -> Result<(), DbError> {
        let end = if keep { "release body" } else { "rollback to body; release body" };
        self.conn.batch_execute(end).await?;
        if let Some(batch) = &mut self.batch {
            batch.in_body = false;
            batch.bodies += 1;
            batch.at_commit = batch.at_commit.or(at_commit);
        }
        Ok(())
    }

    /// Brings the connection back into a known state after a failure, or after a body whose caller went away.
    async fn mend(&mut self) -> Result<(), DbError> {
        if self.dead {
            return Err(DbError::Unavailable("the disk failed to write; restart when it is sound".to_owned()));
        }
        if self.broken {
            let conn = connect(&self.path, self.thread.clone()).await;
            self.conn = conn.map_err(|error| DbError::Unavailable(error.to_string()))?;
            self.broken = false;
        }
        if self.batch.as_ref().is_some_and(|batch| batch.in_body)
            && let Err(error) = self.leave(false, AtCommit::default()).await
        {
            self.fail(&error);
            return Box::pin(self.mend()).await;
        }
        Ok(())
    }

    fn is_due(&self) -> bool {
        self.batch.as_ref().is_some_and(|batch| batch.bodies >= BODIES || batch.began.elapsed() >= AGE)
    }

    fn wait(&mut self) -> oneshot::Receiver<Result<(), DbError>> {
        let (done, committed) = oneshot::channel();
        if let Some(batch) = &mut self.batch {
            batch.finished.push(done);
        }
        committed
    }

    /// Commits the open batch, if there is one, and tells all who wait for it. The fsync does not hold the runtime's thread.
    async fn commit(&mut self) -> Result<(), DbError> {
        self.mend().await?;
        let Some(batch) = self.batch.take() else { return Ok(()) };
        self.thread.set(true);
        batch.at_commit.before();
        let committed = self.conn.batch_execute("commit").await.map_err(DbError::from);
        batch.at_commit.after();
        self.thread.set(false);
        match committed {
            Ok(()) => {
                for done in batch.finished {
                    done.send(Ok(())).ok();
                }
                Ok(())
            }
            Err(error) => {
                self.dead = error.to_string().contains("disk I/O error");
                self.batch = Some(batch);
                self.fail(&error);
                Err(error)
            }
        }
    }

    /// Fails every body of the batch and marks the connection for replacement.
    fn fail(&mut self, error: &DbError) {
        tracing::error!(%error, "a batch of transactions failed");
        self.broken = true;
        for done in self.batch.take().into_iter().flat_map(|batch| batch.finished) {
            let error = if matches!(error, DbError::Full) { DbError::Full } else { lost() };
            done.send(Err(error)).ok();
        }
    }
}

fn lost() -> DbError {
    DbError::Unavailable("the transaction's batch was undone".to_owned())
}
