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

/// How many wait for one conversation. They must not be all the calls that a process takes.
const WAITING: usize = 1000;
/// For how long. It leaves time for the writing: by then the caller has given up.
const PATIENCE: Duration = Duration::from_secs(20);

type Queue = Arc<tokio::sync::Mutex<()>>;

/// Those who write, by conversation.
#[derive(Clone, Default)]
pub struct Turns(Arc<Mutex<HashMap<Id, Queue>>>);

/// A turn. It ends when it is dropped.
pub struct Turn {
    id: Id,
    turns: Turns,
    guard: Option<OwnedMutexGuard<()>>,
}

impl Turns {
    /// Waits for the turn; who comes first is first. Refused where too many wait, or for too long.
    pub async fn wait(&self, id: Id) -> Result<Turn, Error> {
        let queue = self.lock().entry(id).or_default().clone();
        // The map has one, and so has each who waits or writes.
        let is_full = Arc::strong_count(&queue) > WAITING + 2;
        // The turn is made first: also who gives up waiting leaves no queue behind.
        let mut turn = Turn { id, turns: self.clone(), guard: None };
        if is_full {
            drop(queue);
            return Err(Error::Busy);
        }
        turn.guard = Some(timeout(PATIENCE, queue.lock_owned()).await.map_err(|_| Error::Busy)?);
        Ok(turn)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Id, Queue>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
    use futures_util::FutureExt as _;

    use super::*;

    type Waiting<'a> = std::pin::Pin<Box<dyn Future<Output = Result<Turn, Error>> + 'a>>;

    fn wait(turns: &Turns, id: Id) -> Waiting<'_> {
        Box::pin(turns.wait(id))
    }

    #[tokio::test]
    async fn s48_turns_come_in_order_and_leave_nothing_behind() {
        let (turns, [a, b]) = (Turns::default(), [Id::NIL, Id::MAX]);
        let first = turns.wait(a).await;
        let other = turns.wait(b).await;
        let (mut second, mut third) = (wait(&turns, a), wait(&turns, a));
        assert!(second.as_mut().now_or_never().is_none() && third.as_mut().now_or_never().is_none());
        drop(first);
        assert!(third.as_mut().now_or_never().is_none(), "the second is first");
        let second = second.await;
        assert!(second.is_ok() && other.is_ok());
        drop(third);
        drop(second);
        assert_eq!(turns.lock().len(), 1, "that of the other");
        drop(turns.wait(a).await);
        assert_eq!(turns.lock().len(), 1);
        drop(other);
        assert!(turns.lock().is_empty());
    }

    #[tokio::test]
    async fn s44_no_more_wait_for_a_turn_than_may() {
        let (turns, id) = (Turns::default(), Id::NIL);
        let first = turns.wait(id).await;
        let mut all: Vec<Waiting<'_>> = (0..WAITING + 10).map(|_| wait(&turns, id)).collect();
        let waits = all.iter_mut().map(|one| one.as_mut().now_or_never()).filter(Option::is_none).count();
        assert_eq!(waits, WAITING);
        drop((all, first));
        assert!(turns.lock().is_empty());
    }
}
