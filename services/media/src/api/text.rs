//! Transcripts that are read at once, in the form that is wanted.

use futures_util::TryStreamExt as _;
use quartet_chassis::id::Id;
use quartet_chassis::limits::{Held, Room};
use quartet_proto::media::v1::{MediaKind, TranscriptFormat};

use super::download::PATIENCE;
use super::header::text_type;
use crate::error::Error;
use crate::kind::stored_kind;
use crate::objects::{ObjectError, Objects};
use crate::store::media::File;
use crate::transcript::{LENGTH, TOO_LONG, memory, text, webvtt};

const NO_TRANSCRIPT: &str = "the file is no transcript";

/// Reads transcripts.
#[derive(Clone)]
pub struct Texts {
    objects: Objects,
    /// Of which every account has its share: whoever reads slowly is in nobody else's way.
    room: Room,
}

/// A transcript in a form, with the room that it takes.
pub struct Text {
    pub text: String,
    pub format: TranscriptFormat,
    pub room: Held,
}

impl Text {
    pub fn content_type(&self) -> &'static str {
        text_type(self.format)
    }
}

impl Texts {
    pub fn new(objects: Objects) -> Texts {
        Texts { objects, room: Room::default() }
    }

    pub async fn read(&self, file: &File, account: Id, format: TranscriptFormat) -> Result<Text, Error> {
        if stored_kind(&file.media.kind) != MediaKind::Transcript {
            return Err(Error::TranscriptUnreadable(NO_TRANSCRIPT));
        }
        let size = usize::try_from(file.stored.size_bytes).ok().filter(|size| *size <= LENGTH);
        let size = size.ok_or(Error::TranscriptUnreadable(TOO_LONG))?;
        let mut room = self.room.hold(account);
        room.grow(memory(size))?;
        let bytes = tokio::time::timeout(PATIENCE, self.whole(file, size)).await;
        let bytes = bytes.map_err(|_| ObjectError::Unavailable("no answer in time".into()))??;
        let read = move || if format == TranscriptFormat::Webvtt { webvtt(&bytes) } else { text(&bytes) };
        let text = tokio::task::spawn_blocking(read).await.unwrap_or(Err(NO_TRANSCRIPT));
        let text = text.map_err(Error::TranscriptUnreadable)?;
        // What it was made of is gone.
        room.shrink(text.capacity());
        Ok(Text { text, format, room })
    }

    async fn whole(&self, file: &File, size: usize) -> Result<Vec<u8>, Error> {
        let damaged = |error: ObjectError| match error {
            ObjectError::Missing | ObjectError::Damaged(_) => Error::MediaDamaged(file.media.id.to_string()),
            error => error.into(),
        };
        let stream = self.objects.read(&file.stored.object_key, 0..size as u64).await.map_err(damaged)?;
        let gather = |mut all: Vec<u8>, piece: bytes::Bytes| async move {
            all.extend_from_slice(&piece);
            Ok(all)
        };
        stream.try_fold(Vec::with_capacity(size), gather).await.map_err(damaged)
    }
}
