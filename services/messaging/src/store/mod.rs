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
pub mod invitation;
pub mod live;
pub mod member;
pub mod mention;
pub mod message;
pub mod message_view;
mod numbers;
pub mod participant;
pub mod person;
pub mod push;
pub mod reaction;
pub mod receipt;
mod removal;
mod replay;
mod retention;
pub mod search;
mod send;
mod sift;
pub mod told;
mod union;
pub mod usage;

use std::sync::Arc;
use std::time::Duration;

use quartet_chassis::clock::{Clock, Time};
use quartet_chassis::db::Db;
use quartet_chassis::few::{self, Few};
use quartet_chassis::id::Id;
use quartet_chassis::outbox::Outbox;
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;

use self::send::Waiting;
use crate::error::Error;
use crate::live::Hub;
use crate::turns;

/// For how long one waits for a turn. It leaves ten seconds of the call's thirty for the writing.
const PATIENCE: Duration = Duration::from_secs(20);

type Turn = turns::Turn<Waiting>;

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
    turns: turns::Turns<Waiting>,
    /// Who writes what is for themselves alone, one thing after the other: it waits for its row with no connection.
    own: Few,
    /// Who searches, and how many do.
    searchers: Few,
    searches: Arc<Semaphore>,
}

impl Store {
    pub fn new(db: Db, clock: Clock, hub: Hub, pushes: Option<Outbox>) -> Store {
        Store {
            db,
            clock,
            hub,
            unindexed: Arc::default(),
            pushes,
            turns: turns::Turns::default(),
            own: Few::new(1),
            searchers: Few::new(search::OF_ONE),
            searches: Arc::new(Semaphore::new(search::AT_ONCE)),
        }
    }

    /// The time that is written.
    pub fn now(&self) -> Time {
        self.clock.now()
    }

    /// Waits until it is the caller's turn to write into a conversation, before a connection is taken. SQLite has a queue of its own.
    async fn turn(&self, conversation: Id, caller: Id) -> Result<Option<Turn>, Error> {
        if self.db.is_sqlite() {
            return Ok(None);
        }
        let turn = async {
            let mut turn = self.line_up(conversation, caller).await?;
            turn.come().await;
            Ok(Some(turn))
        };
        patiently(turn).await
    }

    /// A place before a conversation. Who takes no part gets none where others wait: they would stand before those who do.
    async fn line_up(&self, conversation: Id, caller: Id) -> Result<Turn, Error> {
        if let Some(turn) = self.turns.free(conversation) {
            return Ok(turn);
        }
        if !self.takes_part(conversation, caller).await? {
            return Err(conversation::not_found(conversation));
        }
        self.turns.line_up(conversation, caller).await
    }

    /// Waits until nothing else is written that the caller does for themselves, before a connection is taken.
    async fn own_turn(&self, caller: Id) -> Result<few::Place, Error> {
        patiently(async { Ok(self.own.enter(caller).await) }).await
    }

    pub fn new_id(&self) -> Id {
        Id::new(&self.clock)
    }
}

/// Waits for a turn only so long.
async fn patiently<T>(turn: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    timeout(PATIENCE, turn).await.map_err(|_| Error::Busy)?
}
