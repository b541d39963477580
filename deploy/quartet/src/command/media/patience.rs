//! What to do about a call that has failed: wait and go on, or give up.

use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use quartet_chassis::failure::DOMAIN;
use quartet_chassis::random;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::process::complain;
use crate::reach::failed;

/// The pause before the first new try, and before the later ones.
const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);

/// How long nothing may move before a command gives up.
pub struct Patience {
    limit: Duration,
    moved: Instant,
    pause: Duration,
}

impl Patience {
    pub fn new(limit: Duration) -> Patience {
        Patience { limit, moved: Instant::now(), pause: FIRST }
    }

    /// Something has moved.
    pub fn restore(&mut self) {
        (self.moved, self.pause) = (Instant::now(), FIRST);
    }

    /// Waits before the next try. An `Err` is the end: a refusal that another try would not change, or patience that is used up.
    pub async fn bear(&mut self, status: Status, bar: &ProgressBar) -> anyhow::Result<()> {
        if !passes(&status) {
            return Err(failed(status));
        }
        if self.moved.elapsed() > self.limit {
            return Err(failed(status).context("nothing moves any more: the same command goes on later"));
        }
        let asked = status.get_details_retry_info().and_then(|info| info.retry_delay);
        let pause = self.next_pause(asked.unwrap_or_default());
        bar.suspend(|| complain(format_args!("{}; trying again in {:.1} s", said(&status), pause.as_secs_f32())));
        tokio::time::sleep(pause).await;
        Ok(())
    }

    /// Longer each time, and as long as the server has asked for.
    fn next_pause(&mut self, asked: Duration) -> Duration {
        let pause = asked.max(jittered(self.pause)).min(LONGEST);
        self.pause = (self.pause * 2).min(LONGEST);
        pause
    }
}

fn said(status: &Status) -> String {
    if is_ours(status) { status.message().to_owned() } else { format!("the connection is lost ({:?})", status.code()) }
}

/// Somewhere between half of it and all of it, so that many who were cut off together do not come back together.
fn jittered(pause: Duration) -> Duration {
    let [byte] = random::bytes::<1>();
    pause / 2 + pause / 2 * u32::from(byte) / 255
}

/// Whether a server of ours has said it, and not the way to it.
fn is_ours(status: &Status) -> bool {
    status.get_details_error_info().is_some_and(|info| info.domain == DOMAIN)
}

/// Whether the same call may go well later.
fn passes(status: &Status) -> bool {
    let code = status.code();
    let is_passing = matches!(
        code,
        Code::Unavailable | Code::Aborted | Code::DeadlineExceeded | Code::Cancelled | Code::Internal | Code::Unknown
    );
    let Some(info) = status.get_details_error_info().filter(|_| is_ours(status)) else { return is_passing };
    // Somebody else has moved the upload: where it stands is asked before the next try.
    is_passing
        || (code == Code::ResourceExhausted && status.get_details_retry_info().is_some())
        || matches!(info.reason.as_str(), "OVERLOADED" | "OFFSET_WRONG")
}

#[cfg(test)]
mod tests {
    use quartet_chassis::failure::Failure;
    use quartet_proto::r#type::v1::ErrorReason;

    use super::*;

    #[test]
    fn what_may_pass_is_tried_again() {
        let ours = |code, reason| Status::from(Failure::new(code, reason, "no"));
        assert!(passes(&Status::unknown("transport error")));
        assert!(passes(&Status::unavailable("connection refused")));
        assert!(passes(&Status::from(Failure::unavailable("database"))));
        assert!(passes(&ours(Code::Aborted, ErrorReason::UploadBusy)));
        assert!(passes(&ours(Code::FailedPrecondition, ErrorReason::OffsetWrong)));
        let later = Failure::new(Code::ResourceExhausted, ErrorReason::RateLimited, "no");
        assert!(passes(&Status::from(later.retry_after(Duration::from_secs(1)))));

        assert!(!passes(&Status::unimplemented("not a server of ours")));
        assert!(!passes(&ours(Code::ResourceExhausted, ErrorReason::QuotaExceeded)));
        assert!(!passes(&ours(Code::NotFound, ErrorReason::ProjectNotFound)));
        assert!(!passes(&ours(Code::FailedPrecondition, ErrorReason::UploadClosed)));
    }

    #[test]
    fn pauses_grow_until_something_moves() {
        let mut patience = Patience::new(Duration::from_secs(3600));
        for _ in 0..10 {
            assert!(patience.next_pause(Duration::ZERO) <= LONGEST);
        }
        assert!(patience.next_pause(Duration::ZERO) >= LONGEST / 2);
        patience.restore();
        assert!(patience.next_pause(Duration::ZERO) <= FIRST);
        assert_eq!(patience.next_pause(Duration::from_secs(20)), Duration::from_secs(20));
    }

    #[tokio::test]
    async fn patience_has_an_end() {
        let mut patience = Patience::new(Duration::ZERO);
        std::thread::sleep(Duration::from_millis(2));
        assert!(patience.bear(Status::unavailable("away"), &ProgressBar::hidden()).await.is_err());
    }
}
