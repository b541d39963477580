#![doc = include_str!("../README.md")]

mod api;
mod check;
mod config;
mod digest;
mod error;
mod kind;
mod objects;
mod project;
mod range;
mod schema;
mod sniff;
mod store;
mod transcript;
mod turns;
mod upkeep;
mod upload;
mod upload_stream;
mod uploader;

use std::sync::Arc;

use anyhow::Context as _;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use futures_util::FutureExt as _;
use quartet_chassis::accounts::Follower;
use quartet_chassis::db::{Db, Migrations};
use quartet_chassis::guard::Guard;
use quartet_chassis::limits::{self, Room};
use quartet_chassis::parts::Parts;
use quartet_chassis::serve::Check;
use quartet_chassis::upstream::Upstream;
use quartet_proto::media::v1::media_service_server::MediaServiceServer;
use quartet_proto::media::v1::project_member_service_server::ProjectMemberServiceServer;
use quartet_proto::media::v1::project_service_server::ProjectServiceServer;
use quartet_proto::media::v1::upload_service_server::UploadServiceServer;
use secrecy::ExposeSecret as _;
use tonic::service::Routes;

use self::api::media::MediaApi;
use self::api::project::ProjectApi;
use self::api::project_member::ProjectMemberApi;
use self::api::streams::Streams;
use self::api::upload::UploadApi;
pub use self::config::{Config, StoreKind};
use self::objects::Objects;
use self::store::{Limits, Store};
use self::uploader::Uploader;

const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");
const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
const MIGRATIONS: Migrations = Migrations { postgres: || POSTGRES, sqlite: || SQLITE };

/// The rpc whose messages are longer than others.
const PUT_CHUNK: &str = "/quartet.media.v1.UploadService/PutChunk";

/// The running service.
pub struct Service {
    pub guard: Guard,
    pub check: Check,
}

/// Opens media's database, which [`migrate`] has brought up to date.
async fn open(config: &Config, parts: &Parts) -> anyhow::Result<Db> {
    let url = config.database_url.as_ref().context("media needs `--media-database-url`")?;
    parts.open(url.expose_secret(), MIGRATIONS).await.context("can't open media's database")
}

/// Brings media's database up to this program's version.
pub async fn migrate(config: &Config, parts: &Parts) -> anyhow::Result<()> {
    open(config, parts).await?.migrate().await.context("can't migrate media's database")
}

/// Starts the service. A SQLite file is migrated first; a PostgreSQL database is migrated by a step of its own, see [`migrate`]. It
/// follows the accounts of `identity`, which need not be there yet.
pub async fn start(config: &Config, parts: &Parts, identity: Upstream) -> anyhow::Result<Service> {
    let Assembled { db, store, objects, guard } = assemble(config, parts).await?;
    upkeep::start(&store, objects.clone(), parts);
    check::start(&store, objects.clone(), parts);
    parts.spawn(Follower::new("media", db.clone(), store, identity, parts).run());
    parts.spawn(async move {
        // A wrong bucket is better known now than at the first upload. Nothing else waits for it.
        if let Err(error) = objects.is_ready().await {
            tracing::warn!(%error, "object store unavailable");
        }
    });
    let check: Check = Arc::new(move || {
        let db = db.clone();
        async move { db.is_ready().await }.boxed()
    });
    Ok(Service { guard, check })
}

/// Starts the service for a command: it answers calls and does nothing else.
pub async fn start_idle(config: &Config, parts: &Parts) -> anyhow::Result<Guard> {
    Ok(assemble(config, parts).await?.guard)
}

/// What the service consists of, before any of it does anything by itself.
struct Assembled {
    db: Db,
    store: Store,
    objects: Objects,
    guard: Guard,
}

async fn assemble(config: &Config, parts: &Parts) -> anyhow::Result<Assembled> {
    let db = open(config, parts).await?;
    if db.is_sqlite() {
        db.migrate().await.context("can't migrate media's database")?;
    }
    let store = Store::new(db.clone(), parts.clock.clone(), Limits::from(config));
    let objects = Objects::open(config, parts).await?;
    let projects = ProjectServiceServer::new(ProjectApi { store: store.clone() });
    let members = ProjectMemberServiceServer::new(ProjectMemberApi { store: store.clone() });
    let media = MediaServiceServer::new(MediaApi::new(store.clone(), objects.clone(), config, parts));
    let uploads = uploads(&store, &objects, parts);
    let routes = Routes::new(projects).add_service(members).add_service(media).add_service(uploads);
    let guard = Guard::new("media", routes, parts)?;
    Ok(Assembled { db, store, objects, guard })
}

fn uploads(store: &Store, objects: &Objects, parts: &Parts) -> UploadServiceServer<UploadApi> {
    let uploader = Uploader::new(store.clone(), objects.clone());
    let api = UploadApi {
        store: store.clone(),
        uploader,
        tasks: parts.tasks.clone(),
        room: Room::default(),
        streams: Streams::default(),
    };
    UploadServiceServer::new(api).max_decoding_message_size(limits::message(PUT_CHUNK))
}
