//! What lies in the database, one function per question. A function that writes is one transaction, and what must happen together
//! happens in it; a refusal that must be kept is an `Ok`.

pub mod account;
pub mod account_import;
pub mod activation;
pub mod audit;
pub mod challenge;
pub mod client;
pub mod device;
pub mod directory;
pub mod email_change;
pub mod erasure;
pub mod feed;
pub mod issue;
pub mod key;
pub mod lease;
pub mod leaving;
pub mod password;
pub mod profile;
pub mod reset;
pub mod revocation;
pub mod role;
pub mod session;
pub mod sign_in;

use std::sync::Arc;

use chrono::TimeDelta;
use quartet_chassis::auth::{Revocation, Revocations};
use quartet_chassis::bus::Bus;
use quartet_chassis::caller::Client;
use quartet_chassis::clock::{Clock, Time};
use quartet_chassis::crypt::Tagger;
use quartet_chassis::db::{Conn, Db};
use quartet_chassis::id::Id;
use quartet_chassis::outbox::Outbox;
use quartet_chassis::parts::Parts;
use tokio::sync::Notify;

use crate::challenge::Marker;
use crate::config::Config;
use crate::error::Error;
use crate::letter::{Letter, MAIL};
use crate::notice::Notice;
use crate::store::account::AccountRow;
use crate::wish::{WISH, What, Wish};

/// Identity's database, and what its transactions leave to be done after them.
#[derive(Clone)]
pub struct Store {
    db: Db,
    clock: Clock,
    outbox: Outbox,
    marker: Marker,
    bus: Bus,
    /// What this very process refuses.
    revocations: Revocations,
    rules: Rules,
    /// Told when something may have been published in the account feed.
    changes: Arc<Notify>,
    /// Told when an erasure may go on.
    erasures: Arc<Notify>,
    erasure_tagger: Tagger,
    /// Who has to report before an account is erased here.
    erasure_contexts: Arc<[String]>,
}

/// The settings that the database's rows follow.
#[derive(Debug, Clone, Copy)]
struct Rules {
    code_digits: u32,
    mails_per_hour: i32,
    session_idle: TimeDelta,
    session_life: TimeDelta,
    key_life: TimeDelta,
    revocation_life: TimeDelta,
    audit_life: TimeDelta,
    rotate: bool,
    grace: TimeDelta,
}

impl Store {
    pub fn new(db: Db, outbox: Outbox, config: &Config, parts: &Parts) -> Store {
        let rules = Rules {
            code_digits: config.code_digits,
            mails_per_hour: config.mails_per_hour,
            session_idle: config.session_idle(),
            session_life: config.session_life(),
            key_life: config.key_life(),
            revocation_life: config.revocation_life(),
            audit_life: TimeDelta::days(i64::from(config.audit_days)),
            rotate: config.rotate_refresh_tokens,
            grace: TimeDelta::seconds(i64::from(config.refresh_grace_seconds)),
        };
        Store {
            db,
            clock: parts.clock.clone(),
            outbox,
            marker: Marker::new(parts.master.tagger("identity challenge")),
            bus: parts.bus.clone(),
            revocations: parts.auth.revocations().clone(),
            rules,
            changes: Arc::default(),
            erasures: Arc::default(),
            erasure_tagger: parts.master.tagger("identity erasure"),
            erasure_contexts: config.erasure_contexts().into(),
        }
    }

    /// A store of its own, whose clock can be moved.
    #[cfg(test)]
    pub async fn in_folder(folder: &std::path::Path) -> anyhow::Result<Store> {
        use clap::{Args as _, FromArgMatches as _};
        let config = Config::augment_args(clap::Command::new("test")).try_get_matches_from(["test"])?;
        let config = Config::from_arg_matches(&config)?;
        let clock = Clock::movable(&folder.join("clock"))?;
        let auth = quartet_chassis::auth::Auth::new(clock.clone(), b"test");
        let parts = Parts {
            throttle: quartet_chassis::throttle::Throttle::Local(quartet_chassis::throttle::LocalThrottle::new(
                clock.clone(),
            )),
            clock,
            master: quartet_chassis::crypt::MasterKey::parse(&"ab".repeat(32))?,
            bus: Bus::Local(auth.revocations().clone()),
            auth,
            faults: Default::default(),
            stopping: Default::default(),
            tasks: Default::default(),
            limits: Default::default(),
        };
        let url = format!("sqlite:{}", folder.join("identity.db").display());
        let db = parts.open(&url, crate::MIGRATIONS).await?;
        db.migrate().await?;
        Ok(Store::new(db.clone(), Outbox::new("identity", db, &parts), &config, &parts))
    }

    pub fn now(&self) -> Time {
        self.clock.now()
    }

    pub fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// Whether the database answers and is migrated.
    pub async fn is_ready(&self) -> bool {
        self.db.is_ready().await
    }

    /// Writes down what somebody asks for. It is carried out behind the answer.
    pub async fn wish(&self, what: What, client: &Client) -> Result<(), Error> {
        let payload = serde_json::to_vec(&Wish::new(what, self.now(), client)).map_err(Error::defect)?;
        self.db
            .transaction(async |conn| {
                self.outbox.insert(conn, WISH, None, &payload).await?;
                Ok::<_, Error>(())
            })
            .await?;
        self.outbox.wake();
        Ok(())
    }

    /// Adds a letter to the owner of an account to the transaction.
    async fn enqueue_mail(&self, conn: &mut Conn, owner: Id, letter: &Letter) -> Result<(), Error> {
        let payload = serde_json::to_vec(letter).map_err(Error::defect)?;
        self.outbox.insert(conn, MAIL, Some(owner), &payload).await?;
        Ok(())
    }

    /// Adds a notice to the owner of an account to the transaction.
    async fn notify(&self, conn: &mut Conn, owner: &AccountRow, notice: Notice) -> Result<(), Error> {
        self.enqueue_mail(conn, owner.id, &Letter::Notice { to: owner.email.clone(), notice }).await
    }

    /// What follows a commit: letters go out, and what was revoked is refused everywhere before the caller is answered.
    async fn committed(&self, revoked: Vec<Revocation>) {
        self.outbox.wake();
        // Who hears of an account's end by the feed has mostly heard by then that its sessions are over.
        self.announce(&revoked).await;
        self.changes.notify_waiters();
    }
}
