//! What nobody told is found here: each process compares what its streams were told with what the database has.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use quartet_chassis::db::DbError;
use quartet_chassis::id::Id;
use quartet_chassis::telemetry::Seldom;
use tokio::time::{Instant, sleep};

use super::room::Room;
use super::stream::Stream;
use super::{Hub, lock};
use crate::store::Store;
use crate::store::live::{Far, OwnRow};

/// How often it is compared; how often while what other instances tell is not heard; and how often where there are none, and only what
/// nobody tells is found, such as messages that have had their time.
const PERIOD: Duration = Duration::from_secs(3);
const SHORT: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_secs(8);
/// How many conversations or accounts are asked for at a time.
const PART: usize = 200;
/// How many conversations, participants, and conversations of accounts are compared in a round. Where there are more, the rounds take turns.
const HEADS: usize = 10_000;
const MARKS: usize = 5_000;
const OWN: usize = 20_000;

/// Where the next round goes on.
#[derive(Default)]
struct Places {
    heads: usize,
    marks: usize,
    people: usize,
}

/// Compares for as long as the process runs.
pub async fn run(store: Store) {
    let (mut places, mut seldom, mut compared) = (Places::default(), Seldom::default(), Instant::now());
    loop {
        sleep(SHORT).await;
        if compared.elapsed() < period(&store.hub) {
            continue;
        }
        if let Err(error) = round(&store, &mut places).await
            && seldom.again()
        {
            tracing::warn!(%error, "what was told can't be compared");
        }
        compared = Instant::now();
    }
}

fn period(hub: &Hub) -> Duration {
    match (&hub.0.redis, hub.hears()) {
        (None, _) => LONG,
        (Some(_), true) => PERIOD,
        (Some(_), false) => SHORT,
    }
}

async fn round(store: &Store, places: &mut Places) -> Result<(), DbError> {
    let rooms: Vec<Arc<Room>> = lock(&store.hub.0.rooms).values().cloned().collect();
    heads(store, taken(&rooms, &mut places.heads, HEADS, |_| 1)).await?;
    let size = |room: &Arc<Room>| usize::try_from(room.people()).unwrap_or_default();
    marks(store, taken(&rooms, &mut places.marks, MARKS, size)).await?;
    let people = store.hub.sizes();
    for part in parts(taken(&people, &mut places.people, OWN, |(_, size)| *size), |(_, size)| *size) {
        own(store, &part).await?;
    }
    Ok(())
}

/// As many as a round takes, from where the one before has ended: at least one, and each once.
fn taken<T: Clone>(all: &[T], from: &mut usize, most: usize, size: impl Fn(&T) -> usize) -> Vec<T> {
    let (turn, mut left) = (if *from < all.len() { *from } else { 0 }, most);
    let mut taken: Vec<T> = Vec::new();
    for next in all.iter().cycle().skip(turn).take(all.len()) {
        let size = size(next).max(1);
        if size > left && !taken.is_empty() {
            break;
        }
        left = left.saturating_sub(size);
        taken.push(next.clone());
    }
    *from = (turn + taken.len()) % all.len().max(1);
    taken
}

/// Parts that are asked for together: not too many, and not with too much to answer.
fn parts<T>(all: Vec<T>, size: impl Fn(&T) -> usize) -> Vec<Vec<T>> {
    let (mut parts, mut length) = (Vec::<Vec<T>>::new(), 0);
    for next in all {
        let size = size(&next);
        match parts.last_mut().filter(|part| part.len() < PART && length + size <= MARKS) {
            Some(part) => {
                length += size;
                part.push(next);
            }
            None => {
                length = size;
                parts.push(vec![next]);
            }
        }
    }
    parts
}

/// The last changes. A conversation that is gone is gone for everybody. Where fewer are there than were told, an older state was brought back,
/// and others will have these numbers.
async fn heads(store: &Store, rooms: Vec<Arc<Room>>) -> Result<(), DbError> {
    for part in rooms.chunks(PART) {
        // Before they are read: what is told is there.
        let told: Vec<(&Arc<Room>, Option<i64>)> = part.iter().map(|room| (room, room.head())).collect();
        let ids: Vec<Id> = part.iter().map(|room| room.id).collect();
        let heads = store.heads(&ids).await?;
        for (room, told) in told {
            match heads.get(&room.id) {
                Some(number) if told.is_some_and(|told| told > *number) => store.hub.interrupt(room),
                Some(number) => room.know(*number),
                None => store.hub.all_look_again(room),
            }
            store.hub.settle(room, super::PATIENCE);
        }
    }
    Ok(())
}

/// How far the participants are.
async fn marks(store: &Store, rooms: Vec<Arc<Room>>) -> Result<(), DbError> {
    for part in parts(rooms, |room| usize::try_from(room.people()).unwrap_or_default()) {
        let ids: Vec<Id> = part.iter().map(|room| room.id).collect();
        let mut found: HashMap<Id, Vec<Far>> = HashMap::new();
        for (id, account, delivered, read) in store.marks(&ids).await? {
            found.entry(id).or_default().push((account, (delivered, read)));
        }
        for room in &part {
            let found = found.remove(&room.id).unwrap_or_default();
            if room.learn_marks(found.into_iter()) {
                lock(&store.hub.0.late).insert(room.id);
            }
        }
    }
    Ok(())
}

/// What accounts have made of their conversations.
async fn own(store: &Store, people: &[(Id, usize)]) -> Result<(), DbError> {
    let accounts: Vec<Id> = people.iter().map(|(account, _)| *account).collect();
    let mut found: HashMap<Id, Vec<OwnRow>> = accounts.iter().map(|account| (*account, Vec::new())).collect();
    for own in store.takes_part_in(&accounts).await? {
        found.entry(own.account_id).or_default().push(own);
    }
    for (account, all) in found {
        for conversation in store.hub.remember(account, &all) {
            store.hub.look_again(account, conversation);
        }
    }
    Ok(())
}

impl Hub {
    /// The accounts of which it is known what they have made of their conversations, and of how many.
    fn sizes(&self) -> Vec<(Id, usize)> {
        let people = lock(&self.0.people);
        people.iter().filter_map(|(account, listener)| Some((*account, listener.known.as_ref()?.len()))).collect()
    }

    /// Notes what an account has made of its conversations, and says of which that is something else than before. The first time nothing is:
    /// each stream of its reads all of them when it begins.
    pub(super) fn remember(&self, account: Id, all: &[OwnRow]) -> Vec<Id> {
        let mut people = lock(&self.0.people);
        let Some(listener) = people.get_mut(&account) else { return Vec::new() };
        let now: HashMap<Id, u64> = all.iter().map(|own| (own.conversation_id, own.fingerprint())).collect();
        let ids = |before: HashMap<Id, u64>| {
            let ids: HashSet<Id> = now.keys().chain(before.keys()).copied().collect();
            ids.into_iter().filter(|id| now.get(id) != before.get(id)).collect()
        };
        let changed = listener.known.take().map(ids).unwrap_or_default();
        listener.known = Some(now);
        changed
    }

    /// Notes what an account has made of one conversation.
    pub(super) fn remember_one(&self, account: Id, conversation: Id, own: Option<OwnRow>) {
        let mut people = lock(&self.0.people);
        let Some(known) = people.get_mut(&account).and_then(|listener| listener.known.as_mut()) else { return };
        match own {
            Some(own) => known.insert(conversation, own.fingerprint()),
            None => known.remove(&conversation),
        };
    }

    /// Lets an account's other streams look at a conversation again.
    pub(super) fn others_look_again(&self, stream: &Stream, conversation: Id) {
        for other in self.streams_of(stream.account).iter().filter(|other| other.id != stream.id) {
            self.see_to(other, conversation);
        }
    }

    /// Lets everybody in a room look at the conversation again.
    fn all_look_again(&self, room: &Room) {
        for stream in room.streams() {
            self.see_to(&stream, room.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s44_a_round_compares_so_much_and_the_next_ones_the_rest() {
        let (all, mut from): (Vec<usize>, usize) = ((0..10).collect(), 0);
        let mut seen = Vec::new();
        for _ in 0..5 {
            let round = taken(&all, &mut from, 4, |_| 1);
            assert_eq!(round.len(), 4);
            seen.extend(round);
        }
        assert_eq!(seen[..10], all);
        // Few are compared once in a round, and one that is too large by itself.
        assert_eq!(taken(&all, &mut from, 100, |_| 1).len(), 10);
        assert_eq!(taken(&all, &mut from, 4, |_| 9).len(), 1);
        assert!(taken(&[0; 0], &mut from, 4, |_| 1).is_empty());
        let sizes: Vec<usize> = parts(vec![MARKS, 1, 1, MARKS], |size| *size).iter().map(Vec::len).collect();
        assert_eq!(sizes, [1, 2, 1]);
        assert_eq!(parts(vec![1; 2 * PART + 1], |size| *size).len(), 3);
    }
}
