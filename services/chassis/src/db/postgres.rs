//! PostgreSQL: a pool whose every wait is bounded.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use deadpool::managed::Timeouts;
use diesel::ConnectionError;
use diesel_async::pooled_connection::deadpool::{Object, Pool};
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod};
use diesel_async::{
    AnsiTransactionManager, AsyncConnection as _, AsyncPgConnection, SimpleAsyncConnection as _,
    TransactionManager as _,
};

use super::error::DbError;
use super::share::Shares;
use super::{LONG, Work, within};
use crate::faults::AtCommit;
use crate::few::Place;

/// Connections a process holds at most. A fleet's processes share the server's limit (100 by default).
const CONNECTIONS: usize = 16;
/// How many of them the calls of one account hold.
const SHARE: usize = 6;
/// The server's own bounds, for statements whose client has gone.
const SESSION: &str =
    "set statement_timeout = '60s'; set idle_in_transaction_session_timeout = '30s'; set timezone = 'UTC'";
/// How long a statement waits for a row at least before it gives up.
const LOCK: Duration = Duration::from_secs(5);
/// All statements of such a transaction see what its first one sees.
const SNAPSHOT: &str = "begin isolation level repeatable read, read only";

#[derive(Clone)]
pub(super) struct Postgres {
    pool: Pool<AsyncPgConnection>,
    shares: Shares,
    url: String,
    /// How long it may take to give a connection, and then for a short statement.
    answer: Duration,
}

/// A pooled connection, how long each of its statements may take, and how long it may take to begin a transaction or to undo one.
pub struct PgConn {
    conn: Object<AsyncPgConnection>,
    limit: Duration,
    answer: Duration,
    _place: Option<Place>,
}

impl Postgres {
    pub fn open(url: &str, answer: Duration) -> anyhow::Result<Postgres> {
        let mut config = ManagerConfig::<AsyncPgConnection>::default();
        config.recycling_method = RecyclingMethod::Fast;
        config.custom_setup = Box::new(move |url| Box::pin(connect(url, answer)));
        let manager = AsyncDieselConnectionManager::<AsyncPgConnection>::new_with_config(url, config);
        let pool = Pool::builder(manager)
            .max_size(CONNECTIONS)
            .runtime(deadpool::Runtime::Tokio1)
            .build()
            .context("can't make a pool of connections")?;
        Ok(Postgres { pool, shares: Shares::new(SHARE), url: url.to_owned(), answer })
    }

    /// A connection outside the pool, without bounds, for migrations.
    pub async fn connect_alone(&self) -> Result<AsyncPgConnection, ConnectionError> {
        AsyncPgConnection::establish(&self.url).await
    }

    pub async fn get(&self, work: Work) -> Result<PgConn, DbError> {
        let began = Instant::now();
        let place = self.shares.enter(self.answer).await?;
        let left = self.answer.saturating_sub(began.elapsed());
        let wait = Timeouts { wait: Some(left), create: Some(self.answer), recycle: Some(self.answer) };
        let conn = self.pool.timeout_get(&wait).await.map_err(|error| DbError::Unavailable(error.to_string()))?;
        let limit = match work {
            Work::Short => self.answer,
            Work::Long => LONG.max(self.answer),
        };
        Ok(PgConn { conn, limit, answer: self.answer, _place: place })
    }

    pub async fn begin(&self, work: Work) -> Result<PgConn, DbError> {
        let mut conn = self.get(work).await?;
        within(self.answer, AnsiTransactionManager::begin_transaction(&mut *conn.conn)).await?;
        Ok(conn)
    }
}

impl PgConn {
    pub fn limit(&self) -> Duration {
        self.limit
    }

    pub fn inner(&mut self) -> &mut AsyncPgConnection {
        &mut self.conn
    }

    pub(super) async fn begin_snapshot(&mut self) -> Result<(), DbError> {
        within(self.answer, AnsiTransactionManager::begin_transaction_sql(&mut *self.conn, SNAPSHOT)).await
    }

    pub(super) async fn end_snapshot(&mut self) -> Result<(), DbError> {
        within(self.answer, AnsiTransactionManager::rollback_transaction(&mut *self.conn)).await
    }

    /// Commits on `Ok`, rolls back on `Err`. A connection that does neither in time is thrown away with its transaction.
    pub(super) async fn end<T, E: From<DbError>>(mut self, result: Result<T, E>, at_commit: AtCommit) -> Result<T, E> {
        let ended = match &result {
            Ok(_) => {
                at_commit.before();
                let committed = within(self.limit, AnsiTransactionManager::commit_transaction(&mut *self.conn)).await;
                at_commit.after();
                committed
            }
            Err(_) => within(self.answer, AnsiTransactionManager::rollback_transaction(&mut *self.conn)).await,
        };
        match (result, ended) {
            (Ok(value), Ok(())) => Ok(value),
            (Ok(_), Err(error)) => {
                drop(Object::take(self.conn));
                Err(error.into())
            }
            (Err(error), Ok(())) => Err(error),
            (Err(error), Err(_)) => {
                drop(Object::take(self.conn));
                Err(error)
            }
        }
    }
}

async fn connect(url: &str, answer: Duration) -> Result<AsyncPgConnection, ConnectionError> {
    let mut conn = AsyncPgConnection::establish(url).await?;
    let session = format!("{SESSION}; set lock_timeout = {}", answer.max(LOCK).as_millis());
    conn.batch_execute(&session).await.map_err(ConnectionError::CouldntSetupConfiguration)?;
    Ok(conn)
}
