//! What is said in one group reaches a thousand who listen, beside servers that only pass it on: how many deliveries, how late, and what a
//! listener costs.

use std::time::Duration;

use crate::audience::Audience;
use crate::chat::{Chat, PEOPLE, Room};
use crate::installation::Engine;
use crate::peer::broadcast::Broadcast;
use crate::peer::postgres::Postgres;
use crate::report::{Bound, Report, figure, median};
use crate::settings::Settings;

/// The streams of each of the thousand where ten thousand listen.
const STREAMS: usize = 10;
/// Messages a second where it is measured how late they come.
const RATE: u32 = 20;
const CROWD_RATE: u32 = 2;

/// One of those that are held against each other, with what was measured in each round.
struct Contestant {
    name: String,
    audience: Audience,
    rounds: Vec<Round>,
}

struct Round {
    rate: f64,
    cpu: f64,
    median: f64,
    late: f64,
}

impl Contestant {
    fn new(name: &str, audience: Audience) -> Contestant {
        Contestant { name: name.to_owned(), audience, rounds: Vec::new() }
    }

    async fn turn(&mut self, rate: u32, span: Duration) -> anyhow::Result<()> {
        let mut taken = self.audience.paced(rate, span).await?;
        taken.sort_unstable();
        let count = taken.len() as f64;
        let at = |share: f64| taken.get((count * share) as usize).map_or(f64::NAN, |took| took.as_secs_f64() * 1e3);
        let (median, late) = (at(0.5), at(0.99));
        let flood = self.audience.flood(span).await?;
        self.rounds.push(Round { rate: flood.rate, cpu: flood.cpu, median, late });
        Ok(())
    }

    fn middle(&self, figure: impl Fn(&Round) -> f64) -> f64 {
        median(self.rounds.iter().map(figure))
    }

    fn row(&self) -> Vec<String> {
        let figures = [
            self.middle(|round| round.rate),
            self.middle(|round| round.cpu),
            self.middle(|round| round.median),
            self.middle(|round| round.late),
            self.audience.memory,
        ];
        std::iter::once(self.name.clone()).chain(figures.map(figure)).collect()
    }
}

pub fn run(settings: &Settings, report: &mut Report) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let postgres = Postgres::start()?;
    let peers = [("nchan", Broadcast::nchan()?), ("FastAPI", Broadcast::fastapi()?)];
    runtime.block_on(contest(settings, report, &postgres, &peers))?;
    drop(peers);
    drop(postgres);
    runtime.block_on(crowd(settings, report))
}

async fn contest(
    settings: &Settings,
    report: &mut Report,
    postgres: &Postgres,
    peers: &[(&str, Option<Broadcast>)],
) -> anyhow::Result<()> {
    let mut contestants = Vec::new();
    let mut chats = Vec::new();
    for engine in [Engine::Sqlite, Engine::Postgres(postgres)] {
        let chat = Chat::start(engine, "fanout").await?;
        let audience = Audience::of_chat(&chat, vec![everybody(&chat).await?], 1, PEOPLE).await?;
        contestants.push(Contestant::new(&format!("Quartet, {}", engine.name()), audience));
        chats.push(chat);
    }
    for (name, peer) in peers {
        let Some(peer) = peer else {
            report.say(&format!("{name} is not there and left out."));
            continue;
        };
        contestants.push(Contestant::new(name, Audience::of_sockets(peer.address(), peer.meter()).await?));
    }
    for _ in 0..settings.rounds {
        for contestant in &mut contestants {
            contestant.turn(RATE, settings.longer(4)).await?;
        }
    }
    let rows: Vec<_> = contestants.iter().map(Contestant::row).collect();
    report.say(&format!(
        "{PEOPLE} listen to one group: Quartet's over 20 connections, where what is said is stored and who may read it is known; the \
         others' by a WebSocket each, where it is not. How late: from the call to the last of them, 20 messages a second. Deliveries: 16 \
         speak as fast as they are answered, at most 64 messages are on their way. Who listens are threads of this benchmark and read all."
    ));
    report.table(&["", "deliveries/s", "µs each", "p50 ms", "p99 ms", "KiB a listener"], &rows);
    goals(&contestants, report);
    Ok(())
}

fn goals(contestants: &[Contestant], report: &mut Report) {
    let nchan = contestants.iter().find(|contestant| contestant.name == "nchan");
    for ours in contestants.iter().filter(|contestant| contestant.name.starts_with("Quartet")) {
        let name = &ours.name;
        if let Some(nchan) = nchan {
            let ratio = ours.middle(|round| round.rate) / nchan.middle(|round| round.rate);
            report.goal(format!("deliveries to {PEOPLE}, of nchan's, {name}"), ratio, Bound::AtLeast(1.5));
        }
        let late = ours.middle(|round| round.late);
        report.goal(format!("a message reaches {PEOPLE}, p99 ms, {name}"), late, Bound::AtMost(10.0));
        report.goal(format!("CPU of a delivery, µs, {name}"), ours.middle(|round| round.cpu), Bound::AtMost(4.0));
        report.goal(format!("KiB for an idle listener, {name}"), ours.audience.memory, Bound::AtMost(30.0));
    }
}

async fn crowd(settings: &Settings, report: &mut Report) -> anyhow::Result<()> {
    let chat = Chat::start(Engine::Sqlite, "crowd").await?;
    let count = PEOPLE * STREAMS;
    let audience = Audience::of_chat(&chat, vec![everybody(&chat).await?], STREAMS, count).await?;
    let mut crowd = Contestant::new(&format!("{count} streams, SQLite"), audience);
    for _ in 0..settings.rounds {
        crowd.turn(CROWD_RATE, settings.longer(4)).await?;
    }
    report.table(&["", "deliveries/s", "µs each", "p50 ms", "p99 ms", "KiB a listener"], &[crowd.row()]);
    report.goal(format!("KiB for an idle listener of {count}"), crowd.audience.memory, Bound::AtMost(30.0));
    Ok(())
}

/// The one who speaks in a group with all the others.
async fn everybody(chat: &Chat) -> anyhow::Result<Room> {
    chat.group(PEOPLE, 0..PEOPLE).await
}
