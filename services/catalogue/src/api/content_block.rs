//! `ContentBlockService`.

use quartet_chassis::caller::Caller;
use quartet_chassis::clock::timestamp;
use quartet_chassis::etag;
use quartet_chassis::failure::Fields;
use quartet_chassis::page;
use quartet_proto::catalogue::v1::content_block_service_server::ContentBlockService;
use quartet_proto::catalogue::v1::*;
use tonic::{Request, Response, Status};

use super::ask;
use super::section::{ids, position, token};
use crate::course::BLOCKS;
use crate::course_given;
use crate::error::Error;
use crate::right::{Asker, Right};
use crate::store::Store;
use crate::store::block::BlockRow;

/// The rpcs of content blocks.
pub struct ContentBlockApi {
    pub store: Store,
}

#[tonic::async_trait]
impl ContentBlockService for ContentBlockApi {
    async fn create_block(
        &self,
        request: Request<CreateBlockRequest>,
    ) -> Result<Response<CreateBlockResponse>, Status> {
        let asker = Asker::from(&Caller::of(&request)?);
        let given = request.into_inner().block.unwrap_or_default();
        let mut fields = Fields::default();
        let new = course_given::new_block(&given, &mut fields);
        let (Some(new), true) = (new, fields.is_empty()) else { return Err(Error::from(fields).into()) };
        let section = ask::section(&given.section_id)?;
        let made = self.store.create_block(section, given.position, &new, &asker).await?;
        Ok(Response::new(CreateBlockResponse { block: Some(told(made, Right::Teacher)) }))
    }

    async fn get_block(&self, request: Request<GetBlockRequest>) -> Result<Response<GetBlockResponse>, Status> {
        let asker = Asker::from(&Caller::of(&request)?);
        let GetBlockRequest { block_id } = request.into_inner();
        let found = self.store.block(ask::block(&block_id)?, &asker).await.map_err(Error::from)?;
        let (row, right) = found.ok_or(Error::BlockNotFound(block_id))?;
        Ok(Response::new(GetBlockResponse { block: Some(told(row, right)) }))
    }

    async fn list_blocks(&self, request: Request<ListBlocksRequest>) -> Result<Response<ListBlocksResponse>, Status> {
        let asker = Asker::from(&Caller::of(&request)?);
        let ListBlocksRequest { section_id, page_size, page_token } = request.into_inner();
        let mut fields = Fields::default();
        let size = fields.take("page_size", page::size(page_size));
        let after = fields.take("page_token", position(&page_token, &section_id));
        let (Some(size), Some(after)) = (size, after) else { return Err(Error::from(fields).into()) };
        let page = self.store.blocks(ask::section(&section_id)?, after, size, &asker).await?;
        let next = page.rows.last().filter(|_| page.more).map(|row| token(&section_id, row.position));
        let blocks = page.rows.into_iter().map(|row| told(row, page.right)).collect();
        Ok(Response::new(ListBlocksResponse { blocks, next_page_token: next.unwrap_or_default() }))
    }

    async fn update_block(
        &self,
        request: Request<UpdateBlockRequest>,
    ) -> Result<Response<UpdateBlockResponse>, Status> {
        let asker = Asker::from(&Caller::of(&request)?);
        let UpdateBlockRequest { block, update_mask } = request.into_inner();
        let given = block.unwrap_or_default();
        let mut fields = Fields::default();
        let patch = course_given::block_patch(&given, &update_mask.unwrap_or_default().paths, &mut fields);
        fields.finish()?;
        let id = ask::block(&given.block_id)?;
        let changed = self.store.update_block(id, etag::version(&given.etag), &patch, &asker).await?;
        Ok(Response::new(UpdateBlockResponse { block: Some(told(changed, Right::Teacher)) }))
    }

    async fn delete_block(
        &self,
        request: Request<DeleteBlockRequest>,
    ) -> Result<Response<DeleteBlockResponse>, Status> {
        let asker = Asker::from(&Caller::of(&request)?);
        let DeleteBlockRequest { block_id, etag } = request.into_inner();
        self.store.delete_block(ask::block(&block_id)?, etag::version(&etag), &asker).await?;
        Ok(Response::new(DeleteBlockResponse {}))
    }

    async fn reorder_blocks(
        &self,
        request: Request<ReorderBlocksRequest>,
    ) -> Result<Response<ReorderBlocksResponse>, Status> {
        let asker = Asker::from(&Caller::of(&request)?);
        let ReorderBlocksRequest { section_id, block_ids } = request.into_inner();
        let mut fields = Fields::default();
        let order = fields.take("block_ids", ids(&block_ids, BLOCKS));
        let section = ask::section(&section_id)?;
        let Some(order) = order else { return Err(Error::from(fields).into()) };
        self.store.reorder_blocks(section, &order, &asker).await?;
        Ok(Response::new(ReorderBlocksResponse {}))
    }
}

/// The block as somebody with this right in its course is told of it: answers are for teachers.
fn told(row: BlockRow, right: Right) -> ContentBlock {
    let quiz = row.quiz().map(|quiz| if right.teaches() { quiz.for_teacher() } else { quiz.for_student() });
    ContentBlock {
        block_id: row.id.to_string(),
        section_id: row.section_id.to_string(),
        course_id: row.course_id.to_string(),
        r#type: row.block_type().into(),
        state: row.state().into(),
        title: row.title,
        description: row.description,
        content: row.content,
        url: row.url,
        media_id: row.media_id,
        quiz,
        position: row.position,
        etag: etag::of(row.version),
        create_time: Some(timestamp(row.create_time)),
        update_time: Some(timestamp(row.update_time)),
    }
}
