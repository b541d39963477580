//! The accounts that have streams here.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use quartet_chassis::id::Id;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::stream::Stream;
use super::turn::OWN;
use super::{Hub, lock};

/// So many seconds' worth of frames may come at once.
const BURST: u32 = 4;

/// An account with streams here.
pub struct Listener {
    pub streams: Vec<Arc<Stream>>,
    /// Of its conversations, what it was last seen to have made of them. None before that is read the first time.
    pub known: Option<HashMap<Id, u64>>,
    /// Its beginnings that read at a time.
    pub turns: Arc<Semaphore>,
    frames: Allowance,
}

impl Default for Listener {
    fn default() -> Listener {
        let turns = Arc::new(Semaphore::new(OWN));
        Listener { streams: Vec::new(), known: None, turns, frames: Allowance::default() }
    }
}

/// What became of a stream that was to be taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entered {
    In,
    /// Its account has too many.
    Full,
    /// Its client has gone.
    Gone,
}

/// How much somebody may do at once: who does more waits.
#[derive(Debug, Default)]
struct Allowance {
    /// When it is whole again.
    whole: Option<Instant>,
}

impl Allowance {
    /// Takes one of so many a second; how long to wait before it is used.
    fn take(&mut self, per_second: u32, now: Instant) -> Duration {
        let each = Duration::from_secs(1) / per_second;
        let whole = self.whole.map_or(now, |whole| whole.max(now)) + each;
        self.whole = Some(whole);
        whole.duration_since(now).saturating_sub(Duration::from_secs(BURST.into()))
    }
}

impl Hub {
    /// Takes a stream in.
    pub(super) fn enter(&self, stream: &Arc<Stream>) -> Entered {
        // Held meanwhile: who leaves takes this first.
        let rooms = stream.lock_rooms();
        if rooms.is_none() {
            return Entered::Gone;
        }
        let mut people = lock(&self.0.people);
        let listener = people.entry(stream.account).or_default();
        if listener.streams.len() >= self.0.limits.streams {
            return Entered::Full;
        }
        listener.streams.push(stream.clone());
        Entered::In
    }

    /// The client has gone.
    pub(super) fn leave(&self, stream: &Arc<Stream>) {
        let rooms = stream.lock_rooms().take();
        {
            let mut people = lock(&self.0.people);
            if let Some(listener) = people.get_mut(&stream.account) {
                listener.streams.retain(|known| known.id != stream.id);
                if listener.streams.is_empty() {
                    people.remove(&stream.account);
                }
            }
        }
        self.depart(stream);
        for conversation in rooms.into_iter().flatten() {
            self.unsit(stream, conversation);
        }
        self.forget_stream(stream);
    }

    /// Every stream of this process.
    pub(super) fn streams(&self) -> Vec<Arc<Stream>> {
        lock(&self.0.people).values().flat_map(|listener| listener.streams.iter().cloned()).collect()
    }

    /// The streams of an account.
    pub(super) fn streams_of(&self, account: Id) -> Vec<Arc<Stream>> {
        lock(&self.0.people).get(&account).map(|listener| listener.streams.clone()).unwrap_or_default()
    }

    /// Counts a frame of a client's; how long to wait before it is carried out.
    pub fn count_frame(&self, account: Id) -> Duration {
        let per_second = self.0.limits.frames;
        if per_second == 0 {
            return Duration::ZERO;
        }
        let mut people = lock(&self.0.people);
        people.get_mut(&account).map(|listener| listener.frames.take(per_second, Instant::now())).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s44_who_says_too_much_at_once_waits_and_is_refused_nothing() {
        let (mut frames, now) = (Allowance::default(), Instant::now());
        let at = |frames: &mut Allowance, seconds: u64| frames.take(50, now + Duration::from_secs(seconds)).as_millis();
        assert!((0..200).all(|_| at(&mut frames, 0) == 0));
        assert_eq!((at(&mut frames, 0), at(&mut frames, 0)), (20, 40));
        // A second later there are fifty more, less the two that were ahead.
        assert!((0..48).all(|_| at(&mut frames, 1) == 0));
        assert_eq!(at(&mut frames, 1), 20);
        assert!((0..200).all(|_| at(&mut frames, 60) == 0));
        assert_eq!(at(&mut frames, 60), 20);
    }
}
