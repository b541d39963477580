//! `ParticipantService`.

use quartet_chassis::caller::Caller;
use quartet_chassis::clock::Time;
use quartet_chassis::failure::Fields;
use quartet_chassis::id::Id;
use quartet_chassis::page;
use quartet_proto::messaging::v1::participant_service_server::ParticipantService;
use quartet_proto::messaging::v1::*;
use serde::{Deserialize, Serialize};
use tonic::{Request, Response, Status};

use super::ask;
use super::conversation_view::with_address;
use super::invitation::invite;
use super::moment::Moment;
use crate::conversation::Role;
use crate::error::Error;
use crate::rates::Rates;
use crate::store::Store;
use crate::store::invitation::InviteTo;
use crate::store::participant::ParticipantRow;

/// The rpcs of participants.
pub struct ParticipantApi {
    pub store: Store,
    pub rates: Rates,
    /// How many people a group may have.
    pub participants: i32,
}

#[tonic::async_trait]
impl ParticipantService for ParticipantApi {
    async fn list_participants(
        &self,
        request: Request<ListParticipantsRequest>,
    ) -> Result<Response<ListParticipantsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let ListParticipantsRequest { conversation_id, page_size, page_token } = request.into_inner();
        let mut fields = Fields::default();
        let size = fields.take("page_size", page::size(page_size));
        let after = fields.take("page_token", position(&page_token, &conversation_id));
        let (Some(size), Some(after)) = (size, after) else { return Err(Error::from(fields).into()) };
        let id = ask::conversation(&conversation_id)?;
        let (mut rows, total_size) = self.store.participants(id, caller.account_id, after, size).await?;
        let next_page_token = page::cut(&mut rows, size, |last| token(last, &conversation_id));
        let participants = rows.into_iter().map(with_address).collect();
        Ok(Response::new(ListParticipantsResponse { participants, next_page_token, total_size }))
    }

    async fn add_participants(
        &self,
        request: Request<AddParticipantsRequest>,
    ) -> Result<Response<AddParticipantsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let AddParticipantsRequest { conversation_id, participants } = request.into_inner();
        let mut fields = Fields::default();
        let persons = ask::persons(participants, &mut fields);
        let Some(persons) = persons else { return Err(Error::from(fields).into()) };
        let id = ask::conversation(&conversation_id)?;
        let counted = invite(&self.store, &self.rates, caller.account_id, &persons, InviteTo::Group(id)).await?;
        let outcome = self.store.add_participants(id, caller.account_id, &persons, self.participants).await;
        let (view, count) = counted.unless_refused(&self.rates, outcome).await?;
        let added = page::count(count);
        Ok(Response::new(AddParticipantsResponse { conversation: Some(view.into()), added }))
    }

    async fn remove_participant(
        &self,
        request: Request<RemoveParticipantRequest>,
    ) -> Result<Response<RemoveParticipantResponse>, Status> {
        let caller = Caller::of(&request)?;
        let RemoveParticipantRequest { conversation_id, account_id } = request.into_inner();
        let id = ask::conversation(&conversation_id)?;
        self.rates.act(caller.account_id).await?;
        self.store.remove_participant(id, caller.account_id, ask::account(&account_id)).await?;
        Ok(Response::new(RemoveParticipantResponse {}))
    }

    async fn set_participant_role(
        &self,
        request: Request<SetParticipantRoleRequest>,
    ) -> Result<Response<SetParticipantRoleResponse>, Status> {
        let caller = Caller::of(&request)?;
        let SetParticipantRoleRequest { conversation_id, account_id, role } = request.into_inner();
        let mut fields = Fields::default();
        let role = fields.take("role", Role::given(role));
        let Some(role) = role else { return Err(Error::from(fields).into()) };
        let id = ask::conversation(&conversation_id)?;
        self.rates.act(caller.account_id).await?;
        self.store.set_role(id, caller.account_id, ask::account(&account_id), role).await?;
        Ok(Response::new(SetParticipantRoleResponse {}))
    }

    async fn leave_conversation(
        &self,
        request: Request<LeaveConversationRequest>,
    ) -> Result<Response<LeaveConversationResponse>, Status> {
        let caller = Caller::of(&request)?;
        let id = ask::conversation(&request.into_inner().conversation_id)?;
        self.rates.act(caller.account_id).await?;
        self.store.leave(id, caller.account_id, Role::Member).await?;
        Ok(Response::new(LeaveConversationResponse {}))
    }
}

/// Behind whom a page begins.
#[derive(Serialize, Deserialize)]
struct Token {
    conversation: String,
    behind: Moment,
}

fn token(last: &ParticipantRow, conversation: &str) -> String {
    page::encode(&Token {
        conversation: conversation.to_owned(),
        behind: Moment::of(last.row.create_time, last.row.account_id),
    })
}

fn position(token: &str, conversation: &str) -> Result<Option<(Time, Id)>, &'static str> {
    let Some(token) = page::decode::<Token>(token)? else { return Ok(None) };
    if token.conversation != conversation {
        return Err(page::NOT_A_TOKEN);
    }
    token.behind.read().map(Some)
}
