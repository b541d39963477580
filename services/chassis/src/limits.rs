//! How long messages may be, and how much of long ones a process holds at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use quartet_proto::r#type::v1::ErrorReason;
use tonic::Code;

use crate::failure::Failure;
use crate::id::Id;
use crate::message::Blocks;

/// The longest message of a request, where nothing else is said.
pub const MESSAGE: usize = 4 << 20;
/// Rpcs that take longer ones: their content and a little around it.
pub const LONGER: [(&str, usize); 2] = [
    ("/quartet.catalogue.v1.ImportService/ImportMovieFile", 17 << 20),
    ("/quartet.media.v1.UploadService/PutChunk", (16 << 20) + (64 << 10)),
];
/// How much a process holds of messages that are not small, and of what else it collects.
const ROOM: usize = 256 << 20;
/// How much of it one account may have, or an address where there is no account.
const SHARE: usize = 64 << 20;

/// The longest message of a request of this rpc.
pub fn message(path: &str) -> usize {
    LONGER.iter().find(|(longer, _)| *longer == path).map_or(MESSAGE, |(_, limit)| *limit)
}

/// Room for bytes that are collected before anything can be done with them. It counts what has come, so that whoever sends slowly takes no
/// more than that, and nobody takes all of it.
#[derive(Clone, Default)]
pub struct Room {
    taken: Arc<Mutex<Taken>>,
    pub(crate) blocks: Blocks,
}

#[derive(Default)]
struct Taken {
    all: usize,
    by: HashMap<Id, usize>,
}

/// What one of those who collect has of the room. Given back when it is dropped.
pub struct Held {
    room: Room,
    account: Id,
    bytes: usize,
}

impl Room {
    /// Nothing yet, for this account.
    pub fn hold(&self, account: Id) -> Held {
        Held { room: self.clone(), account, bytes: 0 }
    }
}

impl Held {
    /// Takes more, unless there is none left.
    pub fn grow(&mut self, bytes: usize) -> Result<(), Failure> {
        let mut taken = self.room.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let own = taken.by.get(&self.account).copied().unwrap_or_default();
        if taken.all + bytes > ROOM || own + bytes > SHARE {
            let failure =
                Failure::new(Code::ResourceExhausted, ErrorReason::Overloaded, "too many long messages at once");
            return Err(failure.retry_after(Duration::from_secs(1)));
        }
        taken.all += bytes;
        taken.by.insert(self.account, own + bytes);
        self.bytes += bytes;
        Ok(())
    }

    pub(crate) fn blocks(&self) -> Blocks {
        self.room.blocks.clone()
    }

    /// Gives back what is not needed of it.
    pub fn shrink(&mut self, bytes: usize) {
        drop(Held { room: self.room.clone(), account: self.account, bytes: self.bytes.saturating_sub(bytes) });
        self.bytes = self.bytes.min(bytes);
    }

    /// Hands over what there is, to begin anew.
    pub fn split(&mut self) -> Held {
        let bytes = std::mem::take(&mut self.bytes);
        Held { room: self.room.clone(), account: self.account, bytes }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.bytes == 0 {
            return;
        }
        let mut taken = self.room.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all -= self.bytes;
        if let Some(own) = taken.by.get_mut(&self.account) {
            *own -= self.bytes;
            if *own == 0 {
                taken.by.remove(&self.account);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s49_nobody_takes_all_the_room_and_what_is_dropped_is_free_again() {
        let room = Room::default();
        let (mut mine, mut other) = (room.hold(Id::NIL), room.hold(Id::NIL));
        assert!(mine.grow(SHARE).is_ok() && other.grow(1).is_err());
        let accounts: Vec<Id> = (1..=3).map(|number| Id::from_bytes([number; 16])).collect();
        let mut held: Vec<Held> = accounts.iter().map(|account| room.hold(*account)).collect();
        assert!(held.iter_mut().all(|held| held.grow(SHARE).is_ok()));
        let mut late = room.hold(Id::MAX);
        assert!(late.grow(1).is_err());
        let whole = mine.split();
        drop(mine);
        assert!(late.grow(1).is_err());
        drop(whole);
        assert!(late.grow(1).is_ok() && other.grow(SHARE - 1).is_ok());
        other.shrink(2 * SHARE);
        other.shrink(1);
        let mut more = room.hold(Id::NIL);
        assert!(more.grow(SHARE - 2).is_ok() && more.grow(1).is_err());
        drop((held, late, other, more));
        let taken = room.taken.lock().unwrap_or_else(PoisonError::into_inner);
        assert_eq!((taken.all, taken.by.len()), (0, 0));
    }

    #[test]
    fn s40_longer_messages_are_those_of_few_rpcs() {
        assert_eq!(message("/quartet.identity.v1.SessionService/SignIn"), MESSAGE);
        assert_eq!(message(LONGER[1].0), LONGER[1].1);
    }
}
