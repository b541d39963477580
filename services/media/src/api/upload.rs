//! `UploadService`.

use quartet_chassis::caller::Caller;
use quartet_chassis::clock::{Time, timestamp};
use quartet_chassis::failure::Fields;
use quartet_chassis::id::Id;
use quartet_chassis::idempotency::{self, RequestKey};
use quartet_chassis::limits::Room;
use quartet_chassis::page;
use quartet_proto::media::v1::upload_service_server::UploadService;
use quartet_proto::media::v1::{
    AbortUploadRequest, AbortUploadResponse, CompleteUploadRequest, CompleteUploadResponse, GetUploadRequest,
    GetUploadResponse, ListUploadsRequest, ListUploadsResponse, Media, PutChunkRequest, PutChunkResponse,
    StartUploadRequest, StartUploadResponse, UploadRequest, UploadResponse, UploadStatus,
};
use tokio_util::task::TaskTracker;
use tonic::{Request, Response, Status, Streaming};

use super::ask;
use super::streams::Streams;
use crate::error::Error;
use crate::kind::{kind_name, stored_kind};
use crate::store::Store;
use crate::store::upload::{UploadList, UploadRow};
use crate::upload::{NewUpload, Place, digest};
use crate::upload_stream;
use crate::uploader::Uploader;

/// The rpcs of uploads.
pub struct UploadApi {
    pub store: Store,
    pub uploader: Uploader,
    pub tasks: TaskTracker,
    /// For the parts that streams collect.
    pub room: Room,
    pub streams: Streams,
}

#[tonic::async_trait]
impl UploadService for UploadApi {
    async fn start_upload(
        &self,
        request: Request<StartUploadRequest>,
    ) -> Result<Response<StartUploadResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let mut fields = Fields::default();
        let new = NewUpload::read(&request, self.store.limits().file_bytes, &mut fields);
        let key = fields.take("idempotency_key", idempotency::key(request.idempotency_key));
        let (Some(new), Some(key)) = (new, key) else { return Err(Error::from(fields).into()) };
        let key = key.map(|key| request_key(key, &request.project_id, &new));
        let project = ask::project(&request.project_id)?;
        let started = self.store.start_upload(project, caller.account_id, &new, key.as_ref()).await?;
        Ok(Response::new(StartUploadResponse { upload: Some(self.status(started)) }))
    }

    async fn put_chunk(&self, request: Request<PutChunkRequest>) -> Result<Response<PutChunkResponse>, Status> {
        let caller = Caller::of(&request)?;
        let PutChunkRequest { upload_id, offset_bytes, data, sha256, last } = request.into_inner();
        let mut fields = Fields::default();
        let sha256 = fields.take("sha256", digest(&sha256));
        if data.is_empty() {
            fields.refuse("data", "must not be empty");
        }
        let (Some(sha256), true) = (sha256, fields.is_empty()) else { return Err(Error::from(fields).into()) };
        let id = ask::upload(&upload_id)?;
        let length = i64::try_from(data.len()).unwrap_or(i64::MAX);
        let place = Place { offset: offset_bytes, length, last };
        let offset_bytes = self.uploader.put_part(id, caller.account_id, place, vec![data], sha256).await?;
        Ok(Response::new(PutChunkResponse { offset_bytes }))
    }

    /// A client that goes away ends this future, wherever it is: what must not be left in the middle runs in tasks of its own.
    async fn upload(&self, request: Request<Streaming<UploadRequest>>) -> Result<Response<UploadResponse>, Status> {
        let account = Caller::of(&request)?.account_id;
        let _stream = self.streams.begin(account)?;
        let held = self.room.hold(account);
        let taken = upload_stream::take(&self.uploader, &self.tasks, account, held, request.into_inner()).await?;
        let media = taken.file.map(Media::from);
        Ok(Response::new(UploadResponse { offset_bytes: taken.offset, media }))
    }

    async fn complete_upload(
        &self,
        request: Request<CompleteUploadRequest>,
    ) -> Result<Response<CompleteUploadResponse>, Status> {
        let caller = Caller::of(&request)?;
        let CompleteUploadRequest { upload_id, sha256 } = request.into_inner();
        let mut fields = Fields::default();
        let Some(sha256) = fields.take("sha256", digest(&sha256)) else { return Err(Error::from(fields).into()) };
        let file = self.uploader.complete(ask::upload(&upload_id)?, caller.account_id, sha256).await?;
        Ok(Response::new(CompleteUploadResponse { media: Some(file.into()) }))
    }

    async fn abort_upload(
        &self,
        request: Request<AbortUploadRequest>,
    ) -> Result<Response<AbortUploadResponse>, Status> {
        let caller = Caller::of(&request)?;
        let id = ask::upload(&request.into_inner().upload_id)?;
        let ended = self.store.abort_upload(id, caller.account_id).await?;
        Ok(Response::new(AbortUploadResponse { upload: Some(self.status(ended)) }))
    }

    async fn get_upload(&self, request: Request<GetUploadRequest>) -> Result<Response<GetUploadResponse>, Status> {
        let caller = Caller::of(&request)?;
        let id = ask::upload(&request.into_inner().upload_id)?;
        let found = self.store.upload(id, caller.account_id).await?;
        Ok(Response::new(GetUploadResponse { upload: Some(self.status(found)) }))
    }

    async fn list_uploads(
        &self,
        request: Request<ListUploadsRequest>,
    ) -> Result<Response<ListUploadsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let list = list(request.get_ref())?;
        let mut found = self.store.open_uploads(&list, caller.account_id).await?;
        let next_page_token = page::cut(&mut found, list.size, |last| page::encode(&last.id.to_string()));
        let uploads = found.into_iter().map(|row| self.status(row)).collect();
        Ok(Response::new(ListUploadsResponse { uploads, next_page_token }))
    }
}

impl UploadApi {
    fn status(&self, row: UploadRow) -> UploadStatus {
        status(row, self.store.now())
    }
}

/// All that makes up a request is in the key's tag: with one key, another file is another request.
fn request_key(key: String, project_id: &str, new: &NewUpload) -> RequestKey {
    let size = new.size_bytes.unwrap_or_default().to_be_bytes();
    let sha256 = new.sha256.as_deref().unwrap_or_default();
    let texts = [project_id, &new.name, kind_name(new.kind), &new.content_type].map(str::as_bytes);
    RequestKey::new(key, &[&[b"upload", &size[..], sha256], &texts[..]].concat())
}

fn list(request: &ListUploadsRequest) -> Result<UploadList, Error> {
    let mut fields = Fields::default();
    let size = fields.take("page_size", page::size(request.page_size));
    let token = page::decode::<String>(&request.page_token);
    let place = |token: String| token.parse::<Id>().map_err(|_| page::NOT_A_TOKEN);
    let before = fields.take("page_token", token.and_then(|token| token.map(place).transpose()));
    let (Some(size), Some(before)) = (size, before) else { return Err(fields.into()) };
    let project_id = ask::project(&request.project_id)?;
    Ok(UploadList { project_id, before: before.unwrap_or(Id::MAX), size })
}

fn status(row: UploadRow, now: Time) -> UploadStatus {
    UploadStatus {
        upload_id: row.id.to_string(),
        project_id: row.project_id.to_string(),
        kind: stored_kind(&row.kind).into(),
        state: row.state(now).into(),
        size_bytes: row.size_bytes.unwrap_or_default(),
        offset_bytes: row.offset_bytes,
        part_size_bytes: row.part_size_bytes,
        media_id: row.media_id.map(|id| id.to_string()).unwrap_or_default(),
        account_id: row.account_id.to_string(),
        create_time: Some(timestamp(row.create_time)),
        expire_time: Some(timestamp(row.expire_time)),
        name: row.name,
        content_type: row.content_type,
        failure: row.failure,
    }
}
