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
}

impl Pushed {
    pub fn conversation(&self) -> Id {
        Id::from_bytes(self.conversation)
    }

    /// The device and the conversation, if it is about a device.
    fn place(&self) -> Option<([u8; 16], [u8; 16])> {
        Some((self.device?, self.conversation))
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
    /// Leaves a job behind for a message of the transaction, if somebody else in the conversation has a device.
    pub async fn note_push(&self, conn: &mut Conn, row: &MessageRow) -> Result<(), Error> {
        let (Some(outbox), Some(sender)) = (&self.pushes, row.sender_id) else { return Ok(()) };
        let some = device::table
            .inner_join(member::table.on(member::account_id.eq(device::account_id)))
            .filter(member::conversation_id.eq(row.conversation_id))
            .filter(member::account_id.ne(sender))
            .select(device::id);
        let some: Option<Id> = on!(conn, |db| some.first(db).await.optional())?;
        if some.is_some() {
            let pushed = Pushed { conversation: *row.conversation_id.as_bytes(), seq: row.seq, device: None };
            outbox.insert(conn, MESSAGE, Some(sender), &pushed.payload()).await?;
        }
        Ok(())
    }

    /// Lets the worker look at once, when something was committed.
    pub fn wake_pushes(&self) {
        if let Some(outbox) = &self.pushes {
            outbox.wake();
        }
    }

    /// The devices, or the job's one, of people who take part as things are now and have neither read, cleared nor muted it.
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

async fn push_some(
    conn: &mut Conn,
    outbox: &Outbox,
    pushed: &Pushed,
    hearers: &[Hearer],
    now: Time,
) -> Result<(), OutboxError> {
    let people: HashSet<Id> = hearers.iter().map(|hearer| hearer.device.account_id).collect();
    let mut open = outbox.open_about(conn, DEVICE, people.into_iter().collect()).await?;
    let gone = outbox.drop_open(conn, give_way(&mut open, hearers)).await?;
    if gone > 0 {
        tracing::debug!(gone, "pushes give way to newer ones");
    }
    let waiting: HashMap<_, _> =
        open.iter().filter_map(|open| waits(open).map(|(place, seq)| (place, (open, seq)))).collect();
    for Hearer { device, is_looking } in hearers {
        let pushed = Pushed { device: Some(*device.id.as_bytes()), ..pushed.clone() };
        let due = if *is_looking { now + LOOK } else { now };
        if let Some((open, seq)) = pushed.place().and_then(|place| waiting.get(&place))
            && (*seq >= pushed.seq || outbox.replace(conn, open, &pushed.payload(), due).await?)
        {
            continue;
        }
        outbox.insert_for(conn, DEVICE, Some(device.account_id), &pushed.payload(), due).await?;
    }
    Ok(())
}

/// A device and a conversation.
type Place = ([u8; 16], [u8; 16]);

/// Where a job goes, and how new what it carries is.
fn waits(open: &Open) -> Option<(Place, i64)> {
    let pushed: Pushed = serde_json::from_slice(&open.payload).ok()?;
    Some((pushed.place()?, pushed.seq))
}

/// Takes the jobs out that are too many for their accounts when each of these devices has another one: the first ones, which are the
/// oldest.
fn give_way(open: &mut Vec<Open>, hearers: &[Hearer]) -> Vec<Id> {
    let mut counts: HashMap<Id, usize> = HashMap::new();
    let others = open.iter().filter_map(|open| open.account_id);
    for account in others.chain(hearers.iter().map(|hearer| hearer.device.account_id)) {
        *counts.entry(account).or_default() += 1;
    }
    let mut gone = Vec::new();
    open.retain(|open| {
        let count = open.account_id.and_then(|account| counts.get_mut(&account));
        let Some(count) = count.filter(|count| **count > OPEN) else { return true };
        *count -= 1;
        gone.push(open.id);
        false
    });
    gone
}
