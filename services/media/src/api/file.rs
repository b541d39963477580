//! A file as it is answered.

use quartet_chassis::clock::timestamp;
use quartet_chassis::etag;
use quartet_proto::media::v1::Media;

use crate::kind::stored_kind;
use crate::store::media::File;

impl From<File> for Media {
    fn from(File { media, stored }: File) -> Media {
        Media {
            media_id: media.id.to_string(),
            project_id: media.project_id.to_string(),
            name: media.name,
            kind: stored_kind(&media.kind).into(),
            content_type: media.content_type,
            size_bytes: stored.size_bytes,
            sha256: stored.sha256.into(),
            uploader_account_id: media.uploader_id.map(|id| id.to_string()).unwrap_or_default(),
            etag: etag::of(media.version),
            create_time: Some(timestamp(media.create_time)),
            update_time: Some(timestamp(media.update_time)),
        }
    }
}
