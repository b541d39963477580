//! Where a page begins of what is listed by time: what stands there in page tokens.

use chrono::DateTime;
use quartet_chassis::clock::Time;
use quartet_chassis::id::Id;
use quartet_chassis::page;
use serde::{Deserialize, Serialize};

/// The latest time that is read, in microseconds. No calendar of the databases reaches further, so a later one was never told.
const LATEST: i64 = 1 << 53;

/// A time, and of those of the same time an id.
#[derive(Debug, Serialize, Deserialize)]
pub struct Moment {
    /// Microseconds since 1970.
    time: i64,
    id: String,
}

impl Moment {
    pub fn of(time: Time, id: Id) -> Moment {
        Moment { time: time.and_utc().timestamp_micros(), id: id.to_string() }
    }

    /// What a token says; it comes from outside.
    pub fn read(&self) -> Result<(Time, Id), &'static str> {
        let time = DateTime::from_timestamp_micros(self.time).filter(|_| (0..LATEST).contains(&self.time));
        let (Some(time), Ok(id)) = (time, self.id.parse()) else { return Err(page::NOT_A_TOKEN) };
        Ok((time.naive_utc(), id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s35_a_moment_reads_as_it_was_told_and_no_other_way() {
        let time = DateTime::from_timestamp_micros(1_790_000_000_123_456).unwrap_or_default().naive_utc();
        assert_eq!(Moment::of(time, Id::MAX).read(), Ok((time, Id::MAX)));
        let id = Id::MAX.to_string();
        for time in [-1, LATEST, i64::MAX, i64::MIN] {
            assert!(Moment { time, id: id.clone() }.read().is_err(), "{time}");
        }
        assert!(Moment { time: 1, id: "ada".to_owned() }.read().is_err());
    }
}
