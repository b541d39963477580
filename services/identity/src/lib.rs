#![doc = include_str!("../README.md")]

mod account_file;
mod api;
mod attempts;
mod authenticate;
mod challenge;
mod client;
mod config;
mod device;
mod email;
mod erasure;
mod error;
mod hasher;
mod jobs;
mod keys;
mod letter;
mod line_file;
mod notice;
mod own_token;
mod password;
mod profile;
mod refresh;
mod role;
mod schema;
mod security;
mod spread;
mod store;
mod token;
mod wish;

use std::sync::Arc;

use anyhow::Context as _;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use quartet_chassis::bus::Bus;
use quartet_chassis::db::{Db, Migrations};
use quartet_chassis::guard::Guard;
use quartet_chassis::id::Id;
use quartet_chassis::mail::Mailer;
use quartet_chassis::outbox::{Lane, Outbox};
use quartet_chassis::parts::Parts;
use quartet_chassis::serve::Check;
use quartet_proto::identity::v1::account_feed_service_server::AccountFeedServiceServer;
use quartet_proto::identity::v1::account_import_service_server::AccountImportServiceServer;
use quartet_proto::identity::v1::account_service_server::AccountServiceServer;
use quartet_proto::identity::v1::administration_service_server::AdministrationServiceServer;
use quartet_proto::identity::v1::audit_service_server::AuditServiceServer;
use quartet_proto::identity::v1::client_service_server::ClientServiceServer;
use quartet_proto::identity::v1::directory_service_server::DirectoryServiceServer;
use quartet_proto::identity::v1::email_change_service_server::EmailChangeServiceServer;
use quartet_proto::identity::v1::erasure_service_server::ErasureServiceServer;
use quartet_proto::identity::v1::key_service_server::KeyServiceServer;
use quartet_proto::identity::v1::profile_service_server::ProfileServiceServer;
use quartet_proto::identity::v1::revocation_service_server::RevocationServiceServer;
use quartet_proto::identity::v1::role_service_server::RoleServiceServer;
use quartet_proto::identity::v1::session_service_server::SessionServiceServer;
use secrecy::ExposeSecret as _;
use tonic::service::Routes;

use crate::api::account::AccountApi;
use crate::api::account_feed::AccountFeedApi;
use crate::api::account_import::AccountImportApi;
use crate::api::administration::AdministrationApi;
use crate::api::audit::AuditApi;
use crate::api::client::ClientApi;
use crate::api::directory::DirectoryApi;
use crate::api::email_change::EmailChangeApi;
use crate::api::erasure::ErasureApi;
use crate::api::issue_token::Issuer;
use crate::api::key::KeyApi;
use crate::api::profile::ProfileApi;
use crate::api::revocation::RevocationApi;
use crate::api::role::RoleApi;
use crate::api::session::SessionApi;
use crate::attempts::Attempts;
use crate::authenticate::Authenticator;
use crate::client::ClientKeys;
pub use crate::config::{Audience, Config, PolicyKind};
use crate::device::DeviceKey;
use crate::error::Error;
use crate::hasher::Hasher;
use crate::keys::Keys;
use crate::letter::Letters;
use crate::password::{Pepper, Policy};
use crate::refresh::RefreshKey;
use crate::store::Store;
use crate::store::account::State;

const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");
const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
const MIGRATIONS: Migrations = Migrations { postgres: || POSTGRES, sqlite: || SQLITE };

/// Identity, ready to be called.
pub struct Service {
    pub guard: Guard,
    pub check: Check,
    /// What waits to be mailed.
    pub outbox: Outbox,
}

/// Opens identity's database, which [`migrate`] has brought up to date.
pub async fn open(config: &Config, parts: &Parts) -> anyhow::Result<Db> {
    let url = config.database_url.as_ref().context("identity needs `--identity-database-url`")?;
    parts.open(url.expose_secret(), MIGRATIONS).await.context("can't open identity's database")
}

/// Brings identity's database up to this program's version.
pub async fn migrate(config: &Config, parts: &Parts) -> anyhow::Result<()> {
    open(config, parts).await?.migrate().await.context("can't migrate identity's database")
}

/// Starts the service. A SQLite file is migrated first; a PostgreSQL database is migrated by a step of its own, see [`migrate`]. One
/// that can't be reached yet is no hindrance: the check says so until it can.
pub async fn start(config: &Config, parts: &Parts, mailer: Mailer) -> anyhow::Result<Service> {
    let (store, keys, guard) = assemble(config, parts).await?;
    let outbox = store.outbox().clone();
    let revoked = match keys.prepare().await {
        Ok(()) => store.live_revocations(None).await.map_err(Error::from),
        Err(error) => Err(error),
    };
    match &parts.bus {
        Bus::Local(revocations) => {
            revocations.apply(&revoked?);
            revocations.set_complete();
        }
        Bus::Redis(_) => {
            match revoked {
                // What an instance that is no more had not told yet counts here from the first call on.
                Ok(revoked) => parts.auth.revocations().apply(&revoked),
                Err(Error::Db(error)) => tracing::warn!(%error, "identity's database can't be read yet"),
                Err(error) => return Err(error.into()),
            }
            parts.spawn(spread::spread(store.clone(), parts.bus.clone(), Id::new(&parts.clock)));
        }
    }
    let odds = challenge::odds(config.code_digits);
    tracing::info!(odds, "the odds to guess a code of one account within a day");
    parts.spawn(keys.clone().follow());
    parts.spawn(jobs::sweep(store.clone(), keys.clone(), Id::new(&parts.clock)));
    // Ends by itself when the process stops, to leave nothing claimed behind.
    parts.tasks.spawn(send_mails(outbox.clone(), store.clone(), config, mailer.clone()));
    parts.spawn(erasure::erase(store.clone(), mailer, parts.faults.clone(), Id::new(&parts.clock)));

    let check: Check = Arc::new(move || {
        let (store, keys) = (store.clone(), keys.clone());
        Box::pin(async move { keys.is_ready() && store.is_ready().await })
    });
    Ok(Service { guard, check, outbox })
}

/// Starts the service for a command: it answers calls and does nothing else. Mail, sweeping and spreading are left to the servers.
pub async fn start_idle(config: &Config, parts: &Parts) -> anyhow::Result<Guard> {
    let (_, keys, guard) = assemble(config, parts).await?;
    keys.prepare().await?;
    Ok(guard)
}

async fn assemble(config: &Config, parts: &Parts) -> anyhow::Result<(Store, Keys, Guard)> {
    let db = open(config, parts).await?;
    if db.is_sqlite() {
        db.migrate().await.context("can't migrate identity's database")?;
    }
    let outbox = Outbox::new("identity", db.clone(), parts);
    let store = Store::new(db, outbox, config, parts);
    let keys = Keys::new(store.clone(), config, parts);
    let pepper = Pepper::new(&parts.master.derive("identity password pepper"));
    let hasher = Hasher::start(pepper, config.bcrypt_cost, usize::from(config.password_queue), parts.faults.clone())?;
    let guard = Guard::new("identity", routes(config, parts, &store, &keys, &hasher), parts)?;
    Ok((store, keys, guard))
}

fn routes(config: &Config, parts: &Parts, store: &Store, keys: &Keys, hasher: &Hasher) -> Routes {
    let (store, keys, hasher) = (|| store.clone(), || keys.clone(), || hasher.clone());
    let policy = Policy::of(config);
    let first_state = if config.require_verified_email { State::Pending } else { State::Active };
    let silent = config.silent_registration;
    let refresh_key = RefreshKey::new(&parts.master.derive("identity refresh token"));
    let auth = parts.auth.clone();
    let attempts = Attempts::new(config, parts);
    let client_keys = ClientKeys::new(parts.master.tagger("identity client key"));
    let issuer = Issuer { store: store(), keys: keys(), attempts: attempts.clone(), client_keys: client_keys.clone() };
    let authenticator = Authenticator {
        store: store(),
        hasher: hasher(),
        attempts,
        devices: DeviceKey::new(&parts.master.derive("identity device token")),
    };

    Routes::new(AccountServiceServer::new(AccountApi {
        store: store(),
        hasher: hasher(),
        authenticator: authenticator.clone(),
        policy,
        first_state,
        silent,
    }))
    .add_service(EmailChangeServiceServer::new(EmailChangeApi { store: store(), authenticator: authenticator.clone() }))
    .add_service(SessionServiceServer::new(SessionApi {
        store: store(),
        authenticator,
        keys: keys(),
        refresh_key,
        auth,
        issuer,
    }))
    .add_service(ProfileServiceServer::new(ProfileApi { store: store(), open_to: config.directory }))
    .add_service(DirectoryServiceServer::new(DirectoryApi { store: store(), open_to: config.directory }))
    .add_service(AccountImportServiceServer::new(AccountImportApi { store: store(), unverified: first_state }))
    .add_service(AccountFeedServiceServer::new(AccountFeedApi { store: store(), parts: parts.clone() }))
    .add_service(ErasureServiceServer::new(ErasureApi { store: store() }))
    .add_service(ClientServiceServer::new(ClientApi { store: store(), keys: client_keys, clock: parts.clock.clone() }))
    .add_service(KeyServiceServer::new(KeyApi { keys: keys() }))
    .add_service(RevocationServiceServer::new(RevocationApi { store: store(), parts: parts.clone() }))
    .add_service(RoleServiceServer::new(RoleApi { store: store() }))
    .add_service(AuditServiceServer::new(AuditApi { store: store() }))
    .add_service(AdministrationServiceServer::new(AdministrationApi {
        store: store(),
        hasher: hasher(),
        policy,
    }))
}

/// Sends letters from the outbox until the process stops.
fn send_mails(
    outbox: Outbox,
    store: Store,
    config: &Config,
    mailer: Mailer,
) -> impl Future<Output = ()> + Send + use<> {
    let letters = Letters::new(&config.frontend_url);
    outbox.work(Lane::WHOLE, move |job| {
        let (store, letters, mailer) = (store.clone(), letters.clone(), mailer.clone());
        async move { jobs::carry_out(job, &store, &letters, &mailer).await }
    })
}
