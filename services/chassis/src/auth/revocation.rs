//! What has been revoked, in memory: a check is a look-up.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use chrono::TimeDelta;

use super::{Claims, Refusal};
use crate::clock::Time;
use crate::id::Id;

/// Who has heard nothing for so long no longer knows what is revoked.
const UNKNOWN_AFTER: Duration = Duration::from_secs(4);

/// How long a revocation is kept after it has expired.
pub const KEPT: TimeDelta = TimeDelta::hours(2);

/// A revocation, and when the last token it can concern has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    pub target: Target,
    pub expire: Time,
}

/// What is revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Every token of a session.
    Session(Id),
    /// The token with this `jti`.
    Token(String),
    /// An account's tokens of an epoch before this one.
    Account { id: Id, epoch: i64 },
    /// Every token signed with the key of this `kid`.
    Key(String),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Session(id) => write!(f, "session:{id}"),
            Target::Token(id) => write!(f, "token:{id}"),
            Target::Account { id, epoch } => write!(f, "account:{id}:{epoch}"),
            Target::Key(id) => write!(f, "key:{id}"),
        }
    }
}

/// The text is not a target of a revocation.
#[derive(Debug, thiserror::Error)]
#[error("not a target of a revocation")]
pub struct NotATarget;

impl FromStr for Target {
    type Err = NotATarget;

    /// Reads what `Display` writes.
    fn from_str(text: &str) -> Result<Target, NotATarget> {
        let (kind, rest) = text.split_once(':').ok_or(NotATarget)?;
        match kind {
            "session" => Ok(Target::Session(rest.parse().map_err(|_| NotATarget)?)),
            "token" => Ok(Target::Token(rest.to_owned())),
            "account" => {
                let (id, epoch) = rest.split_once(':').ok_or(NotATarget)?;
                let id = id.parse().map_err(|_| NotATarget)?;
                Ok(Target::Account { id, epoch: epoch.parse().map_err(|_| NotATarget)? })
            }
            "key" => Ok(Target::Key(rest.to_owned())),
            _ => Err(NotATarget),
        }
    }
}

/// The live revocations, and whether they are known to be all.
#[derive(Clone, Default)]
pub struct Revocations(Arc<RwLock<Set>>);

#[derive(Default)]
struct Set {
    sessions: HashMap<Id, Time>,
    tokens: HashMap<String, Time>,
    accounts: HashMap<Id, (i64, Time)>,
    keys: HashMap<String, Time>,
    known: Known,
}

#[derive(Default)]
enum Known {
    /// Nobody has said yet what is revoked.
    #[default]
    Never,
    /// As of then.
    At(Instant),
    /// Whoever revokes writes into this very set.
    Always,
}

impl Revocations {
    /// Adds revocations. Nothing that is added is forgotten before it expires.
    pub fn apply(&self, revocations: &[Revocation]) {
        let mut set = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for Revocation { target, expire } in revocations {
            match target {
                Target::Session(id) => later(set.sessions.entry(*id).or_insert(*expire), *expire),
                Target::Token(id) => later(set.tokens.entry(id.clone()).or_insert(*expire), *expire),
                Target::Key(id) => later(set.keys.entry(id.clone()).or_insert(*expire), *expire),
                Target::Account { id, epoch } => {
                    let (known, until) = set.accounts.entry(*id).or_insert((*epoch, *expire));
                    *known = (*epoch).max(*known);
                    later(until, *expire);
                }
            }
        }
    }

    /// Notes that at this moment the set holds every live revocation.
    pub fn beat(&self) {
        let mut set = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if !matches!(set.known, Known::Always) {
            // How old the news are is not a thing that tests move.
            let now = Instant::now();
            set.known = Known::At(now);
        }
    }

    /// Notes that whoever revokes writes into this very set, so that it is always complete.
    pub fn set_complete(&self) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).known = Known::Always;
    }

    /// Forgets what expired long ago. A clock that was ahead and is set right revives nothing (F-15).
    pub fn sweep(&self, now: Time) {
        let now = now - KEPT;
        let mut set = self.0.write().unwrap_or_else(PoisonError::into_inner);
        set.sessions.retain(|_, expire| *expire > now);
        set.tokens.retain(|_, expire| *expire > now);
        set.accounts.retain(|_, (_, expire)| *expire > now);
        set.keys.retain(|_, expire| *expire > now);
    }

    /// Refuses a token that is revoked, and every token while it can't be known which are.
    pub fn check(&self, claims: &Claims) -> Result<(), Refusal> {
        let set = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if set.keys.contains_key(&claims.kid) {
            // The session lives on and has other tokens.
            return Err(Refusal::Stale);
        }
        if set.tokens.contains_key(&claims.jti) || set.sessions.contains_key(&claims.sid) {
            return Err(Refusal::Revoked);
        }
        if set.accounts.get(&claims.sub).is_some_and(|(epoch, _)| claims.epoch < *epoch) {
            return Err(Refusal::Stale);
        }
        match set.known {
            Known::Always => Ok(()),
            Known::At(moment) if moment.elapsed() < UNKNOWN_AFTER => Ok(()),
            _ => Err(Refusal::Unknown),
        }
    }

    /// Whether it is known at this moment what is revoked.
    pub fn is_known(&self) -> bool {
        let set = self.0.read().unwrap_or_else(PoisonError::into_inner);
        match set.known {
            Known::Always => true,
            Known::At(moment) => moment.elapsed() < UNKNOWN_AFTER,
            Known::Never => false,
        }
    }
}

fn later(until: &mut Time, expire: Time) {
    *until = expire.max(*until);
}
