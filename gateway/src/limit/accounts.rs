//! Calls per account, wherever they come from.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use quartet_chassis::failure::Failure;
use quartet_chassis::id::Id;

use super::rate_limited;

/// After how many calls accounts that have been quiet are forgotten.
const SWEEP: u32 = 1 << 16;

/// The calls of every account in the last moments.
pub struct Accounts {
    limiter: DefaultKeyedRateLimiter<Id>,
    clock: DefaultClock,
    calls: AtomicU32,
}

impl Accounts {
    pub fn new(per_second: NonZeroU32) -> Accounts {
        let limiter = RateLimiter::keyed(Quota::per_second(per_second));
        Accounts { limiter, clock: DefaultClock::default(), calls: AtomicU32::new(0) }
    }

    pub fn check(&self, account: Id) -> Result<(), Failure> {
        if self.calls.fetch_add(1, Ordering::Relaxed) % SWEEP == SWEEP - 1 {
            self.limiter.retain_recent();
        }
        let refused = |until: governor::NotUntil<_>| {
            rate_limited("calls of this account", until.wait_time_from(self.clock.now()))
        };
        self.limiter.check_key(&account).map_err(refused)
    }
}
