//! Migrations: embedded in the executable, one folder per engine with the same names in both.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, anyhow};
use diesel::{Connection as _, SqliteConnection};
use diesel_async::{AsyncMigrationHarness, RunQueryDsl as _};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness as _};

use super::{Db, Engine};

/// A service's migrations for both engines.
#[derive(Clone, Copy)]
pub struct Migrations {
    pub postgres: fn() -> EmbeddedMigrations,
    pub sqlite: fn() -> EmbeddedMigrations,
}

/// Of all Quartet's migrators of one database, one at a time works.
const LOCK: i64 = 0x5155_4152_5445_5401;

impl Db {
    /// Brings the schema up to this program's version. Two at once wait for each other.
    pub async fn migrate(&self) -> anyhow::Result<()> {
        match &self.engine {
            Engine::Postgres(postgres) => {
                let mut conn = postgres.connect_alone().await.context("can't reach the database")?;
                diesel::sql_query("select pg_advisory_lock($1)")
                    .bind::<diesel::sql_types::BigInt, _>(LOCK)
                    .execute(&mut conn)
                    .await?;
                // The lock is the connection's: it goes with it.
                let mut harness = AsyncMigrationHarness::new(conn);
                harness.run_pending_migrations((self.migrations.postgres)()).map_err(|error| anyhow!(error))?;
            }
            Engine::Sqlite(sqlite) => tokio::task::block_in_place(|| {
                let mut conn = SqliteConnection::establish(sqlite.path())?;
                conn.run_pending_migrations((self.migrations.sqlite)()).map_err(|error| anyhow!(error))?;
                anyhow::Ok(())
            })?,
        }
        self.migrated.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Whether the database answers and its schema is this program's version.
    pub async fn is_ready(&self) -> bool {
        if self.ping().await.is_err() {
            return false;
        }
        if !AtomicBool::load(&self.migrated, Ordering::Relaxed) {
            self.migrated.store(self.is_migrated().await.unwrap_or(false), Ordering::Relaxed);
        }
        AtomicBool::load(&self.migrated, Ordering::Relaxed)
    }

    async fn is_migrated(&self) -> anyhow::Result<bool> {
        let pending = match &self.engine {
            Engine::Postgres(postgres) => {
                let conn = postgres.connect_alone().await.context("can't reach the database")?;
                AsyncMigrationHarness::new(conn).has_pending_migration((self.migrations.postgres)())
            }
            Engine::Sqlite(sqlite) => tokio::task::block_in_place(|| {
                let mut conn = SqliteConnection::establish(sqlite.path())?;
                conn.has_pending_migration((self.migrations.sqlite)())
            }),
        };
        Ok(!pending.map_err(|error| anyhow!(error))?)
    }
}
