//! Who is connected, and what each address has done lately.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use http::{HeaderMap, HeaderValue};
use quartet_chassis::failure::Failure;

use super::{Network, rate_limited};
use crate::config::Config;
use crate::headers;

/// An address that has been quiet for so long has all its budgets back and is forgotten.
const FORGET: Duration = Duration::from_secs(120);
/// How many addresses are known before the quiet ones are looked for.
const SWEEP: usize = 1024;

/// Every address that is connected or was lately.
pub struct Peers {
    config: Config,
    known: Mutex<Known>,
    open: AtomicUsize,
}

#[derive(Default)]
struct Known {
    peers: HashMap<IpAddr, Arc<Peer>>,
    sweep_at: usize,
}

/// What one address has done lately. An IPv6 client has a whole /64, so that counts as one.
struct Peer {
    calls: DefaultDirectRateLimiter,
    mails: DefaultDirectRateLimiter,
    open: AtomicUsize,
    in_progress: AtomicUsize,
    most_in_progress: usize,
    streams: AtomicUsize,
    most_streams: usize,
    seen: Mutex<Instant>,
}

/// Who is at the other end of a connection, or behind the proxy there.
#[derive(Clone)]
pub struct Client {
    pub address: IpAddr,
    /// The address as a header says it.
    pub header: HeaderValue,
    peer: Arc<Peer>,
    is_proxy: bool,
}

/// A connection that counts as long as it lives.
pub struct Connected {
    peers: Arc<Peers>,
    peer: Arc<Peer>,
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.peers.open.fetch_sub(1, Ordering::Relaxed);
        self.peer.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Peers {
    pub fn new(config: Config) -> Peers {
        Peers { config, known: Mutex::default(), open: AtomicUsize::new(0) }
    }

    /// Takes a connection in, or refuses it: there are too many, in all or from this address (S-42).
    pub fn connect(self: &Arc<Peers>, address: IpAddr) -> Option<(Client, Connected)> {
        let client = self.client(address.to_canonical());
        let connected = Connected { peers: self.clone(), peer: client.peer.clone() };
        let all = self.open.fetch_add(1, Ordering::Relaxed);
        let own = client.peer.open.fetch_add(1, Ordering::Relaxed);
        let fits = all < self.config.connections && (client.is_proxy || own < self.config.connections_per_address);
        fits.then_some((client, connected))
    }

    /// Who a call comes from: the other end of the connection, or whom a trusted proxy there names.
    pub fn behind(&self, client: &Arc<Client>, headers: &HeaderMap) -> Arc<Client> {
        if !client.is_proxy {
            return client.clone();
        }
        let is_trusted = |address| self.is_proxy(address);
        headers::forwarded_for(headers, is_trusted)
            .map_or_else(|| client.clone(), |address| Arc::new(self.client(address)))
    }

    fn client(&self, address: IpAddr) -> Client {
        let text = address.to_string();
        let header = HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""));
        Client { address, header, peer: self.peer(key(address)), is_proxy: self.is_proxy(address) }
    }

    fn is_proxy(&self, address: IpAddr) -> bool {
        self.config.trusted_proxies.iter().any(|network: &Network| network.contains(address))
    }

    fn peer(&self, key: IpAddr) -> Arc<Peer> {
        let now = Instant::now();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.peers.len() >= known.sweep_at.max(SWEEP) {
            known.peers.retain(|_, peer| !peer.is_quiet(now));
            known.sweep_at = known.peers.len() * 2;
        }
        let peer = known.peers.entry(key).or_insert_with(|| Arc::new(Peer::new(&self.config, now)));
        *peer.seen.lock().unwrap_or_else(PoisonError::into_inner) = now;
        peer.clone()
    }
}

fn key(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
    }
}

impl Peer {
    fn new(config: &Config, now: Instant) -> Peer {
        Peer {
            calls: RateLimiter::direct(Quota::per_second(config.rate_per_address)),
            mails: RateLimiter::direct(Quota::per_minute(config.mails_per_minute)),
            open: AtomicUsize::new(0),
            in_progress: AtomicUsize::new(0),
            most_in_progress: config.calls_per_address,
            streams: AtomicUsize::new(0),
            most_streams: config.streams_per_address,
            seen: Mutex::new(now),
        }
    }

    fn is_quiet(&self, now: Instant) -> bool {
        let seen = *self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        // Behind a proxy a client has calls and no connection.
        let has_none =
            [&self.open, &self.in_progress, &self.streams].iter().all(|some| some.load(Ordering::Relaxed) == 0);
        has_none && now.saturating_duration_since(seen) > FORGET
    }
}

impl Client {
    /// Begins a call: it counts, and takes one of the calls in progress that the address has.
    pub fn begin_call(&self) -> Result<Turn, Failure> {
        let turn = Turn { peer: self.peer.clone() };
        if self.peer.in_progress.fetch_add(1, Ordering::Relaxed) >= self.peer.most_in_progress {
            return Err(rate_limited("calls in progress", Duration::from_millis(100)));
        }
        check(&self.peer.calls, "calls")?;
        Ok(turn)
    }

    /// Takes one of the streams that the address has at the same time.
    pub fn begin_stream(&self) -> Result<OpenStream, Failure> {
        let stream = OpenStream { peer: self.peer.clone() };
        if self.peer.streams.fetch_add(1, Ordering::Relaxed) >= self.peer.most_streams {
            return Err(rate_limited("streams", Duration::from_secs(1)));
        }
        Ok(stream)
    }

    /// Counts a call that sends a mail.
    pub fn check_mail(&self) -> Result<(), Failure> {
        check(&self.peer.mails, "calls that send a mail")
    }
}

fn check(limiter: &DefaultDirectRateLimiter, what: &str) -> Result<(), Failure> {
    let wait = |until: governor::NotUntil<_>| until.wait_time_from(DefaultClock::default().now());
    limiter.check().map_err(|until| rate_limited(what, wait(until)))
}

/// A call in progress, one of those that an address has at the same time.
pub struct Turn {
    peer: Arc<Peer>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.peer.in_progress.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A stream, from its call until its end, one of those that an address has at the same time.
pub struct OpenStream {
    peer: Arc<Peer>,
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.peer.streams.fetch_sub(1, Ordering::Relaxed);
    }
}
