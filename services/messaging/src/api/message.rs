//! `MessageService`.

use chrono::TimeDelta;
use quartet_chassis::caller::Caller;
use quartet_chassis::etag;
use quartet_chassis::failure::Fields;
use quartet_chassis::id::Id;
use quartet_chassis::page;
use quartet_proto::messaging::v1::message_service_server::MessageService;
use quartet_proto::messaging::v1::*;
use tonic::{Request, Response, Status, Streaming};

use super::ask;
use crate::error::Error;
use crate::message::{NewMessage, body, mentions, number};
use crate::rates::Rates;
use crate::reaction::emoji;
use crate::search::Query;
use crate::store::Store;
use crate::store::edit::Edited;
use crate::store::message::Span;
use crate::store::message_view::MessageView;
use crate::store::reaction::Wanted;
use crate::store::receipt::Receipts;
use crate::store::search::Search;

/// How many messages a page has where nothing is said.
const PAGE: i32 = 50;

/// The rpcs of messages.
#[derive(Clone)]
pub struct MessageApi {
    pub store: Store,
    pub rates: Rates,
    /// How long a message can be edited; 0 for ever.
    pub edit_hours: u32,
}

impl MessageApi {
    /// Sends a message for somebody.
    pub async fn send(&self, account: Id, asked: SendMessageRequest) -> Result<Message, Error> {
        let conversation = asked.conversation_id.clone();
        let mut fields = Fields::default();
        let Some(new) = NewMessage::given(asked, &mut fields).filter(|_| fields.is_empty()) else {
            return Err(fields.into());
        };
        let conversation = ask::conversation(&conversation)?;
        self.rates.send(account).await?;
        self.store.send_message(conversation, account, new).await.map(Message::from)
    }
}

#[tonic::async_trait]
impl MessageService for MessageApi {
    async fn send_message(
        &self,
        request: Request<SendMessageRequest>,
    ) -> Result<Response<SendMessageResponse>, Status> {
        let caller = Caller::of(&request)?;
        let message = self.send(caller.account_id, request.into_inner()).await?;
        Ok(Response::new(SendMessageResponse { message: Some(message) }))
    }

    async fn list_messages(
        &self,
        request: Request<ListMessagesRequest>,
    ) -> Result<Response<ListMessagesResponse>, Status> {
        let caller = Caller::of(&request)?;
        let asked = request.into_inner();
        let span = span(&asked)?;
        let conversation = ask::conversation(&asked.conversation_id)?;
        let mut views = self.store.messages(conversation, caller.account_id, span).await?;
        let has_more = !page::cut_long(&mut views, span.size, length, |view| view.row.seq.to_string()).is_empty();
        let messages = views.into_iter().map(Message::from).collect();
        Ok(Response::new(ListMessagesResponse { messages, has_more }))
    }

    async fn get_message(&self, request: Request<GetMessageRequest>) -> Result<Response<GetMessageResponse>, Status> {
        let caller = Caller::of(&request)?;
        let GetMessageRequest { conversation_id, seq } = request.into_inner();
        let conversation = ask::conversation(&conversation_id)?;
        let (view, receipts) = self.store.message_with_receipts(conversation, seq, caller.account_id).await?;
        let Receipts { read_by, delivered_to, read_count, delivered_count } = receipts;
        Ok(Response::new(GetMessageResponse {
            message: Some(view.into()),
            read_by_account_ids: read_by.iter().map(Id::to_string).collect(),
            delivered_to_account_ids: delivered_to.iter().map(Id::to_string).collect(),
            read_count: page::count(read_count),
            delivered_count: page::count(delivered_count),
        }))
    }

    async fn edit_message(
        &self,
        request: Request<EditMessageRequest>,
    ) -> Result<Response<EditMessageResponse>, Status> {
        let caller = Caller::of(&request)?;
        let EditMessageRequest { conversation_id, seq, body, mentioned_account_ids, etag: seen } = request.into_inner();
        let mut fields = Fields::default();
        let body = fields.take("body", self::body(body, false));
        let mentions = fields.take("mentioned_account_ids", mentions(&mentioned_account_ids));
        let (Some(body), Some(mentions)) = (body, mentions) else { return Err(Error::from(fields).into()) };
        let hours = TimeDelta::hours(i64::from(self.edit_hours));
        let since = (self.edit_hours > 0).then(|| self.store.now() - hours);
        let edited = Edited { body, mentions, seen: etag::version(&seen), since };
        let conversation = ask::conversation(&conversation_id)?;
        self.rates.act(caller.account_id).await?;
        let view = self.store.edit_message(conversation, seq, caller.account_id, &edited).await?;
        Ok(Response::new(EditMessageResponse { message: Some(view.into()) }))
    }

    async fn delete_message(
        &self,
        request: Request<DeleteMessageRequest>,
    ) -> Result<Response<DeleteMessageResponse>, Status> {
        let caller = Caller::of(&request)?;
        let DeleteMessageRequest { conversation_id, seq } = request.into_inner();
        let conversation = ask::conversation(&conversation_id)?;
        self.rates.act(caller.account_id).await?;
        let view = self.store.delete_message(conversation, seq, caller.account_id).await?;
        Ok(Response::new(DeleteMessageResponse { message: Some(view.into()) }))
    }

    async fn list_edits(&self, request: Request<ListEditsRequest>) -> Result<Response<ListEditsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let ListEditsRequest { conversation_id, seq } = request.into_inner();
        let rows = self.store.edits(ask::conversation(&conversation_id)?, seq, caller.account_id).await?;
        Ok(Response::new(ListEditsResponse { edits: rows.into_iter().map(Edit::from).collect() }))
    }

    async fn set_reaction(
        &self,
        request: Request<SetReactionRequest>,
    ) -> Result<Response<SetReactionResponse>, Status> {
        let caller = Caller::of(&request)?;
        let SetReactionRequest { conversation_id, seq, emoji, present, account_id } = request.into_inner();
        let of = if account_id.is_empty() { caller.account_id } else { ask::account(&account_id) };
        let mut fields = Fields::default();
        let emoji = fields.take("emoji", self::emoji(emoji));
        if present && of != caller.account_id {
            fields.refuse("account_id", "must be empty, or the caller's, where `present` is set");
        }
        let (Some(emoji), true) = (emoji, fields.is_empty()) else { return Err(Error::from(fields).into()) };
        let conversation = ask::conversation(&conversation_id)?;
        self.rates.act(caller.account_id).await?;
        let wanted = Wanted { seq, of, emoji: &emoji, present };
        let view = self.store.set_reaction(conversation, caller.account_id, &wanted).await?;
        Ok(Response::new(SetReactionResponse { message: Some(view.into()) }))
    }

    async fn search_messages(
        &self,
        request: Request<SearchMessagesRequest>,
    ) -> Result<Response<SearchMessagesResponse>, Status> {
        let caller = Caller::of(&request)?;
        let SearchMessagesRequest { query, conversation_id, page_size, page_token } = request.into_inner();
        let mut fields = Fields::default();
        let place = format!("{conversation_id} {query}");
        let query = fields.take("query", Query::parse(&query));
        let size = fields.take("page_size", page::size(page_size));
        let before = fields.take("page_token", before(&page_token, &place));
        let (Some(query), Some(size), Some(before)) = (query, size, before) else {
            return Err(Error::from(fields).into());
        };
        let wanted = (!conversation_id.is_empty()).then(|| ask::conversation(&conversation_id));
        self.rates.search(caller.account_id).await?;
        let search = Search { query, conversation: wanted.transpose()?, before, size };
        let mut views = self.store.search_messages(caller.account_id, &search).await?;
        let token = |view: &MessageView| page::encode(&(&place, view.row.id.to_string()));
        let next_page_token = page::cut_long(&mut views, size, length, token);
        let messages = views.into_iter().map(Message::from).collect();
        Ok(Response::new(SearchMessagesResponse { messages, next_page_token }))
    }

    type ConnectStream = tokio_stream::Empty<Result<ConnectResponse, Status>>;

    /// Never called: what is in front of this service answers it, which shares the frames of events between streams.
    async fn connect(&self, _: Request<Streaming<ConnectRequest>>) -> Result<Response<Self::ConnectStream>, Status> {
        Err(Status::internal("what is in front of this service has let through what it answers itself"))
    }
}

fn span(asked: &ListMessagesRequest) -> Result<Span, Error> {
    let mut fields = Fields::default();
    let before = fields.take("before_seq", number(asked.before_seq));
    let after = fields.take("after_seq", number(asked.after_seq));
    let size = fields.take("page_size", page::size(if asked.page_size == 0 { PAGE } else { asked.page_size }));
    if asked.before_seq > 0 && asked.after_seq > 0 {
        fields.refuse("after_seq", "must not come together with `before_seq`");
    }
    let (Some(before), Some(after), Some(size), true) = (before, after, size, fields.is_empty()) else {
        return Err(fields.into());
    };
    let before = if before == 0 { i64::MAX } else { before };
    Ok(Span { after: (after > 0).then_some(after), before, size })
}

/// About how many bytes a message has on its way.
fn length(view: &MessageView) -> usize {
    let row = &view.row;
    row.body.len() + row.extras.len() + row.reactions.len() + row.client_message_id.len() + 256
}

/// Before which message a page begins.
fn before(token: &str, place: &str) -> Result<Id, &'static str> {
    let Some((of, id)) = page::decode::<(String, String)>(token)? else { return Ok(Id::MAX) };
    id.parse().ok().filter(|_| of == place).ok_or(page::NOT_A_TOKEN)
}
