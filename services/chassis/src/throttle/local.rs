//! Counting within one process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{Bucket, Crowd, milliseconds, wait};
use crate::clock::Clock;

/// The most buckets and crowds that are remembered. Beyond them those that are the nearest to full go.
const ROOM: usize = 100_000;

/// Buckets and crowds in memory.
#[derive(Clone)]
pub struct LocalThrottle {
    clock: Clock,
    room: usize,
    known: Arc<Mutex<Known>>,
}

#[derive(Default)]
struct Known {
    /// When each bucket is full again, in milliseconds since 1970. A full one is not there.
    buckets: HashMap<String, i64>,
    crowds: HashMap<String, HashMap<String, i64>>,
}

impl LocalThrottle {
    pub fn new(clock: Clock) -> LocalThrottle {
        LocalThrottle { clock, room: ROOM, known: Arc::default() }
    }

    pub fn take_many(&self, buckets: &[Bucket], count: u32) -> Result<(), Duration> {
        let now = milliseconds(self.clock.now());
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut longest = 0;
        let mut full = Vec::with_capacity(buckets.len());
        for Bucket { key, quota } in buckets {
            // Never later than an empty one would be, also when the clock was put back.
            let before = known.buckets.get(key).copied().unwrap_or(now).clamp(now, now + quota.whole());
            let after = before + quota.interval().saturating_mul(i64::from(count));
            longest = longest.max(after - now - quota.whole());
            full.push(after);
        }
        if longest > 0 {
            return Err(wait(longest));
        }
        for (bucket, full) in buckets.iter().zip(full) {
            known.buckets.insert(bucket.key.clone(), full);
        }
        known.make_room(now, self.room);
        Ok(())
    }

    pub fn give_back(&self, buckets: &[Bucket]) {
        let now = milliseconds(self.clock.now());
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for Bucket { key, quota } in buckets {
            let Some(full) = known.buckets.get_mut(key) else { continue };
            *full -= quota.interval();
            if *full <= now {
                known.buckets.remove(key);
            }
        }
    }

    pub fn reset(&self, key: &str) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).buckets.remove(key);
    }

    pub fn join(&self, crowd: &Crowd, mark: &str) -> Result<bool, Duration> {
        let now = milliseconds(self.clock.now());
        let window = crowd.window.num_milliseconds();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let marks = known.crowds.entry(crowd.key.clone()).or_default();
        marks.retain(|_, seen| *seen > now - window);
        let was_there = marks.contains_key(mark);
        if !was_there && marks.len() >= crowd.limit as usize {
            let oldest = marks.values().min().copied().unwrap_or(now);
            return Err(wait(oldest + window - now));
        }
        marks.insert(mark.to_owned(), now);
        known.make_room(now, self.room);
        Ok(was_there)
    }

    pub fn leave(&self, crowd: &Crowd, mark: &str) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(marks) = known.crowds.get_mut(&crowd.key) {
            marks.remove(mark);
            if marks.is_empty() {
                known.crowds.remove(&crowd.key);
            }
        }
    }
}

impl Known {
    /// Forgets the full buckets where there are too many, and if that is not enough those that are full the soonest: nobody empties
    /// the memory of a bucket by touching many others. Of the crowds those go that have the fewest marks.
    fn make_room(&mut self, now: i64, room: usize) {
        if self.buckets.len() > room {
            self.buckets.retain(|_, full| *full > now);
        }
        if self.buckets.len() > room {
            let mut ends: Vec<i64> = self.buckets.values().copied().collect();
            let (_, end, _) = ends.select_nth_unstable(room / 4);
            let end = *end;
            self.buckets.retain(|_, full| *full > end);
        }
        if self.crowds.len() > room {
            let mut sizes: Vec<usize> = self.crowds.values().map(HashMap::len).collect();
            let (_, size, _) = sizes.select_nth_unstable(room / 4);
            let size = *size;
            self.crowds.retain(|_, marks| marks.len() > size);
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::super::Quota;
    use super::*;

    fn bucket(key: &str, burst: u32, minutes: i64) -> Bucket {
        Bucket { key: key.to_owned(), quota: Quota { burst, refill_every: TimeDelta::minutes(minutes) } }
    }

    fn throttle() -> anyhow::Result<(LocalThrottle, tempfile::TempDir)> {
        let folder = tempfile::tempdir()?;
        Ok((LocalThrottle::new(Clock::movable(&folder.path().join("clock"))?), folder))
    }

    #[test]
    fn s06_a_bucket_empties_fills_and_is_given_back() -> anyhow::Result<()> {
        let (throttle, _folder) = throttle()?;
        let three = [bucket("a", 3, 10)];
        for _ in 0..10 {
            assert_eq!(throttle.take_many(&three, 1), Ok(()));
            throttle.give_back(&three);
        }
        for _ in 0..3 {
            assert_eq!(throttle.take_many(&three, 1), Ok(()));
        }
        let wait = throttle.take_many(&three, 1).err().unwrap_or_default();
        assert!(wait > Duration::from_secs(590) && wait <= Duration::from_secs(600), "{wait:?}");
        assert_eq!(throttle.take_many(&[bucket("b", 3, 10)], 1), Ok(()), "somebody else's");
        throttle.clock.move_by(TimeDelta::minutes(10))?;
        assert_eq!(throttle.take_many(&three, 1), Ok(()));
        assert!(throttle.take_many(&three, 1).is_err());
        throttle.reset("a");
        assert_eq!(throttle.take_many(&three, 1), Ok(()));
        throttle.clock.move_by(TimeDelta::days(-2))?;
        let wait = throttle.take_many(&three, 1).err().unwrap_or_default();
        assert!(wait <= Duration::from_secs(600), "a clock that was put back: {wait:?}");
        Ok(())
    }

    #[test]
    fn s06_several_buckets_are_taken_together_or_not_at_all() -> anyhow::Result<()> {
        let (throttle, _folder) = throttle()?;
        let (narrow, wide) = (bucket("narrow", 1, 1), bucket("wide", 2, 60));
        assert_eq!(throttle.take_many(&[narrow.clone(), wide.clone()], 1), Ok(()));
        for _ in 0..5 {
            assert!(throttle.take_many(&[narrow.clone(), wide.clone()], 1).is_err());
        }
        assert_eq!(throttle.take_many(std::slice::from_ref(&wide), 1), Ok(()), "what was refused has taken nothing");
        assert!(throttle.take_many(&[wide], 1).is_err());
        Ok(())
    }

    #[test]
    fn s49_many_of_a_bucket_are_taken_at_once_or_none() -> anyhow::Result<()> {
        let (throttle, _folder) = throttle()?;
        let ten = [bucket("ten", 10, 1)];
        assert_eq!(throttle.take_many(&ten, 7), Ok(()));
        // A minute from the first take, of which some may be over.
        let a_minute = |wait: Duration| wait > Duration::from_secs(50) && wait <= Duration::from_secs(60);
        assert!(throttle.take_many(&ten, 4).is_err_and(a_minute));
        assert_eq!(throttle.take_many(&ten, 3), Ok(()));
        assert!(throttle.take_many(&ten, 1).is_err_and(a_minute));
        assert!(throttle.take_many(&[bucket("other", 10, 1)], 11).is_err(), "more than there ever are");
        Ok(())
    }

    #[test]
    fn s08_a_crowd_has_so_many_marks_and_forgets_them() -> anyhow::Result<()> {
        let (throttle, _folder) = throttle()?;
        let crowd = Crowd { key: "network".to_owned(), limit: 2, window: TimeDelta::hours(3) };
        assert_eq!(throttle.join(&crowd, "a"), Ok(false));
        assert_eq!((throttle.join(&crowd, "b"), throttle.join(&crowd, "a")), (Ok(false), Ok(true)));
        let wait = throttle.join(&crowd, "c").err().unwrap_or_default();
        assert!(wait > Duration::from_secs(3 * 3600 - 10), "{wait:?}");
        throttle.leave(&crowd, "a");
        assert_eq!(throttle.join(&crowd, "c"), Ok(false));
        throttle.clock.move_by(TimeDelta::hours(3))?;
        assert_eq!((throttle.join(&crowd, "d"), throttle.join(&crowd, "e")), (Ok(false), Ok(false)));
        Ok(())
    }

    #[test]
    fn s06_nobody_refills_a_bucket_by_touching_many_others() -> anyhow::Result<()> {
        let (mut throttle, _folder) = throttle()?;
        throttle.room = 100;
        let victim = bucket("victim", 5, 60);
        while throttle.take_many(std::slice::from_ref(&victim), 1).is_ok() {}
        for number in 0..1000 {
            assert_eq!(throttle.take_many(&[bucket(&number.to_string(), 5, 60)], 1), Ok(()));
            let crowd = Crowd { key: number.to_string(), limit: 2, window: TimeDelta::hours(3) };
            assert_eq!(throttle.join(&crowd, "a"), Ok(false));
        }
        assert!(throttle.take_many(&[victim], 1).is_err());
        let known = throttle.known.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(known.buckets.len() <= 100 && known.crowds.len() <= 100);
        Ok(())
    }
}
