//! Push services, as they do: each has so many calls at once and no more, and those that fail or take their time are left alone for a
//! while. So none of them holds up the others, and none is stormed when it is back.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::work::SLOTS;

/// The first rest after a failure; it doubles with each failure that follows …
const REST: Duration = Duration::from_millis(500);
/// … up to this.
const LONGEST: Duration = Duration::from_secs(60);
/// An answer that took longer than this is followed by a rest of so many times what it took.
const SLOW: Duration = Duration::from_secs(1);
const TIMES: u32 = 2;
/// How long a place is waited for, and how long who got none stays away.
const WAIT: Duration = Duration::from_secs(1);
/// How many calls at once go to services that users have named, all of them together: the others have the rest of the places for themselves.
const NAMED: usize = SLOTS / 2;
/// How many services are remembered.
const SERVICES: usize = 10_000;

/// How many calls a service is given at once, and whether a user has named it: then it rests when it is slow, and shares places with others.
#[derive(Debug, Clone, Copy)]
pub struct Share {
    pub calls: u32,
    pub is_named: bool,
}

/// All push services that are called or rest.
#[derive(Clone)]
pub struct Services {
    all: Arc<Mutex<HashMap<String, Service>>>,
    named: Arc<Semaphore>,
}

struct Service {
    until: Instant,
    failures: u32,
    /// For which device it had too many last, if it has taken nothing since.
    too_many: Option<Vec<u8>>,
    places: Arc<Semaphore>,
    /// How many are there or wait for a place.
    visits: usize,
}

/// A call to a service. Over when it is dropped.
pub struct Visit {
    services: Services,
    name: String,
    share: Share,
    begun: Instant,
    /// With that among all that users have named, if it is one of those.
    place: Option<(OwnedSemaphorePermit, Option<OwnedSemaphorePermit>)>,
}

impl Default for Services {
    fn default() -> Services {
        Services { all: Arc::default(), named: Arc::new(Semaphore::new(NAMED)) }
    }
}

impl Services {
    /// A place among the calls to a service, or how long to stay away. One that has failed is called by one at a time until it
    /// answers.
    pub async fn visit(&self, name: &str, share: Share) -> Result<Visit, Duration> {
        let (mut visit, places, is_trial) = self.come(name, share)?;
        let place = if is_trial {
            places.try_acquire_many_owned(share.calls).ok()
        } else {
            tokio::time::timeout(WAIT, places.acquire_owned()).await.ok().and_then(Result::ok)
        };
        let place = place.ok_or(WAIT)?;
        // Behind that: who waits for a place at one of them keeps nobody from another.
        let named = if share.is_named { Some(self.named.clone().try_acquire_owned()) } else { None };
        visit.place = Some((place, named.transpose().map_err(|_| WAIT)?));
        // Its rest may have begun meanwhile.
        match self.left(name) {
            Some(left) => Err(left),
            None => {
                visit.begun = Instant::now();
                Ok(visit)
            }
        }
    }

    fn come(&self, name: &str, share: Share) -> Result<(Visit, Arc<Semaphore>, bool), Duration> {
        let now = Instant::now();
        let mut all = self.lock();
        if all.len() >= SERVICES {
            all.retain(|_, service| service.until > now || service.visits > 0);
        }
        let new = || Service {
            until: now,
            failures: 0,
            too_many: None,
            places: Arc::new(Semaphore::new(share.calls as usize)),
            visits: 0,
        };
        let service = all.entry(name.to_owned()).or_insert_with(new);
        if service.until > now {
            return Err(service.until - now);
        }
        service.visits += 1;
        let visit = Visit { services: self.clone(), name: name.to_owned(), share, begun: now, place: None };
        Ok((visit, service.places.clone(), service.failures > 0))
    }

    /// How long a service is still left alone.
    fn left(&self, name: &str) -> Option<Duration> {
        let left = self.lock().get(name)?.until.checked_duration_since(Instant::now())?;
        (!left.is_zero()).then_some(left)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Service>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Visit {
    /// It has failed. What was under way when its rest began makes that no longer.
    pub fn failed(self) {
        let now = Instant::now();
        if let Some(service) = self.services.lock().get_mut(&self.name)
            && service.until <= now
        {
            service.until = now + (REST * 2_u32.pow(service.failures.min(10))).min(LONGEST);
            service.failures += 1;
        }
    }

    /// It had too many. That may be said of the device alone, and is said of all when another one hears it, too. To what a user has named
    /// it is all the same.
    pub fn too_many(self, device: Vec<u8>) {
        let before =
            self.services.lock().get_mut(&self.name).and_then(|service| service.too_many.replace(device.clone()));
        if self.share.is_named || before.is_some_and(|before| before != device) {
            self.failed();
        }
    }

    /// It has answered. Who takes a second each time would hold a place for ever with good answers alone.
    pub fn answered(self) {
        let took = self.begun.elapsed();
        if let Some(service) = self.services.lock().get_mut(&self.name) {
            service.failures = 0;
            service.too_many = None;
            if took > SLOW && self.share.is_named {
                service.until = service.until.max(Instant::now() + took * TIMES);
            }
        }
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let mut all = self.services.lock();
        if let Some(service) = all.get_mut(&self.name) {
            service.visits -= 1;
            let is_well = service.failures == 0 && service.too_many.is_none();
            if service.visits == 0 && is_well && service.until <= Instant::now() {
                all.remove(&self.name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    const SHARE: Share = Share { calls: 4, is_named: true };

    async fn visit(services: &Services, name: &str) -> anyhow::Result<Visit> {
        services.visit(name, SHARE).await.map_err(|left| anyhow::anyhow!("{left:?} left"))
    }

    #[tokio::test]
    async fn f17_who_fails_is_left_alone_and_nobody_else_is() -> anyhow::Result<()> {
        let services = Services::default();
        let (one, other) = (visit(&services, "a").await?, visit(&services, "a").await?);
        one.failed();
        other.failed();
        assert!(services.visit("a", SHARE).await.is_err_and(|left| left <= REST), "two at once are one failure");
        assert!(visit(&services, "b").await.is_ok());
        Ok(())
    }

    #[tokio::test]
    async fn s49_too_many_for_one_device_is_no_rest_and_for_two_is_one() -> anyhow::Result<()> {
        let (services, makers) = (Services::default(), Share { is_named: false, ..SHARE });
        let refused = async |share: Share, device: &[u8]| {
            let visit = services.visit("a", share).await.map_err(|left| anyhow::anyhow!("{left:?} left"))?;
            visit.too_many(device.to_vec());
            anyhow::Ok(())
        };
        let failures = || services.lock().get("a").map(|service| service.failures);
        for _ in 0..3 {
            refused(makers, b"one").await?;
        }
        services.visit("a", makers).await.map_err(|left| anyhow::anyhow!("{left:?} left"))?.answered();
        refused(makers, b"another").await?;
        assert_eq!(failures(), Some(0));
        refused(makers, b"one").await?;
        assert_eq!(failures(), Some(1), "two have heard it");
        services.lock().clear();
        refused(SHARE, b"one").await?;
        assert_eq!(failures(), Some(1), "users have named it");
        Ok(())
    }

    #[tokio::test]
    async fn f17_who_has_failed_is_tried_by_one_at_a_time() -> anyhow::Result<()> {
        let services = Services::default();
        visit(&services, "a").await?.failed();
        if let Some(service) = services.lock().get_mut("a") {
            service.until = Instant::now();
        }
        let trial = visit(&services, "a").await?;
        assert!(visit(&services, "a").await.is_err());
        trial.answered();
        let _again = visit(&services, "a").await?;
        assert!(visit(&services, "a").await.is_ok());
        Ok(())
    }

    #[tokio::test]
    async fn s49_a_service_has_so_many_calls_at_once_and_no_more() -> anyhow::Result<()> {
        let services = Services::default();
        let mut visits = Vec::new();
        for _ in 0..SHARE.calls {
            visits.push(visit(&services, "a").await?);
        }
        assert!(visit(&services, "a").await.is_err());
        assert!(visit(&services, "b").await.is_ok());
        visits.pop();
        assert!(visit(&services, "a").await.is_ok());
        visits.clear();
        assert!(services.lock().is_empty(), "nobody is remembered for nothing");
        Ok(())
    }

    #[tokio::test]
    async fn s49_services_that_users_name_leave_places_to_the_others_however_many_they_are() -> anyhow::Result<()> {
        let services = Services::default();
        let mut slow = Vec::new();
        for number in 0..NAMED {
            slow.push(visit(&services, &number.to_string()).await?);
        }
        assert!(services.visit("one more", SHARE).await.is_err_and(|left| left == WAIT));
        assert!(services.visit("a browser's", Share { is_named: false, ..SHARE }).await.is_ok());
        slow.pop();
        assert!(visit(&services, "one more").await.is_ok());
        Ok(())
    }

    #[tokio::test]
    async fn s49_who_waits_for_a_place_at_a_slow_service_keeps_nobody_from_another() -> anyhow::Result<()> {
        let services = Services::default();
        let mut slow = Vec::new();
        for _ in 0..SHARE.calls {
            slow.push(visit(&services, "slow").await?);
        }
        let mut waiting: Vec<_> = (0..NAMED).map(|_| Box::pin(visit(&services, "slow"))).collect();
        assert!(waiting.iter_mut().all(|visit| visit.now_or_never().is_none()));
        assert!(visit(&services, "another").await.is_ok());
        Ok(())
    }

    #[tokio::test]
    async fn s49_who_answers_well_and_slowly_is_left_alone_for_a_while_unless_its_maker_is_known() -> anyhow::Result<()>
    {
        let services = Services::default();
        let mut slow = visit(&services, "a").await?;
        slow.begun -= 2 * SLOW;
        slow.answered();
        assert!(services.visit("a", SHARE).await.is_err_and(|left| left > 3 * SLOW));
        let mut slow = visit(&services, "b").await?;
        (slow.begun, slow.share.is_named) = (slow.begun - 2 * SLOW, false);
        slow.answered();
        assert!(visit(&services, "b").await.is_ok());
        Ok(())
    }
}
