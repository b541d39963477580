//! The worker: from a message to the devices that are to hear of it, and from there to their push services.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use quartet_chassis::id::Id;
use quartet_chassis::outbox::{Job, Later, Outbox};
use quartet_chassis::parts::Parts;
use quartet_chassis::upstream::Upstream;

use super::{Outcome, Push, Sessions};
use crate::store::Store;
use crate::store::push::{DEVICE, MESSAGE, Pushed, Reached};

/// How often devices are looked after, and how many at a time.
const PERIOD: Duration = Duration::from_secs(5);
const SOME: i64 = 500;
/// How often what was done long ago is forgotten, in such turns.
const SWEEP: u32 = 12;

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
    parts.tasks.spawn(outbox.work(move |job| {
        let worker = worker.clone();
        async move { worker.carry_out(job).await }
    }));
}

impl Worker {
    async fn carry_out(&self, job: Job) -> anyhow::Result<()> {
        let pushed: Pushed = serde_json::from_slice(&job.payload).context("a push that can't be read")?;
        match job.kind.as_str() {
            MESSAGE => self.spread(&pushed).await,
            DEVICE => self.deliver(&pushed).await,
            kind => bail!("a job of the kind `{kind}` is not known"),
        }
    }

    /// Makes a job for each device.
    async fn spread(&self, pushed: &Pushed) -> anyhow::Result<()> {
        let reached = self.reached(pushed).await?;
        if reached.is_empty() {
            return Ok(());
        }
        // One question for all of them: who has just signed out hears no more.
        let live = self.sessions.live(reached.iter().map(|reached| reached.device.session_id)).await?;
        let (living, dead): (Vec<_>, Vec<_>) =
            reached.into_iter().partition(|reached| live.contains(&reached.device.session_id));
        self.store.drop_devices_of(dead.iter().map(|reached| reached.device.session_id).collect()).await?;
        self.store.push_to(pushed, &living).await?;
        self.outbox.wake();
        Ok(())
    }

    /// Sends to a device, if it is still to hear of the message.
    async fn deliver(&self, pushed: &Pushed) -> anyhow::Result<()> {
        let Some(Reached { device }) = self.reached(pushed).await?.pop() else { return Ok(()) };
        if !self.sessions.lives(device.session_id).await? {
            return Ok(self.store.drop_devices_of(vec![device.session_id]).await?);
        }
        let Some(note) = self.store.push_note(pushed, self.push.has_text()).await? else { return Ok(()) };
        let target = self.push.open(&device.target_tag, &device.target)?;
        match self.push.try_send(&target, &note).await {
            Outcome::Sent => self.store.note_pushed(device.id).await?,
            Outcome::Gone => {
                tracing::debug!(device = %device.id, "a push service knows a device no more");
                self.store.drop_device(&device).await?;
            }
            Outcome::Refused(why) => tracing::warn!(device = %device.id, why, "a push is given up"),
            Outcome::Later(_, Some(wait)) => return Err(Later(wait).into()),
            Outcome::Later(why, None) => return Err(anyhow!("a push service: {why}")),
        }
        Ok(())
    }

    /// The devices that are to hear of it as things are now: of people who have neither read it nor are looking.
    async fn reached(&self, pushed: &Pushed) -> anyhow::Result<Vec<Reached>> {
        let mut reached = self.store.reached(pushed).await?;
        let people: HashSet<Id> = reached.iter().map(|reached| reached.device.account_id).collect();
        let people: Vec<Id> = people.into_iter().collect();
        let looking = self.store.hub.looking(pushed.conversation(), &people).await;
        reached.retain(|reached| !looking.contains(&reached.device.account_id));
        Ok(reached)
    }

    /// Drops the devices of sessions that have ended, turn by turn.
    async fn look_after(self) {
        let (mut after, mut turn) = (Id::NIL, 0_u32);
        loop {
            match self.look_after_some(after).await {
                Ok(next) => after = next,
                Err(error) => tracing::debug!(error = format!("{error:#}"), "devices can't be looked after"),
            }
            turn = turn.wrapping_add(1);
            if turn.is_multiple_of(SWEEP)
                && let Err(error) = self.outbox.sweep().await
            {
                tracing::debug!(%error, "old pushes can't be forgotten");
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
