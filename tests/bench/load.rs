//! The load: callers in closed loops over a few HTTP/2 connections, on threads of their own.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message as _;
use quartet_proto::identity::v1::{RefreshRequest, RefreshResponse};

use crate::grpc::{Head, frame};
use crate::process::Meter;

/// Calls of one kind to one server.
#[derive(Clone)]
pub struct Load {
    pub address: SocketAddr,
    pub path: &'static str,
    /// gRPC-web in place of gRPC.
    pub web: bool,
    pub token: Option<String>,
    pub script: Script,
    pub connections: usize,
    /// Calls at the same time on each connection.
    pub streams: usize,
}

/// What the callers say.
#[derive(Clone)]
pub enum Script {
    /// These frames in turn.
    Cycle(Arc<Vec<Bytes>>),
    /// Each caller refreshes a session of its own: the token of one answer is the next request.
    Refresh(Arc<Vec<Mutex<String>>>),
}

/// What a load has reached.
#[derive(Clone, Debug)]
pub struct Reached {
    /// Calls a second.
    pub rate: f64,
    pub p50: Duration,
    pub p99: Duration,
}

/// What loads have reached side by side, and what they cost the processes that were watched.
pub struct Outcome {
    pub loads: Vec<Reached>,
    /// For each meter: seconds of CPU for each second.
    pub cpu: Vec<f64>,
}

impl Outcome {
    /// Microseconds of CPU that a call of the first load cost this meter's processes.
    pub fn cpu_per_call(&self, meter: usize) -> f64 {
        let rate = self.loads.first().map_or(f64::NAN, |load| load.rate);
        self.cpu.get(meter).copied().unwrap_or(f64::NAN) * 1e6 / rate
    }
}

/// Fewer calls than these are too few to count in a window: their distances are measured.
const FEW: usize = 5_000;

/// When calls count.
#[derive(Clone, Copy)]
struct Window {
    begin: Instant,
    end: Instant,
}

/// Runs loads at the same time: `warm` uncounted, then for `span`.
pub fn run(loads: &[&Load], warm: Duration, span: Duration, meters: &[&Meter]) -> anyhow::Result<Outcome> {
    let begin = Instant::now() + warm + Duration::from_millis(20);
    let window = Window { begin, end: begin + span };
    std::thread::scope(|scope| {
        let mut threads = Vec::new();
        for (index, load) in loads.iter().enumerate() {
            let count = load.connections.min(2);
            for thread in 0..count {
                let mine: Vec<usize> = (0..load.connections).filter(|number| number % count == thread).collect();
                threads.push((index, scope.spawn(move || drive(load, &mine, window))));
            }
        }
        sleep_until(window.begin);
        let before: Vec<_> = meters.iter().map(|meter| meter.cpu()).collect();
        sleep_until(window.end);
        let after = meters.iter().map(|meter| meter.cpu());
        let cpu =
            after.zip(before).map(|(after, before)| after.saturating_sub(before).as_secs_f64() / span.as_secs_f64());
        let cpu = cpu.collect();

        let mut callers: Vec<Vec<Caller>> = loads.iter().map(|_| Vec::new()).collect();
        for (index, thread) in threads {
            let done = thread.join().ok().context("a thread of the load panicked")??;
            callers[index].extend(done);
        }
        Ok(Outcome { loads: callers.iter().map(|callers| reached(callers, span)).collect(), cpu })
    })
}

fn sleep_until(moment: Instant) {
    std::thread::sleep(moment.saturating_duration_since(Instant::now()));
}

/// What one caller has seen in the window.
struct Caller {
    calls: Vec<Duration>,
    first: Option<Instant>,
    last: Option<Instant>,
}

fn drive(load: &Load, connections: &[usize], window: Window) -> anyhow::Result<Vec<Caller>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let head = Head::new(load.address, load.path, load.web, load.token.as_deref())?;
        let mut callers = Vec::new();
        for connection in connections {
            let sender = connect(load.address).await?;
            for stream in 0..load.streams {
                let number = connection * load.streams + stream;
                let script = load.script.clone();
                callers.push(tokio::spawn(call(head.clone(), sender.clone(), script, number, window)));
            }
        }
        let mut done = Vec::new();
        for caller in callers {
            done.push(caller.await?.with_context(|| format!("{} at {}", load.path, load.address))?);
        }
        Ok(done)
    })
}

async fn connect(address: SocketAddr) -> anyhow::Result<SendRequest<Full<Bytes>>> {
    let stream = tokio::net::TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(8 << 20)
        .handshake(TokioIo::new(stream))
        .await?;
    tokio::spawn(connection);
    Ok(sender)
}

async fn call(
    head: Head,
    mut sender: SendRequest<Full<Bytes>>,
    script: Script,
    number: usize,
    window: Window,
) -> anyhow::Result<Caller> {
    let mut caller = Caller { calls: Vec::new(), first: None, last: None };
    let mut turn = number;
    let mut now = Instant::now();
    while now < window.end {
        let begun = now;
        sender.ready().await?;
        let response = sender.send_request(head.request(script.frame(turn, number)?)).await?;
        let answer = head.answer(response).await?;
        now = Instant::now();
        script.heard(number, &answer)?;
        if now >= window.begin && now < window.end {
            caller.calls.push(now - begun);
            caller.first.get_or_insert(now);
            caller.last = Some(now);
        }
        turn = turn.wrapping_add(1);
    }
    Ok(caller)
}

impl Script {
    fn frame(&self, turn: usize, number: usize) -> anyhow::Result<Bytes> {
        match self {
            Script::Cycle(frames) => frames.get(turn % frames.len().max(1)).cloned().context("nothing to say"),
            Script::Refresh(sessions) => {
                let token =
                    sessions.get(number).context("too few sessions")?.lock().unwrap_or_else(PoisonError::into_inner);
                Ok(frame(&RefreshRequest { refresh_token: token.clone() }))
            }
        }
    }

    fn heard(&self, number: usize, answer: &Bytes) -> anyhow::Result<()> {
        if let Script::Refresh(sessions) = self
            && let Some(session) = sessions.get(number)
        {
            let tokens = RefreshResponse::decode(answer.clone())?;
            *session.lock().unwrap_or_else(PoisonError::into_inner) = tokens.refresh_token;
        }
        Ok(())
    }
}

fn reached(callers: &[Caller], span: Duration) -> Reached {
    let mut calls: Vec<Duration> = callers.iter().flat_map(|caller| caller.calls.iter().copied()).collect();
    calls.sort_unstable();
    let rate = if calls.len() < FEW {
        callers.iter().map(|caller| distance_rate(caller.calls.len(), caller.first, caller.last)).sum()
    } else {
        calls.len() as f64 / span.as_secs_f64()
    };
    let percentile = |share: f64| {
        let at = (calls.len() as f64 * share) as usize;
        calls.get(at.min(calls.len().saturating_sub(1))).copied().unwrap_or_default()
    };
    Reached { rate, p50: percentile(0.5), p99: percentile(0.99) }
}

/// How often something happens, from the first and the last time that it did.
pub fn distance_rate(times: usize, first: Option<Instant>, last: Option<Instant>) -> f64 {
    match (first, last) {
        (Some(first), Some(last)) if times > 1 => (times - 1) as f64 / (last - first).as_secs_f64(),
        _ => 0.0,
    }
}
