//! What tests make fail: parts, and the whole process in the middle of a commit. Nothing of it happens outside tests.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::Either;
use quartet_proto::control::v1::Fault;
use tokio::task::futures::TaskLocalFuture;

/// The faults of a process: a bit for each, and where a crash is to come.
#[derive(Clone, Default, Debug)]
pub struct Faults(Arc<Inner>);

#[derive(Default, Debug)]
struct Inner {
    bits: AtomicU64,
    aim: Mutex<Option<Aim>>,
}

/// A call in which a crash may be to come.
pub type InCall<F> = Either<TaskLocalFuture<Arc<Mutex<Option<Aim>>>, F>, F>;

/// Runs what a call does in a task of its own as a part of the call: a crash that is meant for it may come there.
pub fn carried<F: Future>(work: F) -> InCall<F> {
    match IN_CALL.try_with(Arc::clone) {
        Ok(aimed) => Either::Left(IN_CALL.scope(aimed, work)),
        Err(_) => Either::Right(work),
    }
}

/// A crash that is to come.
#[derive(Clone, Debug)]
pub struct Aim {
    fault: Fault,
    /// Only in a call of this rpc; empty for anywhere.
    rpc: String,
    /// So many occasions pass before.
    skip: u32,
}

tokio::task_local! {
    /// The crash that is to come in this call.
    static IN_CALL: Arc<Mutex<Option<Aim>>>;
}

impl Faults {
    pub fn is(&self, fault: Fault) -> bool {
        self.0.bits.load(Ordering::Relaxed) & bit(fault) != 0
    }

    pub fn set(&self, fault: Fault, failing: bool) {
        if failing {
            self.0.bits.fetch_or(bit(fault), Ordering::Relaxed);
        } else {
            self.0.bits.fetch_and(!bit(fault), Ordering::Relaxed);
        }
    }

    /// Sets a crash that comes in a call of `rpc`, or anywhere when that is empty, after `skip` occasions.
    pub fn aim(&self, fault: Fault, rpc: String, skip: u32) {
        *self.0.aim.lock().unwrap_or_else(PoisonError::into_inner) = Some(Aim { fault, rpc, skip });
        self.set(fault, true);
    }

    /// Whether the fault is set, for one that happens once.
    pub fn take(&self, fault: Fault) -> bool {
        self.is(fault) && self.0.bits.fetch_and(!bit(fault), Ordering::Relaxed) & bit(fault) != 0
    }

    /// Runs a call, or a step of a worker that has a name; a crash that is meant for it comes in it and in no other.
    pub fn within<F: Future>(&self, rpc: &str, call: F) -> InCall<F> {
        if !self.is(Fault::CrashBeforeCommit) && !self.is(Fault::CrashAfterCommit) {
            return Either::Right(call);
        }
        let mut aim = self.0.aim.lock().unwrap_or_else(PoisonError::into_inner);
        match aim.take_if(|aim| aim.rpc == rpc) {
            Some(aim) => {
                self.set(aim.fault, false);
                Either::Left(IN_CALL.scope(Arc::new(Mutex::new(Some(aim))), call))
            }
            None => Either::Right(call),
        }
    }

    /// What a transaction that is to be committed has to expect.
    pub fn at_commit(&self) -> AtCommit {
        let in_call = IN_CALL.try_with(|aimed| {
            let mut aim = aimed.lock().unwrap_or_else(PoisonError::into_inner);
            aim.as_mut().and_then(Aim::occasion)
        });
        if let Ok(due) = in_call {
            return AtCommit(due);
        }
        let anywhere = |fault| self.is(fault) && self.occasion(fault);
        let faults = [Fault::CrashBeforeCommit, Fault::CrashAfterCommit];
        AtCommit(faults.into_iter().find(|fault| anywhere(*fault)))
    }

    /// Ends the process where a job was carried out and this is not noted yet.
    pub fn after_send(&self) {
        if self.is(Fault::CrashAfterSend) && self.occasion(Fault::CrashAfterSend) {
            crash(Fault::CrashAfterSend);
        }
    }

    /// Counts an occasion for a crash that comes anywhere; whether it is the one.
    fn occasion(&self, fault: Fault) -> bool {
        let mut aim = self.0.aim.lock().unwrap_or_else(PoisonError::into_inner);
        let aim = aim.as_mut().filter(|aim| aim.fault == fault && aim.rpc.is_empty());
        aim.and_then(Aim::occasion).is_some()
    }
}

impl Aim {
    fn occasion(&mut self) -> Option<Fault> {
        if self.skip == 0 {
            return Some(self.fault);
        }
        self.skip -= 1;
        None
    }
}

/// Where a transaction ends the process, if a test has asked for it.
#[derive(Clone, Copy, Default, Debug)]
pub struct AtCommit(Option<Fault>);

impl AtCommit {
    /// Called right before the commit.
    pub fn before(self) {
        self.at(Fault::CrashBeforeCommit);
    }

    /// Called right after the commit, before anybody hears of it.
    pub fn after(self) {
        self.at(Fault::CrashAfterCommit);
    }

    /// What holds for two transactions that share a commit.
    pub fn or(self, other: AtCommit) -> AtCommit {
        AtCommit(self.0.or(other.0))
    }

    fn at(self, here: Fault) {
        if self.0 == Some(here) {
            crash(here);
        }
    }
}

/// Ends the process as a cut of its power would: nothing is closed, flushed or answered.
fn crash(fault: Fault) -> ! {
    tracing::error!(?fault, "the process ends, as a test has asked");
    std::process::abort()
}

fn bit(fault: Fault) -> u64 {
    1 << fault as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn f02_a_crash_comes_in_the_call_that_it_is_meant_for_after_what_it_lets_pass() {
        let faults = Faults::default();
        faults.aim(Fault::CrashAfterCommit, "/a".to_owned(), 1);
        let commits = async || [faults.at_commit().0, faults.at_commit().0];
        assert_eq!(faults.within("/b", commits()).await, [None, None]);
        assert_eq!(commits().await, [None, None]);
        assert_eq!(faults.within("/a", commits()).await, [None, Some(Fault::CrashAfterCommit)]);
        assert_eq!(faults.within("/a", commits()).await, [None, None]);

        faults.aim(Fault::CrashAfterCommit, "/a".to_owned(), 2);
        let shared = faults.clone();
        let apart = async move { [shared.at_commit().0, shared.at_commit().0] };
        let call = async { (faults.at_commit().0, tokio::spawn(carried(apart)).await.ok()) };
        assert_eq!(faults.within("/a", call).await, (None, Some([None, Some(Fault::CrashAfterCommit)])));

        faults.aim(Fault::CrashBeforeCommit, String::new(), 1);
        assert_eq!(faults.within("/a", commits()).await, [None, Some(Fault::CrashBeforeCommit)]);
        faults.set(Fault::CrashBeforeCommit, false);
        assert_eq!(commits().await, [None, None]);
    }
}
