//! How far the participants are, and whom it is told: everybody in a conversation of few, and in one of many themselves and those who have
//! sent lately. If thousands told thousands of every message that they read, nothing else would be told.

use quartet_chassis::id::Id;
use quartet_proto::messaging::v1::subscribe_response::Event;

use super::frame::Frames;
use super::room::{Room, Seats};
use super::seat::receipt;
use crate::conversation::FEW;
use crate::store::live::Far;

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
    pub fn learn_marks(&self, marks: impl Iterator<Item = Far>) -> bool {
        let mut seats = self.lock();
        if seats.people == 0 {
            // Nobody here was told of the conversation yet, with which they will be told this.
            return false;
        }
        let again = seats.people <= FEW && std::mem::take(&mut seats.were_many);
        for (account, mark) in marks {
            match again {
                true => seats.mark_again(self.id, account, mark),
                false => seats.learn_mark(self.id, account, mark),
            }
        }
        !seats.late.is_empty()
    }

    /// Whether something is to be told later.
    pub fn is_late(&self) -> bool {
        !self.lock().late.is_empty()
    }

    /// Tells what was to be told later.
    pub fn tell_late(&self) {
        let mut seats = self.lock();
        let late = std::mem::take(&mut seats.late);
        let Seats { by_stream, senders, marks, .. } = &mut *seats;
        let frames = |account: &Id| {
            let mark = marks.get(account)?;
            Some(Frames::of_event(Event::Receipt(receipt(self.id, *account, *mark))))
        };
        let all: Vec<Frames> = late.iter().filter_map(frames).collect();
        if all.is_empty() {
            return;
        }
        let joined = Frames::joined(all.iter());
        for seat in by_stream.values_mut() {
            let account = seat.stream.account;
            if senders.contains(&account) {
                seat.receipts(&late, &joined);
            } else if let Some(frames) = late.get(&account).and_then(frames) {
                seat.receipt(account, &frames);
            }
        }
    }
}

/// Lets a mark rise.
pub(super) fn raise(mark: &mut (i64, i64), (delivered, read): (i64, i64)) {
    *mark = (mark.0.max(delivered), mark.1.max(read));
}

impl Seats {
    /// Notes how many take part.
    pub(super) fn count(&mut self, people: i32) {
        self.were_many |= self.people > FEW && people <= FEW;
        self.people = people;
    }

    /// Takes over how far somebody is, as it was read. Where there are few, all that is known was told to everybody here, so that what is not
    /// known is news. Where there are many, who is not shown is known from the first comparing on, and what they do is news from then on.
    pub(super) fn learn_mark(&mut self, id: Id, account: Id, mark: (i64, i64)) {
        let is_known = self.marks.contains_key(&account) || self.ahead.contains_key(&account);
        if self.people > FEW && !is_known {
            self.marks.insert(account, mark);
            return;
        }
        self.mark(id, account, mark);
    }

    /// Takes over how far somebody is, and tells it if that is further than was told. Nobody is ever told less than before.
    pub(super) fn mark(&mut self, id: Id, account: Id, mark: (i64, i64)) {
        if self.is_ahead(account, mark) {
            return;
        }
        let known = self.marks.get(&account).copied().unwrap_or_default();
        let next = self.rise(account, mark);
        if next != known {
            self.tell_mark(id, account, next);
        }
    }

    /// The same, and it is told in any case.
    fn mark_again(&mut self, id: Id, account: Id, mark: (i64, i64)) {
        if self.is_ahead(account, mark) {
            return;
        }
        let next = self.rise(account, mark);
        self.tell_mark(id, account, next);
    }

    /// Whether it speaks of a message that is not told yet, or somebody's that does is kept already, which they may have been shown. Then it
    /// is kept until that is told.
    fn is_ahead(&mut self, account: Id, (delivered, read): (i64, i64)) -> bool {
        let is_ahead = self.sent.is_some_and(|sent| sent < delivered.max(read)) || self.ahead.contains_key(&account);
        if is_ahead {
            raise(self.ahead.entry(account).or_default(), (delivered, read));
        }
        is_ahead
    }

    /// Tells the marks that were ahead of what is told by now.
    pub(super) fn catch_up(&mut self, id: Id) {
        if self.ahead.is_empty() {
            return;
        }
        for (account, mark) in std::mem::take(&mut self.ahead) {
            self.mark(id, account, mark);
        }
    }

    pub(super) fn rise(&mut self, account: Id, mark: (i64, i64)) -> (i64, i64) {
        let known = self.marks.entry(account).or_default();
        raise(known, mark);
        *known
    }

    pub(super) fn tell_mark(&mut self, id: Id, account: Id, mark: (i64, i64)) {
        if self.people > FEW {
            self.late.insert(account);
            return;
        }
        let frames = Frames::of_event(Event::Receipt(receipt(id, account, mark)));
        for seat in self.by_stream.values_mut() {
            seat.receipt(account, &frames);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::room::Levelled;
    use crate::live::tests::{
        CONVERSATION, account, item, joined, left, member, numbers, row, sent, stream, told, view,
    };
    use crate::live::view::View;
    use crate::store::change::kind;
    use crate::store::told::{Subject, Told};

    /// Whose receipts are among these.
    fn receipts(events: &[Event]) -> Vec<String> {
        let whose =
            |event: &Event| if let Event::Receipt(receipt) = event { Some(receipt.account_id.clone()) } else { None };
        events.iter().filter_map(whose).collect()
    }

    #[test]
    fn g6_where_there_are_few_whatever_nobody_was_told_is_news() {
        let room = Room::new(CONVERSATION);
        let (ada, bob) = (stream(account(1)), stream(account(2)));
        room.sit(&ada);
        // What is compared before anybody was told of the conversation is told with it.
        assert!(!room.learn_marks([(account(10), (5, 4))].into_iter()));
        assert_eq!(
            room.level(&ada, 0, Some(&view(0, &[(account(10), (5, 4)), (account(11), (1, 1))]))),
            Levelled::Level
        );
        assert!(receipts(&told(&ada)).is_empty());
        room.learn_marks([(account(10), (5, 4)), (account(11), (1, 1)), (account(12), (3, 0))].into_iter());
        assert_eq!(receipts(&told(&ada)), [account(12).to_string()]);
        // What somebody else reads first is told to those who read before.
        room.sit(&bob);
        room.level(&bob, 0, Some(&view(0, &[(account(10), (6, 6)), (account(11), (1, 1)), (account(12), (3, 0))])));
        assert_eq!((receipts(&told(&ada)), receipts(&told(&bob))), (vec![account(10).to_string()], vec![]));
    }

    #[test]
    fn g6_who_has_just_come_and_is_compared_first_is_told_of_behind_that() {
        let room = Room::new(CONVERSATION);
        let ada = stream(account(1));
        joined(&room, &ada, 0);
        told(&ada);
        let about = |number: i64, kind: &str, who: Id, far: i64| {
            let member = Some(member(who, far));
            let subject = Subject { account_id: who, account: None, role: String::new(), member };
            item(Told { row: row(number, kind, 0), message: None, reactions: None, subjects: vec![subject] })
        };
        // Their coming was read before they had read anything, and arrives behind the comparing.
        room.learn_marks([(account(4), (7, 7))].into_iter());
        room.put([about(1, kind::JOINED, account(4), 5), about(2, kind::JOINED, account(5), 5)].into_iter());
        room.pump();
        let last = |events: &[Event]| match events.last() {
            Some(Event::Receipt(receipt)) => Some((receipt.account_id.clone(), receipt.read_seq)),
            _ => None,
        };
        let events = told(&ada);
        assert_eq!(numbers(&events), [1, 2]);
        assert_eq!(last(&events), Some((account(4).to_string(), 7)));
        // So it is with who gets another role.
        room.put(std::iter::once(about(3, kind::ROLE_CHANGED, account(4), 6)));
        room.pump();
        assert_eq!(last(&told(&ada)), Some((account(4).to_string(), 7)));
    }

    #[test]
    fn g4_a_receipt_comes_behind_the_message_that_it_speaks_of() {
        let room = Room::new(CONVERSATION);
        let (ada, bob) = (stream(account(1)), stream(account(2)));
        let read = |last: i64| View { last_seq: last, ..view(last, &[]) };
        room.sit(&ada);
        room.level(&ada, 0, Some(&read(0)));
        told(&ada);
        room.receipt(account(3), (1, 1));
        room.learn_marks([(account(4), (2, 0))].into_iter());
        assert!(told(&ada).is_empty());
        room.put(std::iter::once(item(sent(1, account(2)))));
        room.pump();
        let events = told(&ada);
        assert!(
            matches!(events.as_slice(), [Event::Change(_), Event::Receipt(one)] if one.read_seq == 1),
            "{events:?}"
        );
        // Who still reads what was before hears them behind that.
        room.sit(&bob);
        assert!(room.tell_behind(&bob, &read(1)));
        room.put(std::iter::once(item(sent(2, account(2)))));
        room.pump();
        assert_eq!(receipts(&told(&ada)), [account(4).to_string()]);
        assert!(receipts(&told(&bob)).is_empty());
        assert_eq!(room.level(&bob, 2, None), Levelled::Level);
        assert_eq!(receipts(&told(&bob)), [account(4).to_string()]);
    }

    #[test]
    fn g4_where_a_room_begins_without_being_read_no_receipt_waits_for_a_message_that_was_told() {
        let room = Room::new(CONVERSATION);
        let ada = stream(account(1));
        room.sit(&ada);
        // It was read when there was no message, and what came then is told by what is read behind that.
        assert!(room.tell_behind(&ada, &View { last_seq: 0, ..view(0, &[]) }));
        room.put(std::iter::once(item(sent(1, account(2)))));
        assert_eq!(room.level(&ada, 1, None), Levelled::Level);
        room.pump();
        told(&ada);
        room.receipt(account(3), (1, 1));
        assert_eq!(receipts(&told(&ada)), [account(3).to_string()]);
    }

    #[test]
    fn g4_a_receipt_that_was_kept_says_no_less_than_the_message_before_it() {
        let room = Room::new(CONVERSATION);
        let (ada, bob) = (stream(account(1)), stream(account(2)));
        joined(&room, &ada, 0);
        room.sit(&bob);
        assert!(room.tell_behind(&bob, &view(0, &[])));
        room.receipt(account(3), (5, 5));
        room.put((1..=6).map(|number| item(sent(number, account(3)))));
        room.pump();
        assert_eq!(room.level(&bob, 6, None), Levelled::Level);
        let events = told(&bob);
        assert!(matches!(events.last(), Some(Event::Receipt(receipt)) if receipt.read_seq == 6), "{events:?}");
    }

    #[test]
    fn g6_who_has_come_is_counted_once_whichever_is_read_first() {
        let room = Room::new(CONVERSATION);
        let (ada, bob) = (stream(account(1)), stream(account(2)));
        joined(&room, &ada, 0);
        let came = |number: i64| {
            let subject = |who| Subject { account_id: account(who), account: None, role: String::new(), member: None };
            let subjects = (100..150).map(subject).collect();
            item(Told { row: row(number, kind::JOINED, 0), message: None, reactions: None, subjects })
        };
        room.sit(&bob);
        room.level(&bob, 1, Some(&View { people: 53, ..view(1, &[]) }));
        assert_eq!(room.people(), 53);
        room.put(std::iter::once(came(1)));
        room.pump();
        assert_eq!(room.people(), 53, "what is told behind that has it already");
        room.put(std::iter::once(came(2)));
        room.pump();
        room.hold(&ada);
        room.level(&ada, 1, Some(&View { people: 53, ..view(1, &[]) }));
        assert_eq!(room.people(), 103, "what was read before that has it not yet");
    }

    #[test]
    fn g6_where_there_are_many_how_far_those_are_who_are_read_the_first_time_is_no_news() {
        let room = Room::new(CONVERSATION);
        let (ada, bob) = (stream(account(1)), stream(account(2)));
        for stream in [&ada, &bob] {
            room.sit(stream);
            let many = View { people: 101, ..view(0, &[]) };
            assert_eq!(room.level(stream, 0, Some(&many)), Levelled::Level);
        }
        // Ada has sent lately, and hears how far the others are.
        room.put(std::iter::once(item(sent(1, account(1)))));
        room.pump();
        told(&ada);
        told(&bob);
        assert!(!room.learn_marks((10..90).map(|number| (account(number), (1, 0)))));
        // From then on they are known, and it is told.
        assert!(room.learn_marks([(account(10), (1, 1))].into_iter()));
        room.tell_late();
        assert_eq!((receipts(&told(&ada)), receipts(&told(&bob))), (vec![account(10).to_string()], vec![]));
        // When they are few, all are told how far all are, once.
        room.put(std::iter::once(item(left(2, account(99)))));
        room.pump();
        told(&bob);
        let all = || (10..90).map(|number| (account(number), (1, 1)));
        room.learn_marks(all());
        assert_eq!(receipts(&told(&bob)).len(), 80);
        room.learn_marks(all());
        assert!(told(&bob).is_empty());
    }
}
