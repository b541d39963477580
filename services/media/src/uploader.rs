//! Takes parts of files and makes files of them: between database and objects, one step after the other, each of which can be the last.

use std::time::Instant;

use bytes::Bytes;
use futures_util::StreamExt as _;
use quartet_chassis::id::Id;

use crate::digest::{self, Running, off_runtime};
use crate::error::Error;
use crate::objects::{ObjectError, Objects};
use crate::sniff;
use crate::store::Store;
use crate::store::lease::{PATIENCE, RENEWAL};
use crate::store::media::File;
use crate::store::part::{Begun, Ground};
use crate::store::upload_end::{Completion, Finish};
use crate::turns::Turns;
use crate::upload::Place;

/// Takes parts and completes uploads. Its futures must not be dropped in the middle: what they have begun would only end with its lease.
#[derive(Clone)]
pub struct Uploader {
    pub store: Store,
    pub objects: Objects,
    pub turns: Turns,
}

impl Uploader {
    pub fn new(store: Store, objects: Objects) -> Uploader {
        Uploader { store, objects, turns: Turns::default() }
    }

    /// Stores a part, and answers how far the upload is then. It is durable, or nothing of it counts. `sha256` is what its digest has to be.
    pub async fn put_part(
        &self,
        id: Id,
        account: Id,
        place: Place,
        data: Vec<Bytes>,
        sha256: Option<Vec<u8>>,
    ) -> Result<i64, Error> {
        // Whose turn it is, is for nobody else to take or to know.
        self.store.check_starter(id, account).await?;
        let _turn = self.turns.take(id).ok_or(Error::UploadBusy)?;
        let part = Part { place, data, sha256 };
        match self.store.begin_part(id, account, place).await? {
            Begun::There { offset, before, behind } => same(part, offset, &before, behind).await,
            Begun::Write(ground) => match self.write_part(&ground, part.clone()).await {
                Ok(offset) => Ok(offset),
                Err(error) => self.find_out(&ground, part, error).await,
            },
        }
    }

    async fn write_part(&self, ground: &Ground, part: Part) -> Result<i64, Error> {
        let place = part.place;
        let written = self.write_object(ground, part);
        let (content_id, digest) = self.while_renewed(ground.upload.id, ground.lease, written).await?;
        self.store.advance(ground, place, &content_id, digest).await
    }

    /// Writes a part to the store of objects, and answers the store's own name for it and the running digest behind it. What is written
    /// counts only afterwards, so its digest is taken meanwhile.
    async fn write_object(&self, ground: &Ground, part: Part) -> Result<(String, Vec<u8>), Error> {
        let upload = &ground.upload;
        let running = Running::stored(&upload.digest)?;
        let store_id = self.store_id(ground).await?;
        let (number, offset) = (ground.number.unsigned_abs() as usize, part.place.offset.unsigned_abs());
        let put = self.objects.put_part(&upload.object_key, &store_id, number, offset, part.data.clone());
        let (content_id, digest) = futures_util::future::join(put, part.digest(running)).await;
        let digest = digest?;
        Ok((content_id?, digest))
    }

    /// The store's own name for the upload, which is begun there with its first part.
    async fn store_id(&self, ground: &Ground) -> Result<String, Error> {
        let upload = &ground.upload;
        if ground.number > 0 || !upload.store_id.is_empty() {
            return Ok(upload.store_id.clone());
        }
        let begun = self.objects.begin(&upload.object_key).await?;
        if begun.is_empty() { Ok(begun) } else { self.store.set_store_id(upload.id, &begun).await }
    }

    /// What has become of a part that could not be stored: another call with the same part may have been faster, or the upload has ended. Where
    /// none of that is so, and the store has lost what it had, the upload has failed: nothing could complete it any more.
    async fn find_out(&self, ground: &Ground, part: Part, error: Error) -> Result<i64, Error> {
        let upload = &ground.upload;
        self.give_up(upload.id, ground.lease).await;
        if let Error::UploadBusy | Error::Object(ObjectError::Missing | ObjectError::Damaged(_)) = error {
            match self.store.begin_part(upload.id, upload.account_id, part.place).await? {
                Begun::There { offset, before, behind } => return same(part, offset, &before, behind).await,
                Begun::Write(again) if matches!(error, Error::Object(_)) => {
                    self.store.fail_upload(upload, again.lease).await?;
                }
                Begun::Write(again) => self.give_up(upload.id, again.lease).await,
            }
        }
        Err(damaged(error, upload.id))
    }

    /// Makes an upload a file. Again, it answers the same one. `sha256` is what the file's digest has to be.
    pub async fn complete(&self, id: Id, account: Id, sha256: Option<Vec<u8>>) -> Result<File, Error> {
        self.store.check_starter(id, account).await?;
        let _turn = self.turns.take(id).ok_or(Error::UploadBusy)?;
        let finish = match self.store.begin_completion(id, account, sha256.as_deref()).await? {
            Completion::Done(file) => return Ok(*file),
            Completion::Failed(error) => return Err(error),
            Completion::Finish(finish) => *finish,
        };
        let error = match self.finish(&finish).await {
            Ok(file) => return Ok(file),
            Err(error) => damaged(error, id),
        };
        if let Error::UploadDamaged(_) = error {
            self.store.fail_upload(&finish.upload, finish.lease).await?;
        } else {
            self.give_up(id, finish.lease).await;
        }
        Err(error)
    }

    async fn finish(&self, finish: &Finish) -> Result<File, Error> {
        let looked = async { Ok((self.finish_object(finish).await?, self.lost(finish).await?)) };
        let (head, lost) = self.while_renewed(finish.upload.id, finish.lease, looked).await?;
        let inline_type = sniff::inline_type(&finish.upload.content_type, &head);
        self.store.complete(finish, &inline_type, lost.as_deref()).await
    }

    /// The object of the same bytes that the owner has already, where the store has lost it: then these take its place.
    async fn lost(&self, finish: &Finish) -> Result<Option<String>, Error> {
        let Some(key) = self.store.same_bytes(finish).await? else { return Ok(None) };
        let size = finish.size_bytes.unsigned_abs();
        let last = match self.objects.read(&key, size.saturating_sub(1)..size).await {
            Ok(mut bytes) => bytes.next().await.transpose().map(drop),
            Err(error) => Err(error),
        };
        match last {
            Err(cause @ (ObjectError::Missing | ObjectError::Damaged(_))) => {
                tracing::error!(%cause, upload_id = %finish.upload.id, "a file is damaged, and comes again");
                Ok(Some(key))
            }
            _ => Ok(None),
        }
    }

    /// Makes the object whole, and answers its first bytes.
    async fn finish_object(&self, finish: &Finish) -> Result<Vec<u8>, Error> {
        let (upload, size) = (&finish.upload, finish.size_bytes.unsigned_abs());
        self.objects.finish(&upload.object_key, &upload.store_id, finish.parts.clone(), size).await?;
        let mut head = Vec::new();
        let mut pieces = self.objects.read(&upload.object_key, 0..size.min(sniff::HEAD)).await?;
        while let Some(piece) = pieces.next().await {
            head.extend_from_slice(&piece?);
        }
        Ok(head)
    }

    /// Works with the store of objects as long as the lease is renewed, and no longer.
    async fn while_renewed<T>(
        &self,
        id: Id,
        lease: Id,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        tokio::select! {
            done = work => done,
            lost = self.renew(id, lease) => Err(lost),
        }
    }

    /// Renews a lease until it is lost.
    async fn renew(&self, id: Id, lease: Id) -> Error {
        let mut renewed = Instant::now();
        loop {
            tokio::time::sleep(RENEWAL).await;
            let limit = PATIENCE.saturating_sub(renewed.elapsed());
            match tokio::time::timeout(limit, self.store.renew_lease(id, lease)).await {
                Ok(Ok(true)) => renewed = Instant::now(),
                Ok(Ok(false)) | Err(_) => return Error::UploadBusy,
                Ok(Err(error)) => tracing::warn!(%error, "a lease on an upload is not renewed"),
            }
        }
    }

    /// Gives a lease back. Where that fails, it ends by itself.
    async fn give_up(&self, id: Id, lease: Id) {
        if let Err(error) = self.store.give_up_lease(id, lease).await {
            tracing::warn!(%error, "a lease on an upload ends by itself");
        }
    }
}

/// A part as it came. `sha256` is what its digest has to be.
#[derive(Clone)]
struct Part {
    place: Place,
    data: Vec<Bytes>,
    sha256: Option<Vec<u8>>,
}

impl Part {
    /// Takes a running digest on over the part, and holds the part's own one against what it has to be.
    async fn digest(self, mut running: Running) -> Result<Vec<u8>, Error> {
        let digests = off_runtime(move || {
            let is_right = self.sha256.is_none_or(|said| said == digest::of(&self.data));
            running.add(&self.data);
            is_right.then(|| running.to_stored())
        });
        digests.await?.ok_or(Error::DigestMismatch)
    }
}

/// Answers how far the upload is, if a part is the one that is there.
async fn same(part: Part, offset: i64, before: &[u8], behind: Vec<u8>) -> Result<i64, Error> {
    let digest = part.digest(Running::stored(before)?).await?;
    if digest == behind { Ok(offset) } else { Err(Error::OffsetWrong(offset)) }
}

/// The store has not what it said it had: that is the upload's end, and no trouble that passes.
fn damaged(error: Error, id: Id) -> Error {
    match error {
        Error::Object(cause @ (ObjectError::Missing | ObjectError::Damaged(_))) => {
            tracing::error!(%cause, upload_id = %id, "an upload is damaged");
            Error::UploadDamaged(id.to_string())
        }
        error => error,
    }
}
