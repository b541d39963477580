//! What nobody told is found here: each process compares what its streams were told with what the database has.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use quartet_chassis::db::DbError;
use quartet_chassis::id::Id;
use tokio::time::{Instant, sleep};

use super::room::Room;
use super::stream::Stream;
use super::{Hub, lock};
use crate::store::Store;
use crate::store::live::OwnRow;

/// How often it is compared, and how often while what other instances tell is not heard.
const PERIOD: Duration = Duration::from_secs(3);
const SHORT: Duration = Duration::from_secs(1);
/// How many conversations or accounts are asked for at a time.
const PART: usize = 200;
/// How many participants and accounts are compared in a round. Where there are more, the rounds take turns.
const MOST: usize = 5000;

/// Compares for as long as the process runs.
pub async fn run(store: Store) {
    let (mut rooms_from, mut people_from) = (0, 0);
    let mut compared = Instant::now();
    loop {
        sleep(SHORT).await;
        let hub = &store.hub;
        if hub.hears() && compared.elapsed() < PERIOD {
            continue;
        }
        let rooms: Vec<Arc<Room>> = lock(&hub.0.rooms).values().cloned().collect();
        let done = async {
            heads(&store, &rooms).await?;
            marks(&store, &rooms, &mut rooms_from).await?;
            people(&store, &mut people_from).await
        };
        if let Err(error) = done.await {
            tracing::debug!(%error, "what was told can't be compared");
        }
        compared = Instant::now();
    }
}

/// The last changes. A conversation that is gone is gone for everybody.
async fn heads(store: &Store, rooms: &[Arc<Room>]) -> Result<(), DbError> {
    for part in rooms.chunks(PART) {
        let ids: Vec<Id> = part.iter().map(|room| room.id).collect();
        let heads = store.heads(&ids).await?;
        for room in part {
            match heads.get(&room.id) {
                Some(number) => room.know(*number),
                None => store.hub.all_look_again(room),
            }
            store.hub.settle(room, super::PATIENCE);
        }
    }
    Ok(())
}

/// How far the participants are.
async fn marks(store: &Store, rooms: &[Arc<Room>], from: &mut usize) -> Result<(), DbError> {
    let mut left = MOST;
    let turn = *from;
    for step in 0..rooms.len() {
        let Some(room) = rooms.get((turn + step) % rooms.len()) else { break };
        let people = usize::try_from(room.people()).unwrap_or_default();
        if people > left && left < MOST {
            break;
        }
        left = left.saturating_sub(people.max(1));
        *from = turn + step + 1;
        for (account, delivered, read) in store.marks(room.id).await? {
            store.hub.mark(room.id, account, (delivered, read));
        }
        if left == 0 {
            break;
        }
    }
    Ok(())
}

/// What the accounts have made of their conversations.
async fn people(store: &Store, from: &mut usize) -> Result<(), DbError> {
    let hub = &store.hub;
    let accounts: Vec<Id> = lock(&hub.0.people).keys().copied().collect();
    let turn = if accounts.len() > MOST { *from % accounts.len() } else { 0 };
    let next: Vec<Id> = accounts.iter().cycle().skip(turn).take(accounts.len().min(MOST)).copied().collect();
    *from = turn + next.len();
    for part in next.chunks(PART) {
        let mut found: HashMap<Id, Vec<OwnRow>> = part.iter().map(|account| (*account, Vec::new())).collect();
        for own in store.takes_part_in(part).await? {
            found.entry(own.account_id).or_default().push(own);
        }
        for (account, all) in found {
            for conversation in hub.remember(account, &all) {
                hub.look_again(account, conversation);
            }
        }
    }
    Ok(())
}

impl Hub {
    /// Notes what an account has made of its conversations, and says of which that is something else than before.
    pub(super) fn remember(&self, account: Id, all: &[OwnRow]) -> Vec<Id> {
        let mut people = lock(&self.0.people);
        let Some(listener) = people.get_mut(&account) else { return Vec::new() };
        let now: HashMap<Id, u64> = all.iter().map(|own| (own.conversation_id, own.fingerprint())).collect();
        let before = std::mem::take(&mut listener.known);
        let ids: HashSet<Id> = now.keys().chain(before.keys()).copied().collect();
        listener.known = now;
        ids.into_iter().filter(|id| listener.known.get(id) != before.get(id)).collect()
    }

    /// Notes what an account has made of one conversation.
    pub(super) fn remember_one(&self, account: Id, conversation: Id, own: Option<OwnRow>) {
        let mut people = lock(&self.0.people);
        let Some(listener) = people.get_mut(&account) else { return };
        match own {
            Some(own) => listener.known.insert(conversation, own.fingerprint()),
            None => listener.known.remove(&conversation),
        };
    }

    /// Lets an account's other streams look at a conversation again.
    pub(super) fn others_look_again(&self, stream: &Stream, conversation: Id) {
        let streams = lock(&self.0.people).get(&stream.account).map(|listener| listener.streams.clone());
        for other in streams.into_iter().flatten().filter(|other| other.id != stream.id) {
            self.see_to(&other, conversation);
        }
    }

    /// Lets everybody in a room look at the conversation again.
    fn all_look_again(&self, room: &Room) {
        for stream in room.streams() {
            self.see_to(&stream, room.id);
        }
    }
}
