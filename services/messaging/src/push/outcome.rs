//! What comes of a push, step by step.

use std::time::Duration;

use super::http::{Answer, NoAnswer};

/// What came of a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The push service has it.
    Sent,
    /// The push service knows the device no more.
    Gone,
    /// It will never be taken.
    Refused(String),
    /// The installation itself is not let in: again later, when the operator has mended that.
    Misconfigured(String),
    /// Not now: again later, and not before this time is over.
    Later(String, Option<Duration>),
    /// The same, as there were too many: to this device, or to all.
    TooMany(String, Option<Duration>),
}

/// A step on the way of a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub name: &'static str,
    pub is_ok: bool,
    pub detail: String,
}

/// The steps so far.
#[derive(Debug, Default)]
pub struct Steps(pub Vec<Step>);

impl Steps {
    pub fn went_well(&mut self, name: &'static str, detail: impl Into<String>) {
        self.0.push(Step { name, is_ok: true, detail: detail.into() });
    }

    /// Notes what comes of a step that did not.
    pub fn failed(&mut self, name: &'static str, outcome: Outcome) -> Outcome {
        let detail = match &outcome {
            Outcome::Sent => String::new(),
            Outcome::Gone => "the push service knows this device no more".to_owned(),
            Outcome::Refused(why) => why.clone(),
            Outcome::Misconfigured(why) => format!("{why}: the operator is to look at the settings"),
            Outcome::Later(why, _) | Outcome::TooMany(why, _) => format!("{why}: messages are tried again"),
        };
        self.0.push(Step { name, is_ok: false, detail });
        outcome
    }
}

impl From<NoAnswer> for Outcome {
    fn from(none: NoAnswer) -> Outcome {
        Outcome::Later(none.to_string(), None)
    }
}

/// What an answer means that is neither good nor about the device.
pub fn other(answer: &Answer) -> Outcome {
    let why = format!("it answered {}", answer.status);
    match answer.status {
        429 => Outcome::TooMany(why, answer.retry_after),
        408 | 425 | 500..=599 => Outcome::Later(why, answer.retry_after),
        _ => Outcome::Refused(why),
    }
}
