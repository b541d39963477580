//! One instance of a service: a few connections, and whether it is worth trying.

use std::io;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::client::conn::http2;
use hyper::rt::{Read, Write};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::{TcpStream, UnixStream};
use tonic::body::Body;

use super::address::Target;

const CONNECT: Duration = Duration::from_secs(2);
/// A peer that does not answer pings is gone after the sum of both.
const PING_EVERY: Duration = Duration::from_secs(10);
const PING_WAIT: Duration = Duration::from_secs(10);
/// How long an instance that can't be reached is left alone: this, doubled with each failure up to the other.
const PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How much of one answer may be on its way. The connection has room for all of them: one that nobody reads holds up no other.
const STREAM_WINDOW: u32 = 512 * 1024;
const CONNECTION_WINDOW: u32 = 1 << 30;
const HEADER_BYTES: u32 = 64 * 1024;

pub(super) type Sender = http2::SendRequest<Body>;

pub(super) struct Instance {
    pub target: Target,
    slots: Vec<Slot>,
    born: Instant,
    /// Milliseconds after `born` until which it is left alone; 0 for an instance that works.
    pause_until: AtomicU64,
    failures: AtomicU32,
}

/// A place for one connection. It is made by the first call that needs it, in that call's runtime; the others wait for it.
#[derive(Default)]
struct Slot {
    sender: Mutex<Option<Sender>>,
    connecting: tokio::sync::Mutex<()>,
}

impl Instance {
    pub fn new(target: Target, connections: usize) -> Instance {
        Instance {
            target,
            slots: (0..connections.max(1)).map(|_| Slot::default()).collect(),
            born: Instant::now(),
            pause_until: AtomicU64::new(0),
            failures: AtomicU32::new(0),
        }
    }

    /// Whether it is worth trying at this moment.
    pub fn is_usable(&self) -> bool {
        let until = self.pause_until.load(Ordering::Relaxed);
        until == 0 || self.age() >= until
    }

    /// The connection of this round, if it is open.
    pub fn open(&self, round: usize) -> Option<Sender> {
        self.slot(round)?.open()
    }

    fn slot(&self, round: usize) -> Option<&Slot> {
        self.slots.get(round % self.slots.len())
    }

    /// The connection of this round, made if need be, or `None` when there is none to be had.
    pub async fn sender(&self, round: usize) -> Option<Sender> {
        let slot = self.slot(round)?;
        if let Some(sender) = slot.open() {
            return Some(sender);
        }
        let _turn = slot.connecting.lock().await;
        if let Some(sender) = slot.open() {
            return Some(sender);
        }
        if !self.is_usable() {
            return None;
        }
        match tokio::time::timeout(CONNECT, connect(&self.target)).await {
            Ok(Ok(sender)) => {
                slot.set(sender.clone());
                self.pause_until.store(0, Ordering::Relaxed);
                self.failures.store(0, Ordering::Relaxed);
                Some(sender)
            }
            Ok(Err(error)) => {
                self.pause(&error);
                None
            }
            Err(_) => {
                self.pause(&"no answer in time");
                None
            }
        }
    }

    fn pause(&self, error: &dyn std::fmt::Display) {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed);
        let pause = PAUSE.saturating_mul(1 << failures.min(10)).min(LONGEST_PAUSE);
        self.pause_until.store(self.age() + pause.as_millis() as u64, Ordering::Relaxed);
        if failures == 0 {
            tracing::warn!(target = ?self.target, %error, "an instance can't be reached");
        }
    }

    /// Milliseconds since it was first known, and 1 at least.
    fn age(&self) -> u64 {
        (self.born.elapsed().as_millis() as u64).max(1)
    }
}

impl Slot {
    fn open(&self) -> Option<Sender> {
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        sender.as_ref().filter(|sender| !sender.is_closed()).cloned()
    }

    fn set(&self, sender: Sender) {
        *self.sender.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
    }
}

async fn connect(target: &Target) -> io::Result<Sender> {
    match target {
        Target::Tcp(address) => {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            handshake(TokioIo::new(stream)).await
        }
        Target::Unix(path) => handshake(TokioIo::new(UnixStream::connect(path).await?)).await,
    }
}

async fn handshake<I: Read + Write + Unpin + Send + 'static>(io: I) -> io::Result<Sender> {
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(HEADER_BYTES)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_WAIT)
        .keep_alive_while_idle(true)
        .handshake(io)
        .await
        .map_err(io::Error::other)?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to an upstream ended");
        }
    });
    Ok(sender)
}
