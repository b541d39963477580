//! What a statement can fail of, told apart for both databases.

use diesel::result::{DatabaseErrorKind, Error};
use quartet_proto::r#type::v1::ErrorReason;
use tonic::Code;

use crate::failure::Failure;

/// A failed statement or transaction.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// The database can't be reached or did not answer in time. What a transaction did is undone, unless it was its commit that
    /// went unanswered.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// Other calls of the account hold all the connections that it may have.
    #[error("the account's other calls hold its connections")]
    Crowded,
    /// The disk, or the room the database is allowed, is full.
    #[error("the database is full")]
    Full,
    /// A unique constraint holds such a row already. Holds what the database says of it.
    #[error("duplicate key: {0}")]
    Duplicate(String),
    /// Anything else: a defect of ours.
    #[error(transparent)]
    Failed(Error),
}

impl DbError {
    /// Whether it is the unique constraint over these columns, as `unique (…)` names it, that was broken.
    pub fn is_duplicate_of(&self, table: &str, columns: &[&str]) -> bool {
        let DbError::Duplicate(what) = self else { return false };
        let sqlite: Vec<String> = columns.iter().map(|column| format!("{table}.{column}")).collect();
        *what == format!("{table}_{}_key", columns.join("_")) || *what == sqlite.join(", ")
    }
}

impl From<Error> for DbError {
    fn from(error: Error) -> DbError {
        let Error::DatabaseError(kind, info) = &error else {
            return match error {
                Error::BrokenTransactionManager => DbError::Unavailable("broken connection".to_owned()),
                other => DbError::Failed(other),
            };
        };
        let message = info.message();
        match kind {
            DatabaseErrorKind::UniqueViolation => {
                let sqlite = message.strip_prefix("UNIQUE constraint failed: ").unwrap_or(message);
                DbError::Duplicate(info.constraint_name().unwrap_or(sqlite).to_owned())
            }
            DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::ReadOnlyTransaction => {
                DbError::Unavailable(message.to_owned())
            }
            _ if is_full(message) => DbError::Full,
            _ if is_unavailable(message) => DbError::Unavailable(message.to_owned()),
            _ => DbError::Failed(error),
        }
    }
}

impl From<DbError> for Failure {
    fn from(error: DbError) -> Failure {
        match error {
            DbError::Unavailable(cause) => {
                tracing::warn!(cause, "database unavailable");
                Failure::unavailable("database")
            }
            // Told as what makes the others wait, which may be a database that hangs. The log is not the account's to fill.
            DbError::Crowded => Failure::unavailable("database"),
            DbError::Full => {
                Failure::new(Code::ResourceExhausted, ErrorReason::StorageFull, "the store has no room left")
            }
            error => Failure::internal("an internal error occurred", error),
        }
    }
}

fn is_full(message: &str) -> bool {
    const SIGNS: [&str; 3] = ["database or disk is full", "No space left on device", "could not extend file"];
    SIGNS.iter().any(|sign| message.contains(sign))
}

/// The signs of a server that is away, going, or coming, or of a schema that is not migrated yet. Neither driver gives them a kind of
/// their own.
fn is_unavailable(message: &str) -> bool {
    const SIGNS: [&str; 14] = [
        "connection closed",
        "error communicating with the server",
        "error connecting to server",
        "terminating connection",
        "the database system is",
        "canceling statement due to",
        "too many clients",
        "remaining connection slots",
        "read-only transaction",
        "database is locked",
        "disk I/O error",
        "unable to open database file",
        "does not exist",
        "deadlock detected",
    ];
    SIGNS.iter().any(|sign| message.contains(sign))
}
