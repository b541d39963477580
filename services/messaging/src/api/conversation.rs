//! `ConversationService`.

use prost::Message as _;
use quartet_chassis::caller::Caller;
use quartet_chassis::etag;
use quartet_chassis::failure::Fields;
use quartet_chassis::id::Id;
use quartet_chassis::idempotency::{RequestKey, key};
use quartet_chassis::line::name;
use quartet_chassis::page;
use quartet_proto::messaging::v1::conversation_service_server::ConversationService;
use quartet_proto::messaging::v1::*;
use serde::{Deserialize, Serialize};
use tonic::{Request, Response, Status};

use super::invitation::invite;
use super::moment::Moment;
use super::{ask, block};
use crate::conversation::{Kind, NAME};
use crate::error::Error;
use crate::message::number;
use crate::rates::Rates;
use crate::store::Store;
use crate::store::contact::{ContactList, ContactRow};
use crate::store::conversation::NewGroup;
use crate::store::conversation_list::Position;
use crate::store::conversation_view::{ConversationList, ConversationView, Filter};
use crate::store::invitation::{InviteTo, Invited};
use crate::store::person::Person;

/// The rpcs of conversations.
pub struct ConversationApi {
    pub store: Store,
    pub rates: Rates,
    /// How many people a group may have.
    pub participants: i32,
}

/// A conversation that is to be started.
struct Start {
    kind: Kind,
    persons: Vec<Person>,
    name: String,
    key: Option<RequestKey>,
}

#[tonic::async_trait]
impl ConversationService for ConversationApi {
    async fn start_conversation(
        &self,
        request: Request<StartConversationRequest>,
    ) -> Result<Response<StartConversationResponse>, Status> {
        let caller = Caller::of(&request)?;
        let start = start(request.into_inner())?;
        let view = match start.kind {
            Kind::Direct => self.start_direct(caller.account_id, &start).await?,
            Kind::Group => self.start_group(caller.account_id, &start).await?,
        };
        Ok(Response::new(StartConversationResponse { conversation: Some(view.into()) }))
    }

    async fn get_conversation(
        &self,
        request: Request<GetConversationRequest>,
    ) -> Result<Response<GetConversationResponse>, Status> {
        let caller = Caller::of(&request)?;
        let GetConversationRequest { conversation_id } = request.into_inner();
        let id = ask::conversation(&conversation_id)?;
        let found = self.store.conversation(id, caller.account_id).await.map_err(Error::from)?;
        let found = found.ok_or(Error::ConversationNotFound(conversation_id))?;
        Ok(Response::new(GetConversationResponse { conversation: Some(found.into()) }))
    }

    async fn list_conversations(
        &self,
        request: Request<ListConversationsRequest>,
    ) -> Result<Response<ListConversationsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let list = list(request.get_ref(), caller.account_id)?;
        let (found, unread) = self.store.conversations(&list).await.map_err(Error::from)?;
        let token = |view: &ConversationView| Token::of(&list, Position::of(&view.row, &view.own));
        let tokens: Vec<String> = found.iter().map(token).collect();
        let mut shown: Vec<(Conversation, String)> = found.into_iter().map(Conversation::from).zip(tokens).collect();
        let length = |(conversation, _): &(Conversation, String)| conversation.encoded_len() + 8;
        let next_page_token = page::cut_long(&mut shown, list.size, length, |(_, token)| token.clone());
        let conversations = shown.into_iter().map(|(conversation, _)| conversation).collect();
        let unread_count = page::count(unread);
        Ok(Response::new(ListConversationsResponse { conversations, next_page_token, unread_count }))
    }

    async fn update_conversation(
        &self,
        request: Request<UpdateConversationRequest>,
    ) -> Result<Response<UpdateConversationResponse>, Status> {
        let caller = Caller::of(&request)?;
        let UpdateConversationRequest { conversation, update_mask } = request.into_inner();
        let given = conversation.unwrap_or_default();
        let mut fields = Fields::default();
        fields.check_name_mask(&update_mask.unwrap_or_default().paths);
        let name = fields.take("conversation.name", name(&given.name, NAME));
        let (Some(name), true) = (name, fields.is_empty()) else { return Err(Error::from(fields).into()) };
        let id = ask::conversation(&given.conversation_id)?;
        self.rates.act(caller.account_id).await?;
        let changed = self.store.rename(id, caller.account_id, etag::version(&given.etag), &name).await?;
        Ok(Response::new(UpdateConversationResponse { conversation: Some(changed.into()) }))
    }

    async fn set_favorite(
        &self,
        request: Request<SetFavoriteRequest>,
    ) -> Result<Response<SetFavoriteResponse>, Status> {
        let caller = Caller::of(&request)?;
        let SetFavoriteRequest { conversation_id, favorite } = request.into_inner();
        let id = ask::conversation(&conversation_id)?;
        self.rates.set(caller.account_id).await?;
        let changed = self.store.set_favorite(id, caller.account_id, favorite).await?;
        Ok(Response::new(SetFavoriteResponse { conversation: Some(changed.into()) }))
    }

    async fn set_pinned(&self, request: Request<SetPinnedRequest>) -> Result<Response<SetPinnedResponse>, Status> {
        let caller = Caller::of(&request)?;
        let SetPinnedRequest { conversation_id, pinned } = request.into_inner();
        let id = ask::conversation(&conversation_id)?;
        self.rates.set(caller.account_id).await?;
        let changed = self.store.set_pinned(id, caller.account_id, pinned).await?;
        Ok(Response::new(SetPinnedResponse { conversation: Some(changed.into()) }))
    }

    async fn set_muted(&self, request: Request<SetMutedRequest>) -> Result<Response<SetMutedResponse>, Status> {
        let caller = Caller::of(&request)?;
        let SetMutedRequest { conversation_id, muted_until } = request.into_inner();
        let mut fields = Fields::default();
        let until = fields.take("muted_until", ask::until(muted_until, self.store.now()));
        let Some(until) = until else { return Err(Error::from(fields).into()) };
        let id = ask::conversation(&conversation_id)?;
        self.rates.set(caller.account_id).await?;
        let changed = self.store.set_muted(id, caller.account_id, until).await?;
        Ok(Response::new(SetMutedResponse { conversation: Some(changed.into()) }))
    }

    async fn clear_history(
        &self,
        request: Request<ClearHistoryRequest>,
    ) -> Result<Response<ClearHistoryResponse>, Status> {
        let caller = Caller::of(&request)?;
        let ClearHistoryRequest { conversation_id, up_to_seq } = request.into_inner();
        let mut fields = Fields::default();
        let up_to = fields.take("up_to_seq", number(up_to_seq));
        let Some(up_to) = up_to else { return Err(Error::from(fields).into()) };
        let id = ask::conversation(&conversation_id)?;
        self.rates.set(caller.account_id).await?;
        let changed = self.store.clear_history(id, caller.account_id, (up_to > 0).then_some(up_to)).await?;
        Ok(Response::new(ClearHistoryResponse { conversation: Some(changed.into()) }))
    }

    async fn list_contacts(
        &self,
        request: Request<ListContactsRequest>,
    ) -> Result<Response<ListContactsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let ListContactsRequest { page_size, page_token } = request.into_inner();
        let mut fields = Fields::default();
        let size = fields.take("page_size", page::size(page_size));
        let after = fields.take("page_token", contact_position(&page_token));
        let (Some(size), Some(after)) = (size, after) else { return Err(Error::from(fields).into()) };
        let list = ContactList { account: caller.account_id, after, size };
        let mut found = self.store.contacts(&list).await.map_err(Error::from)?;
        let next_page_token = page::cut(&mut found, size, contact_token);
        let contacts = found.into_iter().map(Contact::from).collect();
        Ok(Response::new(ListContactsResponse { contacts, next_page_token }))
    }

    async fn block_account(
        &self,
        request: Request<BlockAccountRequest>,
    ) -> Result<Response<BlockAccountResponse>, Status> {
        let caller = Caller::of(&request)?;
        let other = block::other(&request.get_ref().account_id, caller.account_id)?;
        // It outlives the token.
        ask::whole(&caller)?;
        self.rates.act(caller.account_id).await?;
        self.store.block_account(caller.account_id, other).await?;
        Ok(Response::new(BlockAccountResponse {}))
    }

    async fn unblock_account(
        &self,
        request: Request<UnblockAccountRequest>,
    ) -> Result<Response<UnblockAccountResponse>, Status> {
        let caller = Caller::of(&request)?;
        let other = block::other(&request.get_ref().account_id, caller.account_id)?;
        // It outlives the token.
        ask::whole(&caller)?;
        self.rates.act(caller.account_id).await?;
        self.store.unblock_account(caller.account_id, other).await?;
        Ok(Response::new(UnblockAccountResponse {}))
    }

    async fn list_blocked_accounts(
        &self,
        request: Request<ListBlockedAccountsRequest>,
    ) -> Result<Response<ListBlockedAccountsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let list = block::list(request.get_ref(), caller.account_id)?;
        let mut found = self.store.blocked_accounts(&list).await.map_err(Error::from)?;
        let next_page_token = page::cut(&mut found, list.size, block::token);
        let accounts = found.into_iter().map(BlockedAccount::from).collect();
        Ok(Response::new(ListBlockedAccountsResponse { accounts, next_page_token }))
    }
}

impl ConversationApi {
    async fn start_direct(&self, caller: Id, start: &Start) -> Result<ConversationView, Error> {
        let counted = invite(&self.store, &self.rates, caller, &start.persons, InviteTo::Direct).await?;
        let outcome = self.one_other(caller, start, &counted.invited).await;
        counted.unless_refused(&self.rates, outcome).await
    }

    async fn one_other(&self, caller: Id, start: &Start, invited: &Invited) -> Result<ConversationView, Error> {
        let [_] = invited.others.as_slice() else { return Err(Error::DirectNeedsTwo) };
        if !start.name.is_empty() {
            let mut fields = Fields::default();
            fields.refuse("name", "is for groups");
            return Err(fields.into());
        }
        self.store.start_direct(caller, &start.persons).await
    }

    async fn start_group(&self, caller: Id, start: &Start) -> Result<ConversationView, Error> {
        let (name, persons, key) = (&start.name, &start.persons, start.key.as_ref());
        // Before anybody is looked up: what was answered once is not counted again, and whom it reached may be reached no more.
        if let Some(key) = key
            && let Some(made) = self.store.group_made(caller, key).await?
        {
            return Ok(made);
        }
        let counted = invite(&self.store, &self.rates, caller, persons, InviteTo::NewGroup).await?;
        let group = NewGroup { name, persons, key, limit: self.participants };
        let outcome = self.store.start_group(caller, &group).await;
        counted.unless_refused(&self.rates, outcome).await
    }
}

fn start(asked: StartConversationRequest) -> Result<Start, Error> {
    let StartConversationRequest { kind, participants, name: given, idempotency_key } = asked;
    let mut fields = Fields::default();
    let kind = fields.take("kind", Kind::given(kind));
    let persons = ask::persons(participants, &mut fields);
    let name = fields.take("name", name(&given, NAME));
    let key = fields.take("idempotency_key", key(idempotency_key));
    let (Some(kind), Some(persons), Some(name), Some(key)) = (kind, persons, name, key) else {
        return Err(fields.into());
    };
    let key = key.map(|key| {
        let texts = ["conversation", &name].into_iter().chain(persons.iter().map(Person::text));
        RequestKey::new(key, &texts.map(str::as_bytes).collect::<Vec<_>>())
    });
    Ok(Start { kind, persons, name, key })
}

fn list(asked: &ListConversationsRequest, account: Id) -> Result<ConversationList, Error> {
    let mut fields = Fields::default();
    let filter = fields.take("filter", filter(asked.filter));
    let size = fields.take("page_size", page::size(asked.page_size));
    let after = fields.take("page_token", Token::read(&asked.page_token, asked.filter));
    let (Some(filter), Some(size), Some(after)) = (filter, size, after) else { return Err(fields.into()) };
    Ok(ConversationList { account, filter, after, size })
}

fn filter(number: i32) -> Result<Filter, &'static str> {
    match ConversationFilter::try_from(number) {
        Ok(ConversationFilter::Unspecified) => Ok(Filter::All),
        Ok(ConversationFilter::Favorite) => Ok(Filter::Favorite),
        Ok(ConversationFilter::Pinned) => Ok(Filter::Pinned),
        Ok(ConversationFilter::Unread) => Ok(Filter::Unread),
        Err(_) => Err("must be a known filter"),
    }
}

/// Behind which conversation a page begins.
#[derive(Serialize, Deserialize)]
struct Token {
    filter: i32,
    behind: Behind,
}

#[derive(Serialize, Deserialize)]
enum Behind {
    Pinned(i64),
    Other(Moment),
}

impl Token {
    fn of(list: &ConversationList, position: Position) -> String {
        let filter = list.filter as i32;
        let behind = match position {
            Position::Pinned(number) => Behind::Pinned(number),
            Position::Other { activity_time, id } => Behind::Other(Moment::of(activity_time, id)),
        };
        page::encode(&Token { filter, behind })
    }

    fn read(token: &str, filter: i32) -> Result<Option<Position>, &'static str> {
        let Some(token) = page::decode::<Token>(token)? else { return Ok(None) };
        if token.filter != filter {
            return Err(page::NOT_A_TOKEN);
        }
        match token.behind {
            Behind::Pinned(number) => Ok(Some(Position::Pinned(number))),
            Behind::Other(moment) => {
                moment.read().map(|(activity_time, id)| Some(Position::Other { activity_time, id }))
            }
        }
    }
}

/// Behind whom a page of contacts begins.
#[derive(Serialize, Deserialize)]
struct ContactToken {
    name: String,
    id: String,
}

fn contact_token(contact: &ContactRow) -> String {
    page::encode(&ContactToken { name: contact.name.clone(), id: contact.participant.row.account_id.to_string() })
}

fn contact_position(token: &str) -> Result<Option<(String, Id)>, &'static str> {
    let Some(ContactToken { name, id }) = page::decode(token)? else { return Ok(None) };
    id.parse().map(|id| Some((name, id))).map_err(|_| page::NOT_A_TOKEN)
}
