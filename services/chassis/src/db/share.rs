//! An account's share of a pool: however many of its calls wait for one row, each with a connection, those of others find one.

use std::time::Duration;

use tokio::time::timeout;

use super::error::DbError;
use crate::few::{Few, Place};
use crate::id::Id;

tokio::task_local! {
    /// Whose call a task carries out, if it is an account's.
    static CALLER: Option<Id>;
}

/// Carries out what an account asks for, or what is done for several: what that asks of a database is counted as theirs, or as nobody's.
pub async fn on_behalf<T>(account: Option<Id>, work: impl Future<Output = T>) -> T {
    CALLER.scope(account, work).await
}

/// What goes on in a task of its own is counted as the call that has begun it.
pub fn carried<F: Future>(work: F) -> impl Future<Output = F::Output> {
    on_behalf(CALLER.try_with(|account| *account).ok().flatten(), work)
}

/// How much of a pool each account has.
#[derive(Clone)]
pub(super) struct Shares(Few);

impl Shares {
    pub fn new(most: usize) -> Shares {
        Shares(Few::new(most))
    }

    /// Waits until the account that calls has less than its share. Nobody waits for what no account asks.
    pub async fn enter(&self, patience: Duration) -> Result<Option<Place>, DbError> {
        let Ok(Some(account)) = CALLER.try_with(|account| *account) else { return Ok(None) };
        let place = timeout(patience, self.0.enter(account)).await;
        place.map(Some).map_err(|_| DbError::Crowded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn s44_an_account_has_its_share_and_no_more() -> Result<(), DbError> {
        let shares = Shares::new(1);
        let enter = || shares.enter(Duration::ZERO);
        let first = on_behalf(Some(Id::MAX), enter()).await?;
        assert!(first.is_some());
        assert!(on_behalf(Some(Id::MAX), enter()).await.is_err(), "a second one");
        assert!(on_behalf(Some(Id::NIL), enter()).await?.is_some(), "another account");
        assert!(on_behalf(Some(Id::MAX), on_behalf(None, enter())).await?.is_none(), "what is done for several");
        assert!(enter().await?.is_none(), "nobody's");
        let apart = CALLER.sync_scope(Some(Id::MAX), || carried(enter()));
        assert!(apart.await.is_err(), "what a call leaves to another task");
        drop(first);
        assert!(on_behalf(Some(Id::MAX), enter()).await?.is_some(), "when the first is over");
        Ok(())
    }
}
