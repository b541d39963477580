//! Who a caller is: access tokens, service tokens, and what has been revoked.

pub mod access;
mod follow;
mod hold;
mod link;
mod revocation;
mod token;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use aws_lc_rs::digest;
use quartet_proto::r#type::v1::ErrorReason;
use quick_cache::sync::Cache;
use tokio::sync::Notify;
use tonic::Code;

pub use self::link::{LINK_TYPE, LONGEST_LINK, Link};
pub use self::revocation::{KEPT, NotATarget, Revocation, Revocations, Target};
pub use self::token::{ACCESS_TYPE, AUDIENCE, Actor, Claims, ISSUER, PublicKey, SERVICE_TYPE};
use self::token::{KeySet, ServiceClaims, ServiceKey};
use crate::clock::{Clock, unix_seconds};
use crate::failure::Failure;

/// How many verified tokens are remembered.
const REMEMBERED: usize = 16 * 1024;
/// How long a service token lives, in seconds. It is renewed at half of it.
const SERVICE_TOKEN: i64 = 120;
/// How long a token signed with a key that is not known waits for the keys to be fetched.
const KEY_WAIT: Duration = Duration::from_millis(1500);

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    Missing,
    Invalid,
    Expired,
    /// The account has changed since, or the key was withdrawn.
    Stale,
    Revoked,
    /// It can't be known at this moment whether the token is good.
    Unknown,
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        let (reason, message) = match refusal {
            Refusal::Missing => (ErrorReason::TokenMissing, "this call needs an access token"),
            Refusal::Invalid => (ErrorReason::TokenInvalid, "the access token is not valid"),
            Refusal::Expired => (ErrorReason::TokenExpired, "the access token has expired"),
            Refusal::Stale => (ErrorReason::TokenStale, "the account or the key has changed: refresh the token"),
            Refusal::Revoked => (ErrorReason::SessionRevoked, "the session has ended"),
            Refusal::Unknown => return Failure::unavailable("list of revoked tokens"),
        };
        Failure::new(Code::Unauthenticated, reason, message)
    }
}

/// Verifies tokens. One per process, shared by its services and its gateway.
#[derive(Clone)]
pub struct Auth(Arc<Inner>);

struct Inner {
    clock: Clock,
    keys: ArcSwap<KeySet>,
    verified: Cache<[u8; 32], Arc<Claims>>,
    revocations: Revocations,
    service_key: ServiceKey,
    service_tokens: Mutex<std::collections::HashMap<(String, String), (String, i64)>>,
    verified_services: Cache<[u8; 32], Arc<ServiceClaims>>,
    key_wanted: Notify,
    keys_changed: Notify,
}

impl Auth {
    /// `secret` is what the roles of the installation share to know each other.
    pub fn new(clock: Clock, secret: &[u8]) -> Auth {
        Auth(Arc::new(Inner {
            clock,
            keys: ArcSwap::default(),
            verified: Cache::new(REMEMBERED),
            revocations: Revocations::default(),
            service_key: ServiceKey::new(secret),
            service_tokens: Mutex::default(),
            verified_services: Cache::new(64),
            key_wanted: Notify::new(),
            keys_changed: Notify::new(),
        }))
    }

    pub fn revocations(&self) -> &Revocations {
        &self.0.revocations
    }

    /// Replaces the keys that access tokens are accepted from.
    pub fn set_keys(&self, keys: &[PublicKey]) {
        self.0.keys.store(Arc::new(KeySet::new(keys)));
        self.0.keys_changed.notify_waiters();
    }

    /// Whether tokens can be verified: keys and revocations have come once. Whether what came is too old now is asked with each token.
    pub fn is_ready(&self) -> bool {
        !self.0.keys.load().is_empty() && self.0.revocations.has_been_known()
    }

    /// Verifies an access token that is shown to the services of `context`, from memory alone.
    pub fn verify_now(&self, token: &str, context: &str) -> Result<Arc<Claims>, Refusal> {
        let hash = hash(token);
        let keys = self.0.keys.load();
        let claims = match self.0.verified.get(&hash) {
            // A key that is withdrawn takes what it signed along, also what is remembered.
            Some(claims) if keys.contains(&claims.kid) => claims,
            Some(_) => return Err(Refusal::Stale),
            None => {
                let claims = Arc::new(keys.decode(token)?);
                self.0.verified.insert(hash, claims.clone());
                claims
            }
        };
        // What is remembered says nothing of who was asked the first time: the audience counts at every call.
        if !claims.is_for(context) {
            return Err(Refusal::Invalid);
        }
        claims.check_time(self.0.clock.now())?;
        self.0.revocations.check(&claims)?;
        Ok(claims)
    }

    /// Verifies an access token that is shown to the services of `context`. One signed with a key that is new to us waits a moment for
    /// the keys to be fetched.
    pub async fn verify(&self, token: &str, context: &str) -> Result<Arc<Claims>, Refusal> {
        let verified = self.verify_now(token, context);
        if verified != Err(Refusal::Invalid) {
            return verified;
        }
        let Some(kid) = token::unverified_kid(token) else { return verified };
        // Of several instances of identity, the one that is asked first may not have read a new key itself yet.
        let fetched = async {
            while !self.0.keys.load().contains(&kid) {
                let changed = self.0.keys_changed.notified();
                self.0.key_wanted.notify_one();
                changed.await;
            }
        };
        tokio::time::timeout(KEY_WAIT, fetched).await.ok();
        if self.0.keys.load().is_empty() { Err(Refusal::Unknown) } else { self.verify_now(token, context) }
    }

    /// A token with which `service` calls the services of the context `audience`.
    pub fn service_token(&self, service: &str, audience: &str) -> Result<String, Refusal> {
        let now = unix_seconds(self.0.clock.now());
        let mut tokens = self.0.service_tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (service.to_owned(), audience.to_owned());
        if let Some((token, expire)) = tokens.get(&key)
            && (now + SERVICE_TOKEN / 2..=now + SERVICE_TOKEN).contains(expire)
        {
            return Ok(token.clone());
        }
        let expire = now + SERVICE_TOKEN;
        let token = self.0.service_key.sign(service, audience, expire)?;
        tokens.insert(key, (token.clone(), expire));
        Ok(token)
    }

    /// The name of the service that shows this token to the context `audience`.
    pub fn verify_service(&self, token: &str, audience: &str) -> Result<String, Refusal> {
        let hash = hash(token);
        let claims = match self.0.verified_services.get(&hash) {
            Some(claims) => claims,
            None => {
                let claims = Arc::new(self.0.service_key.verify(token)?);
                self.0.verified_services.insert(hash, claims.clone());
                claims
            }
        };
        claims.check(audience, self.0.clock.now())?;
        Ok(claims.sub.clone())
    }
}

fn hash(token: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
    hash
}
