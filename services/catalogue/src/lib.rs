#![doc = include_str!("../README.md")]

mod api;
mod config;
mod country;
mod country_codes;
mod csv_file;
mod error;
mod filter;
mod fold;
mod import_file;
mod lists;
mod money;
mod movie;
mod names;
mod order;
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
use quartet_proto::catalogue::v1::import_service_server::ImportServiceServer;
use quartet_proto::catalogue::v1::movie_service_server::MovieServiceServer;
use quartet_proto::catalogue::v1::taxonomy_service_server::TaxonomyServiceServer;
use secrecy::ExposeSecret as _;
use tonic::service::Routes;

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
    open(config, parts).await?.migrate().await.context("can't migrate the catalogue's database")
}

/// Starts the service. A SQLite file is migrated first; a PostgreSQL database is migrated by a step of its own, see [`migrate`].
pub async fn start(config: &Config, parts: &Parts) -> anyhow::Result<Service> {
    let db = open(config, parts).await?;
    if db.is_sqlite() {
        db.migrate().await.context("can't migrate the catalogue's database")?;
    }
    let store = Store::new(db.clone(), parts.clock.clone());
    let movies = MovieServiceServer::new(MovieApi::new(store.clone()));
    let taxonomy = TaxonomyServiceServer::new(TaxonomyApi { store: store.clone() });
    let imports = ImportServiceServer::new(ImportApi { store, clock: parts.clock.clone() })
        .max_decoding_message_size(IMPORT_MESSAGE);
    let routes = Routes::new(movies).add_service(taxonomy).add_service(imports);
    let guard = Guard::new("catalogue", routes, parts)?;
    let check: Check = Arc::new(move || {
        let db = db.clone();
        async move { db.is_ready().await }.boxed()
    });
    Ok(Service { guard, check })
}
