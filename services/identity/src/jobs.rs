//! What identity does without being called: letters from the outbox, and sweeping.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use chrono::TimeDelta;
use quartet_chassis::id::Id;
use quartet_chassis::mail::Mailer;
use quartet_chassis::outbox::Job;
use quartet_chassis::telemetry::Seldom;

use crate::error::Error;
use crate::keys::Keys;
use crate::letter::{Letter, Letters, MAIL};
use crate::store::Store;
use crate::wish::{self, WISH, Wish};

/// A mail whose code has less left than this is renewed instead of sent.
const LEFT: TimeDelta = TimeDelta::minutes(5);
/// How often what is over is swept.
const SWEEP: Duration = Duration::from_secs(60);

/// Carries out a row of the outbox.
pub async fn carry_out(job: Job, store: &Store, letters: &Letters, mailer: &Mailer) -> anyhow::Result<()> {
    if job.kind == WISH {
        let wish: Wish = serde_json::from_slice(&job.payload).context("a wish that can't be read")?;
        return Ok(wish::fulfil(&wish, store).await?);
    }
    if job.kind != MAIL {
        return Err(anyhow!("a job of the kind `{}` is not known", job.kind));
    }
    let letter: Letter = serde_json::from_slice(&job.payload).context("a letter that can't be read")?;
    if let Letter::Challenge { challenge_id, purpose, asked_time, .. } = &letter {
        let id: Id = challenge_id.parse()?;
        match store.challenge_expiry(id).await? {
            // Used or replaced: nobody waits for this mail any more.
            None => return Ok(()),
            Some(_) if *asked_time + purpose.patience() <= store.now() => {
                tracing::error!(job = %job.id, "a letter could not be sent for so long that nobody waits for it any more");
                return Ok(());
            }
            Some(expire) if expire < store.now() + LEFT => {
                return Ok(store.renew_challenge(id, *purpose, *asked_time).await?);
            }
            Some(_) => {}
        }
    }
    match mailer.send(&letters.mail(&letter, job.id)?).await {
        Err(error) if error.is_final() => {
            tracing::warn!(job = %job.id, %error, "a letter can't be delivered");
            Ok(())
        }
        sent => Ok(sent?),
    }
}

/// Sweeps what is over, for ever. One instance at a time does.
pub async fn sweep(store: Store, keys: Keys, me: Id) {
    let mut seldom = Seldom::default();
    loop {
        tokio::time::sleep(SWEEP).await;
        if let Err(error) = sweep_once(&store, &keys, me).await
            && seldom.again()
        {
            tracing::warn!(%error, "sweeping failed and is tried again");
        }
    }
}

async fn sweep_once(store: &Store, keys: &Keys, me: Id) -> Result<(), Error> {
    if !store.hold("sweep", me, TimeDelta::seconds(150)).await? {
        return Ok(());
    }
    keys.rotate_in_time().await?;
    let accounts = store.sweep_accounts().await?;
    let sessions = store.sweep_sessions().await?;
    let challenges = store.sweep_challenges().await?;
    store.sweep_revocations().await?;
    store.sweep_erasures().await?;
    store.sweep_keys().await?;
    store.sweep_audit().await?;
    store.outbox().sweep().await?;
    tracing::debug!(accounts, sessions, challenges, "swept");
    Ok(())
}
