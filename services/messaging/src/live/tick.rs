//! What the time brings, for all streams together: beats, the end of typing, receipts that were to be told later. No stream has a timer of
//! its own.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use quartet_chassis::id::Id;
use quartet_proto::messaging::v1::Beat;
use quartet_proto::messaging::v1::subscribe_response::Event;
use tokio::time::{MissedTickBehavior, interval};

use super::frame::Frames;
use super::news::News;
use super::room::Room;
use super::{Hub, lock};

const TICK: Duration = Duration::from_millis(250);
/// So many ticks are a second.
const SECOND: u32 = 4;
/// How often other instances are told of the streams here, in seconds.
const RENEW: u32 = 40;
/// How long somebody types who does not say so again.
const TYPING: TimeDelta = TimeDelta::seconds(6);
/// How many are known to type in a conversation at a time.
const TYPISTS: usize = 50;

/// Ticks for as long as the process runs.
pub async fn run(hub: Hub) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let beat = Frames::of_event(Event::Beat(Beat {}));
    for count in 1u32.. {
        ticks.tick().await;
        hub.tell_late();
        hub.end_typing();
        if count % SECOND != 0 {
            continue;
        }
        hub.tick_presences();
        for stream in hub.streams() {
            stream.tick(&beat);
        }
        if count % (RENEW * SECOND) == 0 {
            hub.renew_streams().await;
        }
    }
}

impl Hub {
    /// Says that somebody who takes part types, or no longer.
    pub fn typing(&self, conversation: Id, account: Id, typing: bool) {
        self.spread(News::Typing(conversation, account, typing));
        self.types(conversation, account, typing);
    }

    pub(super) fn types(&self, conversation: Id, account: Id, typing: bool) {
        let Some(room) = self.room(conversation) else { return };
        let until = self.0.clock.now() + TYPING;
        let mut seats = room.lock();
        let was = seats.typing.contains_key(&account);
        if typing && (was || seats.typing.len() < TYPISTS) {
            seats.typing.insert(account, until);
        } else {
            seats.typing.remove(&account);
        }
        let is = seats.typing.contains_key(&account);
        if is || was {
            seats.tell_typing(room.id, account, is);
        }
        drop(seats);
        if is {
            lock(&self.0.typing).insert(room.id);
        }
    }

    fn end_typing(&self) {
        let now = self.0.clock.now();
        for room in self.rooms_of(&self.0.typing) {
            let mut seats = room.lock();
            let over: Vec<Id> =
                seats.typing.iter().filter(|(_, until)| **until <= now).map(|(account, _)| *account).collect();
            for account in over {
                seats.typing.remove(&account);
                seats.tell_typing(room.id, account, false);
            }
            if !seats.typing.is_empty() {
                lock(&self.0.typing).insert(room.id);
            }
        }
    }

    fn tell_late(&self) {
        for room in self.rooms_of(&self.0.late) {
            room.tell_late();
        }
    }

    /// The rooms that are noted down, which are no more by that.
    fn rooms_of(&self, noted: &std::sync::Mutex<std::collections::HashSet<Id>>) -> Vec<Arc<Room>> {
        let noted = std::mem::take(&mut *lock(noted));
        noted.into_iter().filter_map(|id| self.room(id)).collect()
    }
}
