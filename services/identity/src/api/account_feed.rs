//! The account feed, for services that keep a copy of their own.

use std::time::{Duration, Instant};

use quartet_chassis::db::DbError;
use quartet_chassis::parts::Parts;
use quartet_proto::identity::v1::account_feed_service_server::AccountFeedService;
use quartet_proto::identity::v1::*;
use tokio::sync::mpsc::{Sender, channel};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use crate::error::Error;
use crate::store::Store;
use crate::store::account::State;
use crate::store::feed::{BATCH, ChangeRow};

/// How often it is looked for what other instances have committed.
const PERIOD: Duration = Duration::from_millis(100);
/// The longest that a stream is silent.
const BEAT: Duration = Duration::from_millis(800);

/// The rpc of the feed.
pub struct AccountFeedApi {
    pub store: Store,
    pub parts: Parts,
}

type Message = Result<WatchAccountsResponse, Status>;

#[tonic::async_trait]
impl AccountFeedService for AccountFeedApi {
    type WatchAccountsStream = ReceiverStream<Message>;

    async fn watch_accounts(
        &self,
        request: Request<WatchAccountsRequest>,
    ) -> Result<Response<ReceiverStream<Message>>, Status> {
        let reader = Reader { after: request.into_inner().after.max(0), seen: None };
        // One message waits at most: a slow client holds no connection and no memory.
        let (sender, receiver) = channel(1);
        let store = self.store.clone();
        self.parts.spawn(async move {
            if let Err(error) = watch(&store, reader, &sender).await {
                sender.send(Err(Error::from(error).into())).await.ok();
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

/// How far a stream has read.
struct Reader {
    /// The number of the last change that was sent.
    after: i64,
    /// The feed's number when everything up to it had been read.
    seen: Option<i64>,
}

impl Reader {
    async fn next(&mut self, store: &Store) -> Result<Vec<ChangeRow>, DbError> {
        let number = store.feed_number().await?;
        if self.seen == Some(number) {
            return Ok(Vec::new());
        }
        if self.after > number {
            // This database is an older one than the reader has read from: a backup. All is told anew.
            self.after = 0;
        }
        let changes = store.changes_after(self.after).await?;
        self.after = changes.last().map_or(self.after, |last| last.number);
        if changes.len() < BATCH {
            self.seen = Some(number);
        }
        Ok(changes)
    }
}

/// Sends what is new, and a beat where nothing is, until the client goes or the database fails. No beat without having looked.
async fn watch(store: &Store, mut reader: Reader, sender: &Sender<Message>) -> Result<(), DbError> {
    let mut told: Option<Instant> = None;
    loop {
        // Before it is looked: what is committed from here on wakes it.
        let changed = store.changed();
        let changes = reader.next(store).await?;
        if !changes.is_empty() || told.is_none_or(|told| told.elapsed() >= BEAT) {
            let changes = changes.into_iter().map(change).collect();
            if sender.send(Ok(WatchAccountsResponse { changes })).await.is_err() {
                return Ok(());
            }
            // How long a stream was silent is not a thing that tests move.
            told = Some(Instant::now());
        }
        if reader.seen.is_some() {
            tokio::select! {
                () = sender.closed() => return Ok(()),
                () = changed => {}
                () = tokio::time::sleep(PERIOD) => {}
            }
        }
    }
}

fn change(row: ChangeRow) -> AccountChange {
    let state = AccountState::from(row.state).into();
    let account_id = row.account_id.to_string();
    if row.state == State::Erasing {
        let erasure_id = row.erasure_id.map(|id| id.to_string()).unwrap_or_default();
        return AccountChange { number: row.number, account_id, state, erasure_id, ..AccountChange::default() };
    }
    AccountChange {
        number: row.number,
        account_id,
        email: row.email,
        first_name: row.first_name,
        last_name: row.last_name,
        avatar_url: row.avatar_url,
        avatar_media_id: row.avatar_media_id,
        state,
        erasure_id: String::new(),
        email_verified: row.email_verified,
    }
}
