//! Some who speak and many who listen, on whatever brings the one to the other.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{Method, Request};
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite;

use crate::board::Board;
use crate::chat::{self, Chat, PEOPLE, Room};
use crate::process::Meter;

/// Who speaks at the same time where it is measured how many can come, and how many messages may be on their way then.
const SPEAKERS: usize = 16;
const WINDOW: usize = 64;
/// How long nothing may arrive.
const PATIENCE: Duration = Duration::from_secs(30);

pub struct Audience {
    speaker: Speaker,
    listeners: JoinSet<anyhow::Result<()>>,
    board: Arc<Board>,
    told: mpsc::UnboundedReceiver<Duration>,
    meter: Meter,
    /// How many hear each message.
    ears: usize,
    /// What one who listens costs, in KiB.
    pub memory: f64,
}

/// Where something is said.
#[derive(Clone)]
enum Speaker {
    /// In one after the other of some conversations.
    Rooms(Arc<Vec<Room>>),
    /// By a post to a server that passes it on.
    Post(Box<Client<HttpConnector, Full<Bytes>>>, SocketAddr),
}

impl Speaker {
    async fn say(&self, number: usize, text: String) -> anyhow::Result<()> {
        match self {
            Speaker::Rooms(rooms) => rooms[number % rooms.len()].send(number, text).await,
            Speaker::Post(client, address) => {
                let request = Request::builder().method(Method::POST).uri(format!("http://{address}/say"));
                let answer = client.request(request.body(Full::from(text))?).await?;
                ensure!(answer.status().is_success(), "{}", answer.status());
                Ok(())
            }
        }
    }
}

/// What many messages cost.
pub struct Flood {
    /// Deliveries a second.
    pub rate: f64,
    /// CPU of the server for one, in microseconds.
    pub cpu: f64,
}

impl Audience {
    /// People who listen on so many streams each, and what is said in these rooms reaches `ears` of the streams.
    pub async fn of_chat(chat: &Chat, rooms: Vec<Room>, streams: usize, ears: usize) -> anyhow::Result<Audience> {
        let meter = chat.embedded.server.meter();
        let before = meter.memory();
        let mut events = Vec::new();
        for number in 0..PEOPLE * streams {
            events.push(chat.subscribe(number % PEOPLE, number).await?);
        }
        let memory = (meter.memory() - before) * 1024.0 / events.len() as f64;
        let (board, told) = Board::new(ears);
        let mut listeners = JoinSet::new();
        for events in events {
            listeners.spawn(chat::listen(events, board.clone()));
        }
        Ok(Audience { speaker: Speaker::Rooms(Arc::new(rooms)), listeners, board, told, meter, ears, memory })
    }

    /// WebSockets at a server that passes on what is posted.
    pub async fn of_sockets(address: SocketAddr, meter: Meter) -> anyhow::Result<Audience> {
        let before = meter.memory_of_all();
        let (board, told) = Board::new(PEOPLE);
        let mut listeners = JoinSet::new();
        for _ in 0..PEOPLE {
            let (socket, _) = tokio_tungstenite::connect_async(format!("ws://{address}/listen")).await?;
            let board = board.clone();
            listeners.spawn(async move {
                let mut messages = socket;
                while let Some(message) = messages.next().await {
                    if let tungstenite::Message::Text(text) = message? {
                        board.arrive(&text)?;
                    }
                }
                bail!("a socket is closed")
            });
        }
        let memory = (meter.memory_of_all() - before) * 1024.0 / PEOPLE as f64;
        let client = Box::new(Client::builder(TokioExecutor::new()).build_http());
        Ok(Audience { speaker: Speaker::Post(client, address), listeners, board, told, meter, ears: PEOPLE, memory })
    }

    /// Says something so many times a second; answers how long each message took to reach the last listener.
    pub async fn paced(&mut self, rate: u32, span: Duration) -> anyhow::Result<Vec<Duration>> {
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate);
        let (end, mut calls) = (Instant::now() + span, JoinSet::new());
        let (mut said, mut taken) = (0, Vec::new());
        while Instant::now() < end {
            ticks.tick().await;
            let (speaker, board) = (self.speaker.clone(), self.board.clone());
            calls.spawn(async move {
                let (number, text) = board.begin()?;
                speaker.say(number, text).await
            });
            said += 1;
        }
        while let Some(call) = calls.join_next().await {
            call??;
        }
        while taken.len() < said {
            taken.push(self.arrival().await?);
        }
        Ok(taken)
    }

    /// Says as much as can be heard.
    pub async fn flood(&mut self, span: Duration) -> anyhow::Result<Flood> {
        let (cpu, began) = (self.meter.cpu(), Instant::now());
        let (window, mut calls) = (Arc::new(Semaphore::new(WINDOW)), JoinSet::new());
        for _ in 0..SPEAKERS {
            let (speaker, board, window) = (self.speaker.clone(), self.board.clone(), window.clone());
            calls.spawn(async move {
                let mut said = 0;
                while began.elapsed() < span {
                    window.acquire().await?.forget();
                    let (number, text) = board.begin()?;
                    speaker.say(number, text).await?;
                    said += 1;
                }
                anyhow::Ok(said)
            });
        }
        let (mut said, mut heard) = (0, 0);
        while !calls.is_empty() || heard < said {
            tokio::select! {
                Some(call) = calls.join_next() => said += call??,
                arrived = self.arrival() => {
                    arrived?;
                    heard += 1;
                    window.add_permits(1);
                }
            }
        }
        let (span, cpu) = (began.elapsed(), self.meter.cpu().saturating_sub(cpu));
        let deliveries = (said * self.ears) as f64;
        Ok(Flood { rate: deliveries / span.as_secs_f64(), cpu: cpu.as_secs_f64() * 1e6 / deliveries })
    }

    /// Waits until one more message has reached everybody.
    async fn arrival(&mut self) -> anyhow::Result<Duration> {
        tokio::select! {
            took = self.told.recv() => took.context("nobody listens"),
            Some(ended) = self.listeners.join_next() => {
                ended??;
                bail!("somebody listens no longer")
            }
            () = tokio::time::sleep(PATIENCE) => bail!("a message does not arrive"),
        }
    }
}
