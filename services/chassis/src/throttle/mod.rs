//! How often somebody may do something, counted for all instances together: in Redis, or in this process where there is none.
//!
//! Redis only makes the counting common. While it is away or slow each instance counts by itself, and nothing waits for it.

mod local;
mod redis;

use std::time::Duration;

use chrono::TimeDelta;

pub use self::local::LocalThrottle;
pub use self::redis::RedisThrottle;
use crate::bus::Bus;
use crate::clock::{Clock, Time};

/// A bucket of so many tokens, one of which comes back each `refill_every`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    pub burst: u32,
    pub refill_every: TimeDelta,
}

/// Somebody's bucket. Its key says nothing to whoever reads it: a tag of the master key's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    pub key: String,
    pub quota: Quota,
}

/// A set of at most so many different marks, each of which is forgotten when it was not renewed for the window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crowd {
    pub key: String,
    pub limit: u32,
    pub window: TimeDelta,
}

/// Counts.
#[derive(Clone)]
#[expect(clippy::large_enum_variant, reason = "there are a few per process")]
pub enum Throttle {
    Local(LocalThrottle),
    Redis(RedisThrottle),
}

impl Throttle {
    /// Counts where the processes meet.
    pub fn new(bus: &Bus, clock: &Clock) -> Throttle {
        let local = LocalThrottle::new(clock.clone());
        match bus {
            Bus::Local(_) => Throttle::Local(local),
            Bus::Redis(bus) => Throttle::Redis(RedisThrottle::new(bus.clone(), clock.clone(), local)),
        }
    }

    /// Takes one of each bucket, or none at all and says how long until there is one of each.
    pub async fn take_all(&self, buckets: &[Bucket]) -> Result<(), Duration> {
        self.take_of_each(buckets, 1).await
    }

    /// Takes so many of a bucket, or none.
    pub async fn take_many(&self, bucket: &Bucket, count: u32) -> Result<(), Duration> {
        self.take_of_each(std::slice::from_ref(bucket), count).await
    }

    async fn take_of_each(&self, buckets: &[Bucket], count: u32) -> Result<(), Duration> {
        match self {
            Throttle::Local(local) => local.take_many(buckets, count),
            Throttle::Redis(redis) => redis.take_many(buckets, count).await,
        }
    }

    pub async fn take(&self, bucket: &Bucket) -> Result<(), Duration> {
        self.take_all(std::slice::from_ref(bucket)).await
    }

    /// Undoes a [`take_all`](Self::take_all).
    pub async fn give_back(&self, buckets: &[Bucket]) {
        match self {
            Throttle::Local(local) => local.give_back(buckets),
            Throttle::Redis(redis) => redis.give_back(buckets).await,
        }
    }

    /// Fills a bucket.
    pub async fn reset(&self, key: &str) {
        match self {
            Throttle::Local(local) => local.reset(key),
            Throttle::Redis(redis) => redis.reset(key).await,
        }
    }

    /// Adds a mark or renews it, and says whether it was there before. A new one that does not fit is told how long until it might.
    pub async fn join(&self, crowd: &Crowd, mark: &str) -> Result<bool, Duration> {
        match self {
            Throttle::Local(local) => local.join(crowd, mark),
            Throttle::Redis(redis) => redis.join(crowd, mark).await,
        }
    }

    /// Takes a mark away.
    pub async fn leave(&self, crowd: &Crowd, mark: &str) {
        match self {
            Throttle::Local(local) => local.leave(crowd, mark),
            Throttle::Redis(redis) => redis.leave(crowd, mark).await,
        }
    }
}

fn milliseconds(time: Time) -> i64 {
    time.and_utc().timestamp_millis()
}

fn wait(milliseconds: i64) -> Duration {
    Duration::from_millis(milliseconds.max(0).unsigned_abs())
}

impl Quota {
    fn interval(&self) -> i64 {
        self.refill_every.num_milliseconds().max(1)
    }

    /// How long an empty bucket takes to fill.
    fn whole(&self) -> i64 {
        self.interval().saturating_mul(i64::from(self.burst))
    }
}
