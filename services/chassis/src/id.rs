//! Ids: UUIDv7, 16 bytes in the database and text on the wire.

use std::fmt;
use std::str::FromStr;
use std::sync::{LazyLock, Mutex};

use diesel::backend::Backend;
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::serialize::{self, Output, ToSql};
use diesel::sql_types::Binary;
use uuid::{ContextV7, Timestamp, Uuid};

use crate::clock::Clock;

/// An id. Monotonic within a process, so the newest comes first by `order by id desc`; never a cursor of changes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, AsExpression, FromSqlRow)]
#[diesel(sql_type = Binary)]
pub struct Id(Uuid);

/// Precise to the microsecond, so that ids of two processes, too, are in the order of their times, as far as their clocks agree.
static CONTEXT: LazyLock<Mutex<ContextV7>> =
    LazyLock::new(|| Mutex::new(ContextV7::new().with_additional_precision_bits(10)));

impl Id {
    /// Below every other; nothing has it.
    pub const NIL: Id = Id(Uuid::from_bytes([0; 16]));
    /// Above every other; nothing has it.
    pub const MAX: Id = Id(Uuid::from_bytes([0xff; 16]));

    pub fn new(clock: &Clock) -> Id {
        let now = clock.now().and_utc();
        let seconds = u64::try_from(now.timestamp()).unwrap_or_default();
        let context = CONTEXT.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        Id(Uuid::new_v7(Timestamp::from_unix(&*context, seconds, now.timestamp_subsec_nanos())))
    }

    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    pub fn from_bytes(bytes: [u8; 16]) -> Id {
        Id(Uuid::from_bytes(bytes))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be an id such as `0198b3f2-7d0c-7a51-8f0e-5b1d2c3e4f60`")]
pub struct NotAnId;

impl FromStr for Id {
    type Err = NotAnId;

    /// Reads the one form that `Display` writes.
    fn from_str(text: &str) -> Result<Id, NotAnId> {
        let id = Uuid::try_parse(text).map(Id).map_err(|_| NotAnId)?;
        if text.len() == 36 { Ok(id) } else { Err(NotAnId) }
    }
}

impl<DB: Backend> ToSql<Binary, DB> for Id
where
    [u8]: ToSql<Binary, DB>,
{
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, DB>) -> serialize::Result {
        <[u8] as ToSql<Binary, DB>>::to_sql(self.0.as_bytes(), out)
    }
}

impl<DB: Backend> FromSql<Binary, DB> for Id
where
    Vec<u8>: FromSql<Binary, DB>,
{
    fn from_sql(bytes: DB::RawValue<'_>) -> deserialize::Result<Self> {
        let bytes = Vec::<u8>::from_sql(bytes)?;
        Ok(Id(Uuid::from_slice(&bytes)?))
    }
}
