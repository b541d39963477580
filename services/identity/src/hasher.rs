//! Threads that hash passwords: as many as the machine has cores, at the lowest priority, behind a queue that has an end.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use quartet_chassis::faults::Faults;
use quartet_chassis::random;
use quartet_proto::control::v1::Fault;
use tokio::sync::oneshot;

use crate::error::Error;
use crate::password::{Password, Pepper, is_outdated};

/// The priority of the threads: everything else goes first.
const NICE: i32 = 19;

/// Hashes and compares passwords without holding up anything else.
#[derive(Clone)]
pub struct Hasher {
    pepper: Pepper,
    cost: u32,
    queue: SyncSender<Work>,
    faults: Faults,
}

type Work = Box<dyn FnOnce() + Send>;

/// What came of comparing a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Wrong,
    Right {
        /// The hash to store instead, where the stored one is outdated.
        renewed: Option<String>,
    },
}

impl Hasher {
    /// Starts the threads. They end with the last `Hasher`.
    pub fn start(pepper: Pepper, cost: u32, waiting: usize, faults: Faults) -> std::io::Result<Hasher> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Hasher { faults, ..Hasher::with_threads(pepper, cost, waiting, threads)? })
    }

    fn with_threads(pepper: Pepper, cost: u32, waiting: usize, threads: usize) -> std::io::Result<Hasher> {
        let (queue, work) = sync_channel::<Work>(waiting);
        let work = Arc::new(Mutex::new(work));
        for number in 0..threads {
            let work = work.clone();
            std::thread::Builder::new().name(format!("password-{number}")).spawn(move || run_worker(&work))?;
        }
        Ok(Hasher { pepper, cost, queue, faults: Faults::default() })
    }

    /// Hashes a password for storing.
    pub async fn hash(&self, password: Password) -> Result<String, Error> {
        let (pepper, cost) = (self.pepper.clone(), self.cost);
        self.run(move || pepper.hash(&password, cost, random::bytes())).await?.map_err(Error::defect)
    }

    /// Compares a password with a stored hash. Without one, or with an empty one, it takes just as long and says
    /// `Wrong`; so it does with a cheaper one, such as another program has made.
    pub async fn verify(&self, password: Password, stored: Option<String>) -> Result<Verdict, Error> {
        let (pepper, cost) = (self.pepper.clone(), self.cost);
        if stored.is_none() && self.faults.is(Fault::NoDummyHash) {
            return Ok(Verdict::Wrong);
        }
        let work = move || {
            let Some(stored) = stored.filter(|stored| !stored.is_empty()) else {
                return pepper.hash(&password, cost, [0; 16]).map(|_| Verdict::Wrong);
            };
            if !pepper.verify(&password, &stored) {
                return pepper.make_up(&password, &stored, cost).map(|()| Verdict::Wrong);
            }
            let renewed = is_outdated(&stored, cost).then(|| pepper.hash(&password, cost, random::bytes()));
            Ok(Verdict::Right { renewed: renewed.transpose()? })
        };
        self.run(work).await?.map_err(Error::defect)
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
        let (answer, answered) = oneshot::channel();
        let job: Work = Box::new(move || {
            // Nobody waits for it any more: the next one's turn.
            if !answer.is_closed() {
                metrics::counter!("quartet_password_hashes_total").increment(1);
                answer.send(work()).ok();
            }
        });
        match self.queue.try_send(job) {
            Ok(()) => answered.await.map_err(Error::defect),
            Err(TrySendError::Full(_)) => Err(Error::Overloaded),
            Err(TrySendError::Disconnected(_)) => Err(Error::defect("the threads that hash passwords are gone")),
        }
    }
}

fn run_worker(queue: &Mutex<Receiver<Work>>) {
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::warn!(%error, "the priority of a thread that hashes passwords can't be lowered");
    }
    loop {
        let work = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(work) = work else { return };
        // A panic in one work must not cost the thread.
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).is_err() {
            tracing::error!("hashing a password panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn s03_the_queue_has_an_end_and_hashes_are_renewed() -> anyhow::Result<()> {
        let password = |text: &str| Password::given(text.to_owned()).map_err(anyhow::Error::msg);
        let hasher = Hasher::start(Pepper::new(&[1; 32]), 5, 4, Faults::default())?;
        let stored = hasher.hash(password("Passw0rd!")?).await?;
        let right = hasher.verify(password("Passw0rd!")?, Some(stored.clone())).await?;
        assert_eq!(right, Verdict::Right { renewed: None });
        assert_eq!(hasher.verify(password("passw0rd!")?, Some(stored.clone())).await?, Verdict::Wrong);
        assert_eq!(hasher.verify(password("Passw0rd!")?, None).await?, Verdict::Wrong);

        let dearer = Hasher::start(Pepper::new(&[1; 32]), 6, 4, Faults::default())?;
        let verdict = dearer.verify(password("Passw0rd!")?, Some(stored)).await?;
        assert!(matches!(verdict, Verdict::Right { renewed: Some(hash) } if hash.starts_with("q1$$2b$06$")));

        let slow = Hasher::with_threads(Pepper::new(&[1; 32]), 12, 1, 1)?;
        let many = (0..4).map(|_| slow.hash(password("x").unwrap_or_else(|_| unreachable!())));
        let ended = futures_util::future::join_all(many).await;
        assert!(ended.iter().any(|end| matches!(end, Err(Error::Overloaded))));
        assert!(ended.iter().any(Result::is_ok));
        Ok(())
    }
}
