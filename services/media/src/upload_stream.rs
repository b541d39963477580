//! A file that comes as a stream: its pieces are collected into parts, and while one is being written the next one is collected.

use std::future::Future;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use quartet_chassis::db;
use quartet_chassis::deadline;
use quartet_chassis::failure::{Failure, Fields};
use quartet_chassis::faults;
use quartet_chassis::id::Id;
use quartet_chassis::limits::Held;
use quartet_proto::media::v1::upload_request::Content;
use quartet_proto::media::v1::{UploadHeader, UploadRequest, UploadState};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tonic::{Status, Streaming};

use crate::error::Error;
use crate::store::media::File;
use crate::store::upload::{UploadRow, not_found};
use crate::upload::{self, Place, Shape};
use crate::uploader::Uploader;

/// The longest piece.
const PIECE: usize = 1 << 20;
/// How long a part may take to come. What was stored before stays stored.
const PATIENCE: Duration = Duration::from_secs(150);

/// What has come of a stream.
pub struct Outcome {
    pub offset: i64,
    pub file: Option<File>,
}

/// Why a stream has ended before its end: for a reason of ours, or with its client.
pub enum Broken {
    Refused(Error),
    Gone(Status),
}

/// A stream under way.
pub struct Pieces {
    uploader: Uploader,
    tasks: TaskTracker,
    account: Id,
    upload: Id,
    shape: Shape,
    /// Where the collected bytes begin.
    offset: i64,
    /// How far the upload is.
    stored: i64,
    collected: BytesMut,
    /// The part before, whose memory is used again when it is written.
    spare: Bytes,
    /// Room for what is collected.
    held: Held,
    /// The part that is being written.
    writing: Option<JoinHandle<Result<i64, Error>>>,
}

/// Takes a whole stream.
pub async fn take(
    uploader: &Uploader,
    tasks: &TaskTracker,
    account: Id,
    held: Held,
    mut messages: Streaming<UploadRequest>,
) -> Result<Outcome, Broken> {
    let header = match next(&mut messages, Instant::now() + PATIENCE).await? {
        Some(Content::Header(header)) => header,
        _ => return Err(refused("header", "must come first")),
    };
    let (row, sha256) = begin(uploader, account, &header).await?;
    let mut pieces = Pieces::new(uploader, tasks, account, held, &row, header.offset_bytes);
    // One that is completed is only asked what it was completed to.
    if row.state(uploader.store.now()) == UploadState::Open {
        pieces.collect(&mut messages).await?;
        pieces.finish(header.complete).await?;
    }
    let (uploader, id) = (uploader.clone(), row.id);
    let file = match header.complete {
        true => Some(
            apart(tasks, async move { uploader.complete(id, account, sha256).await }).await.map_err(Broken::from)?,
        ),
        false => None,
    };
    let offset = file.as_ref().map_or(pieces.stored, |file| file.stored.size_bytes);
    Ok(Outcome { offset, file })
}

/// The upload that a stream is for, and the digest that the file is to have.
async fn begin(uploader: &Uploader, account: Id, header: &UploadHeader) -> Result<(UploadRow, Option<Vec<u8>>), Error> {
    let mut fields = Fields::default();
    let sha256 = fields.take("header.sha256", upload::digest(&header.sha256));
    if !header.complete && !header.sha256.is_empty() {
        fields.refuse("header.sha256", "is for streams that `complete` the upload");
    }
    let (Some(sha256), true) = (sha256, fields.is_empty()) else { return Err(fields.into()) };
    let id: Id = header.upload_id.parse().map_err(|_| Error::UploadNotFound(header.upload_id.clone()))?;
    let row = uploader.store.upload(id, account).await?;
    if row.account_id != account {
        return Err(not_found(id));
    }
    let now = uploader.store.now();
    if !(header.complete && row.state(now) == UploadState::Completed) {
        row.open(now)?;
    }
    let begins = uploader.store.shape(&row).number(header.offset_bytes);
    let behind = header.offset_bytes > row.offset_bytes;
    if (begins.is_none() && header.offset_bytes != row.offset_bytes) || behind {
        return Err(Error::OffsetWrong(row.offset_bytes));
    }
    Ok((row, sha256))
}

impl Pieces {
    fn new(uploader: &Uploader, tasks: &TaskTracker, account: Id, held: Held, row: &UploadRow, offset: i64) -> Pieces {
        let shape = uploader.store.shape(row);
        let (uploader, tasks) = (uploader.clone(), tasks.clone());
        Pieces {
            uploader,
            tasks,
            account,
            upload: row.id,
            shape,
            offset,
            stored: row.offset_bytes,
            collected: BytesMut::new(),
            spare: Bytes::new(),
            held,
            writing: None,
        }
    }

    /// Takes what comes, until its end. The next message is taken when there is room for it: a fast client waits.
    async fn collect(&mut self, messages: &mut Streaming<UploadRequest>) -> Result<(), Broken> {
        let mut until = Instant::now() + PATIENCE;
        while let Some(content) = next(messages, until).await? {
            let Content::Data(data) = content else { return Err(refused("header", "must come first, and only once")) };
            if data.is_empty() || data.len() > PIECE {
                return Err(refused("data", format!("must have 1 to {PIECE} bytes")));
            }
            if self.add(data).await? {
                until = Instant::now() + PATIENCE;
            }
        }
        Ok(())
    }

    /// Adds a piece; true when a part was complete with it.
    async fn add(&mut self, data: Bytes) -> Result<bool, Error> {
        self.held.grow(data.len())?;
        let part = usize::try_from(self.shape.part_size).unwrap_or(usize::MAX);
        let rest = gather(&mut self.collected, part, &data);
        if self.collected.len() < part {
            return Ok(false);
        }
        self.write(false).await?;
        // Counted with the part that it came with.
        gather(&mut self.collected, part, rest);
        Ok(true)
    }

    /// Writes what stands at the end of a stream: a file's last part. Other parts come whole or not at all.
    async fn finish(&mut self, complete: bool) -> Result<(), Error> {
        let length = i64::try_from(self.collected.len()).unwrap_or(i64::MAX);
        if length > 0 {
            match self.shape.size_bytes {
                None if complete => self.write(true).await?,
                Some(size) if self.offset + length >= size => self.write(false).await?,
                _ => {}
            }
        }
        self.written().await
    }

    /// Writes the collected part, once the one before is written.
    async fn write(&mut self, last: bool) -> Result<(), Error> {
        self.written().await?;
        let length = i64::try_from(self.collected.len()).unwrap_or(i64::MAX);
        let place = Place { offset: self.offset, length, last };
        let data = std::mem::replace(&mut self.collected, again(std::mem::take(&mut self.spare))).freeze();
        self.spare = data.clone();
        let (data, held) = (vec![data], self.held.split());
        let (uploader, upload, account) = (self.uploader.clone(), self.upload, self.account);
        self.offset += length;
        self.writing = Some(spawn(&self.tasks, async move {
            let written = uploader.put_part(upload, account, place, data, None).await;
            drop(held);
            written
        }));
        Ok(())
    }

    /// Waits for the part that is being written.
    async fn written(&mut self) -> Result<(), Error> {
        if let Some(writing) = self.writing.take() {
            self.stored = joined(writing.await)?;
        }
        Ok(())
    }
}

/// The memory of a part that is written: a stream takes what two parts take, however long it is.
fn again(written: Bytes) -> BytesMut {
    let mut free = written.try_into_mut().unwrap_or_default();
    free.clear();
    free
}

/// Adds to a part what it has room for, and answers the rest. It is copied: a piece is a slice of all that came with it, whatever that was,
/// and would keep the whole of it.
fn gather<'d>(collected: &mut BytesMut, part: usize, data: &'d [u8]) -> &'d [u8] {
    if collected.is_empty() && !data.is_empty() {
        collected.reserve(part);
    }
    let (fitting, rest) = data.split_at(data.len().min(part - collected.len()));
    collected.extend_from_slice(fitting);
    rest
}

/// Runs something to its end, even when the client goes away and this future is dropped.
async fn apart<T: Send + 'static>(
    tasks: &TaskTracker,
    work: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    joined(spawn(tasks, work).await)
}

fn spawn<T: Send + 'static>(
    tasks: &TaskTracker,
    work: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> JoinHandle<Result<T, Error>> {
    tasks.spawn(db::carried(faults::carried(work)))
}

fn joined<T>(result: Result<Result<T, Error>, tokio::task::JoinError>) -> Result<T, Error> {
    result.unwrap_or_else(|error| Err(Failure::internal("an internal error occurred", error).into()))
}

/// The next message, or nothing at the end of the stream.
async fn next(messages: &mut Streaming<UploadRequest>, until: Instant) -> Result<Option<Content>, Broken> {
    let message = tokio::time::timeout_at(until, messages.message()).await;
    let message = message.map_err(|_| Broken::Refused(deadline::exceeded().into()))?.map_err(Broken::Gone)?;
    match message {
        Some(UploadRequest { content: None }) => Err(refused("content", "must be `header` or `data`")),
        Some(UploadRequest { content }) => Ok(content),
        None => Ok(None),
    }
}

fn refused(field: &str, rule: impl std::fmt::Display) -> Broken {
    let mut fields = Fields::default();
    fields.refuse(field, rule);
    Broken::Refused(fields.into())
}

impl From<Error> for Broken {
    fn from(error: Error) -> Broken {
        Broken::Refused(error)
    }
}

impl From<Broken> for Status {
    fn from(broken: Broken) -> Status {
        match broken {
            Broken::Refused(error) => error.into(),
            Broken::Gone(status) => status,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s49_a_piece_keeps_nothing_of_what_came_with_it() {
        let message = Bytes::from(vec![7; 4 << 20]);
        let mut part = BytesMut::new();
        for _ in 0..3 {
            let piece = message.slice(100..101);
            assert!(gather(&mut part, 4, &piece).is_empty());
            drop(piece);
            assert!(message.is_unique(), "the part holds the message");
        }
        assert_eq!(gather(&mut part, 4, &message[..3]), [7; 2]);
        assert_eq!(&part[..], [7; 4]);
    }
}
