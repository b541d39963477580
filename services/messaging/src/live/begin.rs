//! How a stream begins: it joins, then it reads, then it goes on with what happens. So nothing is left out, and nothing told twice.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use quartet_chassis::clock::Clock;
use quartet_chassis::db::DbError;
use quartet_chassis::failure::Fields;
use quartet_chassis::id::Id;
use quartet_chassis::parts::Parts;
use quartet_proto::messaging::v1::subscribe_response::Event;
use quartet_proto::messaging::v1::{CaughtUp, Change, ConversationGone, ResumeReason, Started, SubscribeRequest};
use tokio::sync::Semaphore;
use tonic::Status;

use super::frame::{Frames, Kind};
use super::item::blank;
use super::room::{Levelled, Room};
use super::stream::{Body, Stream};
use super::view::View;
use super::work::{PAGE, look};
use super::{Hub, PATIENCE};
use crate::api::told;
use crate::error::Error;
use crate::store::Store;
use crate::store::live::Replay;
use crate::store::told::Told;

/// How many conversations a client may name.
const POSITIONS: usize = 2000;
/// How many conversations are read at a time.
const CONVERSATIONS: usize = 100;
/// How many bytes of changes are told at a time.
const CHUNK: usize = 64 << 10;

/// What a client wants to hear.
pub struct Asked {
    positions: HashMap<Id, i64>,
    typing: bool,
    presence: bool,
}

impl Asked {
    pub fn of(request: SubscribeRequest) -> Result<Asked, Error> {
        let (mut fields, mut positions) = (Fields::default(), HashMap::new());
        if request.positions.len() > POSITIONS {
            fields.refuse("positions", format!("has at most {POSITIONS}"));
        }
        for (place, position) in request.positions.iter().enumerate().take(POSITIONS) {
            let named = |field| format!("positions[{place}].{field}");
            let id = fields.take(&named("conversation_id"), position.conversation_id.parse::<Id>());
            if position.change_seq < 0 {
                fields.refuse(&named("change_seq"), "must not be negative");
            }
            if id.is_some_and(|id| positions.insert(id, position.change_seq).is_some()) {
                fields.refuse(&named("conversation_id"), "is named twice");
            }
        }
        fields.finish()?;
        Ok(Asked { positions, typing: request.typing, presence: request.presence })
    }
}

/// A stream that nobody has begun yet, and its body.
pub fn open(hub: &Hub, clock: &Clock, account: Id, kind: Kind) -> (Arc<Stream>, Body) {
    let stream = Arc::new(Stream::new(Id::new(clock), account, kind));
    (stream.clone(), Body::new(stream, hub.clone()))
}

/// Begins a stream: it is taken in, and what it is told first is read in a task of its own.
pub fn begin(store: &Store, parts: &Parts, stream: &Arc<Stream>, asked: Asked) -> Result<(), Error> {
    stream.typing.store(asked.typing, Ordering::Relaxed);
    stream.presence.store(asked.presence, Ordering::Relaxed);
    if !store.hub.enter(stream) {
        return Err(Error::RateLimited(Duration::from_secs(60)));
    }
    if store.hub.has_stopped() {
        stream.resume(ResumeReason::Shutdown);
        return Ok(());
    }
    let (store, stream) = (store.clone(), stream.clone());
    parts.spawn(async move {
        if let Err(error) = Box::pin(start(&store, &stream, asked.positions)).await {
            tracing::debug!(%error, "a stream can't be begun");
            stream.fail(Status::from(Error::from(error)));
        }
        // What was told of the account's own conversations meanwhile.
        look(&store, &stream, &Semaphore::new(1)).await;
    });
    Ok(())
}

async fn start(store: &Store, stream: &Arc<Stream>, mut positions: HashMap<Id, i64>) -> Result<(), DbError> {
    let hub = &store.hub;
    hub.announce_stream(stream).await;
    stream.tell(Event::Started(Started { stream_id: stream.id.to_string() }));
    let mine = store.takes_part_in(&[stream.account]).await?;
    // Whatever this reading finds before the comparing does, the account's other streams look at, too.
    for conversation in hub.remember(stream.account, &mine) {
        hub.others_look_again(stream, conversation);
    }
    let mut ids: Vec<Id> = mine.iter().map(|own| own.conversation_id).collect();
    // The newest first.
    ids.sort_unstable_by(|one, other| other.cmp(one));
    let mut behind = Vec::new();
    for part in ids.chunks(CONVERSATIONS) {
        behind.extend(show(store, stream, part, &mut positions).await?);
    }
    for id in positions.into_keys() {
        stream.room().await;
        tell_gone(stream, id);
    }
    hub.arrive(stream);
    for (room, number) in behind {
        follow(store, stream, &room, number).await?;
    }
    stream.tell(Event::CaughtUp(CaughtUp {}));
    Ok(())
}

/// Joins some conversations and tells their state. Answers those of which more is to be read, and from where on.
async fn show(
    store: &Store,
    stream: &Arc<Stream>,
    ids: &[Id],
    positions: &mut HashMap<Id, i64>,
) -> Result<Vec<(Arc<Room>, i64)>, DbError> {
    let hub = &store.hub;
    let mut rooms = HashMap::new();
    for id in ids {
        let Some(room) = hub.sit(stream, *id) else { return Ok(Vec::new()) };
        rooms.insert(*id, room);
    }
    let mut behind = Vec::new();
    for view in store.conversations_among(stream.account, ids).await?.into_iter().map(View::from) {
        let Some(room) = rooms.remove(&view.id) else { continue };
        if !stream.room().await {
            return Ok(Vec::new());
        }
        hub.watch_later(stream, view.peer);
        let position = positions.get(&view.id).map(|position| (*position).min(view.last_change));
        let told = match position {
            Some(number) if number < view.last_change => {
                let told = room.tell_behind(stream, &view);
                behind.extend(told.then_some((room.clone(), number)));
                told
            }
            _ => match room.level(stream, view.last_change, Some(&view)) {
                Levelled::Level | Levelled::Ahead => true,
                Levelled::Behind => {
                    let told = room.tell_behind(stream, &view);
                    behind.extend(told.then_some((room.clone(), view.last_change)));
                    told
                }
                Levelled::Away => false,
            },
        };
        if told {
            positions.remove(&view.id);
        }
        room.know(view.last_change);
        hub.settle(&room, PATIENCE);
    }
    // Who left between the two readings has no place there.
    for id in rooms.into_keys() {
        hub.unsit(stream, id);
    }
    Ok(behind)
}

fn tell_gone(stream: &Stream, id: Id) {
    stream.tell(Event::Gone(ConversationGone { conversation_id: id.to_string() }));
}

/// Tells a stream what has happened behind a number, as fast as it reads, until it is level with the room.
pub async fn follow(store: &Store, stream: &Arc<Stream>, room: &Arc<Room>, mut number: i64) -> Result<(), DbError> {
    loop {
        if !stream.room().await {
            return Ok(());
        }
        let Some(replay) = store.replay(room.id, stream.account, number, PAGE).await? else {
            if store.hub.unsit(stream, room.id) {
                tell_gone(stream, room.id);
            }
            return Ok(());
        };
        let full = replay.told.len() >= usize::try_from(PAGE).unwrap_or_default();
        if !tell(stream, room, &replay).await {
            return Ok(());
        }
        number = replay.told.last().map_or(number, |told| told.row.number);
        if full {
            continue;
        }
        match room.level(stream, number, None) {
            Levelled::Behind => {}
            Levelled::Away => return Ok(()),
            Levelled::Level | Levelled::Ahead => {
                room.know(number);
                store.hub.settle(room, PATIENCE);
                return Ok(());
            }
        }
    }
}

/// Tells what was read, a little at a time: whoever reads slowly is waited for here. False when it is told no more of it.
async fn tell(stream: &Stream, room: &Room, replay: &Replay) -> bool {
    let (mut frames, mut length) = (Vec::new(), 0);
    for (place, told) in replay.told.iter().enumerate() {
        let change = own(told, stream.account, replay.own.joined_change, replay.own.hidden_seq());
        frames.push(Frames::of_event(Event::Change(change)));
        length += frames.last().map_or(0, |frames| frames.of(Kind::Subscribe).len());
        if length >= CHUNK || place + 1 == replay.told.len() {
            if !stream.room().await || !room.replay(stream, &Frames::joined(frames.iter())) {
                return false;
            }
            (frames, length) = (Vec::new(), 0);
        }
    }
    true
}

/// A change for an account that came in by the change `joined`: of what was before that, it learns the number.
fn own(told: &Told, account: Id, joined: i64, hidden_seq: i64) -> Change {
    if told.row.number <= joined { blank(told) } else { told::own(told, account, hidden_seq) }
}
