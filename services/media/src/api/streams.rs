//! How many uploads an account streams at once: each holds one of the calls that the process has for all, and may be silent for minutes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use quartet_chassis::failure::Failure;
use quartet_chassis::id::Id;
use quartet_proto::r#type::v1::ErrorReason;
use tonic::Code;

/// So many an account has in a process.
const MOST: usize = 8;

/// The streams of all accounts.
#[derive(Clone, Default)]
pub struct Streams(Arc<Mutex<HashMap<Id, usize>>>);

/// One of them, until it is dropped.
pub struct OpenStream {
    streams: Streams,
    account: Id,
}

impl Streams {
    pub fn begin(&self, account: Id) -> Result<OpenStream, Failure> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = open.entry(account).or_default();
        if *own >= MOST {
            let message = format!("an account streams at most {MOST} uploads at once");
            let failure = Failure::new(Code::ResourceExhausted, ErrorReason::Overloaded, message);
            return Err(failure.retry_after(Duration::from_secs(1)));
        }
        *own += 1;
        Ok(OpenStream { streams: self.clone(), account })
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        let mut open = self.streams.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = open.get_mut(&self.account) {
            *own -= 1;
            if *own == 0 {
                open.remove(&self.account);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s49_an_account_streams_so_many_uploads_and_others_as_many() {
        let streams = Streams::default();
        let mut own: Vec<_> = (0..MOST).filter_map(|_| streams.begin(Id::NIL).ok()).collect();
        assert_eq!((own.len(), streams.begin(Id::NIL).is_err()), (MOST, true));
        assert!(streams.begin(Id::MAX).is_ok());
        own.pop();
        assert!(streams.begin(Id::NIL).is_ok());
        drop(own);
        assert!(streams.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty());
    }
}
