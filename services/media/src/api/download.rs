//! Downloads: a file's bytes on their way. A piece is read from the store when the one before it has been taken, so a reader that stops
//! holds two pieces and reads nothing; and whoever may not read the file any more gets no more of it.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use quartet_chassis::auth::{Auth, Claims};
use quartet_chassis::failure::Failure;
use quartet_chassis::id::Id;
use quartet_chassis::parts::Parts;
use quartet_proto::media::v1::*;
use tokio::sync::mpsc::{OwnedPermit, Permit, Sender, channel};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::header::{header, text_header};
use super::text::{Text, Texts};
use crate::config::Config;
use crate::error::Error;
use crate::objects::{Bytestream, ObjectError, Objects};
use crate::range::Asked;
use crate::store::Store;
use crate::store::media::File;

/// How often it is looked whether the reader may still read, and for how long an answer to that is good.
const LOOK: Duration = Duration::from_secs(2);
const TRUSTED: Duration = Duration::from_secs(4);
/// How long the store may take for a piece.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// The longest piece: more than this nobody gets who may not read any more.
const PIECE: usize = 64 * 1024;

/// What somebody wants to read.
pub struct Wanted {
    pub media_id: Id,
    pub account_id: Id,
    pub range: Asked,
    pub header_only: bool,
    pub format: TranscriptFormat,
    pub attachment: bool,
    /// Whose session holds the download, where the guard does not see to that.
    pub holder: Option<Arc<Claims>>,
}

/// A piece of a download.
#[expect(clippy::large_enum_variant, reason = "it goes straight into a message of the same shape")]
pub enum Piece {
    Header(DownloadHeader),
    Data(Bytes),
}

type Pieces = ReceiverStream<Result<Piece, Status>>;

/// Begins downloads.
#[derive(Clone)]
pub struct Downloads {
    store: Store,
    objects: Objects,
    texts: Texts,
    parts: Parts,
    stall: Duration,
}

impl Downloads {
    pub fn new(store: Store, objects: Objects, config: &Config, parts: &Parts) -> Downloads {
        let stall = Duration::from_secs(config.stall_seconds.into());
        Downloads { store, texts: Texts::new(objects.clone()), objects, parts: parts.clone(), stall }
    }

    /// Begins a download: the header, and behind it the bytes.
    pub async fn begin(&self, wanted: Wanted) -> Result<Pieces, Error> {
        let not_found = || Error::MediaNotFound(wanted.media_id.to_string());
        let known = Instant::now();
        let file = self.store.file(wanted.media_id, wanted.account_id).await?.ok_or_else(not_found)?;
        file.intact()?;
        let pump = Pump::of(self, &wanted, known);
        match wanted.format {
            TranscriptFormat::Unspecified => self.begin_file(wanted, file, pump).await,
            format => {
                let text = self.texts.read(&file, wanted.account_id, format).await?;
                self.begin_text(wanted, file, text, pump).await
            }
        }
    }

    /// A transcript in a form, for this account.
    pub async fn transcript(&self, file: &File, account: Id, format: TranscriptFormat) -> Result<Text, Error> {
        file.intact()?;
        self.texts.read(file, account, format).await
    }

    async fn begin_file(&self, wanted: Wanted, file: File, pump: Pump) -> Result<Pieces, Error> {
        let range = found(&wanted, file.stored.size_bytes)?;
        let key = file.stored.object_key.clone();
        let header = header(file, &range, wanted.attachment);
        if wanted.header_only {
            return Ok(alone(header).await);
        }
        let opened = tokio::time::timeout(PATIENCE, self.objects.read(&key, range.clone())).await;
        match opened.unwrap_or_else(|_| Err(too_slow())) {
            Ok(bytes) => Ok(self.send(pump, header, bytes, range, ()).await),
            Err(error) => Err(pump.broken(error).await),
        }
    }

    async fn begin_text(&self, wanted: Wanted, file: File, text: Text, pump: Pump) -> Result<Pieces, Error> {
        let Text { text, format, room } = text;
        let text = Bytes::from(text);
        let range = found(&wanted, i64::try_from(text.len()).unwrap_or_default())?;
        let header = text_header(file, &range, text.len(), format, wanted.attachment);
        if wanted.header_only {
            return Ok(alone(header).await);
        }
        let (start, end) = (range.start as usize, range.end as usize);
        let pieces = (start..end).step_by(PIECE).map(move |at| Ok(text.slice(at..end.min(at + PIECE))));
        Ok(self.send(pump, header, stream::iter(pieces).boxed(), range, room).await)
    }

    /// Sends header and bytes from a task of its own. `kept` is kept until that ends.
    async fn send<K: Send + 'static>(
        &self,
        pump: Pump,
        header: DownloadHeader,
        bytes: Bytestream,
        range: Range<u64>,
        kept: K,
    ) -> Pieces {
        // The header or a piece that waits, and room for the last word.
        let (sender, receiver) = channel(2);
        if let Ok(last) = sender.clone().try_reserve_owned() {
            sender.send(Ok(Piece::Header(header))).await.ok();
            self.parts.tasks.spawn(async move {
                pump.run(bytes, range.end - range.start, sender, last).await;
                drop(kept);
            });
        }
        ReceiverStream::new(receiver)
    }
}

/// The bytes that are wanted of so many.
fn found(wanted: &Wanted, size: i64) -> Result<Range<u64>, Error> {
    let range = u64::try_from(size).ok().and_then(|size| wanted.range.of(size));
    range.ok_or(Error::RangeUnsatisfiable(size))
}

async fn alone(header: DownloadHeader) -> Pieces {
    let (sender, receiver) = channel(1);
    sender.send(Ok(Piece::Header(header))).await.ok();
    ReceiverStream::new(receiver)
}

fn too_slow() -> ObjectError {
    ObjectError::Unavailable("no answer in time".into())
}

/// Moves the bytes of one download.
struct Pump {
    store: Store,
    auth: Auth,
    media_id: Id,
    account_id: Id,
    holder: Option<Arc<Claims>>,
    stall: Duration,
    /// When it was last known that the reader may read.
    known: Instant,
}

type Word = Result<Piece, Status>;

impl Pump {
    fn of(downloads: &Downloads, wanted: &Wanted, known: Instant) -> Pump {
        Pump {
            store: downloads.store.clone(),
            auth: downloads.parts.auth.clone(),
            media_id: wanted.media_id,
            account_id: wanted.account_id,
            holder: wanted.holder.clone(),
            stall: downloads.stall,
            known,
        }
    }

    async fn run(mut self, bytes: Bytestream, length: u64, sender: Sender<Word>, last: OwnedPermit<Word>) {
        let (auth, holder) = (self.auth.clone(), self.holder.clone());
        let session_ends = async move {
            match holder {
                Some(claims) => Failure::from(auth.end_of(claims).await),
                None => std::future::pending().await,
            }
        };
        let ended = tokio::select! {
            failure = session_ends => Err(failure.into()),
            moved = self.move_all(bytes, length, &sender) => moved,
        };
        if let Err(error) = ended {
            last.send(Err(error.into()));
        }
    }

    /// Moves all bytes, or as many as the reader takes before it goes.
    async fn move_all(&mut self, mut bytes: Bytestream, mut left: u64, sender: &Sender<Word>) -> Result<(), Error> {
        let mut piece = Bytes::new();
        while left > 0 {
            let Some(room) = self.room(sender).await? else { return Ok(()) };
            while piece.is_empty() {
                piece = self.next(&mut bytes).await?;
            }
            let next = piece.split_to(piece.len().min(PIECE));
            left = left.saturating_sub(next.len() as u64);
            room.send(Ok(Piece::Data(next)));
        }
        Ok(())
    }

    async fn next(&self, bytes: &mut Bytestream) -> Result<Bytes, Error> {
        match tokio::time::timeout(PATIENCE, bytes.next()).await {
            Ok(Some(Ok(piece))) => Ok(piece),
            Ok(Some(Err(error))) => Err(self.broken(error).await),
            Ok(None) => Err(self.broken(ObjectError::Damaged("it ends too soon".into())).await),
            Err(_) => Err(too_slow().into()),
        }
    }

    /// Waits until the reader has taken what it was sent; `None` when it has gone.
    async fn room<'s>(&mut self, sender: &'s Sender<Word>) -> Result<Option<Permit<'s, Word>>, Error> {
        let since = Instant::now();
        loop {
            let room = tokio::time::timeout(LOOK, sender.reserve()).await;
            self.check().await?;
            match room {
                Ok(room) => return Ok(room.ok()),
                Err(_) if since.elapsed() >= self.stall => return Err(Error::ReaderTooSlow),
                Err(_) => {}
            }
        }
    }

    /// Refuses a reader who may not read any more. A database that is away for a moment ends nothing.
    async fn check(&mut self) -> Result<(), Error> {
        if self.known.elapsed() < LOOK {
            return Ok(());
        }
        let asked = Instant::now();
        match self.store.still_reads(self.media_id, self.account_id).await {
            Ok(true) => {
                self.known = asked;
                Ok(())
            }
            Ok(false) => Err(Error::MediaNotFound(self.media_id.to_string())),
            Err(_) if self.known.elapsed() < TRUSTED => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// What a store's error means: an object that is gone with its file is no damage.
    async fn broken(&self, error: ObjectError) -> Error {
        let id = self.media_id.to_string();
        match error {
            ObjectError::Missing | ObjectError::Damaged(_) => {
                match self.store.still_reads(self.media_id, self.account_id).await {
                    Ok(true) => {
                        tracing::error!(media_id = id, %error, "a file is damaged");
                        Error::MediaDamaged(id)
                    }
                    Ok(false) => Error::MediaNotFound(id),
                    Err(error) => error.into(),
                }
            }
            error => error.into(),
        }
    }
}

impl From<Piece> for DownloadResponse {
    fn from(piece: Piece) -> DownloadResponse {
        use download_response::Content;
        let content = match piece {
            Piece::Header(header) => Content::Header(header),
            Piece::Data(data) => Content::Data(data),
        };
        DownloadResponse { content: Some(content) }
    }
}

impl From<Piece> for DownloadByLinkResponse {
    fn from(piece: Piece) -> DownloadByLinkResponse {
        use download_by_link_response::Content;
        let content = match piece {
            Piece::Header(header) => Content::Header(header),
            Piece::Data(data) => Content::Data(data),
        };
        DownloadByLinkResponse { content: Some(content) }
    }
}
