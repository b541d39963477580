//! A stream of events to one client.

use std::collections::{BTreeSet, HashSet};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;
use quartet_chassis::db::DbError;
use quartet_chassis::failure::Failure;
use quartet_chassis::id::Id;
use quartet_proto::messaging::v1::subscribe_response::Event;
use quartet_proto::messaging::v1::{Resume, ResumeReason};
use tokio::sync::Notify;
use tonic::Status;

use super::Hub;
use super::frame::{Frames, Kind};
use super::queue::{Put, Queue};
use super::turn::some;

/// For how many seconds nothing is said before a beat.
const SILENCE: u32 = 30;
/// About how long a client is told to wait before it comes again.
const PAUSE: Duration = Duration::from_secs(1);

/// A stream, as those see it who tell it something.
#[derive(Debug)]
pub struct Stream {
    pub id: Id,
    pub account: Id,
    pub kind: Kind,
    /// What the client has asked for beside the rest.
    pub typing: AtomicBool,
    pub presence: AtomicBool,
    /// Whether it counts as somebody's presence.
    pub(super) arrived: AtomicBool,
    queue: Queue,
    /// The rooms that it sits in, and in which it may have sat; none any more when the client has gone.
    pub(super) rooms: Mutex<Option<HashSet<Id>>>,
    /// Conversations of which the account's own view has changed, and whether somebody sees to them.
    pub(super) todo: Mutex<Todo>,
    focus: Mutex<Option<Id>>,
    /// Whom it is told about.
    pub(super) peers: Mutex<HashSet<Id>>,
    /// For how many seconds nothing was said.
    silent: AtomicU32,
    gone: Notify,
}

#[derive(Debug, Default)]
pub(super) struct Todo {
    pub busy: bool,
    pub conversations: BTreeSet<Id>,
}

impl Stream {
    pub fn new(id: Id, account: Id, kind: Kind) -> Stream {
        Stream {
            id,
            account,
            kind,
            typing: AtomicBool::new(false),
            presence: AtomicBool::new(false),
            arrived: AtomicBool::new(false),
            queue: Queue::default(),
            rooms: Mutex::new(Some(HashSet::new())),
            todo: Mutex::new(Todo { busy: true, conversations: BTreeSet::new() }),
            focus: Mutex::default(),
            peers: Mutex::default(),
            silent: AtomicU32::new(0),
            gone: Notify::new(),
        }
    }

    /// Adds what is encoded already. False when the stream has ended, or does so by this: its reader is too slow.
    pub fn put(&self, chunk: &Bytes) -> bool {
        self.silent.store(0, Ordering::Relaxed);
        match self.queue.put(chunk) {
            Put::Done => true,
            Put::Ended => false,
            Put::Full => {
                self.resume(ResumeReason::Slow);
                false
            }
        }
    }

    pub fn tell(&self, event: Event) -> bool {
        self.put(Frames::of_event(event).of(self.kind))
    }

    /// Ends the stream: the client goes on with another.
    pub fn resume(&self, reason: ResumeReason) {
        let wait = if reason == ResumeReason::Slow { PAUSE + some(PAUSE) } else { some(2 * PAUSE) };
        self.end(reason, wait, None);
    }

    /// Ends it because the database has failed.
    pub fn fail(&self, error: DbError) {
        let wait = PAUSE + some(4 * PAUSE);
        self.end(ResumeReason::Interrupted, wait, Some(Failure::from(error).retry_after(wait).into()));
    }

    /// Not all come back at once: each is told a time of their own.
    fn end(&self, reason: ResumeReason, wait: Duration, status: Option<Status>) {
        let retry_after_ms = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
        let last = Frames::of_event(Event::Resume(Resume { reason: reason.into(), retry_after_ms }));
        self.queue.end(last.of(self.kind), status, reason == ResumeReason::Slow);
    }

    /// Ends it because what the client says can't be heard.
    pub fn refuse(&self, status: Status) {
        self.queue.end(&Bytes::new(), Some(status), false);
    }

    pub fn is_open(&self) -> bool {
        self.queue.is_open()
    }

    /// Waits until the reader has taken what waits; false when the stream has ended.
    pub async fn drained(&self) -> bool {
        self.queue.drained().await;
        self.is_open()
    }

    /// Waits until the client has gone. A stream that has ended is there until its end was read, or nobody reads any more.
    pub async fn gone(&self) {
        let gone = self.gone.notified();
        if self.lock_rooms().is_some() {
            gone.await;
        }
    }

    /// A second is over. Where nothing was said for long, there is a beat.
    pub fn tick(&self, beat: &Frames) {
        if self.silent.fetch_add(1, Ordering::Relaxed) + 1 >= SILENCE {
            self.put(beat.of(self.kind));
        }
    }

    pub fn focus(&self) -> Option<Id> {
        *self.focus.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn set_focus(&self, conversation: Option<Id>) {
        *self.focus.lock().unwrap_or_else(PoisonError::into_inner) = conversation;
    }

    /// What waits, as it would be sent.
    #[cfg(test)]
    pub(super) fn take_all(&self) -> Vec<u8> {
        let mut all = Vec::new();
        let mut cx = Context::from_waker(std::task::Waker::noop());
        while let Poll::Ready(Some(frame)) = self.queue.poll_frame(&mut cx) {
            all.extend(frame.into_data().unwrap_or_default());
        }
        all
    }

    pub(super) fn lock_rooms(&self) -> MutexGuard<'_, Option<HashSet<Id>>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn lock_todo(&self) -> MutexGuard<'_, Todo> {
        self.todo.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The body of a stream's answer. When it is dropped, the client has gone.
pub struct Body {
    stream: Arc<Stream>,
    hub: Hub,
}

impl Body {
    pub fn new(stream: Arc<Stream>, hub: Hub) -> Body {
        Body { stream, hub }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.stream.queue.poll_frame(cx).map(|frame| frame.map(Ok))
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        self.stream.queue.close();
        self.hub.leave(&self.stream);
        self.stream.gone.notify_waiters();
    }
}
