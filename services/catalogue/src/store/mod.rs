//! The catalogue's database: one function per question.

pub mod account;
pub mod assessment;
pub mod block;
pub mod block_order;
pub mod change;
pub mod class;
pub mod course;
mod course_erasure;
pub mod course_file;
pub mod course_removal;
pub mod course_right;
pub mod course_teacher;
pub mod course_view;
pub mod enrolment;
pub mod filing;
pub mod fill;
pub mod import;
mod index;
pub mod invitation;
pub mod movie;
pub mod page;
pub mod person;
mod pieces;
pub mod quiz_attempt;
pub mod search;
pub mod section;
pub mod state;
pub mod submission;
pub mod taxonomy;
pub mod term;
mod term_sql;
pub mod work;
pub mod write;

use std::sync::Arc;

use quartet_chassis::clock::{Clock, Time};
use quartet_chassis::db::Db;
use quartet_chassis::id::Id;
use tokio::sync::{Notify, watch};

/// The catalogue's database.
#[derive(Clone)]
pub struct Store {
    db: Db,
    clock: Clock,
    /// The number of the newest change that this process has heard of.
    newest: watch::Sender<i64>,
    /// Told when this process has deleted a course.
    deleted: Arc<Notify>,
}

impl Store {
    pub fn new(db: Db, clock: Clock) -> Store {
        Store { db, clock, newest: watch::Sender::new(0), deleted: Arc::default() }
    }

    /// The time that is written.
    pub fn now(&self) -> Time {
        self.clock.now()
    }

    pub fn new_id(&self) -> Id {
        Id::new(&self.clock)
    }
}
