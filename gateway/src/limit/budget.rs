//! A number of failures per minute, from which every try takes one and gets it back when it does not fail. So many tries at the same
//! time can't slip past it.

use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What is left of the budget, and since when it has been growing.
pub struct Budget {
    per_minute: f64,
    left: Mutex<(f64, Instant)>,
}

impl Budget {
    pub fn new(per_minute: NonZeroU32, now: Instant) -> Budget {
        let per_minute = f64::from(per_minute.get());
        Budget { per_minute, left: Mutex::new((per_minute, now)) }
    }

    /// Takes one, or says how long until there is one.
    pub fn take(&self, now: Instant) -> Result<(), Duration> {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let grown = now.saturating_duration_since(left.1).as_secs_f64() * self.per_minute / 60.0;
        *left = ((left.0 + grown).min(self.per_minute), now);
        if left.0 >= 1.0 {
            left.0 -= 1.0;
            return Ok(());
        }
        Err(Duration::from_secs_f64((1.0 - left.0) * 60.0 / self.per_minute))
    }

    pub fn give_back(&self) {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        left.0 = (left.0 + 1.0).min(self.per_minute);
    }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "what a test stands on must be there")]
mod tests {
    use super::*;

    #[test]
    fn s06_only_failures_use_the_budget_up() {
        let now = Instant::now();
        let budget = Budget::new(NonZeroU32::new(2).expect("two"), now);
        for _ in 0..10 {
            assert_eq!(budget.take(now), Ok(()));
            budget.give_back();
        }
        assert_eq!(budget.take(now), Ok(()));
        assert_eq!(budget.take(now), Ok(()));
        assert_eq!(budget.take(now), Err(Duration::from_secs(30)));
        assert_eq!(budget.take(now + Duration::from_secs(31)), Ok(()));
    }
}
