//! Streams end with the session that has opened them.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::select_all;

use super::{Actor, Auth, Claims, Refusal};
use crate::clock::{Clock, unix_seconds};
use crate::id::Id;

/// How often a stream looks by itself: at the clock, and whether it is still known what is revoked. Of revocations it hears at once.
const PERIOD: Duration = Duration::from_secs(1);

impl Auth {
    /// Returns when a stream must end that was opened with this token, and why: its session has ended or its account has changed. A
    /// person's own token holds it open beyond its own end, one that acts for somebody or that was narrowed does not.
    pub async fn end_of(self, claims: Arc<Claims>) -> Refusal {
        let ids = concerned(&claims);
        loop {
            // Listens before it looks: what is revoked in between is heard.
            let mut bells: Vec<_> = ids.iter().map(|id| Box::pin(self.revocations().bell(*id).notified())).collect();
            for bell in &mut bells {
                bell.as_mut().enable();
            }
            if let Err(refusal) = self.check_held(&claims) {
                return refusal;
            }
            tokio::time::timeout(pause(&claims, &self.0.clock), select_all(bells)).await.ok();
        }
    }

    fn check_held(&self, claims: &Claims) -> Result<(), Refusal> {
        if !claims.is_whole() {
            claims.check_time(self.0.clock.now())?;
        }
        self.revocations().check(claims)
    }
}

/// Whose revocations end the stream.
fn concerned(claims: &Claims) -> Vec<Id> {
    let mut ids = vec![claims.sid, claims.sub];
    if let Some(Actor::Administrator { account_id, session_id, .. }) = &claims.act {
        ids.extend([*account_id, *session_id]);
    }
    ids
}

fn pause(claims: &Claims, clock: &Clock) -> Duration {
    if claims.is_whole() {
        return PERIOD;
    }
    let left = claims.exp.saturating_sub(unix_seconds(clock.now()));
    Duration::from_secs(u64::try_from(left).unwrap_or_default()).clamp(Duration::from_millis(100), PERIOD)
}
