//! Follows identity's account feed into a copy of its own, removes what was kept of accounts that are deleted, and tells identity.
//!
//! Every instance follows. Which one takes a change over is decided by the cursor: it moves in the transaction of the changes, from
//! where the instance believes it to be, or not at all. Identity may be away for as long as it likes.

use std::time::Duration;

use quartet_chassis::auth::Auth;
use quartet_chassis::db::DbError;
use quartet_chassis::failure::Failure;
use quartet_chassis::parts::{Faults, Parts};
use quartet_chassis::upstream::Upstream;
use quartet_proto::identity::v1::account_feed_service_client::AccountFeedServiceClient;
use quartet_proto::identity::v1::erasure_service_client::ErasureServiceClient;
use quartet_proto::identity::v1::{
    AccountChange, AccountState, Removed, ReportErasureRequest, WatchAccountsRequest, WatchAccountsResponse,
};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tonic::{Code, Request, Status};

use crate::store::Store;
use crate::store::account::{AccountRow, Change};

/// The name under which this service calls.
const CONTEXT: &str = "catalogue";
/// Identity beats each second: who hears nothing for so long asks again.
const PATIENCE: Duration = Duration::from_secs(4);
/// The pause after a failure; it doubles each time …
const PAUSE: Duration = Duration::from_millis(100);
/// … up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How often it is looked for what is still to be told.
const PERIOD: Duration = Duration::from_secs(1);

/// What following needs.
pub struct Accounts {
    store: Store,
    identity: Upstream,
    auth: Auth,
    faults: Faults,
    /// Told when there is something to tell.
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

impl Accounts {
    pub fn new(store: Store, identity: Upstream, parts: &Parts) -> Accounts {
        Accounts { store, identity, auth: parts.auth.clone(), faults: parts.faults.clone(), erased: Notify::new() }
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
    async fn watch(&self, heard: &mut bool) -> Result<std::convert::Infallible, Ended> {
        let mut read = self.store.account_cursor().await?;
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
            if self.store.apply_changes(cursor, to, &list).await? {
                if list.iter().any(|change| matches!(change, Change::Erased { .. })) {
                    self.erased.notify_one();
                }
                return Ok(());
            }
            cursor = self.store.account_cursor().await?;
            if cursor < read {
                // The database is an older one than before. The changes between were never read.
                return Err(Ended::Over);
            }
            changes.retain(|change| change.number > cursor);
        }
        Ok(())
    }

    async fn report(&self) {
        loop {
            if let Err(error) = self.report_all().await {
                tracing::debug!(%error, "erasures can't be reported");
            }
            timeout(PERIOD, self.erased.notified()).await.ok();
        }
    }

    /// Carries out erasures, tells identity what was removed, and forgets it when identity knows.
    async fn report_all(&self) -> Result<(), Ended> {
        self.store.carry_out_erasures(&self.faults).await?;
        let untold = self.store.untold_erasures().await?;
        if untold.is_empty() || !self.store.forget_deleted().await? {
            return Ok(());
        }
        for (id, removed) in untold {
            let removed = removed.into_iter().map(|(kind, count)| Removed { kind, count }).collect();
            let report = ReportErasureRequest { erasure_id: id.to_string(), context: CONTEXT.to_owned(), removed };
            let mut client = ErasureServiceClient::new(self.identity.clone());
            match timeout(PATIENCE, client.report_erasure(self.request(report)?)).await.map_err(late)? {
                // One that is forgotten there needs no report.
                Err(status) if status.code() != Code::NotFound => return Err(status.into()),
                _ => self.faults.within("erasure report", self.store.drop_erasure(id)).await?,
            }
        }
        Ok(())
    }

    fn request<T>(&self, message: T) -> Result<Request<T>, Status> {
        let token =
            self.auth.service_token(CONTEXT, "identity").map_err(|refusal| Status::from(Failure::from(refusal)))?;
        let bearer = format!("Bearer {token}").parse().map_err(|_| Status::internal("a token that is no header"))?;
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", bearer);
        Ok(request)
    }
}

fn late(_: tokio::time::error::Elapsed) -> Status {
    Status::unavailable("identity does not answer")
}

fn change(change: &AccountChange) -> Result<Change, Ended> {
    let unreadable = || Ended::Unreadable(change.number);
    let id = change.account_id.parse().map_err(|_| unreadable())?;
    if change.state() == AccountState::Erasing {
        let erasure_id = change.erasure_id.parse().map_err(|_| unreadable())?;
        return Ok(Change::Erased { id, erasure_id });
    }
    Ok(Change::Known(AccountRow {
        id,
        email: change.email.clone(),
        first_name: change.first_name.clone(),
        last_name: change.last_name.clone(),
        avatar_url: change.avatar_url.clone(),
        avatar_media_id: change.avatar_media_id.clone(),
        state: change.state().as_str_name().trim_start_matches("ACCOUNT_STATE_").to_owned(),
        email_verified: change.email_verified,
    }))
}
