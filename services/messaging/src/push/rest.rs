//! Push services that do not answer are left alone for a while, so that they hold up nobody else and are not stormed when they are back.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The first rest; it doubles with each failure that follows …
const REST: Duration = Duration::from_millis(500);
/// … up to this.
const LONGEST: Duration = Duration::from_secs(60);
/// How many services are remembered.
const SERVICES: usize = 10_000;

/// Who rests, and until when.
#[derive(Clone, Default)]
pub struct Resting(Arc<Mutex<HashMap<String, Rest>>>);

struct Rest {
    until: Instant,
    failures: u32,
}

impl Resting {
    /// How long a service is still left alone.
    pub fn left(&self, service: &str) -> Option<Duration> {
        let left = self.lock().get(service)?.until.checked_duration_since(Instant::now())?;
        (!left.is_zero()).then_some(left)
    }

    /// It has failed. What was under way when its rest began makes that no longer.
    pub fn failed(&self, service: &str) {
        let now = Instant::now();
        let mut all = self.lock();
        if all.len() >= SERVICES {
            all.retain(|_, rest| rest.until > now);
        }
        let rest = all.entry(service.to_owned()).or_insert(Rest { until: now, failures: 0 });
        if rest.until <= now {
            rest.until = now + (REST * 2_u32.pow(rest.failures.min(10))).min(LONGEST);
            rest.failures += 1;
        }
    }

    /// It has answered.
    pub fn answered(&self, service: &str) {
        self.lock().remove(service);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Rest>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f17_who_fails_is_left_alone_and_nobody_else_is() {
        let resting = Resting::default();
        resting.failed("a");
        resting.failed("a");
        assert!(resting.left("a").is_none_or(|left| left <= REST) && resting.left("b").is_none());
        resting.answered("a");
        assert!(resting.left("a").is_none());
    }
}
