//! Accounts as a service other than identity knows them: a copy that follows identity's feed, and the removal of what the service keeps of
//! accounts that are deleted.
//!
//! Each service has the tables `account`, `account_gone`, `account_cursor` and `erasure` of its own, made by its migrations. Nothing refers to `account`:
//! it may lag, and a token suffices.

pub mod address;
mod copy;
mod erasure;
mod follow;
pub mod hold;
pub mod table;

pub use self::copy::Change;
pub use self::erasure::{Removed, Step, count};
pub use self::follow::Follower;
pub use self::table::AccountRow;
use crate::db::{Conn, DbError};
use crate::id::Id;

/// What a service does about accounts beside keeping their copy. All of it is done in transactions that hold the accounts alone.
pub trait Keeper: Send + Sync + 'static {
    /// Writes what follows from it that accounts are different from before. Those that were not known have no `old`.
    fn changed(
        &self,
        conn: &mut Conn,
        changes: &[(AccountRow, Option<AccountRow>)],
    ) -> impl Future<Output = Result<(), DbError>> + Send;

    /// Removes what is to go at once when an account is deleted, beside its copy, which was `old`.
    fn begin_erasure(
        &self,
        conn: &mut Conn,
        old: &AccountRow,
        removed: &mut Removed,
    ) -> impl Future<Output = Result<(), DbError>> + Send;

    /// Removes some of what there is of a deleted account, and counts it by kind in what was `removed` already. It is called until there is
    /// nothing left, each time in a transaction of its own.
    fn erase_some(
        &self,
        conn: &mut Conn,
        account_id: Id,
        removed: &mut Removed,
    ) -> impl Future<Output = Result<Step, DbError>> + Send;
}
