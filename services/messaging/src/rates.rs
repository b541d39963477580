//! How often somebody may do what, counted for all instances together.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use quartet_chassis::id::Id;
use quartet_chassis::throttle::{Bucket, Quota, Throttle};

use crate::config::Config;
use crate::error::Error;
use crate::store::invitation::InviteTo;

/// How many times somebody tells in a minute that they type.
const TYPING: u32 = 60;
/// How many times somebody says in a minute what is on a screen of theirs.
const LOOKS: u32 = 120;
/// How many things somebody sets in a minute for themselves: favourites, pins, mutes, clearings, devices.
const SETTINGS: u32 = 240;
/// How many pushes somebody tries in a minute.
const TEST_PUSHES: u32 = 10;
/// How many people can be named at once, whatever may be named in a minute: a large group.
const AT_ONCE: u32 = 1000;
const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

/// Counts what accounts do.
#[derive(Clone)]
pub struct Rates {
    throttle: Throttle,
    sends: u32,
    starts: u32,
    named: u32,
    misses: u32,
    strangers: u32,
    acts: u32,
    searches: u32,
    begins: u32,
}

impl Rates {
    pub fn new(throttle: Throttle, config: &Config) -> Rates {
        Rates {
            throttle,
            sends: config.sends_per_minute,
            starts: config.starts_per_minute,
            named: config.named_per_minute,
            misses: config.misses_per_hour,
            strangers: config.strangers_per_hour,
            acts: config.acts_per_minute,
            searches: config.searches_per_minute,
            begins: config.begins_per_minute,
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

    /// Counts what concerns others and is no message: reactions, edits, deletions, names, roles, who is taken out or leaves, and who is blocked
    /// or no longer.
    pub async fn act(&self, account: Id) -> Result<(), Error> {
        self.take("act", account, self.acts).await
    }

    /// Counts a stream that begins, of which a third of a minute's may come at once.
    pub async fn begin(&self, account: Id) -> Result<(), Error> {
        if self.begins == 0 {
            return Ok(());
        }
        let quota = Quota { burst: (self.begins / 3).max(1), ..quota(self.begins, MINUTE) };
        self.throttle.take(&bucket("begin", &[account], quota)).await.map_err(Error::RateLimited)
    }

    pub async fn search(&self, account: Id) -> Result<(), Error> {
        self.take("search", account, self.searches).await
    }

    pub async fn typing(&self, account: Id) -> Result<(), Error> {
        self.take("typing", account, TYPING).await
    }

    /// Counts what one sets for oneself.
    pub async fn set(&self, account: Id) -> Result<(), Error> {
        self.take("set", account, SETTINGS).await
    }

    pub async fn look(&self, account: Id) -> Result<(), Error> {
        self.take("look", account, LOOKS).await
    }

    pub async fn test_push(&self, account: Id) -> Result<(), Error> {
        self.take("test push", account, TEST_PUSHES).await
    }

    /// Counts people whom somebody names.
    pub async fn name(&self, account: Id, count: usize) -> Result<(), Error> {
        if self.named == 0 {
            return Ok(());
        }
        let quota = Quota { burst: self.named.max(AT_ONCE), ..quota(self.named, MINUTE) };
        self.many(&bucket("name", &[account], quota), count).await
    }

    /// Takes places among the addresses that may be nobody's, for so many or as many as there are, but one at least. What is answered goes to
    /// [`missed`](Self::missed).
    pub async fn miss(&self, account: Id, count: usize) -> Result<Vec<Bucket>, Error> {
        if self.misses == 0 {
            return Ok(Vec::new());
        }
        let bucket = bucket("miss", &[account], quota(self.misses, HOUR));
        match self.up_to(&bucket, count).await {
            (0, Err(error)) => Err(error),
            (taken, _) => Ok(vec![bucket; taken]),
        }
    }

    /// Keeps the places of addresses that were nobody's, and gives the others back. Where there are too few nothing is told, and nothing is left:
    /// that they were too few says already whose the addresses are not.
    pub async fn missed(&self, mut places: Vec<Bucket>, count: usize) -> Result<(), Error> {
        let Some(bucket) = places.first().cloned() else { return Ok(()) };
        if let Some(more) = count.checked_sub(places.len()) {
            return self.up_to(&bucket, more).await.1;
        }
        self.give_back(&places.split_off(count)).await;
        Ok(())
    }

    /// Counts that people are reached by somebody to whom they have never written. Of the times that a person can be, the same one takes a
    /// quarter, so that the others are not kept away by them; and whoever is brought into groups all the time can be written to directly. What
    /// is answered can be given back.
    pub async fn invite(&self, account: Id, people: &[Id], to: InviteTo) -> Result<Vec<Bucket>, Error> {
        if self.strangers == 0 || people.is_empty() {
            return Ok(Vec::new());
        }
        let what = if to == InviteTo::Direct { "reach directly" } else { "reach" };
        let by_all = |person: &Id| bucket(what, &[*person], quota(self.strangers, HOUR));
        let by_one = |person: &Id| bucket("reach", &[*person, account], quota((self.strangers / 4).max(1), HOUR));
        let buckets: Vec<Bucket> = people.iter().flat_map(|person| [by_all(person), by_one(person)]).collect();
        self.throttle.take_all(&buckets).await.map_err(Error::RateLimited)?;
        Ok(buckets)
    }

    pub async fn give_back(&self, buckets: &[Bucket]) {
        self.throttle.give_back(buckets).await;
    }

    /// Takes so many of a bucket, or what there is, which is refused: in steps, each half as large as the one that was too large.
    async fn up_to(&self, bucket: &Bucket, count: usize) -> (usize, Result<(), Error>) {
        let (mut taken, mut step) = (0, count);
        while taken < count {
            step = step.min(count - taken);
            match self.many(bucket, step).await {
                Ok(()) => taken += step,
                Err(error) if step < 2 => return (taken, Err(error)),
                Err(_) => step /= 2,
            }
        }
        (taken, Ok(()))
    }

    async fn many(&self, bucket: &Bucket, count: usize) -> Result<(), Error> {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.throttle.take_many(bucket, count).await.map_err(Error::RateLimited)
    }

    /// Takes one of so many in a minute; of 0 there is any number.
    async fn take(&self, what: &str, account: Id, per_minute: u32) -> Result<(), Error> {
        if per_minute == 0 {
            return Ok(());
        }
        self.many(&bucket(what, &[account], quota(per_minute, MINUTE)), 1).await
    }
}

/// So many in a time.
fn quota(burst: u32, milliseconds: i64) -> Quota {
    let refill_every = TimeDelta::milliseconds((milliseconds / i64::from(burst.max(1))).max(1));
    Quota { burst, refill_every }
}

/// The same on every instance. Half of an id is random: nobody can try all of them.
fn bucket(what: &str, ids: &[Id], quota: Quota) -> Bucket {
    let mut told = [b"quartet messaging ".as_slice(), what.as_bytes()].concat();
    ids.iter().for_each(|id| told.extend_from_slice(id.as_bytes()));
    Bucket { key: URL_SAFE_NO_PAD.encode(digest(&SHA256, &told)), quota }
}
