//! `ReceiptService`.

use quartet_chassis::caller::Caller;
use quartet_chassis::failure::Fields;
use quartet_chassis::id::Id;
use quartet_chassis::page;
use quartet_proto::messaging::v1::receipt_service_server::ReceiptService;
use quartet_proto::messaging::v1::*;
use tonic::{Request, Response, Status};

use super::ask;
use crate::error::Error;
use crate::message::number;
use crate::store::Store;
use crate::store::receipt::{Mark, Watermark};

/// The rpcs of receipts.
#[derive(Clone)]
pub struct ReceiptApi {
    pub store: Store,
}

impl ReceiptApi {
    /// Moves somebody's watermarks up to a message; 0 stands for the last one.
    pub async fn mark(
        &self,
        account: Id,
        conversation_id: &str,
        up_to_seq: i64,
        which: Watermark,
    ) -> Result<Mark, Error> {
        let mut fields = Fields::default();
        let up_to = fields.take("up_to_seq", number(up_to_seq));
        let Some(up_to) = up_to else { return Err(fields.into()) };
        let conversation = ask::conversation(conversation_id)?;
        self.store.mark(conversation, account, (up_to > 0).then_some(up_to), which).await
    }
}

#[tonic::async_trait]
impl ReceiptService for ReceiptApi {
    async fn mark_delivered(
        &self,
        request: Request<MarkDeliveredRequest>,
    ) -> Result<Response<MarkDeliveredResponse>, Status> {
        let caller = Caller::of(&request)?;
        let MarkDeliveredRequest { conversation_id, up_to_seq } = request.into_inner();
        let mark = self.mark(caller.account_id, &conversation_id, up_to_seq, Watermark::Delivered).await?;
        let Mark { delivered_seq, read_seq, .. } = mark;
        Ok(Response::new(MarkDeliveredResponse { delivered_seq, read_seq }))
    }

    async fn mark_read(&self, request: Request<MarkReadRequest>) -> Result<Response<MarkReadResponse>, Status> {
        let caller = Caller::of(&request)?;
        let MarkReadRequest { conversation_id, up_to_seq } = request.into_inner();
        let mark = self.mark(caller.account_id, &conversation_id, up_to_seq, Watermark::Read).await?;
        let Mark { delivered_seq, read_seq, unread, .. } = mark;
        let unread_count = page::count(unread);
        Ok(Response::new(MarkReadResponse { delivered_seq, read_seq, unread_count }))
    }
}
