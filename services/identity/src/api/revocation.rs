//! What has been revoked, for services that check tokens while Redis can't say.

use quartet_chassis::auth;
use quartet_chassis::clock::timestamp;
use quartet_chassis::parts::Parts;
use quartet_proto::identity::v1::revocation_service_server::RevocationService;
use quartet_proto::identity::v1::*;
use tokio::sync::mpsc::{Sender, channel};
use tokio::time::{MissedTickBehavior, interval};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use crate::error::Error;
use crate::spread::{Feed, PERIOD};
use crate::store::Store;

/// The rpcs of revocations.
pub struct RevocationApi {
    pub store: Store,
    pub parts: Parts,
}

type Message = Result<WatchRevocationsResponse, Status>;

#[tonic::async_trait]
impl RevocationService for RevocationApi {
    type WatchRevocationsStream = ReceiverStream<Message>;

    async fn watch_revocations(
        &self,
        _: Request<WatchRevocationsRequest>,
    ) -> Result<Response<ReceiverStream<Message>>, Status> {
        let (sender, receiver) = channel(1);
        self.parts.spawn(watch(Feed::new(self.store.clone()), sender));
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

/// Sends what is new, and a beat where nothing is, until the client goes or the database fails. No beat without having looked.
async fn watch(mut feed: Feed, sender: Sender<Message>) {
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !sender.is_closed() {
        ticks.tick().await;
        let news = feed.next().await.map_err(|error| Status::from(Error::from(error)));
        let failed = news.is_err();
        let message = news.map(|news| WatchRevocationsResponse { revocations: news.into_iter().map(wire).collect() });
        if sender.send(message).await.is_err() || failed {
            return;
        }
    }
}

fn wire(revocation: auth::Revocation) -> Revocation {
    let target = match revocation.target {
        auth::Target::Session(id) => revocation::Target::SessionId(id.to_string()),
        auth::Target::Token(id) => revocation::Target::TokenId(id),
        auth::Target::Account { id, epoch } => {
            revocation::Target::AccountEpoch(AccountEpoch { account_id: id.to_string(), epoch })
        }
        auth::Target::Key(id) => revocation::Target::KeyId(id),
    };
    Revocation { expire_time: Some(timestamp(revocation.expire)), target: Some(target) }
}
