//! A stream's place in a room: how far it is with the conversation.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use quartet_chassis::id::Id;
use quartet_proto::messaging::v1::subscribe_response::Event;
use quartet_proto::messaging::v1::{ConversationGone, Receipt};

use super::frame::Frames;
use super::item::{Batch, Item};
use super::stream::Stream;
use crate::store::live::Far;

/// How many changes are kept for a stream that still reads the state. With more of them it reads again.
const COLLECTED: usize = 128;

/// A stream in a room.
pub struct Seat {
    pub stream: Arc<Stream>,
    pub place: Place,
    /// Messages up to this number are hidden from its account.
    pub hidden_seq: i64,
    /// By which change its account came in.
    pub joined_change: i64,
    /// Whether it has been told of the conversation.
    pub is_told: bool,
    /// Whose receipts wait until it is level: none comes before the message that it speaks of.
    receipts: BTreeSet<Id>,
}

/// How far a stream is.
pub enum Place {
    /// It reads the state, and keeps what happens meanwhile: all that comes behind `base`, once that is known.
    Collecting { base: Option<i64>, items: Vec<Arc<Item>> },
    /// It reads the conversation once more, has what has numbers up to `after`, and keeps what happens meanwhile: what it reads must not
    /// be older than what it was told.
    Holding { after: i64, items: Vec<Arc<Item>> },
    /// It reads what happened long ago, and will come back for the rest.
    Behind,
    /// It is told what happens, and has what has these numbers.
    Level { after: i64 },
}

impl Seat {
    pub fn new(stream: Arc<Stream>, base: Option<i64>) -> Seat {
        let place = Place::Collecting { base, items: Vec::new() };
        Seat { stream, place, hidden_seq: 0, joined_change: 0, is_told: false, receipts: BTreeSet::new() }
    }

    /// Takes changes whose turn it is. False when the stream has no place here any more.
    pub fn take(&mut self, batch: &Batch<'_>) -> bool {
        match &mut self.place {
            Place::Collecting { items, .. } if items.len() + batch.items.len() <= COLLECTED => {
                items.extend(batch.items.iter().cloned());
                true
            }
            Place::Collecting { items, .. } => {
                let collected = std::mem::take(items);
                self.place = Place::Behind;
                !self.leaves(&collected) && !self.leaves(batch.items)
            }
            Place::Holding { after, items } => {
                items.extend(batch.items.iter().cloned());
                if items.len() <= COLLECTED {
                    return true;
                }
                let (after, items) = (*after, std::mem::take(items));
                self.place = Place::Level { after };
                self.tell(&items, after)
            }
            Place::Behind => !self.leaves(batch.items),
            Place::Level { after } => {
                let after = *after;
                match batch.shared(self.stream.account, after, self.hidden_seq, self.stream.kind) {
                    Some(chunk) => self.stream.put(chunk),
                    None => self.tell(batch.items, after),
                }
            }
        }
    }

    /// Tells changes with higher numbers than `after`, as the account sees them, up to the one by which it leaves.
    pub fn tell(&self, items: &[Arc<Item>], after: i64) -> bool {
        for item in items.iter().filter(|item| item.number() > after) {
            let piece = item.piece(self.stream.account, self.hidden_seq);
            if !self.stream.put(piece.chunk(self.stream.kind)) {
                return false;
            }
            if item.has_left(self.stream.account) {
                self.tell_gone(item.told.row.conversation_id);
                return false;
            }
        }
        true
    }

    /// Whether its account leaves by one of these; then it is told so. Nothing may come behind it.
    fn leaves(&self, items: &[Arc<Item>]) -> bool {
        let leaves = |item: &&Arc<Item>| item.number() > self.joined_change && item.has_left(self.stream.account);
        let Some(item) = items.iter().find(leaves) else { return false };
        if self.is_told {
            self.tell_gone(item.told.row.conversation_id);
        }
        true
    }

    pub fn tell_gone(&self, conversation: Id) {
        self.stream.tell(Event::Gone(ConversationGone { conversation_id: conversation.to_string() }));
    }

    /// Not before it knows of the conversation, and not while it reads what was before.
    pub fn hears_receipts(&self) -> bool {
        self.is_told && matches!(self.place, Place::Level { .. })
    }

    /// Tells how far somebody is, or keeps in mind to tell it when the stream is level.
    pub fn receipt(&mut self, account: Id, frames: &Frames) {
        if self.hears_receipts() {
            self.receipts.remove(&account);
            self.stream.put(frames.of(self.stream.kind));
        } else {
            self.receipts.insert(account);
        }
    }

    /// The same of several at once.
    pub fn receipts(&mut self, accounts: &HashSet<Id>, frames: &Frames) {
        if self.hears_receipts() {
            self.receipts.retain(|account| !accounts.contains(account));
            self.stream.put(frames.of(self.stream.kind));
        } else {
            self.receipts.extend(accounts);
        }
    }

    /// Notes that it was told of the conversation, and drops receipts of whom that has said as much as is known.
    pub fn knows(&mut self, told: &[Far], marks: &HashMap<Id, (i64, i64)>) {
        self.is_told = true;
        for (account, told) in told {
            if marks.get(account).is_none_or(|mark| mark.0 <= told.0 && mark.1 <= told.1) {
                self.receipts.remove(account);
            }
        }
    }

    /// Tells the receipts that were kept in mind, as far as it is known by now.
    pub fn tell_receipts(&mut self, conversation: Id, marks: &HashMap<Id, (i64, i64)>) {
        for account in std::mem::take(&mut self.receipts) {
            if let Some(mark) = marks.get(&account) {
                self.stream.tell(Event::Receipt(receipt(conversation, account, *mark)));
            }
        }
    }
}

/// How far somebody is, as it is told.
pub fn receipt(conversation: Id, account: Id, (delivered_seq, read_seq): (i64, i64)) -> Receipt {
    Receipt { conversation_id: conversation.to_string(), account_id: account.to_string(), delivered_seq, read_seq }
}
