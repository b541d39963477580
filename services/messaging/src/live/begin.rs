//! How a stream begins: it joins, then it reads, then it goes on with what happens. So nothing is left out, and nothing told twice.

use std::collections::{HashMap, HashSet};
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

use super::frame::{Frames, Kind};
use super::people::Entered;
use super::room::{Levelled, Room};
use super::stream::{Body, Stream};
use super::turn::read;
use super::view::View;
use super::work::look;
use super::{Hub, PATIENCE};
use crate::api::message_view;
use crate::error::Error;
use crate::store::Store;
use crate::store::live::Replay;
use crate::store::told::Told;

/// How many conversations a client may name.
const POSITIONS: usize = 2000;
/// How many conversations are read at a time: at first, and then as many as come to this many bytes, within these.
const FIRST: usize = 8;
const PART: usize = 128 << 10;
const FEWEST: usize = 4;
const MOST: usize = 32;

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
    match store.hub.enter(stream) {
        Entered::In => {}
        Entered::Full => return Err(Error::RateLimited(Duration::from_secs(60))),
        Entered::Gone => return Ok(()),
    }
    if store.hub.has_stopped() {
        stream.resume(ResumeReason::Shutdown);
        return Ok(());
    }
    let (store, stream) = (store.clone(), stream.clone());
    parts.spawn(async move {
        if let Err(error) = Box::pin(start(&store, &stream, asked.positions)).await {
            stream.fail(error);
        }
        // What was told of the account's own conversations meanwhile.
        look(&store, &stream).await;
    });
    Ok(())
}

async fn start(store: &Store, stream: &Arc<Stream>, mut positions: HashMap<Id, i64>) -> Result<(), DbError> {
    let hub = &store.hub;
    hub.announce_stream(stream).await;
    stream.tell(Event::Started(Started { stream_id: stream.id.to_string() }));
    let accounts = [stream.account];
    let Some(mine) = read(hub, stream, || store.takes_part_in(&accounts)).await? else { return Ok(()) };
    // Whatever this reading finds before the comparing does, the account's other streams look at, too.
    for conversation in hub.remember(stream.account, &mine) {
        hub.others_look_again(stream, conversation);
    }
    let mut ids: Vec<Id> = mine.iter().map(|own| own.conversation_id).collect();
    drop(mine);
    // The newest first.
    ids.sort_unstable_by(|one, other| other.cmp(one));
    let (mut rest, mut fitting, mut behind) = (ids.as_slice(), FIRST, Vec::new());
    while let Some((part, others)) = rest.split_at_checked(fitting.min(rest.len())).filter(|(part, _)| !part.is_empty())
    {
        let Some(views) = shown(store, stream, part).await? else { return Ok(()) };
        let length: usize = views.iter().map(|view| view.frames.len()).sum();
        fitting = (part.len() * PART / length.max(1)).clamp(FEWEST, MOST);
        behind.extend(show(hub, stream, part, views, &mut positions).await);
        rest = others;
    }
    for id in positions.into_keys() {
        stream.drained().await;
        tell_gone(stream, id);
    }
    hub.arrive(stream);
    for (room, number) in behind {
        follow(store, stream, &room, number).await?;
    }
    stream.tell(Event::CaughtUp(CaughtUp {}));
    Ok(())
}

/// Joins some conversations, and reads how they are behind that. None when the client has gone.
async fn shown(store: &Store, stream: &Arc<Stream>, ids: &[Id]) -> Result<Option<Vec<View>>, DbError> {
    if !stream.drained().await || ids.iter().any(|id| store.hub.sit(stream, *id).is_none()) {
        return Ok(None);
    }
    let reading = async || {
        let found = store.conversations_among(stream.account, ids).await?;
        Ok(found.into_iter().map(View::from).collect())
    };
    read(&store.hub, stream, reading).await
}

/// Tells how some conversations are. Answers those of which more is to be read, and from where on.
async fn show(
    hub: &Hub,
    stream: &Arc<Stream>,
    ids: &[Id],
    views: Vec<View>,
    positions: &mut HashMap<Id, i64>,
) -> Vec<(Arc<Room>, i64)> {
    let mut behind = Vec::new();
    // Who left between the two readings has no place there.
    let found: HashSet<Id> = views.iter().map(|view| view.id).collect();
    for id in ids.iter().filter(|id| !found.contains(id)) {
        hub.unsit(stream, *id);
    }
    for view in views {
        let Some(room) = hub.room(view.id) else { continue };
        if !stream.drained().await {
            return Vec::new();
        }
        hub.watch_later(stream, view.peer);
        if positions.get(&view.id).is_some_and(|position| begins_anew(*position, &view)) {
            positions.remove(&view.id);
            tell_gone(stream, view.id);
        }
        let position = positions.get(&view.id).copied();
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
    behind
}

/// Whether what a client has is nothing to go on from: what came behind it is not kept any more, or the database does not have it, since an
/// older state was brought back, and gives these numbers to others.
fn begins_anew(position: i64, view: &View) -> bool {
    position > view.last_change || position + 1 < view.first_change
}

fn tell_gone(stream: &Stream, id: Id) {
    stream.tell(Event::Gone(ConversationGone { conversation_id: id.to_string() }));
}

/// A part of what has happened in a conversation, as a stream is told it.
struct Page {
    frames: Frames,
    /// The number of its last change.
    number: i64,
    /// Whether there was more.
    more: bool,
    /// What should come first is not kept any more.
    is_torn: bool,
}

/// Tells a stream what has happened behind a number, as fast as it reads, until it is level with the room.
pub async fn follow(store: &Store, stream: &Arc<Stream>, room: &Arc<Room>, mut number: i64) -> Result<(), DbError> {
    let hub = &store.hub;
    loop {
        // Whoever reads slowly is waited for here, where nothing is kept for them.
        if !stream.drained().await {
            return Ok(());
        }
        let reading = async || {
            let replay = store.replay(room.id, stream.account, number).await?;
            Ok(replay.map(|replay| Page::of(&replay, stream.account, number)))
        };
        let Some(page) = read(hub, stream, reading).await? else { return Ok(()) };
        let Some(page) = page else {
            if hub.unsit(stream, room.id) {
                tell_gone(stream, room.id);
            }
            return Ok(());
        };
        if page.is_torn {
            stream.resume(ResumeReason::Interrupted);
            return Ok(());
        }
        if !room.replay(stream, &page.frames) {
            return Ok(());
        }
        number = page.number;
        if page.more {
            continue;
        }
        match room.level(stream, number, None) {
            Levelled::Behind => {}
            Levelled::Away => return Ok(()),
            Levelled::Level | Levelled::Ahead => {
                room.know(number);
                hub.settle(room, PATIENCE);
                return Ok(());
            }
        }
    }
}

impl Page {
    /// What was read behind a number.
    fn of(replay: &Replay, account: Id, behind: i64) -> Page {
        let own = &replay.own;
        let change = |told| self::own(told, account, own.joined_change, own.hidden_seq());
        let frames: Vec<Frames> =
            replay.told.iter().map(|told| Frames::of_event(Event::Change(change(told)))).collect();
        Page {
            frames: Frames::joined(frames.iter()),
            number: replay.told.last().map_or(behind, |told| told.row.number),
            more: replay.more,
            is_torn: behind + 1 < replay.first_change,
        }
    }
}

/// A change for an account that came in by the change `joined`: of what was before that, it learns the number.
fn own(told: &Told, account: Id, joined: i64, hidden_seq: i64) -> Change {
    if told.row.number <= joined { message_view::blank(told) } else { message_view::own(told, account, hidden_seq) }
}
