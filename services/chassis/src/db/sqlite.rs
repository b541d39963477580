//! SQLite: one connection that writes, a few that read, and no thread hop per statement.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use diesel::{Connection as _, ConnectionError, SqliteConnection};
use diesel_async::pooled_connection::deadpool::{Object, Pool};
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod};
use diesel_async::sync_connection_wrapper::{SpawnBlocking, SyncConnectionWrapper};
use diesel_async::{AsyncConnection, SimpleAsyncConnection as _, TransactionManager as _};

use super::Work;
use super::error::DbError;
use super::writer::{Queue, Turn};

/// An answered write survives a power cut only with FULL; what was deleted does not linger in free pages.
const PRAGMAS: &str = "pragma journal_mode = wal; pragma synchronous = full; pragma busy_timeout = 5000; \
     pragma foreign_keys = on; pragma secure_delete = on; pragma cache_size = -8192; pragma temp_store = memory;";
const READERS: usize = 4;

/// Runs a statement on the very thread that asks for it; `place` first hands the thread's other tasks to another one, for
/// statements that take long.
#[derive(Clone)]
pub struct OnThread {
    place: Arc<AtomicBool>,
}

impl OnThread {
    pub(super) fn new(place: bool) -> OnThread {
        OnThread { place: Arc::new(AtomicBool::new(place)) }
    }

    pub(super) fn set(&self, place: bool) {
        self.place.store(place, Ordering::Relaxed);
    }
}

type Outcome<R> = Result<R, Box<dyn std::error::Error + Send + Sync + 'static>>;

impl SpawnBlocking for OnThread {
    fn spawn_blocking<'a, R: Send + 'static>(
        &mut self,
        task: impl FnOnce() -> R + Send + 'static,
    ) -> Pin<Box<dyn Future<Output = Outcome<R>> + Send + 'a>> {
        let place = self.place.load(Ordering::Relaxed);
        let result = if place { tokio::task::block_in_place(task) } else { task() };
        Box::pin(std::future::ready(Ok(result)))
    }

    fn get_runtime() -> OnThread {
        OnThread::new(false)
    }
}

/// A SQLite connection as diesel-async sees it.
pub type Lite = SyncConnectionWrapper<SqliteConnection, OnThread>;
pub(super) type Pooled = Object<Lite>;

#[derive(Clone)]
pub(super) struct Sqlite {
    path: String,
    readers: Pool<Lite>,
    scanners: Pool<Lite>,
    queue: Queue,
}

/// What `pragma wal_checkpoint` answers.
#[derive(diesel::QueryableByName)]
struct Emptied {
    #[diesel(sql_type = diesel::sql_types::Integer)]
    busy: i32,
}

impl Sqlite {
    pub async fn open(path: &str) -> anyhow::Result<Sqlite> {
        let folder = Path::new(path).parent().unwrap_or(Path::new("."));
        anyhow::ensure!(folder.as_os_str().is_empty() || folder.is_dir(), "there is no folder {}", folder.display());
        let queue = Queue::open(path).await.with_context(|| format!("can't open {path}"))?;
        Ok(Sqlite { path: path.to_owned(), readers: readers(path, false)?, scanners: readers(path, true)?, queue })
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    pub async fn reader(&self, work: Work) -> Result<Pooled, DbError> {
        let readers = match work {
            Work::Short => &self.readers,
            Work::Long => &self.scanners,
        };
        readers.get().await.map_err(|error| DbError::Unavailable(error.to_string()))
    }

    /// Moves what the log holds into the file and empties the log. False when somebody reads or writes at this moment.
    pub fn empty_log(&self) -> Result<bool, DbError> {
        let unavailable = |error: ConnectionError| DbError::Unavailable(error.to_string());
        let mut conn = SqliteConnection::establish(&self.path).map_err(unavailable)?;
        let emptied = tokio::task::block_in_place(|| {
            diesel::connection::SimpleConnection::batch_execute(&mut conn, "pragma busy_timeout = 250")?;
            diesel::RunQueryDsl::get_result::<Emptied>(diesel::sql_query("pragma wal_checkpoint(truncate)"), &mut conn)
        })?;
        Ok(emptied.busy == 0)
    }

    pub async fn turn(&self, work: Work) -> Result<Turn, DbError> {
        self.queue.turn(work == Work::Long).await
    }
}

/// Opens a connection with the settings that every one has.
pub(super) async fn connect(path: &str, thread: OnThread) -> Result<Lite, ConnectionError> {
    let conn = SqliteConnection::establish(path)?;
    let mut conn = Lite::with_runtime(conn, thread);
    conn.batch_execute(PRAGMAS).await.map_err(ConnectionError::CouldntSetupConfiguration)?;
    Ok(conn)
}

/// A reader in a transaction sees what there is at its first statement, and holds up no writer.
pub(super) async fn begin_snapshot(conn: &mut Pooled) -> Result<(), diesel::result::Error> {
    <Lite as AsyncConnection>::TransactionManager::begin_transaction(&mut **conn).await
}

pub(super) async fn end_snapshot(conn: &mut Pooled) -> Result<(), diesel::result::Error> {
    <Lite as AsyncConnection>::TransactionManager::rollback_transaction(&mut **conn).await
}

fn readers(path: &str, place: bool) -> anyhow::Result<Pool<Lite>> {
    let mut config = ManagerConfig::<Lite>::default();
    config.recycling_method = RecyclingMethod::Fast;
    config.custom_setup = Box::new(move |path| {
        Box::pin(async move {
            let mut conn = connect(path, OnThread::new(place)).await?;
            let read_only = conn.batch_execute("pragma query_only = on").await;
            read_only.map_err(ConnectionError::CouldntSetupConfiguration)?;
            Ok(conn)
        })
    });
    let manager = AsyncDieselConnectionManager::<Lite>::new_with_config(path, config);
    let pool = Pool::builder(manager).max_size(READERS).wait_timeout(Some(Duration::from_secs(5)));
    pool.runtime(deadpool::Runtime::Tokio1).build().context("can't make a pool of connections")
}
