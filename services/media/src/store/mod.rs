//! Media's database: one function per question.

pub mod bell;
pub mod blob;
pub mod check;
mod erasure;
pub mod event;
pub mod garbage;
pub mod lease;
pub mod media;
pub mod member;
pub mod part;
pub mod project;
pub mod project_view;
pub mod removal;
pub mod sweep;
mod transfer;
pub mod upload;
pub mod upload_end;
pub mod usage;
pub mod watch;

use quartet_chassis::clock::{Clock, Time};
use quartet_chassis::db::Db;
use quartet_chassis::id::Id;

use self::bell::Bells;
use self::lease::Leases;
use crate::config::Config;

/// Media's database.
#[derive(Clone)]
pub struct Store {
    db: Db,
    clock: Clock,
    limits: Limits,
    /// Tell the watchers of this process.
    bells: Bells,
    leases: Leases,
}

/// How much there may be of what.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// 0 for any number.
    pub account_bytes: i64,
    /// 0 for any number.
    pub project_bytes: i64,
    pub file_bytes: i64,
    pub undelete_hours: u32,
    pub upload_hours: u32,
    /// 0 for never.
    pub check_days: u32,
}

impl From<&Config> for Limits {
    fn from(config: &Config) -> Limits {
        Limits {
            account_bytes: config.account_quota_bytes,
            project_bytes: config.project_quota_bytes,
            file_bytes: config.max_file_bytes,
            undelete_hours: config.undelete_hours,
            upload_hours: config.upload_hours,
            check_days: config.check_days,
        }
    }
}

impl Store {
    pub fn new(db: Db, clock: Clock, limits: Limits) -> Store {
        Store { db, clock, limits, bells: Bells::default(), leases: Leases::default() }
    }

    /// The time that is written.
    pub fn now(&self) -> Time {
        self.clock.now()
    }

    pub fn limits(&self) -> Limits {
        self.limits
    }

    pub fn new_id(&self) -> Id {
        Id::new(&self.clock)
    }
}
