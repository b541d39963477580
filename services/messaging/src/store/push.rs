//! Which devices are to hear of a message, and the jobs for it.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use chrono::TimeDelta;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::accounts::hold;
use quartet_chassis::clock::Time;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::on;
use quartet_chassis::outbox::{Open, Outbox, OutboxError};
use serde::{Deserialize, Serialize};

use super::Store;
use super::device::DeviceRow;
use super::message_view::MessageRow;
use crate::conversation::Kind;
use crate::error::Error;
use crate::push::note::Note;
use crate::schema::{conversation, device, member, message};

/// The kind of a job that is about a message, …
pub const MESSAGE: &str = "push";
/// … and of one that is about a message and a device.
pub const DEVICE: &str = "device push";
/// How many jobs a transaction makes.
const SOME: usize = 200;
/// How many jobs for an account's devices wait. The oldest give way.
const OPEN: usize = 200;
/// Who looks at the conversation is asked about again after this.
pub const LOOK: Duration = Duration::from_secs(15);
/// How far the clocks of two instances may be apart: what was sent before a device was there is not for it.
const APART: TimeDelta = TimeDelta::seconds(5);

/// What a job is about.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Pushed {
    conversation: [u8; 16],
    seq: i64,
    device: Option<[u8; 16]>,
    /// The first message that the job stands for, where it was given newer ones since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    first: Option<i64>,
}

impl Pushed {
    pub fn conversation(&self) -> Id {
        Id::from_bytes(self.conversation)
    }

    fn payload(&self) -> Vec<u8> {
        // Numbers and bytes are always text.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// A device that is to hear of a message, and whether the conversation is on a screen of its owner's.
#[derive(Debug, Clone)]
pub struct Hearer {
    pub device: DeviceRow,
    pub is_looking: bool,
}

impl Store {
    /// Leaves a job behind for each message of the transaction, if somebody else in the conversation has a device.
    pub async fn note_pushes(&self, conn: &mut Conn, conversation: Id, rows: &[MessageRow]) -> Result<(), Error> {
        let Some(outbox) = &self.pushes else { return Ok(()) };
        let mut heard = HashMap::new();
        for row in rows {
            let Some(sender) = row.sender_id else { continue };
            let is_heard = match heard.get(&sender) {
                Some(is_heard) => *is_heard,
                None => has_hearers(conn, conversation, sender).await?,
            };
            heard.insert(sender, is_heard);
            if is_heard {
                let pushed = Pushed { conversation: *conversation.as_bytes(), seq: row.seq, device: None, first: None };
                outbox.insert(conn, MESSAGE, Some(sender), &pushed.payload()).await?;
            }
        }
        Ok(())
    }

    /// Lets the worker look at once, when something was committed.
    pub fn wake_pushes(&self) {
        if let Some(outbox) = &self.pushes {
            outbox.wake();
        }
    }

    /// The devices, or the job's one, of people who take part as things are now, have neither read, cleared nor muted it, and have not blocked
    /// who has said it.
    pub async fn hearers(&self, pushed: &Pushed) -> Result<Vec<Hearer>, DbError> {
        let now = self.now();
        let conn = &mut self.db.read().await?;
        let (id, seq) = (pushed.conversation(), pushed.seq);
        let said = message::table.find((id, seq)).filter(message::is_deleted.eq(false));
        let said = said.select((message::sender_id, message::send_time));
        let said: Option<(Option<Id>, Time)> = on!(conn, |db| said.first(db).await.optional())?;
        let Some((Some(sender), sent)) = said else { return Ok(Vec::new()) };
        let (least, most) = match pushed.device {
            Some(device) => (Id::from_bytes(device), Id::from_bytes(device)),
            None => (Id::NIL, Id::MAX),
        };
        let unread = member::joined_seq.lt(seq).and(member::cleared_seq.lt(seq)).and(member::read_seq.lt(seq));
        let theirs = device::table
            .inner_join(member::table.on(member::account_id.eq(device::account_id)))
            .filter(member::conversation_id.eq(id))
            .filter(member::account_id.ne(sender))
            .filter(unread)
            .filter(member::blocks.eq(false))
            .filter(member::muted_until.is_null().or(member::muted_until.le(now)))
            .filter(device::id.between(least, most))
            .filter(device::create_time.le(sent + APART));
        let devices: Vec<DeviceRow> = on!(conn, |db| theirs.select(DeviceRow::as_select()).load(db).await)?;
        let people: HashSet<Id> = devices.iter().map(|device| device.account_id).collect();
        let people: Vec<Id> = people.into_iter().collect();
        let people = hold::people(conn, &people).await?;
        let active = |device: &DeviceRow| people.get(&device.account_id).is_some_and(|account| account.is_active());
        Ok(devices.into_iter().filter(active).map(|device| Hearer { device, is_looking: false }).collect())
    }

    /// Makes a job for each device. Where one of the conversation waits already, that takes the newer message instead.
    pub async fn push_to(&self, pushed: &Pushed, hearers: &[Hearer]) -> Result<(), OutboxError> {
        let Some(outbox) = &self.pushes else { return Ok(()) };
        let now = self.now();
        for some in hearers.chunks(SOME) {
            self.db.transaction(async |conn| push_some(conn, outbox, pushed, some, now).await).await?;
        }
        Ok(())
    }

    /// The newest message that a job stands for and that is not gone.
    pub async fn left_of(&self, pushed: Pushed) -> Result<Option<Pushed>, DbError> {
        let Some(first) = pushed.first else { return Ok(Some(pushed)) };
        let conn = &mut self.db.read().await?;
        let these = message::table.filter(message::conversation_id.eq(pushed.conversation()));
        let these = these.filter(message::seq.between(first, pushed.seq)).filter(message::is_deleted.eq(false));
        let newest = these.order(message::seq.desc()).select(message::seq);
        let newest: Option<i64> = on!(conn, |db| newest.first(db).await.optional())?;
        Ok(newest.map(|seq| Pushed { seq, ..pushed }))
    }

    /// What is pushed of a message; nothing when it is gone.
    pub async fn push_note(&self, pushed: &Pushed, has_text: bool) -> Result<Option<Note>, DbError> {
        let conn = &mut self.db.read().await?;
        let (id, seq) = (pushed.conversation(), pushed.seq);
        let said = message::table.find((id, seq)).filter(message::is_deleted.eq(false));
        let said: Option<MessageRow> = on!(conn, |db| said.select(MessageRow::as_select()).first(db).await.optional())?;
        let Some(MessageRow { body, sender_id: Some(sender), .. }) = said else { return Ok(None) };
        let place = conversation::table.find(id).select((conversation::kind, conversation::name));
        let place: Option<(String, String)> = on!(conn, |db| place.first(db).await.optional())?;
        let Some((kind, name)) = place else { return Ok(None) };
        let group = if Kind::stored(&kind) == Kind::Group { name.as_str() } else { "" };
        let people = hold::people(conn, &[sender]).await?;
        let sender = people.get(&sender).map(|account| account.name()).unwrap_or_default();
        let text = if has_text { body.as_str() } else { "" };
        Ok(Some(Note::message(id, seq, group, &sender, text)))
    }
}

/// Whether somebody else in the conversation has a device.
async fn has_hearers(conn: &mut Conn, conversation: Id, sender: Id) -> Result<bool, DbError> {
    let some = device::table
        .inner_join(member::table.on(member::account_id.eq(device::account_id)))
        .filter(member::conversation_id.eq(conversation))
        .filter(member::account_id.ne(sender))
        .select(device::id);
    let some: Option<Id> = on!(conn, |db| some.first(db).await.optional())?;
    Ok(some.is_some())
}

async fn push_some(
    conn: &mut Conn,
    outbox: &Outbox,
    pushed: &Pushed,
    hearers: &[Hearer],
    now: Time,
) -> Result<(), OutboxError> {
    let aims: Vec<Aim> = hearers.iter().map(|hearer| Aim::of(hearer, pushed)).collect();
    let people: HashSet<Id> = aims.iter().map(|aim| aim.account).collect();
    let open = outbox.open_about(conn, DEVICE, people.into_iter().collect()).await?;
    let mut waiting: Vec<Waiting<'_>> = open.iter().filter_map(Waiting::of).collect();
    let gone = give_way(&waiting.iter().map(|waiting| waiting.aim).collect::<Vec<_>>(), &aims);
    let gone: HashSet<Id> = gone.into_iter().filter_map(|place| waiting.get(place)).map(|one| one.open.id).collect();
    let mut hearers: HashMap<Aim, &Hearer> = aims.into_iter().zip(hearers).collect();
    let due = |hearer: &Hearer| if hearer.is_looking { now + LOOK } else { now };
    let payload = |aim: &Aim, first: i64, seq: i64| {
        let first = (first < seq).then_some(first);
        Pushed { device: Some(aim.device), first, seq, ..pushed.clone() }.payload()
    };
    // As workers lock them.
    waiting.sort_by_key(|waiting| waiting.open.id);
    for Waiting { aim, first, seq, open } in waiting {
        if gone.contains(&open.id) {
            outbox.drop_open(conn, open.id).await?;
        } else if let Some(hearer) = hearers.get(&aim) {
            // One that comes behind a newer one is what is left where that is deleted, unless the newer one is on its way.
            let (from, to) = (first.min(pushed.seq), seq.max(pushed.seq));
            let is_said = (from, to) == (first, seq) || (open.is_taken && to == seq);
            if is_said || outbox.replace(conn, open, &payload(&aim, from, to), due(hearer)).await? {
                hearers.remove(&aim);
            }
        }
    }
    for (aim, hearer) in hearers {
        let payload = payload(&aim, pushed.seq, pushed.seq);
        outbox.insert_for(conn, DEVICE, Some(aim.account), &payload, due(hearer)).await?;
    }
    Ok(())
}

/// Whose device is to hear of which conversation: for that one job waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Aim {
    account: Id,
    device: [u8; 16],
    conversation: [u8; 16],
}

impl Aim {
    fn of(hearer: &Hearer, pushed: &Pushed) -> Aim {
        let device = &hearer.device;
        Aim { account: device.account_id, device: *device.id.as_bytes(), conversation: pushed.conversation }
    }
}

/// A job that is not done yet: whom it is for, and the first and the last message that it stands for.
struct Waiting<'a> {
    aim: Aim,
    first: i64,
    seq: i64,
    open: &'a Open,
}

impl Waiting<'_> {
    fn of(open: &Open) -> Option<Waiting<'_>> {
        let Pushed { conversation, seq, device, first } = serde_json::from_slice(&open.payload).ok()?;
        let aim = Aim { account: open.account_id?, device: device?, conversation };
        Some(Waiting { aim, first: first.unwrap_or(seq), seq, open })
    }
}

/// The places of the jobs that give way, because with those to come they are too many for their accounts: the first ones, which are the oldest.
/// One that takes the newer message stays, and none comes beside it.
fn give_way(waiting: &[Aim], hearers: &[Aim]) -> Vec<usize> {
    let there: HashSet<&Aim> = waiting.iter().collect();
    let newer: HashSet<&Aim> = hearers.iter().collect();
    let mut counts: HashMap<Id, usize> = HashMap::new();
    for aim in waiting.iter().chain(hearers.iter().filter(|aim| !there.contains(aim))) {
        *counts.entry(aim.account).or_default() += 1;
    }
    let mut gone = Vec::new();
    for (place, aim) in waiting.iter().enumerate().filter(|(_, aim)| !newer.contains(aim)) {
        if let Some(count) = counts.get_mut(&aim.account).filter(|count| **count > OPEN) {
            *count -= 1;
            gone.push(place);
        }
    }
    gone
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A job for a device of somebody's, about a conversation.
    fn aim(account: u8, device: u8, conversation: u8) -> Aim {
        Aim { account: Id::from_bytes([account; 16]), device: [device; 16], conversation: [conversation; 16] }
    }

    /// Those of all devices about a conversation.
    fn of_all(account: u8, conversation: u8) -> Vec<Aim> {
        (0..20).map(|device| aim(account, device, conversation)).collect()
    }

    #[test]
    fn g13_s49_a_job_that_takes_the_newer_message_needs_no_place() {
        let waiting: Vec<Aim> = (0..10).flat_map(|conversation| of_all(1, conversation)).collect();
        assert_eq!(waiting.len(), OPEN);
        for conversation in 0..10 {
            assert_eq!(give_way(&waiting, &of_all(1, conversation)), [0; 0]);
        }
    }

    #[test]
    fn g13_s49_the_oldest_jobs_of_an_account_give_way_and_nobody_elses() {
        let others = of_all(2, 0);
        let own = (0..10).flat_map(|conversation| of_all(1, conversation));
        let waiting: Vec<Aim> = others.into_iter().chain(own).collect();
        let first: Vec<usize> = (20..40).collect();
        assert_eq!(give_way(&waiting, &of_all(1, 10)), first);
        let some = [aim(1, 0, 10), aim(2, 0, 10), aim(1, 0, 9)];
        assert_eq!(give_way(&waiting, &some), [20], "one comes anew where there are too many");
    }

    #[test]
    fn g13_s49_a_job_does_not_give_way_to_itself() {
        let waiting: Vec<Aim> = (0..10).flat_map(|conversation| of_all(1, conversation)).collect();
        // The oldest one takes the newer message, and a device that is new gets a place.
        let some = [aim(1, 0, 0), aim(1, 20, 0)];
        assert_eq!(give_way(&waiting, &some), [1]);
    }
}
