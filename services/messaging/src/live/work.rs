//! What has to be read from the database for what happens.

use std::sync::Arc;
use std::time::Duration;

use quartet_chassis::db::DbError;
use quartet_chassis::id::Id;
use quartet_chassis::telemetry::Seldom;
use quartet_proto::messaging::v1::subscribe_response::Event;
use quartet_proto::messaging::v1::{ConversationGone, ResumeReason};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::begin::follow;
use super::item::Item;
use super::room::{Levelled, Room};
use super::stream::Stream;
use super::view::View;
use super::{Hub, PATIENCE};
use crate::store::Store;
use crate::store::live::OwnRow;

/// How many readings there are at a time: the database has others to answer, too.
pub const READINGS: usize = 8;
const RETRY: Duration = Duration::from_millis(250);

/// Something to do.
pub enum Work {
    /// What has its turn in this room is to be told.
    Tell(Hub, Arc<Room>),
    /// Something is missing in this room. It may come by itself in this time.
    Read(Arc<Room>, Duration),
    /// A stream's conversations are to be looked at again.
    Look(Arc<Stream>),
}

/// Does it, each thing by itself.
pub async fn run(store: Store, mut work: mpsc::UnboundedReceiver<Work>) {
    while let Some(next) = work.recv().await {
        let store = store.clone();
        match next {
            Work::Tell(hub, room) => {
                tokio::spawn(async move { hub.tell(&room) });
            }
            Work::Read(room, patience) => {
                tokio::spawn(async move { read(&store, &room, patience).await });
            }
            Work::Look(stream) => {
                tokio::spawn(async move { look(&store, &stream).await });
            }
        }
    }
}

/// Reads what is missing in a room until nothing is, or nobody listens any more.
async fn read(store: &Store, room: &Arc<Room>, patience: Duration) {
    sleep(patience).await;
    let mut seldom = Seldom::default();
    while !room.end_reading() {
        if room.len() == 0 || store.hub.has_stopped() {
            return room.give_up_reading();
        }
        let Some(behind) = room.missing() else { continue };
        let Ok(turn) = store.hub.0.readings.acquire().await else { return };
        let filled = fill(store, room, behind).await;
        drop(turn);
        match filled {
            Ok(true) => store.hub.tell(room),
            Ok(false) => sleep(RETRY).await,
            Err(error) => {
                if seldom.again() {
                    tracing::warn!(%error, "changes can't be read");
                }
                sleep(RETRY).await;
            }
        }
    }
}

/// Reads what comes behind a number. False when there is nothing, whatever was said: it has not come to be.
async fn fill(store: &Store, room: &Room, behind: i64) -> Result<bool, DbError> {
    let gap = store.gap(room.id, behind).await?;
    if behind + 1 < gap.first_change {
        // What is missing is not kept any more.
        store.hub.interrupt(room);
        return Ok(false);
    }
    if gap.told.first().is_none_or(|told| told.row.number != behind + 1) {
        room.know_last(behind);
        return Ok(false);
    }
    let left = Arc::new(gap.left);
    room.put(gap.told.into_iter().map(|told| Item::new(told, left.clone())));
    room.know(gap.last_change);
    Ok(true)
}

impl Hub {
    /// Lets all in a room begin anew, and in another one. In this one somebody might stay who reads nothing.
    pub(super) fn interrupt(&self, room: &Room) {
        for stream in room.shut() {
            stream.resume(ResumeReason::Interrupted);
        }
        self.give_up(room);
    }
}

/// Looks at the conversations of a stream whose account's own view of them has changed.
pub async fn look(store: &Store, stream: &Arc<Stream>) {
    loop {
        let next = {
            let mut todo = stream.lock_todo();
            let next = todo.conversations.pop_first();
            todo.busy = next.is_some();
            next
        };
        let Some(conversation) = next else { return };
        // Nothing is kept for a slow reader meanwhile, and nobody else waits.
        if !stream.drained().await {
            continue;
        }
        let Ok(turn) = store.hub.0.readings.acquire().await else { return };
        let looked = look_at(store, stream, conversation).await;
        drop(turn);
        let followed = match looked {
            Ok(None) => Ok(()),
            Ok(Some((room, number))) => follow(store, stream, &room, number).await,
            Err(error) => Err(error),
        };
        if let Err(error) = followed {
            stream.fail(error);
        }
    }
}

/// Answers the room if more is to be read of it, and behind which change.
async fn look_at(store: &Store, stream: &Arc<Stream>, conversation: Id) -> Result<Option<(Arc<Room>, i64)>, DbError> {
    let hub = &store.hub;
    // First a seat, then the reading: what happens in between is kept.
    let Some(room) = hub.sit(stream, conversation) else { return Ok(None) };
    room.hold(stream);
    let Some(seen) = store.conversation_seen(conversation, stream.account).await? else {
        hub.remember_one(stream.account, conversation, None);
        if hub.unsit(stream, conversation) {
            stream.tell(Event::Gone(ConversationGone { conversation_id: conversation.to_string() }));
        }
        return Ok(None);
    };
    hub.remember_one(stream.account, conversation, Some(OwnRow::from(&seen.view.own)));
    let view = View::from(seen);
    hub.watch(stream, view.peer);
    hub.unwatch(stream, view.stranger);
    match room.level(stream, view.last_change, Some(&view)) {
        Levelled::Level => {
            room.know(view.last_change);
            hub.settle(&room, PATIENCE);
            Ok(None)
        }
        Levelled::Behind if room.tell_behind(stream, &view) => Ok(Some((room, view.last_change))),
        Levelled::Ahead => {
            hub.see_to(stream, conversation);
            Ok(None)
        }
        Levelled::Behind | Levelled::Away => Ok(None),
    }
}
