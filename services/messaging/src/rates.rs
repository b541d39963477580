//! How often somebody may do what, counted for all instances together.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use quartet_chassis::id::Id;
use quartet_chassis::throttle::{Bucket, Quota, Throttle};

use crate::config::Config;
use crate::error::Error;

/// How many times somebody tells in a minute that they type.
const TYPING: u32 = 60;
/// How many pushes somebody tries in a minute.
const TEST_PUSHES: u32 = 10;

/// Counts what accounts do.
#[derive(Clone)]
pub struct Rates {
    throttle: Throttle,
    sends: u32,
    starts: u32,
    acts: u32,
    searches: u32,
}

impl Rates {
    pub fn new(throttle: Throttle, config: &Config) -> Rates {
        Rates {
            throttle,
            sends: config.sends_per_minute,
            starts: config.starts_per_minute,
            acts: config.acts_per_minute,
            searches: config.searches_per_minute,
        }
    }

    /// Counts a message.
    pub async fn send(&self, account: Id) -> Result<(), Error> {
        self.take("send", account, self.sends).await
    }

    /// Counts a conversation that is started, or people who are added to one: both look people up.
    pub async fn start(&self, account: Id) -> Result<(), Error> {
        self.take("start", account, self.starts).await
    }

    /// Counts what changes something for all in a conversation and is no message: reactions, edits, names, roles, who goes.
    pub async fn act(&self, account: Id) -> Result<(), Error> {
        self.take("act", account, self.acts).await
    }

    pub async fn search(&self, account: Id) -> Result<(), Error> {
        self.take("search", account, self.searches).await
    }

    pub async fn typing(&self, account: Id) -> Result<(), Error> {
        self.take("typing", account, TYPING).await
    }

    pub async fn test_push(&self, account: Id) -> Result<(), Error> {
        self.take("test push", account, TEST_PUSHES).await
    }

    /// Takes one of so many in a minute; of 0 there is any number.
    async fn take(&self, what: &str, account: Id, per_minute: u32) -> Result<(), Error> {
        if per_minute == 0 {
            return Ok(());
        }
        let refill_every = TimeDelta::milliseconds(60_000 / i64::from(per_minute.min(60_000)));
        let quota = Quota { burst: per_minute, refill_every };
        // The same on every instance. Half of an id is random: nobody can try all of them.
        let tag = digest(&SHA256, &[b"quartet messaging ".as_slice(), what.as_bytes(), account.as_bytes()].concat());
        let bucket = Bucket { key: URL_SAFE_NO_PAD.encode(tag), quota };
        self.throttle.take(&bucket).await.map_err(Error::RateLimited)
    }
}
