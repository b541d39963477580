//! How far the participants are, and whom it is told: everybody in a conversation of few, and in one of many themselves and those who have
//! sent lately. If thousands told thousands of every message that they read, nothing else would be told.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use quartet_chassis::id::Id;
use quartet_proto::messaging::v1::subscribe_response::Event;

use super::frame::Frames;
use super::room::{Room, Seats};
use super::seat::receipt;

/// Up to how many participants everybody is told.
const FEW: i32 = 100;
/// How many of those who have sent lately are told in larger ones.
pub const SENDERS: usize = 16;

impl Room {
    /// Takes over how far somebody is. Whether something is to be told later.
    pub fn receipt(&self, account: Id, mark: (i64, i64)) -> bool {
        let mut seats = self.lock();
        seats.mark(self.id, account, mark);
        !seats.late.is_empty()
    }

    /// Takes over how far participants are, as it was read. Whether something is to be told later.
    pub fn learn_marks(&self, marks: impl Iterator<Item = (Id, (i64, i64))>) -> bool {
        let mut seats = self.lock();
        for (account, mark) in marks {
            seats.learn_mark(self.id, account, mark);
        }
        !seats.late.is_empty()
    }

    /// Tells what was to be told later.
    pub fn tell_late(&self) {
        let mut seats = self.lock();
        let late = std::mem::take(&mut seats.late);
        if late.is_empty() {
            return;
        }
        let told =
            |(account, mark)| (account, (mark, Frames::of_event(Event::Receipt(receipt(self.id, account, mark)))));
        let all: HashMap<Id, ((i64, i64), Frames)> = late.into_iter().map(told).collect();
        let joined = Frames::joined(all.values().map(|(_, frames)| frames));
        let Seats { by_stream, senders, .. } = &mut *seats;
        for seat in by_stream.values_mut() {
            if senders.contains(&seat.stream.account) {
                match seat.hears_receipts() {
                    true => drop(seat.stream.put(joined.of(seat.stream.kind))),
                    false => all.iter().for_each(|(account, (mark, frames))| seat.receipt(*account, *mark, frames)),
                }
            } else if let Some((mark, frames)) = all.get(&seat.stream.account) {
                seat.receipt(seat.stream.account, *mark, frames);
            }
        }
    }
}

impl Seats {
    /// Takes over how far somebody is, as it was read. Of whom nothing was known here, nothing is news: a room knows those first whom its
    /// streams are told with the conversation, and the others when it is compared.
    pub(super) fn learn_mark(&mut self, id: Id, account: Id, mark: (i64, i64)) {
        if let Entry::Vacant(unknown) = self.marks.entry(account) {
            unknown.insert(mark);
            return;
        }
        self.mark(id, account, mark);
    }

    /// Takes over how far somebody is, and tells it if that is further than was told. Nobody is ever told less than before.
    pub(super) fn mark(&mut self, id: Id, account: Id, mark: (i64, i64)) {
        let known = self.marks.entry(account).or_default();
        let next = (known.0.max(mark.0), known.1.max(mark.1));
        if *known == next {
            return;
        }
        *known = next;
        if self.people > FEW {
            self.late.insert(account, next);
            return;
        }
        let frames = Frames::of_event(Event::Receipt(receipt(id, account, next)));
        for seat in self.by_stream.values_mut() {
            seat.receipt(account, next, &frames);
        }
    }
}
