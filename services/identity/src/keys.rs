//! The keys at work: loaded from the database, changed in time, known to this process's own verification at once.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use chrono::TimeDelta;
use quartet_chassis::auth::{Auth, PublicKey};
use quartet_chassis::clock::{Clock, Time, unix_seconds};
use quartet_chassis::crypt::Sealer;
use quartet_chassis::failure::Failure;
use quartet_chassis::id::Id;
use quartet_chassis::parts::Parts;
use quartet_chassis::random;

use crate::config::Config;
use crate::error::Error;
use crate::store::Store;
use crate::store::audit::Doer;
use crate::store::key::SigningKeyRow;
use crate::token::{KeyRing, SigningKey, Subject, Terms};

/// How long a new key is published before it signs. Verifiers fetch the keys every 10 seconds.
const ANNOUNCEMENT: TimeDelta = TimeDelta::seconds(30);
/// How often this process looks whether another one has changed the keys.
const PERIOD: Duration = Duration::from_millis(700);
/// How old the copy of the keys may be that a token is signed by.
const FRESH: Duration = Duration::from_millis(100);

/// Signs access tokens.
#[derive(Clone)]
pub struct Keys {
    store: Store,
    clock: Clock,
    auth: Auth,
    sealer: Sealer,
    life: TimeDelta,
    key_life: Option<TimeDelta>,
    known: Arc<ArcSwap<Known>>,
    /// When `known` was last compared with the database.
    read: Arc<Mutex<Option<Instant>>>,
    turn: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Default)]
struct Known {
    rows: Vec<SigningKeyRow>,
    ring: KeyRing,
}

impl Keys {
    pub fn new(store: Store, config: &Config, parts: &Parts) -> Keys {
        Keys {
            store,
            clock: parts.clock.clone(),
            auth: parts.auth.clone(),
            sealer: parts.master.sealer("identity signing key"),
            life: config.access_token_life(),
            key_life: (config.key_days > 0).then(|| TimeDelta::days(i64::from(config.key_days))),
            known: Arc::default(),
            read: Arc::default(),
            turn: Arc::default(),
        }
    }

    /// Loads the keys; makes the first one where there is none.
    pub async fn prepare(&self) -> Result<(), Error> {
        self.load().await?;
        if self.known.load().rows.is_empty() {
            let now = self.clock.now();
            self.store.add_first_key(self.draw(now, now)?).await?;
            self.load().await?;
        }
        Ok(())
    }

    /// Whether a token could be signed.
    pub fn is_ready(&self) -> bool {
        self.known.load().ring.signer(self.clock.now()).is_some()
    }

    /// Signs a person's own access token; answers its life in seconds, too.
    pub async fn sign(&self, subject: &Subject) -> Result<(String, i32), Error> {
        let signer = self.signer().await?;
        let now = self.clock.now();
        self.sign_with(&signer, subject, &Terms::own(now + self.life), now)
    }

    /// Signs an access token on other terms.
    pub async fn sign_on(&self, subject: &Subject, terms: &Terms) -> Result<(String, i32), Error> {
        let signer = self.signer().await?;
        self.sign_with(&signer, subject, terms, self.clock.now())
    }

    async fn signer(&self) -> Result<Arc<SigningKey>, Error> {
        if !self.is_fresh() {
            // Another instance may just have withdrawn the key.
            self.freshen().await?;
        }
        let signer = self.known.load().ring.signer(self.clock.now());
        signer.ok_or_else(|| Error::Refused(Failure::unavailable("signing key")))
    }

    fn sign_with(
        &self,
        signer: &SigningKey,
        subject: &Subject,
        terms: &Terms,
        now: Time,
    ) -> Result<(String, i32), Error> {
        let token = signer.sign(subject, terms, Id::new(&self.clock), now)?;
        let life = unix_seconds(terms.expire) - unix_seconds(now);
        Ok((token, i32::try_from(life).unwrap_or_default()))
    }

    /// The public keys whose tokens are accepted, as the database has them: who asks may have met a key that is new to us. Those
    /// that we know while it does not answer.
    pub async fn public(&self) -> Result<Vec<PublicKey>, Error> {
        match self.load().await {
            Err(Error::Db(error)) => tracing::debug!(%error, "the keys can't be read"),
            loaded => loaded?,
        }
        self.accepted()
    }

    /// Begins the change to a new key and answers its `kid`. With `now` the earlier ones are withdrawn at once.
    pub async fn rotate(&self, now: bool, doer: Option<&Doer>) -> Result<String, Error> {
        let create = self.clock.now();
        let row = self.draw(create, if now { create } else { create + ANNOUNCEMENT })?;
        let kid = row.id.clone();
        tracing::info!(kid, withdrawn = now, "the signing key is changed");
        if now {
            self.store.replace_keys(row, doer).await?;
        } else {
            self.store.rotate_key(row, doer).await?;
        }
        self.load().await?;
        Ok(kid)
    }

    /// Changes the key when it has served its time.
    pub async fn rotate_in_time(&self) -> Result<(), Error> {
        let since = self.known.load().ring.newest_sign_time();
        let (Some(since), Some(life)) = (since, self.key_life) else { return Ok(()) };
        if since + life <= self.clock.now() { self.rotate(false, None).await.map(drop) } else { Ok(()) }
    }

    /// Follows what other processes do to the keys.
    pub async fn follow(self) {
        loop {
            tokio::time::sleep(PERIOD).await;
            let loaded = if self.is_ready() { self.load().await } else { self.prepare().await };
            if let Err(error) = loaded {
                tracing::debug!(%error, "the keys can't be read");
            }
        }
    }

    fn accepted(&self) -> Result<Vec<PublicKey>, Error> {
        self.known.load().ring.public(self.clock.now())
    }

    fn is_fresh(&self) -> bool {
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        read.is_some_and(|read| read.elapsed() < FRESH)
    }

    async fn load(&self) -> Result<(), Error> {
        // One at a time, or what was read first might be kept last.
        let _turn = self.turn.lock().await;
        self.load_in_turn().await
    }

    /// Loads the keys unless somebody has just done so.
    async fn freshen(&self) -> Result<(), Error> {
        let _turn = self.turn.lock().await;
        if self.is_fresh() { Ok(()) } else { self.load_in_turn().await }
    }

    async fn load_in_turn(&self) -> Result<(), Error> {
        // How fresh a copy is is not a thing that tests move.
        let began = Instant::now();
        let rows = self.store.signing_keys().await?;
        if rows != self.known.load().rows {
            let keys = rows.iter().map(|row| self.open(row)).collect::<Result<Vec<_>, _>>()?;
            self.known.store(Arc::new(Known { ring: KeyRing::new(keys), rows }));
            self.auth.set_keys(&self.accepted()?);
        }
        *self.read.lock().unwrap_or_else(PoisonError::into_inner) = Some(began);
        Ok(())
    }

    fn draw(&self, create_time: Time, sign_time: Time) -> Result<SigningKeyRow, Error> {
        let id = Id::new(&self.clock).to_string();
        let seed: [u8; 32] = random::bytes();
        let key = SigningKey::from_seed(id.clone(), &seed, sign_time, None)?;
        let public_key = key.public()?.x.to_vec();
        let sealed_seed = self.sealer.seal(id.as_bytes(), &seed)?;
        Ok(SigningKeyRow { id, public_key, sealed_seed, create_time, sign_time, retire_time: None })
    }

    fn open(&self, row: &SigningKeyRow) -> Result<SigningKey, Error> {
        let seed = self.sealer.open(row.id.as_bytes(), &row.sealed_seed)?;
        SigningKey::from_seed(row.id.clone(), &seed, row.sign_time, row.retire_time)
    }
}
