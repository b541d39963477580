//! PostgreSQL: a pool whose every wait is bounded.

use std::time::Duration;

use anyhow::Context as _;
use diesel::ConnectionError;
use diesel_async::pooled_connection::deadpool::{Object, Pool};
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod};
use diesel_async::{
    AnsiTransactionManager, AsyncConnection as _, AsyncPgConnection, SimpleAsyncConnection as _,
    TransactionManager as _,
};

use super::error::DbError;
use super::within;
use crate::faults::AtCommit;

/// How long a call waits for a connection.
const CHECKOUT: Duration = Duration::from_millis(1800);
/// Connections a process holds at most. A fleet's processes share the server's limit (100 by default).
const CONNECTIONS: usize = 16;
/// The server's own bounds, for statements whose client has gone.
const SESSION: &str = "set statement_timeout = '60s'; set lock_timeout = '5s'; \
     set idle_in_transaction_session_timeout = '30s'; set timezone = 'UTC'";
/// All statements of such a transaction see what its first one sees.
const SNAPSHOT: &str = "begin isolation level repeatable read, read only";

#[derive(Clone)]
pub(super) struct Postgres {
    pool: Pool<AsyncPgConnection>,
    url: String,
}

/// A pooled connection, and how long each of its statements may take.
pub struct PgConn {
    conn: Object<AsyncPgConnection>,
    limit: Duration,
}

impl Postgres {
    pub fn open(url: &str) -> anyhow::Result<Postgres> {
        let mut config = ManagerConfig::<AsyncPgConnection>::default();
        config.recycling_method = RecyclingMethod::Fast;
        config.custom_setup = Box::new(|url| Box::pin(connect(url)));
        let manager = AsyncDieselConnectionManager::<AsyncPgConnection>::new_with_config(url, config);
        let pool = Pool::builder(manager)
            .max_size(CONNECTIONS)
            .wait_timeout(Some(CHECKOUT))
            .create_timeout(Some(CHECKOUT))
            .recycle_timeout(Some(CHECKOUT))
            .runtime(deadpool::Runtime::Tokio1)
            .build()
            .context("can't make a pool of connections")?;
        Ok(Postgres { pool, url: url.to_owned() })
    }

    /// A connection outside the pool, without bounds, for migrations.
    pub async fn connect_alone(&self) -> Result<AsyncPgConnection, ConnectionError> {
        AsyncPgConnection::establish(&self.url).await
    }

    pub async fn get(&self, limit: Duration) -> Result<PgConn, DbError> {
        let conn = self.pool.get().await.map_err(|error| DbError::Unavailable(error.to_string()))?;
        Ok(PgConn { conn, limit })
    }

    pub async fn begin(&self, limit: Duration) -> Result<PgConn, DbError> {
        let mut conn = self.get(limit).await?;
        within(limit, AnsiTransactionManager::begin_transaction(&mut *conn.conn)).await?;
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
        within(self.limit, AnsiTransactionManager::begin_transaction_sql(&mut *self.conn, SNAPSHOT)).await
    }

    pub(super) async fn end_snapshot(&mut self) -> Result<(), DbError> {
        within(self.limit, AnsiTransactionManager::rollback_transaction(&mut *self.conn)).await
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
            Err(_) => within(self.limit, AnsiTransactionManager::rollback_transaction(&mut *self.conn)).await,
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

async fn connect(url: &str) -> Result<AsyncPgConnection, ConnectionError> {
    let mut conn = AsyncPgConnection::establish(url).await?;
    conn.batch_execute(SESSION).await.map_err(ConnectionError::CouldntSetupConfiguration)?;
    Ok(conn)
}
