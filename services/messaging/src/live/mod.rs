//! Live events: what happens in conversations, told to the streams of this process as it happens.
//!
//! Whoever has committed something hands it to the [`Hub`] and goes on. It reaches the rooms of this process at once, and those of other
//! processes by Redis. Nothing here is the truth: what is missing is read from the database, and what nobody told is found by comparing.

mod begin;
mod compare;
mod focus;
mod frame;
mod item;
mod news;
mod node;
mod order;
mod people;
mod presence;
mod queue;
mod receipts;
mod room;
mod seat;
mod stream;
#[cfg(test)]
mod tests;
mod tick;
mod turn;
mod view;
mod work;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quartet_chassis::bus::{Bus, RedisBus};
use quartet_chassis::clock::Clock;
use quartet_chassis::id::Id;
use quartet_chassis::parts::Parts;
use quartet_proto::messaging::v1 as pb;
use tokio::sync::{Semaphore, mpsc};

pub use self::begin::{Asked, begin, open};
pub use self::frame::{Kind, ack};
use self::item::{Item, Left};
use self::news::News;
use self::people::Listener;
use self::presence::Presences;
use self::room::Room;
pub use self::stream::Stream;
use self::work::{READINGS, Work};
use crate::config::Config;
use crate::store::Store;
use crate::store::receipt::Mark;
use crate::store::told::Told;

/// From how many seats on, somebody else tells them than who has sent.
const MANY: usize = 32;
/// How long a change that is missing may take to come by itself, when a later one is there: commits overtake each other.
const PATIENCE: Duration = Duration::from_millis(15);
/// How many news for other processes may wait.
const NEWS: usize = 4096;

/// Where everything that happens is handed in, and all streams of this process are.
#[derive(Clone)]
pub struct Hub(Arc<Inner>);

struct Inner {
    clock: Clock,
    redis: Option<RedisBus>,
    /// Whether Redis was heard lately.
    heard: AtomicBool,
    /// This process's name among those that share the news.
    node: Id,
    rooms: Mutex<HashMap<Id, Arc<Room>>>,
    people: Mutex<HashMap<Id, Listener>>,
    presences: Mutex<Presences>,
    /// Rooms in which somebody types, and rooms with receipts to tell.
    typing: Mutex<HashSet<Id>>,
    late: Mutex<HashSet<Id>>,
    stopped: AtomicBool,
    limits: Limits,
    /// Beginnings that read from the database, and readings of what has just happened.
    turns: Arc<Semaphore>,
    readings: Arc<Semaphore>,
    work: mpsc::UnboundedSender<Work>,
    news: mpsc::Sender<News>,
    /// The other ends, until somebody runs them.
    ends: Mutex<Option<Ends>>,
}

struct Ends {
    work: mpsc::UnboundedReceiver<Work>,
    news: mpsc::Receiver<News>,
}

/// What an account may have and do here.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// How many streams at once.
    streams: usize,
    /// How many frames a second; 0 for any number.
    frames: u32,
}

/// Does what a hub is for, until the process stops.
pub fn run(store: &Store, parts: &Parts) {
    let hub = store.hub.clone();
    let Some(ends) = lock(&hub.0.ends).take() else { return };
    parts.spawn(work::run(store.clone(), ends.work));
    parts.spawn(compare::run(store.clone()));
    parts.spawn(tick::run(hub.clone()));
    if hub.0.redis.is_some() {
        parts.spawn(node::tell(hub.clone(), ends.news));
        parts.spawn(node::hear(hub.clone()));
    }
    let stopping = parts.stopping.clone();
    parts.tasks.spawn(async move {
        stopping.cancelled().await;
        hub.stop();
    });
}

impl Hub {
    pub fn new(parts: &Parts, config: &Config) -> Hub {
        let limits = Limits { streams: config.streams_per_account, frames: config.frames_per_second };
        let ((work, works), (news, told)) = (mpsc::unbounded_channel(), mpsc::channel(NEWS));
        let redis = match &parts.bus {
            Bus::Local(_) => None,
            Bus::Redis(redis) => Some(redis.clone()),
        };
        Hub(Arc::new(Inner {
            clock: parts.clock.clone(),
            heard: AtomicBool::new(redis.is_some()),
            redis,
            node: Id::new(&parts.clock),
            rooms: Mutex::default(),
            people: Mutex::default(),
            presences: Mutex::default(),
            typing: Mutex::default(),
            late: Mutex::default(),
            stopped: AtomicBool::new(false),
            limits,
            turns: Arc::new(Semaphore::new(turn::ALL)),
            readings: Arc::new(Semaphore::new(READINGS)),
            work,
            news,
            ends: Mutex::new(Some(Ends { work: works, news: told })),
        }))
    }

    /// Hands in a change that was committed, with what is told of it.
    pub fn publish(&self, told: Told) {
        let (id, number) = (told.row.conversation_id, told.row.number);
        self.spread(News::Changed(id, number));
        if let Some(room) = self.room(id) {
            room.put(std::iter::once(Item::new(told, Left::default())));
            self.settle(&room, PATIENCE);
        }
    }

    /// Says that a change was committed.
    pub fn changed(&self, conversation_id: Id, number: i64) {
        self.spread(News::Changed(conversation_id, number));
        self.know(conversation_id, number, Duration::ZERO);
    }

    /// Says that an account's own view of a conversation has changed: it came, went, or made something of it for itself.
    pub fn view_changed(&self, conversation_id: Id, account_id: Id) {
        self.spread(News::Own(account_id, conversation_id));
        self.look_again(account_id, conversation_id);
    }

    /// Says how far somebody is.
    pub fn receipt(&self, mark: Mark) {
        let Mark { conversation_id, account_id, delivered_seq, read_seq, .. } = mark;
        self.spread(News::Receipt(conversation_id, account_id, delivered_seq, read_seq));
        self.mark(conversation_id, account_id, (delivered_seq, read_seq));
    }

    fn mark(&self, conversation: Id, account: Id, mark: (i64, i64)) {
        if let Some(room) = self.room(conversation)
            && room.receipt(account, mark)
        {
            lock(&self.0.late).insert(room.id);
        }
    }

    fn know(&self, conversation: Id, number: i64, patience: Duration) {
        if let Some(room) = self.room(conversation) {
            room.know(number);
            self.settle(&room, patience);
        }
    }

    /// Lets each stream of an account look at a conversation again.
    fn look_again(&self, account: Id, conversation: Id) {
        for stream in self.streams_of(account) {
            self.see_to(&stream, conversation);
        }
    }

    fn see_to(&self, stream: &Arc<Stream>, conversation: Id) {
        let mut todo = stream.lock_todo();
        todo.conversations.insert(conversation);
        if !std::mem::replace(&mut todo.busy, true) {
            self.0.work.send(Work::Look(stream.clone())).ok();
        }
    }

    /// Tells what has its turn, and sees to it that what is missing is read.
    fn settle(&self, room: &Arc<Room>, patience: Duration) {
        if room.len() > MANY {
            let (hub, room) = (self.clone(), room.clone());
            self.0.work.send(Work::Tell(hub, room)).ok();
        } else {
            self.tell(room);
        }
        if room.begin_reading() {
            self.0.work.send(Work::Read(room.clone(), patience)).ok();
        }
    }

    fn tell(&self, room: &Arc<Room>) {
        let came = room.pump();
        if room.len() == 0 {
            self.give_up(room);
        }
        if room.is_late() {
            lock(&self.0.late).insert(room.id);
        }
        for (account, number) in came {
            for stream in self.streams_of(account).iter().filter(|stream| !room.has(stream, number)) {
                self.see_to(stream, room.id);
            }
        }
    }

    fn room(&self, id: Id) -> Option<Arc<Room>> {
        lock(&self.0.rooms).get(&id).cloned()
    }

    /// Gives a stream a seat in a conversation's room, if it has none. `None` when the client has gone.
    fn sit(&self, stream: &Arc<Stream>, conversation: Id) -> Option<Arc<Room>> {
        let mut rooms = stream.lock_rooms();
        rooms.as_mut()?.insert(conversation);
        let mut all = lock(&self.0.rooms);
        let room = all.entry(conversation).or_insert_with(|| Arc::new(Room::new(conversation)));
        if !room.sit(stream) {
            *room = Arc::new(Room::new(conversation));
            room.sit(stream);
        }
        Some(room.clone())
    }

    /// Takes a stream's seat away; whether it had been told of the conversation.
    fn unsit(&self, stream: &Stream, conversation: Id) -> bool {
        let Some(room) = self.room(conversation) else { return false };
        let was_told = room.unsit(stream.id);
        self.give_up(&room);
        was_told
    }

    fn give_up(&self, room: &Room) {
        let mut rooms = lock(&self.0.rooms);
        if room.close_if_empty() && rooms.get(&room.id).is_some_and(|known| std::ptr::eq(&**known, room)) {
            rooms.remove(&room.id);
        }
    }

    /// Tells every client to go on elsewhere.
    fn stop(&self) {
        self.0.stopped.store(true, std::sync::atomic::Ordering::SeqCst);
        for stream in self.streams() {
            stream.resume(pb::ResumeReason::Shutdown);
        }
    }

    fn has_stopped(&self) -> bool {
        self.0.stopped.load(std::sync::atomic::Ordering::SeqCst)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
