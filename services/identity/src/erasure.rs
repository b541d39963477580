//! Carries out erasures here, once every other context has told what it removed. Each step can be repeated, so that a process that
//! ends at any point leaves nothing but work for the next one.

use std::time::Duration;

use chrono::TimeDelta;
use quartet_chassis::faults::Faults;
use quartet_chassis::id::Id;
use quartet_chassis::mail::Mailer;

use crate::store::Store;
use crate::store::erasure::ErasureRow;

/// How often it is looked for what other instances were told.
const PERIOD: Duration = Duration::from_secs(1);
/// Who does not come back in this time has lost the lease.
const LEASE: TimeDelta = TimeDelta::seconds(5);

/// Carries out erasures, for ever. One instance at a time does.
pub async fn erase(store: Store, mailer: Mailer, faults: Faults, me: Id) {
    loop {
        if let Err(error) = turn(&store, &mailer, &faults, me).await {
            tracing::debug!(error = format!("{error:#}"), "erasing failed and is tried again");
        }
        tokio::time::timeout(PERIOD, store.erasure_news()).await.ok();
    }
}

async fn turn(store: &Store, mailer: &Mailer, faults: &Faults, me: Id) -> anyhow::Result<()> {
    let ready = store.ready_erasures().await?;
    if ready.is_empty() || !store.hold("erasures", me, LEASE).await? {
        return Ok(());
    }
    for row in ready {
        match carry_out(store, mailer, faults, &row).await {
            Ok(true) => tracing::info!(erasure = %row.id, "an erasure is complete"),
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(erasure = %row.id, error = format!("{error:#}"), "an erasure is not complete yet");
            }
        }
    }
    Ok(())
}

/// Whether it is complete. Tests end the process within the steps that they name by the words beside each.
async fn carry_out(store: &Store, mailer: &Mailer, faults: &Faults, row: &ErasureRow) -> anyhow::Result<bool> {
    if let Some(account_id) = row.account_id {
        let jobs = faults.within("erasure jobs", store.erase_jobs(row, account_id)).await?;
        let Some(addresses) = jobs else { return Ok(false) };
        for address in &addresses {
            mailer.forget(address).await?;
        }
        faults.within("erasure revocations", store.erase_revocations(row, account_id)).await?;
        faults.within("erasure account", store.erase_account(row, account_id)).await?;
    }
    if !store.forget_deleted().await? {
        return Ok(false);
    }
    faults.within("erasure complete", store.complete_erasure(row)).await?;
    Ok(true)
}
