#![doc = include_str!("../README.md")]

mod api;
mod block;
mod class;
mod config;
mod country;
mod country_codes;
mod course;
mod course_file;
mod course_given;
mod error;
mod feed;
mod filter;
mod given;
mod gradebook_file;
mod grading;
mod import_file;
mod link;
mod lists;
mod money;
mod movie;
mod order;
mod people;
mod progress;
mod quiz;
mod removal;
mod right;
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
use quartet_chassis::accounts::Follower;
use quartet_chassis::db::{Db, Migrations};
use quartet_chassis::guard::Guard;
use quartet_chassis::parts::Parts;
use quartet_chassis::serve::Check;
use quartet_chassis::upstream::Upstream;
use quartet_proto::catalogue::v1::content_block_service_server::ContentBlockServiceServer;
use quartet_proto::catalogue::v1::course_service_server::CourseServiceServer;
use quartet_proto::catalogue::v1::course_teacher_service_server::CourseTeacherServiceServer;
use quartet_proto::catalogue::v1::enrolment_service_server::EnrolmentServiceServer;
use quartet_proto::catalogue::v1::grade_service_server::GradeServiceServer;
use quartet_proto::catalogue::v1::import_service_server::ImportServiceServer;
use quartet_proto::catalogue::v1::movie_service_server::MovieServiceServer;
use quartet_proto::catalogue::v1::progress_service_server::ProgressServiceServer;
use quartet_proto::catalogue::v1::section_service_server::SectionServiceServer;
use quartet_proto::catalogue::v1::taxonomy_service_server::TaxonomyServiceServer;
use secrecy::ExposeSecret as _;
use tonic::service::Routes;

use self::api::content_block::ContentBlockApi;
use self::api::course::CourseApi;
use self::api::course_teacher::CourseTeacherApi;
use self::api::enrolment::EnrolmentApi;
use self::api::grade::GradeApi;
use self::api::import::ImportApi;
use self::api::movie::MovieApi;
use self::api::progress::ProgressApi;
use self::api::section::SectionApi;
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
    parts.open(url.expose_secret(), MIGRATIONS).await.context("can't open the catalogue's database")
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
    parts.spawn(removal::run(store.clone(), parts.faults.clone()));
    parts.spawn(Follower::new("catalogue", db.clone(), store, identity, parts).run());
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
    let enrolments = EnrolmentServiceServer::new(EnrolmentApi::new(store.clone(), parts));
    let progress = ProgressServiceServer::new(ProgressApi { store: store.clone() });
    let grades = GradeServiceServer::new(GradeApi { store: store.clone() });
    let routes = Routes::new(movies).add_service(taxonomy).add_service(imports);
    let routes = with_courses(routes, &store, parts);
    let routes = routes.add_service(enrolments).add_service(progress).add_service(grades);
    Ok((db, store, Guard::new("catalogue", routes, parts)?))
}

/// Adds what makes up courses.
fn with_courses(routes: Routes, store: &Store, parts: &Parts) -> Routes {
    let tagger = parts.master.tagger("course requests");
    routes
        .add_service(CourseServiceServer::new(CourseApi { store: store.clone(), tagger }))
        .add_service(CourseTeacherServiceServer::new(CourseTeacherApi { store: store.clone() }))
        .add_service(SectionServiceServer::new(SectionApi { store: store.clone() }))
        .add_service(ContentBlockServiceServer::new(ContentBlockApi { store: store.clone() }))
}
