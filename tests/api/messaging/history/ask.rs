//! Asking, by who gets no answer now and then.

use std::time::Instant;

use tonic::{Response, Status};

use crate::harness::prelude::*;

/// For how long nobody may answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether a call may be made again: there was no answer, or none yet. A process was killed, a line cut, a part is away.
pub fn is_passing(status: &Status) -> bool {
    let refused = Refusal::from(status.clone());
    let away = matches!(refused.code, Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled);
    away || refused.reason.is_empty() || refused.reason == "OVERLOADED"
}

/// Asks until there is an answer; a refusal is one.
pub async fn answered<T>(ask: impl AsyncFn() -> Result<Response<T>, Status>) -> Result<T, Refusal> {
    let start = Instant::now();
    loop {
        match ask().await {
            Ok(answer) => return Ok(answer.into_inner()),
            Err(status) if is_passing(&status) => assert!(start.elapsed() < PATIENCE, "no answer: {status:?}"),
            Err(status) => return Err(Refusal::from(status)),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
