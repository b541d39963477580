//! What becomes of messages on their way to many, by the numbers that stand in them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::sync::mpsc;

/// More than anybody can say in a run.
const MESSAGES: usize = 1_000_000;
/// What is said, but for its number.
const WORDS: &str = "What is said here has about as many letters as a message has that somebody writes by hand: a hundred and twenty-eight of them";
const LENGTH: usize = 128;

pub struct Board {
    next: AtomicUsize,
    said: Vec<OnceLock<Instant>>,
    /// How many have not got it yet.
    left: Vec<AtomicUsize>,
    /// Tells how long each took to reach everybody.
    done: mpsc::UnboundedSender<Duration>,
}

impl Board {
    /// Of messages that reach so many each.
    pub fn new(listeners: usize) -> (Arc<Board>, mpsc::UnboundedReceiver<Duration>) {
        let (done, told) = mpsc::unbounded_channel();
        let left = (0..MESSAGES).map(|_| AtomicUsize::new(listeners)).collect();
        let said = (0..MESSAGES).map(|_| OnceLock::new()).collect();
        (Arc::new(Board { next: AtomicUsize::new(0), said, left, done }), told)
    }

    /// A message that is said now: its number and its text.
    pub fn begin(&self) -> anyhow::Result<(usize, String)> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.said.get(number).context("too many messages")?.get_or_init(Instant::now);
        Ok((number, text(number)))
    }

    /// Somebody has got it.
    pub fn arrive(&self, text: &str) -> anyhow::Result<()> {
        let number: usize = text.split(' ').next().unwrap_or_default().parse()?;
        if self.left.get(number).context("an unknown message")?.fetch_sub(1, Ordering::Relaxed) == 1 {
            let said = self.said[number].get().context("it was not said")?;
            let _ = self.done.send(said.elapsed());
        }
        Ok(())
    }
}

/// The text of the message with this number.
pub fn text(number: usize) -> String {
    let mut text = format!("{number} {WORDS}");
    text.truncate(LENGTH);
    text
}
