//! How often a password may be tried: enough for whoever forgets, far too little for whoever guesses.
//!
//! From a device that the account knows, only that device's own tries count, so nobody else can shut its owner out. From elsewhere
//! three things count at once: the address, the account whatever its address is spelled like, and how many accounts the network has
//! failed at. What is taken is taken before the password is compared, so many tries at the same time can't slip past it, and given
//! back when the password was right. An address without an account counts like one with.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use quartet_chassis::caller::Client;
use quartet_chassis::crypt::Tagger;
use quartet_chassis::id::Id;
use quartet_chassis::parts::Parts;
use quartet_chassis::throttle::{Bucket, Crowd, Quota, Throttle};

use crate::config::Config;
use crate::email::Email;
use crate::error::Error;

/// Tries from a device that the account knows.
const DEVICE: Quota = Quota { burst: 10, refill_every: TimeDelta::seconds(6) };
/// Wrong passwords of callers who are signed in.
const OWNER: Quota = Quota { burst: 10, refill_every: TimeDelta::minutes(6) };
/// How long a network's failure at an account is remembered.
const WINDOW: TimeDelta = TimeDelta::hours(3);

/// Counts tries.
#[derive(Clone)]
pub struct Attempts {
    throttle: Throttle,
    tagger: Tagger,
    address: Quota,
    account: Quota,
    client_key: Quota,
    /// At how many accounts a network may fail; 0 for any number.
    accounts_per_network: u32,
}

/// A try that was let in. One that is just dropped has failed.
pub struct Attempt {
    throttle: Throttle,
    /// Given back when it succeeds.
    taken: Vec<Bucket>,
    /// Full again when it succeeds.
    account: Option<Bucket>,
    /// The network's failures, this try's mark among them, and whether it was there before.
    network: Option<(Crowd, String, bool)>,
}

impl Attempts {
    pub fn new(config: &Config, parts: &Parts) -> Attempts {
        let per_minute = |count: u32| TimeDelta::milliseconds(60_000 / i64::from(count.max(1)));
        Attempts {
            throttle: parts.throttle.clone(),
            tagger: parts.master.tagger("identity throttle"),
            address: Quota {
                burst: config.failed_sign_ins,
                refill_every: per_minute(config.failed_sign_ins_per_minute),
            },
            account: Quota {
                burst: config.failed_sign_ins_per_account,
                refill_every: TimeDelta::hours(i64::from(config.failed_sign_in_hours)),
            },
            client_key: Quota { burst: 10, refill_every: per_minute(10) },
            accounts_per_network: config.failed_accounts_per_network,
        }
    }

    /// Lets a sign-in with a password in, or says when the next one may be tried.
    pub async fn sign_in(&self, email: &Email, device: Option<Id>, client: &Client) -> Result<Attempt, Error> {
        if let Some(device) = device {
            return self.take(vec![self.bucket("device", device.as_bytes(), DEVICE)], true).await;
        }
        let account = self.bucket("account", email.key().as_bytes(), self.account);
        let mut buckets = vec![account.clone()];
        if let Some(address) = client.address {
            buckets.push(self.bucket("address", &of_one_client(address), self.address));
        }
        let mut attempt = self.take(buckets, true).await?;
        attempt.account = Some(account);
        if let (Some(address), 1..) = (client.address, self.accounts_per_network) {
            self.enter_network(&mut attempt, email, address).await?;
        }
        Ok(attempt)
    }

    /// Lets a caller who is signed in show the password once more.
    pub async fn owner(&self, account_id: Id) -> Result<Attempt, Error> {
        self.take(vec![self.bucket("owner", account_id.as_bytes(), OWNER)], false).await
    }

    /// Lets a program show a client's key.
    pub async fn client_key(&self, client: &Client) -> Result<Attempt, Error> {
        let bucket = |address| self.bucket("client key", &of_one_client(address), self.client_key);
        self.take(client.address.map(bucket).into_iter().collect(), false).await
    }

    async fn take(&self, buckets: Vec<Bucket>, code_helps: bool) -> Result<Attempt, Error> {
        self.throttle.take_all(&buckets).await.map_err(|wait| refused(wait, code_helps))?;
        Ok(Attempt { throttle: self.throttle.clone(), taken: buckets, account: None, network: None })
    }

    /// Marks the account as one that somebody in the network fails at. A network that has failed at too many gets to no others.
    async fn enter_network(&self, attempt: &mut Attempt, email: &Email, address: IpAddr) -> Result<(), Error> {
        let crowd = Crowd {
            key: self.tag("network", &of_one_network(address)),
            limit: self.accounts_per_network,
            window: WINDOW,
        };
        let mark = self.tag("network account", email.key().as_bytes());
        match self.throttle.join(&crowd, &mark).await {
            Ok(was_there) => attempt.network = Some((crowd, mark, was_there)),
            Err(wait) => {
                // It tries nothing, so it has used nothing up.
                self.throttle.give_back(&attempt.taken).await;
                return Err(refused(wait, true));
            }
        }
        Ok(())
    }

    fn bucket(&self, kind: &str, who: &[u8], quota: Quota) -> Bucket {
        Bucket { key: self.tag(kind, who), quota }
    }

    /// A name that tells nobody whom it stands for.
    fn tag(&self, kind: &str, who: &[u8]) -> String {
        URL_SAFE_NO_PAD.encode(self.tagger.tag(&[kind.as_bytes(), who]))
    }
}

impl Attempt {
    /// It was the right one: none of it counts, and neither do the failures of the same account before it.
    pub async fn succeed(self) {
        self.throttle.give_back(&self.taken).await;
        if let Some(account) = &self.account {
            self.throttle.reset(&account.key).await;
        }
        if let Some((crowd, mark, _)) = &self.network {
            self.throttle.leave(crowd, mark).await;
        }
    }

    /// Nothing was tried in the end.
    pub async fn forget(self) {
        self.throttle.give_back(&self.taken).await;
        if let Some((crowd, mark, false)) = &self.network {
            self.throttle.leave(crowd, mark).await;
        }
    }
}

/// Whole seconds: the answer is the same for everybody who has done the same.
fn refused(wait: Duration, code_helps: bool) -> Error {
    Error::RateLimited { wait: Duration::from_secs(wait.as_secs() + 1), code_helps }
}

/// An address, or the /64 that an IPv6 client has to itself.
fn of_one_client(address: IpAddr) -> Vec<u8> {
    match address.to_canonical() {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => half(address),
    }
}

/// The /24 or /64 around an address.
fn of_one_network(address: IpAddr) -> Vec<u8> {
    match address.to_canonical() {
        IpAddr::V4(address) => address.octets()[..3].to_vec(),
        IpAddr::V6(address) => half(address),
    }
}

fn half(address: Ipv6Addr) -> Vec<u8> {
    address.octets()[..8].to_vec()
}
