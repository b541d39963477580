//! A conversation that somebody here listens to.
//!
//! What happens comes in whatever order, passes the line in its own, and is told to the seats by one at a time.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quartet_chassis::clock::Time;
use quartet_chassis::id::Id;
use quartet_proto::messaging::v1::subscribe_response::Event;

use super::frame::Frames;
use super::item::{Batch, Item};
use super::order::Line;
use super::receipts::raise;
use super::seat::{Place, Seat};
use super::stream::Stream;
use super::view::View;
use crate::store::change::kind;

/// About how many bytes of changes are told at a time.
const TOLD: usize = 64 << 10;

/// A room.
pub struct Room {
    pub id: Id,
    inbox: Mutex<Inbox>,
    pub(super) seats: Mutex<Seats>,
}

#[derive(Default)]
struct Inbox {
    line: Line<Arc<Item>>,
    /// Somebody tells what has passed.
    busy: bool,
    /// Somebody reads what is missing, or is about to.
    reading: bool,
}

/// Who listens, and what they were told.
#[derive(Default)]
pub struct Seats {
    pub(super) by_stream: HashMap<Id, Seat>,
    /// The last change that the seats were told.
    head: Option<i64>,
    /// How far the participants are, as far as it was told.
    pub(super) marks: HashMap<Id, (i64, i64)>,
    /// The last message up to `head`, once that is known.
    pub(super) sent: Option<i64>,
    /// Marks that speak of messages which the seats were not told yet.
    pub(super) ahead: HashMap<Id, (i64, i64)>,
    /// Whose marks are told a little later, together.
    pub(super) late: HashSet<Id>,
    /// Who has sent lately, the last one behind.
    pub(super) senders: Vec<Id>,
    pub(super) people: i32,
    /// The change up to which they are counted, once they are: a view may be older than what was told, or newer.
    counted: Option<i64>,
    /// There were many until lately, and how far everybody is was told to few of them.
    pub(super) were_many: bool,
    /// Who types, and until when.
    pub(super) typing: HashMap<Id, Time>,
    /// Nobody has listened for a moment, and the room was given up.
    closed: bool,
}

/// What came of an attempt to bring a stream level with its room.
#[derive(Debug, PartialEq, Eq)]
pub enum Levelled {
    Level,
    /// There has been more meanwhile: read once more, behind the same number.
    Behind,
    /// It has been told of what came meanwhile, which is more than was read: let it wait, and read again.
    Ahead,
    /// It has no place here any more, for the account has none.
    Away,
}

impl Room {
    pub fn new(id: Id) -> Room {
        Room { id, inbox: Mutex::default(), seats: Mutex::default() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in changes that have come, in whatever order.
    pub fn put(&self, items: impl Iterator<Item = Item>) {
        let mut inbox = self.inbox();
        for item in items {
            inbox.line.put(item.number(), Arc::new(item));
        }
    }

    /// Notes that there is a change with this number.
    pub fn know(&self, number: i64) {
        self.inbox().line.know(number);
    }

    /// Notes that there is none behind this number.
    pub fn know_last(&self, number: i64) {
        self.inbox().line.know_last(number);
    }

    /// The number behind which something is missing.
    pub fn missing(&self) -> Option<i64> {
        self.inbox().line.missing()
    }

    /// Begins a reading, if something is missing that nobody reads yet; the one who is told so has to.
    pub fn begin_reading(&self) -> bool {
        let mut inbox = self.inbox();
        let wants = !inbox.reading && inbox.line.missing().is_some();
        inbox.reading |= wants;
        wants
    }

    /// Ends a reading, unless something is missing again; whether it has ended.
    pub fn end_reading(&self) -> bool {
        let mut inbox = self.inbox();
        inbox.reading = inbox.line.missing().is_some();
        !inbox.reading
    }

    /// Ends a reading that nobody waits for.
    pub fn give_up_reading(&self) {
        self.inbox().reading = false;
    }

    /// Whether a stream knows of its account's coming by this change.
    pub fn has(&self, stream: &Stream, number: i64) -> bool {
        self.lock().by_stream.get(&stream.id).is_some_and(|seat| !seat.is_told || seat.joined_change >= number)
    }

    /// Tells what has passed, unless somebody does so already, who will tell this, too. Answers who has come by it.
    pub fn pump(&self) -> Vec<(Id, i64)> {
        let mut came = Vec::new();
        if std::mem::replace(&mut self.inbox().busy, true) {
            return came;
        }
        loop {
            let passed = {
                let mut inbox = self.inbox();
                let passed = inbox.line.pass();
                inbox.busy = !passed.is_empty();
                passed
            };
            if passed.is_empty() {
                return came;
            }
            for part in parts(&passed) {
                self.lock().take(self.id, part, &mut came);
            }
        }
    }

    pub fn streams(&self) -> Vec<Arc<Stream>> {
        self.lock().by_stream.values().map(|seat| seat.stream.clone()).collect()
    }

    /// The last change that those who listen were told.
    pub fn head(&self) -> Option<i64> {
        self.lock().head
    }

    /// How many take part, as far as is known.
    pub fn people(&self) -> i32 {
        self.lock().people
    }

    pub fn len(&self) -> usize {
        self.lock().by_stream.len()
    }

    /// Gives a stream a seat, if it has none. False when the room was given up meanwhile.
    pub fn sit(&self, stream: &Arc<Stream>) -> bool {
        let mut seats = self.lock();
        let base = seats.head;
        if !seats.closed {
            seats.by_stream.entry(stream.id).or_insert_with(|| Seat::new(stream.clone(), base));
        }
        !seats.closed
    }

    /// Takes a seat away; whether the stream had one, and had been told of the conversation.
    pub fn unsit(&self, stream: Id) -> bool {
        self.lock().by_stream.remove(&stream).is_some_and(|seat| seat.is_told)
    }

    /// Gives the room up if nobody is in it; whether it was.
    pub fn close_if_empty(&self) -> bool {
        let mut seats = self.lock();
        seats.closed = seats.by_stream.is_empty();
        seats.closed
    }

    /// Gives the room up whoever is in it, and answers who was.
    pub fn shut(&self) -> Vec<Arc<Stream>> {
        let mut seats = self.lock();
        seats.closed = true;
        seats.by_stream.drain().map(|(_, seat)| seat.stream).collect()
    }

    /// Lets a stream that is told what happens wait with it, while the conversation is read once more.
    pub fn hold(&self, stream: &Stream) {
        let mut seats = self.lock();
        let head = seats.head.unwrap_or_default();
        if let Some(seat) = seats.by_stream.get_mut(&stream.id)
            && let Place::Level { after } = seat.place
        {
            seat.place = Place::Holding { after: after.max(head), items: Vec::new() };
        }
    }

    /// Tells a stream of the conversation as it was read, while what comes behind it is still to be read.
    pub fn tell_behind(&self, stream: &Stream, view: &View) -> bool {
        let seats = &mut *self.lock();
        seats.learn(self.id, view);
        let Some(seat) = seats.by_stream.get_mut(&stream.id) else { return false };
        seat.place = Place::Behind;
        seat.show(view, &seats.marks);
        true
    }

    /// Brings a stream level with the room: it has what has numbers up to this. What it is told of the conversation before, as it was
    /// read, is `view`.
    pub fn level(&self, stream: &Stream, number: i64, view: Option<&View>) -> Levelled {
        let seats = &mut *self.lock();
        self.begin(seats, number);
        if let Some(view) = view {
            // Before it is shown: what the view says itself is not told once more.
            seats.learn(self.id, view);
        }
        let head = seats.head;
        let Some(seat) = seats.by_stream.get_mut(&stream.id) else { return Levelled::Away };
        let (collected, after) = match &mut seat.place {
            Place::Collecting { base, items } if base.is_some_and(|base| base <= number) => {
                (std::mem::take(items), number)
            }
            Place::Behind if head.is_some_and(|head| head <= number) => (Vec::new(), number),
            // What it is shown may be ahead of what it was told, which it hears all the same.
            Place::Holding { after, items } => (std::mem::take(items), *after),
            Place::Collecting { .. } | Place::Behind => {
                seat.place = Place::Collecting { base: head, items: Vec::new() };
                return Levelled::Behind;
            }
            // There was too much to wait with. What was read may be older than that.
            Place::Level { .. } => return Levelled::Ahead,
        };
        seat.place = Place::Level { after };
        if let Some(view) = view {
            seat.show(view, &seats.marks);
        }
        if seat.tell(&collected, after) {
            seat.tell_receipts(self.id, &seats.marks);
        } else {
            seats.by_stream.remove(&stream.id);
        }
        Levelled::Level
    }

    /// Tells one stream what was read for it. False when it has no place here any more, or has ended.
    pub fn replay(&self, stream: &Stream, frames: &Frames) -> bool {
        let seats = self.lock();
        seats.by_stream.contains_key(&stream.id) && (frames.len() == 0 || stream.put(frames.of(stream.kind)))
    }

    /// The first who knows a number says where the room begins.
    fn begin(&self, seats: &mut Seats, number: i64) {
        if seats.head.is_none() && !seats.by_stream.is_empty() {
            seats.head = Some(number);
            self.inbox().line.begin(number);
            for seat in seats.by_stream.values_mut() {
                if let Place::Collecting { base, .. } = &mut seat.place {
                    base.get_or_insert(number);
                }
            }
        }
    }
}

/// Changes in parts that go into a stream's queue whether something waits there or not.
fn parts(items: &[Arc<Item>]) -> impl Iterator<Item = &[Arc<Item>]> {
    let mut length = items.first().map_or(0, |first| first.len());
    items.chunk_by(move |_, next| {
        length += next.len();
        let fits = length <= TOLD;
        length = if fits { length } else { next.len() };
        fits
    })
}

impl Seat {
    /// Tells of the conversation, as it was read.
    fn show(&mut self, view: &View, marks: &HashMap<Id, (i64, i64)>) {
        if !self.is_told {
            self.joined_change = view.joined_change;
        }
        self.hidden_seq = view.hidden_seq;
        self.stream.put(view.frames.of(self.stream.kind));
        self.knows(&view.marks, marks);
    }
}

impl Seats {
    fn take(&mut self, id: Id, items: &[Arc<Item>], came: &mut Vec<(Id, i64)>) {
        let batch = Batch::new(items);
        self.by_stream.retain(|_, seat| seat.take(&batch));
        for item in items {
            self.head = Some(item.number());
            self.note(id, item, came);
        }
        self.catch_up(id);
    }

    /// What a change says of the participants.
    fn note(&mut self, id: Id, item: &Item, came: &mut Vec<(Id, i64)>) {
        if self.counted.is_some_and(|counted| counted < item.number()) {
            self.counted = Some(item.number());
            let (joined, left) = (item.told.joined().count() as i32, item.told.left().count() as i32);
            self.count(self.people.saturating_add(joined).saturating_sub(left));
        }
        for account in item.told.left() {
            self.marks.remove(&account);
            self.ahead.remove(&account);
            self.typing.remove(&account);
        }
        came.extend(item.told.joined().map(|account| (account, item.number())));
        if matches!(item.told.row.kind.as_str(), kind::JOINED | kind::ROLE_CHANGED) {
            for member in item.told.subjects.iter().filter_map(|subject| subject.member.as_ref()) {
                // As it was just told; what came before that was of somebody whom nobody knew.
                let told = (member.delivered_seq, member.read_seq);
                let known = self.marks.insert(member.account_id, told).unwrap_or(told);
                let next = self.rise(member.account_id, known);
                if next != told {
                    self.tell_mark(id, member.account_id, next);
                }
            }
        }
        if item.told.row.kind != kind::SENT {
            return;
        }
        self.sent = Some(item.told.row.seq);
        let Some((sender, _)) = item.told.sender() else { return };
        // Who has sent something has read up to there, which goes without saying.
        let (seq, mark) = (item.told.row.seq, self.marks.entry(sender).or_default());
        raise(mark, (seq, seq));
        self.senders.retain(|known| *known != sender);
        self.senders.push(sender);
        if self.senders.len() > super::receipts::SENDERS {
            self.senders.remove(0);
        }
        if self.typing.remove(&sender).is_some() {
            self.tell_typing(id, sender, false);
        }
    }

    /// Tells those who want to know, but for themselves, that somebody types, or no longer.
    pub(super) fn tell_typing(&self, id: Id, account: Id, typing: bool) {
        let event = super::pb::Typing { conversation_id: id.to_string(), account_id: account.to_string(), typing };
        let frames = Frames::of_event(Event::Typing(event));
        for seat in self.by_stream.values().filter(|seat| seat.is_told && seat.stream.account != account) {
            if seat.stream.typing.load(std::sync::atomic::Ordering::Relaxed) {
                seat.stream.put(frames.of(seat.stream.kind));
            }
        }
    }

    /// Takes over what was read of the participants. Those who were told less are told.
    fn learn(&mut self, id: Id, view: &View) {
        if self.counted.is_none_or(|counted| counted <= view.last_change) {
            self.counted = Some(view.last_change);
            self.count(view.people);
        }
        if self.head == Some(view.last_change) {
            self.sent = Some(view.last_seq);
        }
        for (account, mark) in &view.marks {
            self.learn_mark(id, *account, *mark);
        }
    }
}
