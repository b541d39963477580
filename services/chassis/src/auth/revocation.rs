//! What has been revoked, in memory: a check is a look-up.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use chrono::TimeDelta;

use tokio::sync::Notify;

use super::{Actor, Claims, Refusal};
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

/// How many bells there are: so much fewer streams look up for a revocation that is not theirs.
const BELLS: usize = 256;

/// The live revocations, and whether they are known to be all.
#[derive(Clone)]
pub struct Revocations(Arc<Inner>);

struct Inner {
    set: RwLock<Set>,
    /// Rung for what is revoked: sessions and accounts share them by their ids.
    bells: Vec<Notify>,
    /// How long it counts as known what is revoked behind the last that was heard, where that is not [`UNKNOWN_AFTER`].
    trusted: OnceLock<Duration>,
}

impl Default for Revocations {
    fn default() -> Revocations {
        let bells = (0..BELLS).map(|_| Notify::new()).collect();
        Revocations(Arc::new(Inner { set: RwLock::default(), bells, trusted: OnceLock::new() }))
    }
}

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
        self.add(revocations);
        for Revocation { target, .. } in revocations {
            match target {
                Target::Session(id) | Target::Account { id, .. } => self.bell(*id).notify_waiters(),
                Target::Token(_) | Target::Key(_) => self.0.bells.iter().for_each(Notify::notify_waiters),
            }
        }
    }

    /// Rings whenever something about this session or account is revoked, and now and then for others.
    pub(super) fn bell(&self, id: Id) -> &Notify {
        // The end of an id is random.
        &self.0.bells[usize::from(id.as_bytes()[15]) % BELLS]
    }

    fn add(&self, revocations: &[Revocation]) {
        let mut set = self.write();
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

    /// Trusts what was heard for longer than usual: for trials beside others that may keep this process from its work.
    pub fn trust_for(&self, long: Duration) {
        self.0.trusted.set(long.max(UNKNOWN_AFTER)).ok();
    }

    /// Notes that at this moment the set holds every live revocation.
    pub fn beat(&self) {
        let mut set = self.write();
        if !matches!(set.known, Known::Always) {
            // How old the news are is not a thing that tests move.
            let now = Instant::now();
            set.known = Known::At(now);
        }
    }

    /// Notes that whoever revokes writes into this very set, so that it is always complete.
    pub fn set_complete(&self) {
        self.write().known = Known::Always;
    }

    /// Forgets what expired long ago. A clock that was ahead and is set right revives nothing (F-15).
    pub fn sweep(&self, now: Time) {
        let now = now - KEPT;
        let mut set = self.write();
        set.sessions.retain(|_, expire| *expire > now);
        set.tokens.retain(|_, expire| *expire > now);
        set.accounts.retain(|_, (_, expire)| *expire > now);
        set.keys.retain(|_, expire| *expire > now);
    }

    /// Refuses a token that is revoked, and every token while it can't be known which are.
    pub fn check(&self, claims: &Claims) -> Result<(), Refusal> {
        let set = self.read();
        if set.keys.contains_key(&claims.kid) {
            // The session lives on and has other tokens.
            return Err(Refusal::Stale);
        }
        if set.tokens.contains_key(&claims.jti) || set.sessions.contains_key(&claims.sid) {
            return Err(Refusal::Revoked);
        }
        let is_stale = |id: &Id, known: i64| set.accounts.get(id).is_some_and(|(epoch, _)| known < *epoch);
        if is_stale(&claims.sub, claims.epoch) {
            return Err(Refusal::Stale);
        }
        if let Some(Actor::Administrator { account_id, session_id, epoch }) = &claims.act
            && (set.sessions.contains_key(session_id) || is_stale(account_id, *epoch))
        {
            // Who acts has lost the right to: no refresh brings it back.
            return Err(Refusal::Revoked);
        }
        match set.known {
            Known::Always => Ok(()),
            Known::At(moment) if moment.elapsed() < *self.0.trusted.get().unwrap_or(&UNKNOWN_AFTER) => Ok(()),
            _ => Err(Refusal::Unknown),
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Set> {
        self.0.set.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Set> {
        self.0.set.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it has been known since the process started what is revoked.
    pub fn has_been_known(&self) -> bool {
        !matches!(self.read().known, Known::Never)
    }
}

fn later(until: &mut Time, expire: Time) {
    *until = expire.max(*until);
}
