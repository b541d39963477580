#![doc = include_str!("../README.md")]

mod api;
mod config;
mod error;
mod schema;
mod store;

use std::sync::Arc;

use anyhow::Context as _;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use futures_util::FutureExt as _;
use quartet_chassis::db::{Db, Migrations};
use quartet_chassis::guard::Guard;
use quartet_chassis::parts::Parts;
use quartet_chassis::serve::Check;
use quartet_chassis::upstream::Upstream;
use secrecy::ExposeSecret as _;
use tonic::service::Routes;

pub use self::config::Config;
use self::store::Store;

const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");
const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
const MIGRATIONS: Migrations = Migrations { postgres: || POSTGRES, sqlite: || SQLITE };

/// The running service.
pub struct Service {
    pub guard: Guard,
    pub check: Check,
}

/// Opens messaging's database, which [`migrate`] has brought up to date.
async fn open(config: &Config, parts: &Parts) -> anyhow::Result<Db> {
    let url = config.database_url.as_ref().context("messaging needs `--messaging-database-url`")?;
    Db::open(url.expose_secret(), MIGRATIONS, parts.faults.clone()).await.context("can't open messaging's database")
}

/// Brings messaging's database up to this program's version.
pub async fn migrate(config: &Config, parts: &Parts) -> anyhow::Result<()> {
    open(config, parts).await?.migrate().await.context("can't migrate messaging's database")
}

/// Starts the service. A SQLite file is migrated first; a PostgreSQL database is migrated by a step of its own, see [`migrate`]. It
/// follows the accounts of `identity`, which need not be there yet.
pub async fn start(config: &Config, parts: &Parts, identity: Upstream) -> anyhow::Result<Service> {
    let (db, _store, guard) = assemble(config, parts).await?;
    let _ = identity;
    let check: Check = Arc::new(move || {
        let db = db.clone();
        async move { db.is_ready().await }.boxed()
    });
    Ok(Service { guard, check })
}

/// Starts the service for a command: it answers calls and does nothing else.
pub async fn start_idle(config: &Config, parts: &Parts) -> anyhow::Result<Guard> {
    let (_, _, guard) = assemble(config, parts).await?;
    Ok(guard)
}

async fn assemble(config: &Config, parts: &Parts) -> anyhow::Result<(Db, Store, Guard)> {
    let db = open(config, parts).await?;
    if db.is_sqlite() {
        db.migrate().await.context("can't migrate messaging's database")?;
    }
    let store = Store::new(db.clone(), parts.clock.clone());
    let routes = Routes::default();
    Ok((db, store, Guard::new("messaging", routes, parts)?))
}
