//! The time of day, which tests move.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, NaiveDateTime, TimeDelta, Timelike as _};

/// A moment in UTC, cut to microseconds, as both databases store it.
pub type Time = NaiveDateTime;

/// Where the time comes from.
#[derive(Clone, Default)]
pub enum Clock {
    /// The machine's clock.
    #[default]
    System,
    /// The machine's clock plus the milliseconds in a file (8 bytes, little endian), which every process of a test fleet reads.
    Movable(Arc<File>),
}

impl Clock {
    /// A clock that reads its offset from `path`, which is made when it is missing.
    pub fn movable(path: &Path) -> std::io::Result<Clock> {
        let file = File::options().create(true).read(true).write(true).truncate(false).open(path)?;
        Ok(Clock::Movable(Arc::new(file)))
    }

    pub fn now(&self) -> Time {
        #[expect(clippy::disallowed_methods, reason = "this is the clock that everybody else asks")]
        let now = chrono::Utc::now().naive_utc();
        cut(now + self.offset())
    }

    /// Moves a movable clock by `step` and answers the sum of all moves.
    pub fn move_by(&self, step: TimeDelta) -> std::io::Result<TimeDelta> {
        let Clock::Movable(file) = self else {
            return Err(std::io::Error::other("the machine's clock can't be moved"));
        };
        let offset = self.offset() + step;
        file.write_all_at(&offset.num_milliseconds().to_le_bytes(), 0)?;
        Ok(offset)
    }

    fn offset(&self) -> TimeDelta {
        let Clock::Movable(file) = self else { return TimeDelta::zero() };
        let mut bytes = [0; 8];
        match file.read_exact_at(&mut bytes, 0) {
            Ok(()) => TimeDelta::milliseconds(i64::from_le_bytes(bytes)),
            Err(_) => TimeDelta::zero(),
        }
    }
}

/// Cuts a moment to microseconds, as the databases do.
pub fn cut(time: Time) -> Time {
    time.with_nanosecond(time.nanosecond() / 1000 * 1000).unwrap_or(time)
}

pub fn timestamp(time: Time) -> prost_types::Timestamp {
    let time = time.and_utc();
    prost_types::Timestamp { seconds: time.timestamp(), nanos: time.timestamp_subsec_nanos() as i32 }
}

/// Whole seconds since 1970, as tokens carry them.
pub fn unix_seconds(time: Time) -> i64 {
    time.and_utc().timestamp()
}

/// The moment of `seconds` since 1970, or `None` beyond what a calendar holds.
pub fn from_unix_seconds(seconds: i64) -> Option<Time> {
    DateTime::from_timestamp(seconds, 0).map(|time| time.naive_utc())
}
