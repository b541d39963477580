//! `EventService`.

use quartet_chassis::caller::Caller;
use quartet_chassis::id::Id;
use quartet_proto::messaging::v1::event_service_server::EventService;
use quartet_proto::messaging::v1::*;
use tonic::{Request, Response, Status};

use super::ask;
use crate::error::Error;
use crate::rates::Rates;
use crate::store::Store;

/// The rpcs of events.
#[derive(Clone)]
pub struct EventApi {
    pub store: Store,
    pub rates: Rates,
}

impl EventApi {
    /// Tells others that somebody types.
    pub async fn type_in(&self, account: Id, asked: &SetTypingRequest) -> Result<(), Error> {
        let conversation = ask::conversation(&asked.conversation_id)?;
        self.rates.typing(account).await?;
        let heard = self.store.is_heard_typing(conversation, account).await?;
        if heard.ok_or_else(|| Error::ConversationNotFound(asked.conversation_id.clone()))? {
            self.store.hub.typing(conversation, account, asked.typing);
        }
        Ok(())
    }

    /// Notes what is on the screen of a stream.
    pub async fn focus_on(&self, account: Id, stream: Id, conversation_id: &str) -> Result<(), Error> {
        self.rates.look(account).await?;
        let conversation = match conversation_id {
            "" => None,
            id => Some(self.own(account, id).await?),
        };
        self.store.hub.set_focus(account, stream, conversation).await
    }

    /// A conversation in which the account takes part.
    async fn own(&self, account: Id, id: &str) -> Result<Id, Error> {
        let conversation = ask::conversation(id)?;
        let own = self.store.takes_part(conversation, account).await?;
        if own { Ok(conversation) } else { Err(Error::ConversationNotFound(id.to_owned())) }
    }
}

#[tonic::async_trait]
impl EventService for EventApi {
    type SubscribeStream = tokio_stream::Empty<Result<SubscribeResponse, Status>>;

    /// Never called: what is in front of this service answers it, which shares the frames of events between streams.
    async fn subscribe(&self, _: Request<SubscribeRequest>) -> Result<Response<Self::SubscribeStream>, Status> {
        Err(Status::internal("what is in front of this service has let through what it answers itself"))
    }

    async fn set_typing(&self, request: Request<SetTypingRequest>) -> Result<Response<SetTypingResponse>, Status> {
        let caller = Caller::of(&request)?;
        self.type_in(caller.account_id, request.get_ref()).await?;
        Ok(Response::new(SetTypingResponse {}))
    }

    async fn set_focus(&self, request: Request<SetFocusRequest>) -> Result<Response<SetFocusResponse>, Status> {
        let caller = Caller::of(&request)?;
        let SetFocusRequest { stream_id, conversation_id } = request.into_inner();
        let stream = stream_id.parse().map_err(|_| Error::StreamNotFound)?;
        self.focus_on(caller.account_id, stream, &conversation_id).await?;
        Ok(Response::new(SetFocusResponse {}))
    }
}
