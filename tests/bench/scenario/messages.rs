//! Messages of many conversations at once: deliveries in a thousand groups, how many can be stored, and what was missed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use tokio::task::JoinSet;

use crate::audience::Audience;
use crate::board::text;
use crate::chat::{Chat, PEOPLE, Room};
use crate::installation::Engine;
use crate::peer::postgres::Postgres;
use crate::report::{Report, figure, median};
use crate::settings::Settings;

/// The people of each of the thousand groups.
const MEMBERS: usize = 10;
/// Who sends at the same time.
const SENDERS: usize = 32;
/// The messages that somebody has missed: fewer where each waits for the disk by itself, and in a hurry.
const MISSED: usize = 100_000;
const MISSED_ON_POSTGRES: usize = 20_000;
const QUICK: usize = 2_000;
/// More than is said in one go.
const SERIES: usize = 1_000_000_000;

pub fn run(settings: &Settings, report: &mut Report) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let postgres = Postgres::start()?;
    let mut rows = Vec::new();
    for engine in [Engine::Sqlite, Engine::Postgres(&postgres)] {
        rows.push(runtime.block_on(measure(engine, settings))?);
    }
    report.say(&format!(
        "Deliveries: {PEOPLE} people, {PEOPLE} groups of {MEMBERS}, something is said in one after the other. Sends: {SENDERS} at the same \
         time, each durable before its answer. Missed: somebody comes back to a conversation after so many messages."
    ));
    let columns = [
        "engine",
        "deliveries/s",
        "µs each",
        "sends/s, 1 conversation",
        "sends/s, 32 conversations",
        "missed",
        "caught up in s",
    ];
    report.table(&columns, &rows);
    Ok(())
}

async fn measure(engine: Engine<'_>, settings: &Settings) -> anyhow::Result<Vec<String>> {
    let chat = Chat::start(engine, "messages").await?;
    let mut rooms = Vec::new();
    for owner in 0..PEOPLE {
        rooms.push(chat.group(owner, (1..MEMBERS).map(|next| (owner + next) % PEOPLE)).await?);
    }
    let mut audience = Audience::of_chat(&chat, rooms.clone(), 1, MEMBERS).await?;
    let mut floods = Vec::new();
    for _ in 0..settings.rounds {
        floods.push(audience.flood(settings.longer(4)).await?);
    }
    drop(audience);

    let span = settings.longer(4);
    let began = Instant::now();
    let one = send(&rooms[..1], 1, Until::Elapsed(span)).await? as f64 / began.elapsed().as_secs_f64();
    let began = Instant::now();
    let many = send(&rooms[1..=SENDERS], 2, Until::Elapsed(span)).await? as f64 / began.elapsed().as_secs_f64();

    let missed = match engine {
        _ if settings.quick => QUICK,
        Engine::Sqlite => MISSED,
        Engine::Postgres(_) => MISSED_ON_POSTGRES,
    };
    let room = chat.group(0, 1..2).await?;
    send(std::slice::from_ref(&room), 3, Until::Sent(missed)).await?;
    let began = Instant::now();
    let heard = chat.catch_up(1, &room.id).await?;
    let span = began.elapsed().as_secs_f64();
    ensure!(heard == missed, "{heard} messages of {missed} are heard");
    Ok(vec![
        engine.name().to_owned(),
        figure(median(floods.iter().map(|flood| flood.rate))),
        figure(median(floods.iter().map(|flood| flood.cpu))),
        figure(one),
        figure(many),
        figure(missed as f64),
        figure(span),
    ])
}

#[derive(Clone, Copy)]
enum Until {
    Elapsed(Duration),
    Sent(usize),
}

/// Sends into these rooms as fast as it is answered; answers how many messages. Each series has numbers of its own.
async fn send(rooms: &[Room], series: usize, until: Until) -> anyhow::Result<usize> {
    let (next, began, mut calls) = (Arc::new(AtomicUsize::new(0)), Instant::now(), JoinSet::new());
    for number in 0..SENDERS {
        let (room, next) = (rooms[number % rooms.len()].clone(), next.clone());
        calls.spawn(async move {
            let mut sent = 0;
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let is_over = match until {
                    Until::Elapsed(span) => began.elapsed() > span,
                    Until::Sent(count) => number >= count,
                };
                if is_over {
                    return anyhow::Ok(sent);
                }
                room.send(series * SERIES + number, text(number)).await?;
                sent += 1;
            }
        });
    }
    let mut sent = 0;
    while let Some(call) = calls.join_next().await {
        sent += call??;
    }
    Ok(sent)
}
