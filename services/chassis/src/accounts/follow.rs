//! Follows identity's account feed into the copy, carries out erasures, and tells identity what was removed.
//!
//! Every instance follows. Which one takes a change over is decided by the cursor: it moves in the transaction of the changes, from
//! where the instance believes it to be, or not at all. Identity may be away for as long as it likes.

use std::convert::Infallible;
use std::time::Duration;

use quartet_proto::identity::v1::account_feed_service_client::AccountFeedServiceClient;
use quartet_proto::identity::v1::erasure_service_client::ErasureServiceClient;
use quartet_proto::identity::v1::{
    AccountChange, Removed, ReportErasureRequest, WatchAccountsRequest, WatchAccountsResponse,
};
use tokio::sync::Notify;
use tokio::time::error::Elapsed;
use tokio::time::{sleep, timeout};
use tonic::{Code, Request, Status};

use super::Keeper;
use super::copy::{Change, Copied};
use crate::auth::Auth;
use crate::db::{Db, DbError};
use crate::failure::Failure;
use crate::faults::Faults;
use crate::parts::Parts;
use crate::telemetry::Seldom;
use crate::upstream::Upstream;

/// Identity beats each second: who hears nothing for so long asks again.
const PATIENCE: Duration = Duration::from_secs(4);
/// The pause after a failure; it doubles each time …
const PAUSE: Duration = Duration::from_millis(100);
/// … up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How often it is looked for what is still to be removed and to be told.
const PERIOD: Duration = Duration::from_secs(1);

/// Follows the accounts of identity for a service.
pub struct Follower<K> {
    /// The name under which the service calls.
    context: &'static str,
    copied: Copied<K>,
    identity: Upstream,
    auth: Auth,
    faults: Faults,
    /// Told when there is something to remove.
    erased: Notify,
}

/// Why following has ended for now.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("identity: {0}")]
    Call(#[from] Status),
    #[error(transparent)]
    Db(#[from] DbError),
    #[error("identity has sent `{0}`, which is no change of an account")]
    Unreadable(i64),
    #[error("the stream has ended")]
    Over,
}

impl<K: Keeper> Follower<K> {
    pub fn new(context: &'static str, db: Db, keeper: K, identity: Upstream, parts: &Parts) -> Follower<K> {
        let copied = Copied { db, clock: parts.clock.clone(), keeper };
        let (auth, faults) = (parts.auth.clone(), parts.faults.clone());
        Follower { context, copied, identity, auth, faults, erased: Notify::new() }
    }

    /// Follows and tells for as long as the process runs.
    pub async fn run(self) {
        tokio::join!(self.follow(), self.report());
    }

    async fn follow(&self) {
        let mut pause = PAUSE;
        loop {
            let mut heard = false;
            let Err(error) = self.watch(&mut heard).await;
            tracing::debug!(%error, "the account feed can't be followed");
            pause = if heard { PAUSE } else { (2 * pause).min(LONGEST_PAUSE) };
            sleep(pause).await;
        }
    }

    /// Takes over what the feed brings, until that fails. `heard` tells whether it had begun.
    async fn watch(&self, heard: &mut bool) -> Result<Infallible, Ended> {
        let mut read = self.copied.cursor().await?;
        let request = self.request(WatchAccountsRequest { after: read })?;
        let mut client = AccountFeedServiceClient::new(self.identity.clone());
        let mut stream = timeout(PATIENCE, client.watch_accounts(request)).await.map_err(late)??.into_inner();
        loop {
            let message = timeout(PATIENCE, stream.message()).await.map_err(late)??;
            let WatchAccountsResponse { changes } = message.ok_or(Ended::Over)?;
            *heard = true;
            if let Some(last) = changes.last().map(|last| last.number) {
                self.faults.within("account feed", self.take_over(read, changes)).await?;
                read = last;
            }
        }
    }

    /// Takes over the changes behind the number `read`. What another instance was faster with is left out.
    async fn take_over(&self, read: i64, mut changes: Vec<AccountChange>) -> Result<(), Ended> {
        let mut cursor = read;
        while let Some(to) = changes.last().map(|last| last.number) {
            let list = changes.iter().map(change).collect::<Result<Vec<_>, _>>()?;
            if self.copied.apply(cursor, to, &list).await? {
                if list.iter().any(|change| matches!(change, Change::Erased { .. })) {
                    self.erased.notify_one();
                }
                return Ok(());
            }
            cursor = self.copied.cursor().await?;
            if cursor < read {
                // The database is an older one than before. The changes between were never read.
                return Err(Ended::Over);
            }
            changes.retain(|change| change.number > cursor);
        }
        Ok(())
    }

    async fn report(&self) {
        let mut seldom = Seldom::default();
        loop {
            if let Err(error) = self.report_all().await
                && seldom.again()
            {
                tracing::warn!(%error, "erasures can't be reported");
            }
            timeout(PERIOD, self.erased.notified()).await.ok();
        }
    }

    /// Carries out erasures, tells identity what was removed, and forgets it when identity knows.
    async fn report_all(&self) -> Result<(), Ended> {
        self.copied.carry_out_erasures(&self.faults).await?;
        let untold = self.copied.untold_erasures().await?;
        if untold.is_empty() || !self.copied.db.forget_deleted().await? {
            return Ok(());
        }
        for (id, removed) in untold {
            let removed = removed.into_iter().map(|(kind, count)| Removed { kind, count }).collect();
            let report = ReportErasureRequest { erasure_id: id.to_string(), context: self.context.to_owned(), removed };
            let mut client = ErasureServiceClient::new(self.identity.clone());
            match timeout(PATIENCE, client.report_erasure(self.request(report)?)).await.map_err(late)? {
                // One that is forgotten there needs no report.
                Err(status) if status.code() != Code::NotFound => return Err(status.into()),
                _ => self.faults.within("erasure report", self.copied.drop_erasure(id)).await?,
            }
        }
        Ok(())
    }

    fn request<T>(&self, message: T) -> Result<Request<T>, Status> {
        let token = self.auth.service_token(self.context, "identity");
        let token = token.map_err(|refusal| Status::from(Failure::from(refusal)))?;
        let bearer = format!("Bearer {token}").parse().map_err(|_| Status::internal("a token that is no header"))?;
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", bearer);
        Ok(request)
    }
}

fn late(_: Elapsed) -> Status {
    Status::unavailable("identity does not answer")
}

fn change(told: &AccountChange) -> Result<Change, Ended> {
    Change::of(told).ok_or(Ended::Unreadable(told.number))
}
