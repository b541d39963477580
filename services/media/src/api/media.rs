//! `MediaService`.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::{Stream, StreamExt as _};
use quartet_chassis::auth::{Claims, LONGEST_LINK, Refusal};
use quartet_chassis::caller::Caller;
use quartet_chassis::clock::{from_unix_seconds, timestamp};
use quartet_chassis::etag;
use quartet_chassis::failure::{Failure, Fields};
use quartet_chassis::id::Id;
use quartet_chassis::line::named;
use quartet_chassis::page;
use quartet_chassis::parts::Parts;
use quartet_proto::media::v1::media_service_server::MediaService;
use quartet_proto::media::v1::*;
use tonic::{Request, Response, Status};

use super::download::{Downloads, Wanted};
use super::{ask, watch};
use crate::config::Config;
use crate::error::Error;
use crate::kind::{stated, stated_or_all};
use crate::objects::Objects;
use crate::range::{self, Asked};
use crate::store::Store;
use crate::store::media::{File, Listed};
use crate::upload::FILE_NAME;

/// How long links are good, in seconds, where nothing is said.
const LINK: i64 = 300;

/// The rpcs of files.
pub struct MediaApi {
    store: Store,
    parts: Parts,
    downloads: Downloads,
    /// Where browsers reach the gateway; empty when that is not known.
    public_url: String,
}

type Messages<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl MediaApi {
    pub fn new(store: Store, objects: Objects, config: &Config, parts: &Parts) -> MediaApi {
        let public_url = config.public_url.clone().unwrap_or_default();
        MediaApi {
            downloads: Downloads::new(store.clone(), objects, config, parts),
            store,
            parts: parts.clone(),
            public_url: public_url.trim_end_matches('/').to_owned(),
        }
    }

    async fn file(&self, id: &str, account: Id) -> Result<File, Error> {
        self.store.file(ask::media(id)?, account).await?.ok_or_else(|| Error::MediaNotFound(id.to_owned()))
    }
}

#[tonic::async_trait]
impl MediaService for MediaApi {
    async fn get_media(&self, request: Request<GetMediaRequest>) -> Result<Response<GetMediaResponse>, Status> {
        let caller = Caller::of(&request)?;
        let file = self.file(&request.into_inner().media_id, caller.account_id).await?;
        Ok(Response::new(GetMediaResponse { media: Some(file.into()) }))
    }

    async fn get_by_kind(&self, request: Request<GetByKindRequest>) -> Result<Response<GetByKindResponse>, Status> {
        let caller = Caller::of(&request)?;
        let GetByKindRequest { project_id, kind } = request.into_inner();
        let mut fields = Fields::default();
        let kind = fields.take("kind", stated(kind));
        let Some(kind) = kind else { return Err(Error::from(fields).into()) };
        let found = self.store.newest(ask::project(&project_id)?, kind, caller.account_id).await?;
        let found = found.ok_or_else(|| Error::MediaNotFound(String::new()))?;
        Ok(Response::new(GetByKindResponse { media: Some(found.into()) }))
    }

    async fn list_media(&self, request: Request<ListMediaRequest>) -> Result<Response<ListMediaResponse>, Status> {
        let caller = Caller::of(&request)?;
        let ListMediaRequest { project_id, kind, page_size, page_token } = request.into_inner();
        let mut fields = Fields::default();
        let place = format!("{project_id} {kind}");
        let kind = fields.take("kind", stated_or_all(kind));
        let size = fields.take("page_size", page::size(page_size));
        let before = fields.take("page_token", before(&page_token, &place));
        let (Some(kind), Some(size), Some(before)) = (kind, size, before) else {
            return Err(Error::from(fields).into());
        };
        let listed = Listed { project_id: ask::project(&project_id)?, kind, before, size };
        let (mut files, total) = self.store.files(&listed, caller.account_id).await?;
        let next_page_token = page::cut(&mut files, size, |file| page::encode(&(&place, file.media.id.to_string())));
        let media = files.into_iter().map(Media::from).collect();
        let total_size = page::count(total);
        Ok(Response::new(ListMediaResponse { media, next_page_token, total_size }))
    }

    async fn update_media(
        &self,
        request: Request<UpdateMediaRequest>,
    ) -> Result<Response<UpdateMediaResponse>, Status> {
        let caller = Caller::of(&request)?;
        let UpdateMediaRequest { media, update_mask } = request.into_inner();
        let given = media.unwrap_or_default();
        let mut fields = Fields::default();
        fields.check_name_mask(&update_mask.unwrap_or_default().paths);
        let name = fields.take("media.name", named(&given.name, FILE_NAME));
        let (Some(name), true) = (name, fields.is_empty()) else { return Err(Error::from(fields).into()) };
        let id = ask::media(&given.media_id)?;
        let file = self.store.rename_file(id, &name, etag::version(&given.etag), caller.account_id).await?;
        Ok(Response::new(UpdateMediaResponse { media: Some(file.into()) }))
    }

    async fn delete_media(
        &self,
        request: Request<DeleteMediaRequest>,
    ) -> Result<Response<DeleteMediaResponse>, Status> {
        let caller = Caller::of(&request)?;
        let id = ask::media(&request.into_inner().media_id)?;
        self.store.delete_file(id, caller.account_id).await?;
        Ok(Response::new(DeleteMediaResponse {}))
    }

    type DownloadStream = Messages<DownloadResponse>;

    async fn download(&self, request: Request<DownloadRequest>) -> Result<Response<Self::DownloadStream>, Status> {
        let caller = Caller::of(&request)?;
        let DownloadRequest { media_id, range, header_only, format } = request.into_inner();
        let (range, format) = asked(range, format)?;
        let (media_id, account_id) = (ask::media(&media_id)?, caller.account_id);
        let wanted = Wanted { media_id, account_id, range, header_only, format, attachment: false, holder: None };
        let pieces = self.downloads.begin(wanted).await?;
        Ok(Response::new(pieces.map(|piece| piece.map(DownloadResponse::from)).boxed()))
    }

    async fn create_download_url(
        &self,
        request: Request<CreateDownloadUrlRequest>,
    ) -> Result<Response<CreateDownloadUrlResponse>, Status> {
        let caller = Caller::of(&request)?;
        let claims = request.extensions().get::<Arc<Claims>>().cloned();
        let claims = claims.ok_or_else(|| Status::from(Failure::from(Refusal::Missing)))?;
        let CreateDownloadUrlRequest { media_id, ttl_seconds, attachment } = request.into_inner();
        let mut fields = Fields::default();
        let seconds = fields.take("ttl_seconds", seconds(ttl_seconds));
        let Some(seconds) = seconds else { return Err(Error::from(fields).into()) };
        let file = self.file(&media_id, caller.account_id).await?;
        let link = self.parts.auth.link("media", &claims, file.media.id, attachment, seconds);
        let (link, end) = link.map_err(Failure::from).map_err(Error::from)?;
        let path = format!("/media/{}?link={link}", file.media.id);
        let url = if self.public_url.is_empty() { String::new() } else { format!("{}{path}", self.public_url) };
        let expire_time = from_unix_seconds(end).map(timestamp);
        Ok(Response::new(CreateDownloadUrlResponse { path, url, expire_time }))
    }

    type DownloadByLinkStream = Messages<DownloadByLinkResponse>;

    async fn download_by_link(
        &self,
        request: Request<DownloadByLinkRequest>,
    ) -> Result<Response<Self::DownloadByLinkStream>, Status> {
        let DownloadByLinkRequest { link, media_id, range, header_only, format } = request.into_inner();
        let link = self.parts.auth.verify_link(&link, "media").map_err(refused)?;
        if media_id.parse() != Ok(link.object) {
            return Err(Error::LinkInvalid.into());
        }
        let (range, format) = asked(range, format)?;
        let (media_id, account_id, attachment) = (link.object, link.holder.sub, link.attachment);
        let holder = Some(link.holder);
        let wanted = Wanted { media_id, account_id, range, header_only, format, attachment, holder };
        let pieces = self.downloads.begin(wanted).await?;
        Ok(Response::new(pieces.map(|piece| piece.map(DownloadByLinkResponse::from)).boxed()))
    }

    async fn get_transcript(
        &self,
        request: Request<GetTranscriptRequest>,
    ) -> Result<Response<GetTranscriptResponse>, Status> {
        let caller = Caller::of(&request)?;
        let GetTranscriptRequest { media_id, format } = request.into_inner();
        let mut fields = Fields::default();
        let format = fields.take("format", self::format(format));
        let Some(format) = format else { return Err(Error::from(fields).into()) };
        let file = self.file(&media_id, caller.account_id).await?;
        let transcript = self.downloads.transcript(&file, caller.account_id, format).await?;
        let content_type = transcript.content_type().to_owned();
        Ok(Response::new(GetTranscriptResponse { content: transcript.text, content_type }))
    }

    type WatchMediaStream = Messages<WatchMediaResponse>;

    async fn watch_media(
        &self,
        request: Request<WatchMediaRequest>,
    ) -> Result<Response<Self::WatchMediaStream>, Status> {
        let caller = Caller::of(&request)?;
        let WatchMediaRequest { project_id, after } = request.into_inner();
        let mut fields = Fields::default();
        let after = fields.take("after", if after < 0 { Err("must not be negative") } else { Ok(after) });
        let Some(after) = after else { return Err(Error::from(fields).into()) };
        let watched = watch::Watched { project_id: ask::project(&project_id)?, account_id: caller.account_id };
        let messages = watch::begin(&self.store, watched, after, &self.parts).await?;
        Ok(Response::new(messages.boxed()))
    }
}

/// Which bytes are asked for, and of which form of the file.
fn asked(range: Option<ByteRange>, format: i32) -> Result<(Asked, TranscriptFormat), Error> {
    let mut fields = Fields::default();
    let range = range::asked(range, &mut fields);
    let format = fields.take("format", self::format(format));
    range.zip(format).ok_or_else(|| fields.into())
}

fn format(number: i32) -> Result<TranscriptFormat, &'static str> {
    TranscriptFormat::try_from(number).map_err(|_| "must be one of TEXT, WEBVTT")
}

fn seconds(asked: i32) -> Result<i64, &'static str> {
    match i64::from(asked) {
        0 => Ok(LINK),
        seconds @ 1..=LONGEST_LINK => Ok(seconds),
        _ => Err("must be 1 to 43,200"),
    }
}

/// Before which file a page begins.
fn before(token: &str, place: &str) -> Result<Id, &'static str> {
    let Some((of, id)) = page::decode::<(String, String)>(token)? else { return Ok(Id::MAX) };
    id.parse().ok().filter(|_| of == place).ok_or(page::NOT_A_TOKEN)
}

/// Whoever has a link only need not know more than whether its session has ended.
fn refused(refusal: Refusal) -> Error {
    match refusal {
        Refusal::Revoked | Refusal::Unknown => Failure::from(refusal).into(),
        Refusal::Missing | Refusal::Invalid | Refusal::Expired | Refusal::Stale => Error::LinkInvalid,
    }
}
