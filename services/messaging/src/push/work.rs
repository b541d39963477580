//! The worker: from a message to the devices that are to hear of it, and from there to their push services.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use quartet_chassis::id::Id;
use quartet_chassis::outbox::{Job, Lane, Later, NotYet, Outbox};
use quartet_chassis::parts::Parts;
use quartet_chassis::telemetry::Seldom;
use quartet_chassis::upstream::Upstream;

use super::{Outcome, Push, Sessions};
use crate::store::Store;
use crate::store::push::{DEVICE, Hearer, LOOK, MESSAGE, Pushed};

/// How often devices are looked after, and how many at a time.
const PERIOD: Duration = Duration::from_secs(5);
const SOME: i64 = 500;
/// How many devices are sent to at once.
pub const SLOTS: usize = 32;
/// Messages wait for no push service, and devices for no other account's.
const MESSAGES: Lane = Lane { kind: Some(MESSAGE), slots: 8, of_an_account: 2 };
const DEVICES: Lane = Lane { kind: Some(DEVICE), slots: SLOTS, of_an_account: 2 };
/// How long a push waits that the installation itself is to blame for.
const MISCONFIGURED: Duration = Duration::from_secs(60);

#[derive(Clone)]
struct Worker {
    store: Store,
    push: Push,
    sessions: Sessions,
    outbox: Outbox,
}

/// Sends pushes, and drops devices whose sessions have ended, until the process stops.
pub fn start(store: &Store, push: &Push, identity: &Upstream, parts: &Parts) {
    let Some(outbox) = store.pushes.clone() else { return };
    let sessions = Sessions::new(identity.clone(), parts.auth.clone());
    let worker = Worker { store: store.clone(), push: push.clone(), sessions, outbox: outbox.clone() };
    parts.spawn(worker.clone().look_after());
    let spreads = worker.clone();
    parts.tasks.spawn(outbox.clone().work(MESSAGES, move |job| {
        let worker = spreads.clone();
        async move { worker.spread(&pushed(&job)?).await }
    }));
    parts.tasks.spawn(outbox.work(DEVICES, move |job| {
        let worker = worker.clone();
        async move { worker.deliver(pushed(&job)?).await }
    }));
}

fn pushed(job: &Job) -> anyhow::Result<Pushed> {
    serde_json::from_slice(&job.payload).context("a push that can't be read")
}

impl Worker {
    /// Makes a job for each device.
    async fn spread(&self, pushed: &Pushed) -> anyhow::Result<()> {
        let hearers = self.hearers(pushed).await?;
        if hearers.is_empty() {
            return Ok(());
        }
        // One question for all of them: who has just signed out hears no more.
        let live = self.sessions.live(hearers.iter().map(|hearer| hearer.device.session_id)).await?;
        let (living, dead): (Vec<_>, Vec<_>) =
            hearers.into_iter().partition(|hearer| live.contains(&hearer.device.session_id));
        self.store.drop_devices_of(dead.iter().map(|hearer| hearer.device.session_id).collect()).await?;
        self.store.push_to(pushed, &living).await?;
        self.outbox.wake();
        Ok(())
    }

    /// Sends to a device, if it is still to hear of the message.
    async fn deliver(&self, pushed: Pushed) -> anyhow::Result<()> {
        let Some(pushed) = &self.store.left_of(pushed).await? else { return Ok(()) };
        let Some(Hearer { device, is_looking }) = self.hearers(pushed).await?.pop() else { return Ok(()) };
        if is_looking {
            // It is read in a moment, or nobody is there any more.
            return Err(NotYet(LOOK).into());
        }
        if !self.sessions.lives(device.session_id).await? {
            return Ok(self.store.drop_devices_of(vec![device.session_id]).await?);
        }
        let Some(note) = self.store.push_note(pushed, self.push.has_text()).await? else { return Ok(()) };
        let target = self.push.open(&device.target_tag, &device.target)?;
        match self.push.try_send(&target, &note).await.map_err(NotYet)? {
            Outcome::Sent => self.store.note_pushed(device.id).await?,
            Outcome::Gone => {
                tracing::debug!(device = %device.id, "a push service knows a device no more");
                self.store.drop_device(&device).await?;
            }
            Outcome::Refused(why) => self.tell(device.id, &why, "a push is given up"),
            Outcome::Misconfigured(why) => {
                self.tell(device.id, &why, "the installation is not let push: pushes wait until that is mended");
                return Err(Later(MISCONFIGURED).into());
            }
            Outcome::Later(_, Some(wait)) | Outcome::TooMany(_, Some(wait)) => return Err(Later(wait).into()),
            Outcome::Later(why, None) | Outcome::TooMany(why, None) => return Err(anyhow!("a push service: {why}")),
        }
        Ok(())
    }

    fn tell(&self, device: Id, why: &str, what: &str) {
        if self.push.is_to_be_told() {
            tracing::warn!(%device, why, "{what}");
        } else {
            tracing::debug!(%device, why, "{what}");
        }
    }

    /// The devices that are to hear of it as things are now: of people who have not read it. Some of them may be looking.
    async fn hearers(&self, pushed: &Pushed) -> anyhow::Result<Vec<Hearer>> {
        let mut hearers = self.store.hearers(pushed).await?;
        let people: HashSet<Id> = hearers.iter().map(|hearer| hearer.device.account_id).collect();
        let people: Vec<Id> = people.into_iter().collect();
        let looking = self.store.hub.looking(pushed.conversation(), &people).await;
        for hearer in &mut hearers {
            hearer.is_looking = looking.contains(&hearer.device.account_id);
        }
        Ok(hearers)
    }

    /// Drops the devices of sessions that have ended, turn by turn.
    async fn look_after(self) {
        let (mut after, mut seldom) = (Id::NIL, Seldom::default());
        loop {
            match self.look_after_some(after).await {
                Ok(next) => after = next,
                Err(error) if seldom.again() => {
                    tracing::warn!(error = format!("{error:#}"), "devices can't be looked after");
                }
                Err(_) => {}
            }
            tokio::time::sleep(PERIOD).await;
        }
    }

    /// Answers where the next turn begins.
    async fn look_after_some(&self, after: Id) -> anyhow::Result<Id> {
        let some = self.store.device_sessions(after, SOME).await?;
        let Some((last, _)) = some.last() else { return Ok(Id::NIL) };
        // The answer is not for later: a push asks again.
        let live = self.sessions.asked(some.iter().map(|(_, session)| *session)).await?;
        let dead = some.iter().map(|(_, session)| *session).filter(|session| !live.contains(session));
        self.store.drop_devices_of(dead.collect()).await?;
        Ok(if some.len() as i64 == SOME { *last } else { Id::NIL })
    }
}
