//! Who is there, told to the people with whom they share a direct conversation in which both have written, if both have asked for it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use quartet_chassis::id::Id;
use quartet_proto::messaging::v1::Presence;
use quartet_proto::messaging::v1::subscribe_response::Event;

use super::frame::Frames;
use super::news::News;
use super::stream::Stream;
use super::{Hub, lock};

/// About how many people a stream is told.
const PEERS: usize = 500;
/// How long somebody counts as there when their last stream has ended: most come back at once.
const LINGER: Duration = Duration::from_secs(5);
/// How often other instances are told who is here, and for how long they believe it.
const RENEW: Duration = Duration::from_secs(20);
const LEASE: Duration = Duration::from_secs(50);
/// How many are known from other instances.
const MOST: usize = 100_000;

/// Who is there, and who wants to know.
#[derive(Default)]
pub struct Presences {
    /// How many streams of theirs are here.
    here: HashMap<Id, u32>,
    /// Whose last stream has ended, and when.
    leaving: HashMap<Id, Instant>,
    /// On which other instances they are, as was last heard.
    elsewhere: HashMap<Id, HashMap<Id, Instant>>,
    watchers: HashMap<Id, HashMap<Id, Arc<Stream>>>,
    renewed: Option<Instant>,
}

impl Presences {
    fn is_there(&self, account: Id) -> bool {
        self.here.contains_key(&account) || self.leaving.contains_key(&account) || self.elsewhere.contains_key(&account)
    }

    fn tell(&self, account: Id, online: bool) {
        let Some(watchers) = self.watchers.get(&account) else { return };
        let frames = frames(account, online);
        for stream in watchers.values() {
            stream.put(frames.of(stream.kind));
        }
    }

    /// Changes something about where somebody is, and tells it if they have come or gone by that.
    fn change(&mut self, account: Id, change: impl FnOnce(&mut Presences)) {
        let was_there = self.is_there(account);
        change(self);
        let is_there = self.is_there(account);
        if was_there != is_there {
            self.tell(account, is_there);
        }
    }
}

fn frames(account: Id, online: bool) -> Frames {
    Frames::of_event(Event::Presence(Presence { account_id: account.to_string(), online }))
}

impl Hub {
    /// Notes about whom a stream is to be told when it has arrived.
    pub(super) fn watch_later(&self, stream: &Stream, peer: Option<Id>) {
        let mut peers = lock(&stream.peers);
        if stream.presence.load(Ordering::Relaxed) && peers.len() < PEERS {
            peers.extend(peer);
        }
    }

    /// A stream is told who of its peers is there, and they that its account is.
    pub(super) fn arrive(&self, stream: &Arc<Stream>) {
        if !stream.presence.load(Ordering::Relaxed) {
            return;
        }
        let peers: Vec<Id> = lock(&stream.peers).iter().copied().collect();
        {
            let rooms = stream.lock_rooms();
            if rooms.is_none() {
                return;
            }
            let mut presences = lock(&self.0.presences);
            presences.change(stream.account, |presences| {
                presences.leaving.remove(&stream.account);
                *presences.here.entry(stream.account).or_default() += 1;
            });
            stream.arrived.store(true, Ordering::Relaxed);
            for peer in peers {
                presences.watch(stream, peer);
            }
        }
        self.spread(News::Here(stream.account, true));
    }

    /// The same about a peer who comes later.
    pub(super) fn watch(&self, stream: &Arc<Stream>, peer: Option<Id>) {
        let Some(peer) = peer.filter(|_| stream.presence.load(Ordering::Relaxed)) else { return };
        let rooms = stream.lock_rooms();
        let is_new = {
            let mut peers = lock(&stream.peers);
            rooms.is_some() && peers.len() < PEERS && peers.insert(peer)
        };
        if is_new {
            lock(&self.0.presences).watch(stream, peer);
        }
    }

    /// A stream is told no more about somebody: one of the two has blocked the other.
    pub(super) fn unwatch(&self, stream: &Stream, stranger: Option<Id>) {
        let Some(stranger) = stranger.filter(|stranger| lock(&stream.peers).remove(stranger)) else { return };
        let mut presences = lock(&self.0.presences);
        presences.unwatch(stream, stranger);
        if presences.is_there(stranger) {
            stream.put(frames(stranger, false).of(stream.kind));
        }
    }

    /// A stream has ended.
    pub(super) fn depart(&self, stream: &Stream) {
        if !stream.arrived.load(Ordering::Relaxed) {
            return;
        }
        let mut presences = lock(&self.0.presences);
        for peer in lock(&stream.peers).drain() {
            presences.unwatch(stream, peer);
        }
        let account = stream.account;
        if let Some(count) = presences.here.get_mut(&account) {
            *count -= 1;
            if *count == 0 {
                presences.here.remove(&account);
                presences.leaving.insert(account, Instant::now());
            }
        }
    }

    /// Another instance says that somebody is there, or no longer.
    pub(super) fn note_presence(&self, account: Id, node: Id, here: bool) {
        let mut presences = lock(&self.0.presences);
        if here && presences.elsewhere.len() >= MOST && !presences.elsewhere.contains_key(&account) {
            return;
        }
        presences.change(account, |presences| {
            if here {
                presences.elsewhere.entry(account).or_default().insert(node, Instant::now());
            } else if let Some(nodes) = presences.elsewhere.get_mut(&account) {
                nodes.remove(&node);
                if nodes.is_empty() {
                    presences.elsewhere.remove(&account);
                }
            }
        });
    }

    /// Forgets who is gone, and tells other instances from time to time who is not.
    pub(super) fn tick_presences(&self) {
        let mut news = Vec::new();
        {
            let mut presences = lock(&self.0.presences);
            let gone = presences.leaving.iter().filter(|(_, since)| since.elapsed() > LINGER);
            for account in gone.map(|(account, _)| *account).collect::<Vec<_>>() {
                presences.change(account, |presences| {
                    presences.leaving.remove(&account);
                });
                news.push(News::Here(account, false));
            }
            let is_old = |nodes: &HashMap<Id, Instant>| nodes.values().any(|heard| heard.elapsed() > LEASE);
            let old = presences.elsewhere.iter().filter(|(_, nodes)| is_old(nodes));
            for account in old.map(|(account, _)| *account).collect::<Vec<_>>() {
                presences.change(account, |presences| {
                    if let Some(nodes) = presences.elsewhere.get_mut(&account) {
                        nodes.retain(|_, heard| heard.elapsed() <= LEASE);
                        if nodes.is_empty() {
                            presences.elsewhere.remove(&account);
                        }
                    }
                });
            }
            if presences.renewed.is_none_or(|renewed| renewed.elapsed() > RENEW) {
                presences.renewed = Some(Instant::now());
                news.extend(presences.here.keys().map(|account| News::Here(*account, true)));
            }
        }
        news.into_iter().for_each(|news| self.spread(news));
    }
}

impl Presences {
    fn unwatch(&mut self, stream: &Stream, peer: Id) {
        if let Some(watchers) = self.watchers.get_mut(&peer) {
            watchers.remove(&stream.id);
            if watchers.is_empty() {
                self.watchers.remove(&peer);
            }
        }
    }

    fn watch(&mut self, stream: &Arc<Stream>, peer: Id) {
        self.watchers.entry(peer).or_default().insert(stream.id, stream.clone());
        if self.is_there(peer) {
            stream.put(frames(peer, true).of(stream.kind));
        }
    }
}
