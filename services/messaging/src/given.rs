//! What requests give, for whatever they are about.

use std::time::Duration;

use chrono::DateTime;
use prost_types::Timestamp;
use quartet_chassis::clock::{Time, cut};

/// How much later than now counts as for good.
const FOR_GOOD: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// Until when something lasts; what is over lasts no more.
pub fn until(given: Option<Timestamp>, now: Time) -> Result<Option<Time>, &'static str> {
    let Some(given) = given else { return Ok(None) };
    let nanos = u32::try_from(given.nanos).ok();
    let time = nanos.and_then(|nanos| DateTime::from_timestamp(given.seconds, nanos)).ok_or("must be a time")?;
    // Both databases have a last year.
    let last = now + FOR_GOOD;
    Ok(Some(cut(time.naive_utc().min(last))).filter(|time| *time > now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g1_what_is_over_lasts_no_more_and_nothing_lasts_beyond_the_calendar() {
        let now = DateTime::UNIX_EPOCH.naive_utc();
        let at = |seconds, nanos| until(Some(Timestamp { seconds, nanos }), now);
        assert_eq!((until(None, now), at(0, 0), at(-1, 0)), (Ok(None), Ok(None), Ok(None)));
        assert_eq!(at(1, 1999), Ok(Some(now + chrono::TimeDelta::microseconds(1_000_001))));
        assert_eq!(at(200_000_000_000, 0), Ok(Some(now + FOR_GOOD)));
        assert!(at(i64::MAX, 0).is_err() && at(1, -1).is_err() && at(1, 2_000_000_000).is_err());
    }
}
