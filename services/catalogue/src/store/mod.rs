//! The catalogue's database: one function per question.

pub mod bulk;
pub mod import;
pub mod movie;
pub mod page;
pub mod taxonomy;

use quartet_chassis::clock::Clock;
use quartet_chassis::db::Db;

/// The catalogue's database.
#[derive(Clone)]
pub struct Store {
    db: Db,
    clock: Clock,
}

impl Store {
    pub fn new(db: Db, clock: Clock) -> Store {
        Store { db, clock }
    }
}
