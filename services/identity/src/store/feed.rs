//! The account feed: the numbers of changes, and the changes behind a number.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::on;
use tokio::sync::futures::Notified;

use super::Store;
use super::account::State;
use crate::schema::{account, erasure, feed, profile};

/// The feed of accounts.
pub(super) const ACCOUNT: &str = "account";

/// How many changes are read at once.
pub const BATCH: usize = 500;

/// What an account is since a change.
#[derive(Debug, Clone, Queryable)]
pub struct ChangeRow {
    pub number: i64,
    pub account_id: Id,
    pub email: String,
    pub email_verified: bool,
    #[diesel(deserialize_as = String)]
    pub state: State,
    pub first_name: String,
    pub last_name: String,
    pub avatar_url: String,
    pub avatar_media_id: String,
    /// Of an account that is being erased.
    pub erasure_id: Option<Id>,
}

impl Store {
    /// Completes when a transaction of this very process may have published something since now.
    pub fn changed(&self) -> Notified<'_> {
        self.changes.notified()
    }

    /// The number that the feed has come to.
    pub async fn feed_number(&self) -> Result<i64, DbError> {
        let conn = &mut self.db.read().await?;
        on!(conn, |db| feed::table.find(ACCOUNT).select(feed::number).first(db).await)
    }

    /// The changes with numbers above `after`, [`BATCH`] at most. Of each account the newest alone: its row has but one number.
    pub async fn changes_after(&self, after: i64) -> Result<Vec<ChangeRow>, DbError> {
        let conn = &mut self.db.read().await?;
        let its_erasure = erasure::account_id.eq(account::id.nullable());
        let query = account::table.inner_join(profile::table).left_join(erasure::table.on(its_erasure));
        let query = query.filter(account::change_number.gt(after)).order(account::change_number).limit(BATCH as i64);
        let query = query.select((
            account::change_number.assume_not_null(),
            account::id,
            account::email,
            account::email_verified,
            account::state,
            profile::first_name,
            profile::last_name,
            profile::avatar_url,
            profile::avatar_media_id,
            erasure::id.nullable(),
        ));
        on!(conn, |db| query.load(db).await)
    }

    /// Gives the change of an account that this transaction has made its number in the feed. The last thing that a transaction does:
    /// from here on others wait for it, and so numbers become visible in their order.
    pub(super) async fn publish(&self, conn: &mut Conn, account_id: Id) -> Result<(), DbError> {
        let state = self.hold_account(conn, account_id).await?;
        let listed = state.as_deref() == Some(State::Active.as_str());
        let other = profile::table.find(account_id).filter(profile::listed.ne(listed));
        on!(conn, |db| diesel::update(other).set(profile::listed.eq(listed)).execute(db).await)?;
        let next = diesel::update(feed::table.find(ACCOUNT)).set(feed::number.eq(feed::number + 1));
        let number: i64 = on!(conn, |db| next.returning(feed::number).get_result(db).await)?;
        let change = diesel::update(account::table.find(account_id)).set(account::change_number.eq(number));
        on!(conn, |db| change.execute(db).await).map(drop)
    }
}
