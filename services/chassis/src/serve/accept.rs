//! Accepting connections, whatever the operating system says in between.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio_util::sync::CancellationToken;

/// With no descriptor or memory left, trying again at once would only burn the processor.
const PAUSE: Duration = Duration::from_millis(10);

/// How often it is looked, once the door is to close, who is already in the hall.
const LAST_LOOKS: usize = 3;

/// Hands each new connection to `each` until `stop`, and last those that the operating system has let in by then. No error ends it
/// (S-47): a peer that has gone again is forgotten, and a shortage is waited out.
pub async fn accept<T>(
    stop: &CancellationToken,
    mut next: impl FnMut(&mut Context<'_>) -> Poll<io::Result<T>>,
    mut each: impl FnMut(T),
) {
    let mut is_short = false;
    loop {
        let accepted = match stop.run_until_cancelled(poll_fn(&mut next)).await {
            None => break,
            Some(accepted) => accepted,
        };
        match accepted {
            Ok(connection) => {
                is_short = false;
                each(connection);
            }
            Err(error) if is_the_peers(&error) => {}
            Err(error) => {
                if !std::mem::replace(&mut is_short, true) {
                    tracing::warn!(%error, "connections can't be accepted");
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    for _ in 0..LAST_LOOKS {
        tokio::time::sleep(PAUSE).await;
        while let Some(Ok(connection)) = poll_fn(&mut next).now_or_never() {
            each(connection);
        }
    }
}

fn is_the_peers(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted, TimedOut};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted | TimedOut)
}
