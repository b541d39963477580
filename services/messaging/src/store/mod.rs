//! Messaging's database: one function per question.

use quartet_chassis::clock::{Clock, Time};
use quartet_chassis::db::Db;
use quartet_chassis::id::Id;

/// Messaging's database.
#[derive(Clone)]
pub struct Store {
    db: Db,
    clock: Clock,
}

impl Store {
    pub fn new(db: Db, clock: Clock) -> Store {
        Store { db, clock }
    }

    /// The time that is written.
    pub fn now(&self) -> Time {
        self.clock.now()
    }

    pub fn new_id(&self) -> Id {
        Id::new(&self.clock)
    }
}
