//! One body of code for two databases: PostgreSQL and SQLite.
//!
//! A store function takes a connection of either kind and writes its statements inside [`on!`](crate::on), which expands each once
//! per kind, so that every query is type-checked for both. Transactions are [`Db::transaction`].

mod error;
mod migrate;
mod postgres;
pub mod rows;
mod share;
mod sqlite;
mod writer;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use diesel::result::Error;
use diesel_async::RunQueryDsl as _;
use tokio::sync::OwnedMutexGuard;

pub use self::error::DbError;
pub use self::migrate::Migrations;
pub use self::postgres::PgConn;
use self::postgres::Postgres;
pub use self::share::{carried, on_behalf};
pub use self::sqlite::Lite;
use self::sqlite::Sqlite;
pub use self::writer::Writer;
use crate::faults::{AtCommit, Faults};
use quartet_proto::control::v1::Fault;

/// How long PostgreSQL may take to give a connection, and then for a short statement, before it counts as unavailable.
pub const ANSWER: Duration = Duration::from_millis(1800);
/// How long it may take for a statement of scans, exports and imports.
const LONG: Duration = Duration::from_secs(30);

/// What statements are for, which says how long they may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    Short,
    Long,
}

/// A service's database.
#[derive(Clone)]
pub struct Db {
    engine: Engine,
    migrations: Migrations,
    /// Whether the schema was seen to be this program's version.
    migrated: Arc<AtomicBool>,
    faults: Faults,
}

#[derive(Clone)]
enum Engine {
    Postgres(Postgres),
    Sqlite(Sqlite),
}

/// A borrowed connection of either kind.
#[expect(clippy::large_enum_variant, reason = "there is one per transaction, on the stack of the task that runs it")]
pub enum Conn {
    Postgres(PgConn),
    /// Refuses to write.
    Reader(sqlite::Pooled),
    /// The one connection that writes, inside a transaction.
    Writer(OwnedMutexGuard<Writer>),
}

/// Runs one statement on a [`Conn`] of any kind and gives `Result<T, DbError>`:
/// `on!(conn, |db| account::table.find(id).first(db).await)`.
///
/// What depends on the kind (`as_select()`, `as_returning()`) stands inside, and the result's type is written down: without either the
/// compiler looks for a type without end.
#[macro_export]
macro_rules! on {
    ($conn:expr, |$db:ident| $body:expr) => {
        match $conn {
            $crate::db::Conn::Postgres(conn) => {
                let limit = conn.limit();
                let $db = conn.inner();
                $crate::db::within(limit, async { $body }).await
            }
            $crate::db::Conn::Reader(conn) => {
                let $db = &mut **conn;
                $body.map_err($crate::db::DbError::from)
            }
            $crate::db::Conn::Writer(conn) => {
                let $db = conn.inner();
                $body.map_err($crate::db::DbError::from)
            }
        }
    };
}

/// What runs on a connection: an async closure whose future is `Send`.
pub trait Body<T, E>:
    for<'r> AsyncFnOnce(&'r mut Conn) -> Result<T, E> + for<'r> Call<&'r mut Conn, Result<T, E>, Fut: Send> + Send
{
}

impl<F, T, E> Body<T, E> for F where
    F: for<'r> AsyncFnOnce(&'r mut Conn) -> Result<T, E> + for<'r> Call<&'r mut Conn, Result<T, E>, Fut: Send> + Send
{
}

/// A call of an async closure, with a name for its future: the language has no way yet to say of it that it is `Send`.
pub trait Call<A, R>: AsyncFnOnce(A) -> R + FnOnce(A) -> <Self as Call<A, R>>::Fut {
    type Fut: Future<Output = R>;
}

impl<F, A, Fut, R> Call<A, R> for F
where
    F: AsyncFnOnce(A) -> R + FnOnce(A) -> Fut,
    Fut: Future<Output = R>,
{
    type Fut = Fut;
}

impl Db {
    /// Opens `sqlite:PATH` or `postgres://…`, a server that counts as unavailable when it takes longer than `answer` for a short
    /// statement. Neither connects yet nor migrates.
    pub async fn open(url: &str, migrations: Migrations, faults: Faults, answer: Duration) -> anyhow::Result<Db> {
        let engine = match url.strip_prefix("sqlite:") {
            Some(path) => Engine::Sqlite(Sqlite::open(path).await?),
            None => Engine::Postgres(Postgres::open(url, answer)?),
        };
        Ok(Db { engine, migrations, migrated: Arc::default(), faults })
    }

    pub fn is_sqlite(&self) -> bool {
        matches!(self.engine, Engine::Sqlite(_))
    }

    /// A connection for short reads.
    pub async fn read(&self) -> Result<Conn, DbError> {
        self.reader(Work::Short).await
    }

    /// A connection for lists and exports, whose statements may hold their thread for long.
    pub async fn scan(&self) -> Result<Conn, DbError> {
        self.reader(Work::Long).await
    }

    /// Runs `body` in a transaction: all of it is durable when this answers `Ok`, nothing of it has happened when `body` says `Err`.
    /// A refusal that must be remembered is therefore an `Ok(Outcome::…)`. `body` awaits nothing but statements.
    pub async fn transaction<T: Send, E: From<DbError> + Send>(&self, body: impl Body<T, E>) -> Result<T, E> {
        self.write(Work::Short, body).await
    }

    /// A transaction for imports, whose statements may hold their thread for long.
    pub async fn bulk<T: Send, E: From<DbError> + Send>(&self, body: impl Body<T, E>) -> Result<T, E> {
        self.write(Work::Long, body).await
    }

    /// Runs `body`, which only reads, on the database as it is at one moment: what an answer needs several statements for belongs
    /// together. It waits for nobody, and nobody for it.
    pub async fn snapshot<T: Send, E: From<DbError> + Send>(&self, body: impl Body<T, E>) -> Result<T, E> {
        self.at_one_moment(Work::Short, body).await
    }

    /// The same for what may hold its thread for long: searches, files, and lists of what may be much.
    pub async fn long_snapshot<T: Send, E: From<DbError> + Send>(&self, body: impl Body<T, E>) -> Result<T, E> {
        self.at_one_moment(Work::Long, body).await
    }

    /// Sees to it that what was deleted is no longer in the files. False when that has to be tried again: somebody reads or writes at
    /// this moment. A server does it in its own time.
    pub async fn forget_deleted(&self) -> Result<bool, DbError> {
        self.check_faults()?;
        match &self.engine {
            Engine::Postgres(_) => Ok(true),
            Engine::Sqlite(sqlite) => sqlite.empty_log(),
        }
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), DbError> {
        let conn = &mut self.read().await?;
        on!(conn, |db| diesel::sql_query("select 1").execute(db).await).map(drop)
    }

    async fn reader(&self, work: Work) -> Result<Conn, DbError> {
        self.check_faults()?;
        match &self.engine {
            Engine::Postgres(postgres) => Ok(Conn::Postgres(postgres.get(work).await?)),
            Engine::Sqlite(sqlite) => Ok(Conn::Reader(sqlite.reader(work).await?)),
        }
    }

    async fn at_one_moment<T: Send, E: From<DbError> + Send>(&self, work: Work, body: impl Body<T, E>) -> Result<T, E> {
        let mut conn = self.reader(work).await?;
        conn.begin_snapshot().await?;
        let result = body(&mut conn).await;
        conn.end_snapshot().await;
        result
    }

    async fn write<T: Send, E: From<DbError> + Send>(&self, work: Work, body: impl Body<T, E>) -> Result<T, E> {
        self.check_faults()?;
        if self.faults.is(Fault::StoreFull) {
            return Err(DbError::Full.into());
        }
        match &self.engine {
            Engine::Postgres(postgres) => {
                let mut conn = Conn::Postgres(postgres.begin(work).await?);
                let result = body(&mut conn).await;
                let Conn::Postgres(conn) = conn else {
                    unreachable!("a body borrows its connection and gives it back")
                };
                let at_commit = self.at_commit(&result);
                conn.end(result, at_commit).await
            }
            Engine::Sqlite(sqlite) => {
                let mut turn = sqlite.turn(work).await?;
                let result = body(turn.conn()).await;
                let at_commit = self.at_commit(&result);
                turn.end(result, at_commit).await
            }
        }
    }

    fn at_commit<T, E>(&self, result: &Result<T, E>) -> AtCommit {
        if result.is_ok() { self.faults.at_commit() } else { AtCommit::default() }
    }

    fn check_faults(&self) -> Result<(), DbError> {
        if self.faults.is(Fault::Store) {
            return Err(DbError::Unavailable("made to fail by the control service".to_owned()));
        }
        Ok(())
    }
}

impl Conn {
    async fn begin_snapshot(&mut self) -> Result<(), DbError> {
        match self {
            Conn::Postgres(conn) => conn.begin_snapshot().await,
            Conn::Reader(conn) => Ok(sqlite::begin_snapshot(conn).await?),
            Conn::Writer(_) => Ok(()),
        }
    }

    /// Nothing was written. A connection that can't end the snapshot is broken, and its pool takes no broken one back.
    async fn end_snapshot(&mut self) {
        match self {
            Conn::Postgres(conn) => conn.end_snapshot().await.ok(),
            Conn::Reader(conn) => sqlite::end_snapshot(conn).await.ok(),
            Conn::Writer(_) => None,
        };
    }
}

/// Bounds a statement: a database that does not answer is unavailable. Used by [`on!`](crate::on).
pub async fn within<T>(limit: Duration, statement: impl Future<Output = Result<T, Error>>) -> Result<T, DbError> {
    match tokio::time::timeout(limit, statement).await {
        Ok(result) => result.map_err(DbError::from),
        Err(_) => Err(DbError::Unavailable("no answer in time".to_owned())),
    }
}
