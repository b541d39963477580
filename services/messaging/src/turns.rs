//! Whose turn it is to write into a conversation in this process.
//!
//! On PostgreSQL whoever writes there waits for the lock on its row, with a connection, and for as long as a statement may take. With turns
//! only one of a process does. The others wait here, in order and without a connection, which a lively group would take from all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quartet_chassis::id::Id;
use tokio::sync::OwnedMutexGuard;
use tokio::time::timeout;

use crate::error::Error;
use crate::few::{Few, Place};

/// How many wait for one conversation. They must not be all the calls that a process takes.
const WAITING: usize = 1000;
/// How many of those who wait, for whatever conversation, are one account's: no account takes the places of all. What it does beyond that waits
/// for its own.
const OF_ONE: usize = 8;
/// For how long. It leaves time for the writing: by then the caller has given up.
const PATIENCE: Duration = Duration::from_secs(20);

type Queue = Arc<tokio::sync::Mutex<()>>;

/// Those who write, by conversation.
#[derive(Clone)]
pub struct Turns {
    queues: Arc<Mutex<HashMap<Id, Queue>>>,
    waiting: Few,
}

/// A turn. It ends when it is dropped.
pub struct Turn {
    id: Id,
    turns: Turns,
    guard: Option<OwnedMutexGuard<()>>,
    _place: Option<Place>,
}

impl Default for Turns {
    fn default() -> Turns {
        Turns { queues: Arc::default(), waiting: Few::new(OF_ONE) }
    }
}

impl Turns {
    /// The turn, if nobody has it or waits for it.
    pub fn free(&self, id: Id) -> Option<Turn> {
        let queue = self.lock().entry(id).or_default().clone();
        let mut turn = Turn { id, turns: self.clone(), guard: None, _place: None };
        turn.guard = queue.try_lock_owned().ok();
        turn.guard.is_some().then_some(turn)
    }

    /// Waits for the turn; who comes first is first. Refused where too many wait, or for too long.
    pub async fn wait(&self, id: Id, account: Id) -> Result<Turn, Error> {
        timeout(PATIENCE, self.queue(id, account)).await.map_err(|_| Error::Busy)?
    }

    async fn queue(&self, id: Id, account: Id) -> Result<Turn, Error> {
        let place = self.waiting.enter(account).await;
        let queue = self.lock().entry(id).or_default().clone();
        // The map has one, and so has each who waits or writes.
        let is_full = Arc::strong_count(&queue) > WAITING + 2;
        // The turn is made first: also who gives up waiting leaves no queue behind.
        let mut turn = Turn { id, turns: self.clone(), guard: None, _place: Some(place) };
        if is_full {
            drop(queue);
            return Err(Error::Busy);
        }
        turn.guard = Some(queue.lock_owned().await);
        Ok(turn)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Id, Queue>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.guard = None;
        let mut queues = self.turns.lock();
        // Nobody else has it, and nobody gets it while the map is locked.
        if queues.get(&self.id).is_some_and(|queue| Arc::strong_count(queue) == 1) {
            queues.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use futures_util::FutureExt as _;
    use tokio::task::unconstrained;

    use super::*;

    type Waiting<'a> = std::pin::Pin<Box<dyn Future<Output = Result<Turn, Error>> + 'a>>;

    /// Somebody new each time.
    fn wait(turns: &Turns, id: Id) -> Waiting<'_> {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let number = u128::from(NUMBER.fetch_add(1, Ordering::Relaxed));
        // However many of them are asked by one task: none is put off for having been many.
        Box::pin(unconstrained(turns.wait(id, Id::from_bytes(number.to_be_bytes()))))
    }

    #[tokio::test]
    async fn s48_turns_come_in_order_and_leave_nothing_behind() {
        let (turns, [a, b]) = (Turns::default(), [Id::NIL, Id::MAX]);
        let first = wait(&turns, a).await;
        let other = wait(&turns, b).await;
        let (mut second, mut third) = (wait(&turns, a), wait(&turns, a));
        assert!(second.as_mut().now_or_never().is_none() && third.as_mut().now_or_never().is_none());
        drop(first);
        assert!(third.as_mut().now_or_never().is_none(), "the second is first");
        let second = second.await;
        assert!(second.is_ok() && other.is_ok());
        drop(third);
        drop(second);
        assert_eq!(turns.lock().len(), 1, "that of the other");
        drop(wait(&turns, a).await);
        assert_eq!(turns.lock().len(), 1);
        drop(other);
        assert!(turns.lock().is_empty());
    }

    #[tokio::test]
    async fn s44_no_more_wait_for_a_turn_than_may() {
        let (turns, id) = (Turns::default(), Id::NIL);
        let first = wait(&turns, id).await;
        let mut all: Vec<Waiting<'_>> = (0..WAITING + 10).map(|_| wait(&turns, id)).collect();
        let waits = all.iter_mut().map(|one| one.as_mut().now_or_never()).filter(Option::is_none).count();
        assert_eq!(waits, WAITING);
        drop((all, first));
        assert!(turns.lock().is_empty());
    }

    #[tokio::test]
    async fn s44_an_account_has_few_of_the_places_and_the_free_turn_is_nobodys() {
        let (turns, id) = (Turns::default(), Id::NIL);
        let first = turns.free(id);
        assert!(first.is_some() && turns.free(id).is_none());
        let mut all: Vec<Waiting<'_>> = Vec::new();
        for _ in 0..WAITING {
            all.push(Box::pin(unconstrained(turns.wait(id, Id::MAX))));
        }
        assert!(all.iter_mut().all(|one| one.as_mut().now_or_never().is_none()));
        let queue = turns.lock().get(&id).map(Arc::strong_count);
        assert_eq!(queue, Some(OF_ONE + 2), "the map's, who writes, and few who wait");
        let mut other = wait(&turns, id);
        assert!(other.as_mut().now_or_never().is_none(), "it waits, and is not refused");
        drop((all, other, first));
        assert!(turns.lock().is_empty());
    }
}
