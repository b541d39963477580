#![doc = include_str!("../README.md")]

mod api;
mod config;
mod conversation;
mod error;
mod live;
mod message;
mod message_upkeep;
mod push;
mod rates;
mod reaction;
mod schema;
mod search;
mod store;
mod turns;
mod upkeep;

use std::sync::Arc;

use anyhow::Context as _;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use futures_util::FutureExt as _;
use quartet_chassis::accounts::Follower;
use quartet_chassis::db::{Db, Migrations};
use quartet_chassis::guard::Guard;
use quartet_chassis::outbox::Outbox;
use quartet_chassis::parts::Parts;
use quartet_chassis::serve::Check;
use quartet_chassis::upstream::Upstream;
use quartet_proto::messaging::v1::conversation_service_server::ConversationServiceServer;
use quartet_proto::messaging::v1::device_service_server::DeviceServiceServer;
use quartet_proto::messaging::v1::event_service_server::EventServiceServer;
use quartet_proto::messaging::v1::message_service_server::MessageServiceServer;
use quartet_proto::messaging::v1::participant_service_server::ParticipantServiceServer;
use quartet_proto::messaging::v1::receipt_service_server::ReceiptServiceServer;
use secrecy::ExposeSecret as _;
use tonic::service::Routes;

use self::api::conversation::ConversationApi;
use self::api::device::DeviceApi;
use self::api::event::EventApi;
use self::api::live::{Live, LiveApi};
use self::api::message::MessageApi;
use self::api::participant::ParticipantApi;
use self::api::receipt::ReceiptApi;
pub use self::config::Config;
use self::live::Hub;
use self::push::Push;
use self::rates::Rates;
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
    parts.open(url.expose_secret(), MIGRATIONS).await.context("can't open messaging's database")
}

/// Brings messaging's database up to this program's version.
pub async fn migrate(config: &Config, parts: &Parts) -> anyhow::Result<()> {
    open(config, parts).await?.migrate().await.context("can't migrate messaging's database")
}

/// Starts the service. A SQLite file is migrated first; a PostgreSQL database is migrated by a step of its own, see [`migrate`]. It
/// follows the accounts of `identity`, which need not be there yet.
pub async fn start(config: &Config, parts: &Parts, identity: Upstream) -> anyhow::Result<Service> {
    let (db, store, push, guard) = assemble(config, parts).await?;
    message_upkeep::start(&store, config.retention_days, parts);
    upkeep::start(&store, parts);
    push::start(&store, &push, &identity, parts);
    live::run(&store, parts);
    parts.spawn(Follower::new("messaging", db.clone(), store, identity, parts).run());
    let check: Check = Arc::new(move || {
        let db = db.clone();
        async move { db.is_ready().await }.boxed()
    });
    Ok(Service { guard, check })
}

/// Starts the service for a command: it answers calls and does nothing else.
pub async fn start_idle(config: &Config, parts: &Parts) -> anyhow::Result<Guard> {
    let (_, _, _, guard) = assemble(config, parts).await?;
    Ok(guard)
}

async fn assemble(config: &Config, parts: &Parts) -> anyhow::Result<(Db, Store, Push, Guard)> {
    let db = open(config, parts).await?;
    if db.is_sqlite() {
        db.migrate().await.context("can't migrate messaging's database")?;
    }
    let push = Push::new(&config.push, parts)?;
    let pushes = push.is_on().then(|| Outbox::new("messaging", db.clone(), parts));
    let store = Store::new(db.clone(), parts.clock.clone(), Hub::new(parts, config), pushes);
    let rates = Rates::new(parts.throttle.clone(), config);
    let participants = config.participants;
    let conversations = ConversationApi { store: store.clone(), rates: rates.clone(), participants };
    let members = ParticipantApi { store: store.clone(), rates: rates.clone(), participants };
    let messages = MessageApi { store: store.clone(), rates: rates.clone(), edit_hours: config.edit_hours };
    let receipts = ReceiptApi { store: store.clone() };
    let devices = DeviceApi { store: store.clone(), push: push.clone(), rates: rates.clone() };
    let events = EventApi { store: store.clone(), rates };
    let live = LiveApi {
        events: events.clone(),
        messages: messages.clone(),
        receipts: receipts.clone(),
        parts: parts.clone(),
    };
    let routes = Routes::new(ConversationServiceServer::new(conversations))
        .add_service(ParticipantServiceServer::new(members))
        .add_service(Live::new(MessageServiceServer::new(messages), &live))
        .add_service(Live::new(EventServiceServer::new(events), &live))
        .add_service(ReceiptServiceServer::new(receipts))
        .add_service(DeviceServiceServer::new(devices));
    Ok((db, store, push, Guard::new("messaging", routes, parts)?))
}
