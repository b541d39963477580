//! Of what takes long, an account does only so much at a time in this process; the rest of it waits for its own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::id::Id;

/// Who does something, by account.
#[derive(Clone)]
pub struct Few {
    most: usize,
    all: Arc<Mutex<HashMap<Id, Arc<Semaphore>>>>,
}

/// The place of one who does it. It ends when it is dropped.
pub struct Place {
    account: Id,
    few: Few,
    permit: Option<OwnedSemaphorePermit>,
}

impl Few {
    /// So many at a time for each account.
    pub fn new(most: usize) -> Few {
        Few { most, all: Arc::default() }
    }

    /// Waits until the account does less than it may.
    pub async fn enter(&self, account: Id) -> Place {
        let places = self.lock().entry(account).or_insert_with(|| Arc::new(Semaphore::new(self.most))).clone();
        // The place is made first: also who gives up waiting leaves nothing behind.
        let mut place = Place { account, few: self.clone(), permit: None };
        place.permit = places.acquire_owned().await.ok();
        place
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Id, Arc<Semaphore>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.permit = None;
        let mut all = self.few.lock();
        // Nobody else has it, and nobody gets it while the map is locked.
        if all.get(&self.account).is_some_and(|places| Arc::strong_count(places) == 1) {
            all.remove(&self.account);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn s44_an_account_does_so_much_at_a_time_and_leaves_nothing_behind() {
        let few = Few::new(2);
        let (first, second) = (few.enter(Id::MAX).await, few.enter(Id::MAX).await);
        let mut third = Box::pin(few.enter(Id::MAX));
        assert!(third.as_mut().now_or_never().is_none());
        let other = few.enter(Id::NIL).now_or_never();
        assert!(other.is_some(), "another account waits for nobody");
        drop(first);
        let third = third.await;
        let mut fourth = Box::pin(few.enter(Id::MAX));
        assert!(fourth.as_mut().now_or_never().is_none());
        drop((fourth, second, third));
        assert_eq!(few.lock().len(), 1, "that of the other");
        drop(other);
        assert!(few.lock().is_empty());
    }
}
