//! Who may read for a stream that begins or goes on from long ago. However many come at once, only a few of them read at a time, and the
//! others wait for their turn without a connection: all other calls find the database as free as before.

use std::time::Duration;

use quartet_chassis::db::DbError;
use quartet_chassis::random;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::sleep;

use super::stream::Stream;
use super::{Hub, lock};

/// How many beginnings read at a time: of all streams of this process, and of those of one account.
pub const ALL: usize = 4;
pub const OWN: usize = 2;
/// How long the first pause is when the database is away, and the longest; each is twice as long as the one before.
const PAUSE: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(2);

/// As long as this is there, its stream may read.
struct ReadingTurn {
    _own: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl Hub {
    /// Waits for a stream's turn. None when its client has gone meanwhile.
    async fn turn(&self, stream: &Stream) -> Option<ReadingTurn> {
        let own = lock(&self.0.people).get(&stream.account)?.turns.clone();
        let own = own.acquire_owned().await.ok()?;
        if !stream.is_open() {
            return None;
        }
        let all = self.0.turns.clone().acquire_owned().await.ok()?;
        stream.is_open().then_some(ReadingTurn { _own: own, _all: all })
    }
}

/// Reads something for a stream when it has its turn, again and again for some seconds while the database is away. None when the client has
/// gone. What it reads should be as it is told: rows take their memory before the turn is over.
pub async fn read<T, F>(hub: &Hub, stream: &Stream, reading: impl Fn() -> F) -> Result<Option<T>, DbError>
where
    F: Future<Output = Result<T, DbError>>,
{
    let mut pause = PAUSE;
    loop {
        let Some(turn) = hub.turn(stream).await else { return Ok(None) };
        let read = reading().await;
        drop(turn);
        match read {
            Ok(found) => return Ok(Some(found)),
            Err(DbError::Unavailable(cause)) if pause <= LONGEST => {
                tracing::debug!(cause, "a stream waits for the database");
                sleep(pause + some(pause)).await;
                pause *= 2;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Some time below this, at random: who was told to come again at the same moment does not.
pub fn some(most: Duration) -> Duration {
    most * u32::from(u16::from_le_bytes(random::bytes())) / (1 << 16)
}
