//! Whose turn it is to write into a conversation in this process.
//!
//! On PostgreSQL whoever writes there waits for the lock on its row, with a connection, and for as long as a statement may take. With turns
//! only one of a process does. The others wait here, in order and without a connection, which a lively group would take from all, and can
//! leave what they have for the one before them to do.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quartet_chassis::few::{Few, Place};
use quartet_chassis::id::Id;
use tokio::sync::OwnedMutexGuard;

use crate::error::Error;

/// How many wait for one conversation. They must not be all the calls that a process takes.
const WAITING: usize = 1000;
/// How many of those who wait, for whatever conversation, are one account's: no account takes the places of all. What it does beyond that waits
/// for its own.
const OF_ONE: usize = 16;

/// Those who write, by conversation, and the work that they leave for each other.
pub struct Turns<W> {
    queues: Queues<W>,
    waiting: Few,
}

type Queues<W> = Arc<Mutex<HashMap<Id, Queue<W>>>>;

struct Queue<W> {
    turn: Arc<tokio::sync::Mutex<()>>,
    /// How many have the turn or wait for it. The last one takes the queue away.
    count: usize,
    work: VecDeque<W>,
}

/// A place before a conversation; the turn, once it has [come](Self::come). It ends when it is dropped.
pub struct Turn<W> {
    id: Id,
    queues: Queues<W>,
    turn: Arc<tokio::sync::Mutex<()>>,
    guard: Option<OwnedMutexGuard<()>>,
    _place: Option<Place>,
}

impl<W> Default for Turns<W> {
    fn default() -> Turns<W> {
        Turns { queues: Arc::default(), waiting: Few::new(OF_ONE) }
    }
}

impl<W> Clone for Turns<W> {
    fn clone(&self) -> Turns<W> {
        Turns { queues: self.queues.clone(), waiting: self.waiting.clone() }
    }
}

impl<W> Turns<W> {
    /// The turn, if nobody has it or waits for it.
    pub fn free(&self, id: Id) -> Option<Turn<W>> {
        let (mut turn, _) = self.enter(id, None);
        turn.guard = turn.turn.clone().try_lock_owned().ok();
        turn.guard.is_some().then_some(turn)
    }

    /// A place behind all who wait; refused where they are too many.
    pub async fn line_up(&self, id: Id, account: Id) -> Result<Turn<W>, Error> {
        let place = self.waiting.enter(account).await;
        let (turn, count) = self.enter(id, Some(place));
        if count > WAITING + 1 { Err(Error::Busy) } else { Ok(turn) }
    }

    fn enter(&self, id: Id, place: Option<Place>) -> (Turn<W>, usize) {
        let mut queues = lock(&self.queues);
        let queue = queues.entry(id).or_insert_with(|| Queue { turn: Arc::default(), count: 0, work: VecDeque::new() });
        queue.count += 1;
        let turn = queue.turn.clone();
        (Turn { id, queues: self.queues.clone(), turn, guard: None, _place: place }, queue.count)
    }
}

impl<W> Turn<W> {
    /// Waits for it; who comes first is first.
    pub async fn come(&mut self) {
        if self.guard.is_none() {
            self.guard = Some(self.turn.clone().lock_owned().await);
        }
    }

    /// Leaves work behind for whoever has the turn.
    pub fn leave(&self, work: W) {
        if let Some(queue) = lock(&self.queues).get_mut(&self.id) {
            queue.work.push_back(work);
        }
    }

    /// Takes some of the work that was left, the oldest first. Only who has the turn does.
    pub fn take(&self, most: usize) -> Vec<W> {
        let mut queues = lock(&self.queues);
        let Some(queue) = queues.get_mut(&self.id) else { return Vec::new() };
        let count = queue.work.len().min(most);
        queue.work.drain(..count).collect()
    }
}

impl<W> Drop for Turn<W> {
    fn drop(&mut self) {
        self.guard = None;
        let mut queues = lock(&self.queues);
        if let Some(queue) = queues.get_mut(&self.id) {
            queue.count -= 1;
            if queue.count == 0 {
                queues.remove(&self.id);
            }
        }
    }
}

fn lock<W>(queues: &Queues<W>) -> MutexGuard<'_, HashMap<Id, Queue<W>>> {
    queues.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use futures_util::FutureExt as _;
    use tokio::task::unconstrained;

    use super::*;

    type Waiting<'a> = std::pin::Pin<Box<dyn Future<Output = Result<Turn<u32>, Error>> + 'a>>;

    /// However many of them are asked by one task: none is put off for having been many.
    fn wait_as(turns: &Turns<u32>, id: Id, account: Id) -> Waiting<'_> {
        Box::pin(unconstrained(async move {
            let mut turn = turns.line_up(id, account).await?;
            turn.come().await;
            Ok(turn)
        }))
    }

    /// Somebody new each time.
    fn wait(turns: &Turns<u32>, id: Id) -> Waiting<'_> {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let number = u128::from(NUMBER.fetch_add(1, Ordering::Relaxed));
        wait_as(turns, id, Id::from_bytes(number.to_be_bytes()))
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
        assert_eq!(lock(&turns.queues).len(), 1, "that of the other");
        drop(wait(&turns, a).await);
        assert_eq!(lock(&turns.queues).len(), 1);
        drop(other);
        assert!(lock(&turns.queues).is_empty());
    }

    #[tokio::test]
    async fn g3_who_has_the_turn_takes_the_work_of_those_who_wait() {
        let (turns, id) = (Turns::default(), Id::NIL);
        let Some(first) = turns.free(id) else { panic!("nobody has it") };
        let mut second = turns.line_up(id, Id::MAX).await.ok();
        for number in 1..=3 {
            second.iter().for_each(|second| second.leave(number));
        }
        assert_eq!((first.take(2), first.take(2), first.take(2)), (vec![1, 2], vec![3], vec![]));
        drop(first);
        if let Some(second) = &mut second {
            second.come().await;
            second.leave(4);
        }
        drop(second);
        assert!(lock(&turns.queues).is_empty(), "what nobody took is gone with the last one");
    }

    #[tokio::test]
    async fn s44_no_more_wait_for_a_turn_than_may() {
        let (turns, id) = (Turns::default(), Id::NIL);
        let first = wait(&turns, id).await;
        let mut all: Vec<Waiting<'_>> = (0..WAITING + 10).map(|_| wait(&turns, id)).collect();
        let waits = all.iter_mut().map(|one| one.as_mut().now_or_never()).filter(Option::is_none).count();
        assert_eq!(waits, WAITING);
        drop((all, first));
        assert!(lock(&turns.queues).is_empty());
    }

    #[tokio::test]
    async fn s44_an_account_has_few_of_the_places_and_the_free_turn_is_nobodys() {
        let (turns, id) = (Turns::default(), Id::NIL);
        let first = turns.free(id);
        assert!(first.is_some() && turns.free(id).is_none());
        let mut all: Vec<Waiting<'_>> = (0..WAITING).map(|_| wait_as(&turns, id, Id::MAX)).collect();
        assert!(all.iter_mut().all(|one| one.as_mut().now_or_never().is_none()));
        let queue = lock(&turns.queues).get(&id).map(|queue| queue.count);
        assert_eq!(queue, Some(OF_ONE + 1), "who writes, and few who wait");
        let mut other = wait(&turns, id);
        assert!(other.as_mut().now_or_never().is_none(), "it waits, and is not refused");
        drop((all, other, first));
        assert!(lock(&turns.queues).is_empty());
    }
}
