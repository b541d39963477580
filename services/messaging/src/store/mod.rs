//! Messaging's database: one function per question.

pub mod address;
pub mod block;
pub mod change;
pub mod contact;
pub mod conversation;
pub mod conversation_list;
pub mod conversation_view;
pub mod departure;
pub mod device;
pub mod edit;
mod erasure;
pub mod live;
pub mod member;
pub mod mention;
pub mod message;
pub mod message_view;
pub mod participant;
pub mod person;
pub mod push;
pub mod reach;
pub mod reaction;
pub mod receipt;
mod removal;
mod replay;
mod retention;
pub mod search;
pub mod told;
mod union;
pub mod usage;

use std::sync::Arc;

use quartet_chassis::clock::{Clock, Time};
use quartet_chassis::db::Db;
use quartet_chassis::id::Id;
use quartet_chassis::outbox::Outbox;
use tokio::sync::{Notify, Semaphore};

use crate::error::Error;
use crate::few::Few;
use crate::live::Hub;
use crate::turns::{Turn, Turns};

/// Messaging's database.
#[derive(Clone)]
pub struct Store {
    db: Db,
    clock: Clock,
    /// Told what was committed.
    pub hub: Hub,
    /// Told when there is a message for the search to take in.
    pub unindexed: Arc<Notify>,
    /// Where jobs for pushes are left; none where nothing can be pushed.
    pub pushes: Option<Outbox>,
    turns: Turns,
    /// Who searches, and how many do.
    searchers: Few,
    searches: Arc<Semaphore>,
}

impl Store {
    pub fn new(db: Db, clock: Clock, hub: Hub) -> Store {
        Store {
            db,
            clock,
            hub,
            unindexed: Arc::default(),
            pushes: None,
            turns: Turns::default(),
            searchers: Few::new(search::OF_ONE),
            searches: Arc::new(Semaphore::new(search::AT_ONCE)),
        }
    }

    /// The same with a place for pushes.
    pub fn with_pushes(self, pushes: Option<Outbox>) -> Store {
        Store { pushes, ..self }
    }

    /// The time that is written.
    pub fn now(&self) -> Time {
        self.clock.now()
    }

    /// Waits until it is the caller's turn to write into a conversation, before a connection is taken. Who takes no part waits for none: they
    /// would stand before those who do. SQLite has a queue of its own.
    async fn turn(&self, conversation: Id, caller: Id) -> Result<Option<Turn>, Error> {
        if self.db.is_sqlite() {
            return Ok(None);
        }
        if let Some(turn) = self.turns.free(conversation) {
            return Ok(Some(turn));
        }
        if !self.takes_part(conversation, caller).await? {
            return Err(conversation::not_found(conversation));
        }
        self.turns.wait(conversation, caller).await.map(Some)
    }

    pub fn new_id(&self) -> Id {
        Id::new(&self.clock)
    }
}
