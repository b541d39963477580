#![doc = include_str!("../README.md")]

mod accounts;
mod api;
mod config;
mod country;
mod country_codes;
mod error;
mod feed;
mod filter;
mod given;
mod import_file;
mod lists;
mod money;
mod movie;
mod order;
mod schema;
mod search;
mod searches;
mod store;
mod term;
mod upkeep;

use std::sync::Arc;

use anyhow::Context as _;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use futures_util::FutureExt as _;
use quartet_chassis::db::{Db, Migrations};
use quartet_chassis::guard::Guard;
use quartet_chassis::parts::Parts;
use quartet_chassis::serve::Check;
use quartet_chassis::upstream::Upstream;
use quartet_proto::catalogue::v1::import_service_server::ImportServiceServer;
use quartet_proto::catalogue::v1::movie_service_server::MovieServiceServer;
use quartet_proto::catalogue::v1::taxonomy_service_server::TaxonomyServiceServer;
use secrecy::ExposeSecret as _;
use tonic::service::Routes;

use self::accounts::Accounts;
use self::api::import::ImportApi;
use self::api::movie::MovieApi;
use self::api::taxonomy::TaxonomyApi;
pub use self::config::Config;
use self::store::Store;

/// The largest message that the import takes: a file of 16 MiB and room for what is around it.
const IMPORT_MESSAGE: usize = 17 * 1024 * 1024;

const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");
const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
const MIGRATIONS: Migrations = Migrations { postgres: || POSTGRES, sqlite: || SQLITE };

/// The running service.
pub struct Service {
    pub guard: Guard,
    pub check: Check,
}

/// Opens the catalogue's database, which [`migrate`] has brought up to date.
async fn open(config: &Config, parts: &Parts) -> anyhow::Result<Db> {
    let url = config.database_url.as_ref().context("the catalogue needs `--catalogue-database-url`")?;
    Db::open(url.expose_secret(), MIGRATIONS, parts.faults.clone()).await.context("can't open the catalogue's database")
}

/// Brings the catalogue's database up to this program's version.
pub async fn migrate(config: &Config, parts: &Parts) -> anyhow::Result<()> {
    let db = open(config, parts).await?;
    db.migrate().await.context("can't migrate the catalogue's database")?;
    let filled = Store::new(db, parts.clock.clone()).fill_index().await;
    filled.map(drop).context("can't fill the catalogue's search index")
}

/// Starts the service. A SQLite file is migrated first; a PostgreSQL database is migrated by a step of its own, see [`migrate`]. It
/// follows the accounts of `identity`, which need not be there yet.
pub async fn start(config: &Config, parts: &Parts, identity: Upstream) -> anyhow::Result<Service> {
    let (db, store, guard) = assemble(config, parts).await?;
    parts.spawn(upkeep::run(store.clone()));
    parts.spawn(Accounts::new(store, identity, parts).run());
    let check: Check = Arc::new(move || {
        let db = db.clone();
        async move { db.is_ready().await }.boxed()
    });
    Ok(Service { guard, check })
}

/// Starts the service for a command: it answers calls and does nothing else. Following accounts is left to the servers.
pub async fn start_idle(config: &Config, parts: &Parts) -> anyhow::Result<Guard> {
    let (_, _, guard) = assemble(config, parts).await?;
    Ok(guard)
}

async fn assemble(config: &Config, parts: &Parts) -> anyhow::Result<(Db, Store, Guard)> {
    let db = open(config, parts).await?;
    if db.is_sqlite() {
        db.migrate().await.context("can't migrate the catalogue's database")?;
    }
    let store = Store::new(db.clone(), parts.clock.clone());
    let movies = MovieServiceServer::new(MovieApi::new(store.clone(), parts.clone()));
    let taxonomy = TaxonomyServiceServer::new(TaxonomyApi { store: store.clone() });
    let imports = ImportServiceServer::new(ImportApi { store: store.clone(), clock: parts.clock.clone() })
        .max_decoding_message_size(IMPORT_MESSAGE);
    let routes = Routes::new(movies).add_service(taxonomy).add_service(imports);
    Ok((db, store, Guard::new("catalogue", routes, parts)?))
}
