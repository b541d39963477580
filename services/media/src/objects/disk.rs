//! What is asked of the disk for objects in a folder.

use std::fs::{DirBuilder, File, TryLockError};
use std::io::{self, IoSliceMut};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::bail;
use bytes::Bytes;
use rustix::io::{Errno, ReadWriteFlags, preadv2};

use super::ObjectError;

/// How long the folder is waited for, which a process that ends may still have.
const TAKING_OVER: Duration = Duration::from_secs(3);

/// Reads a piece. What the kernel has in memory is taken on the spot; for the rest the disk is asked off the runtime's threads.
pub async fn piece(file: &Arc<File>, at: u64, length: usize) -> Result<Bytes, ObjectError> {
    let mut piece = vec![0; length];
    let there = match preadv2(file, &mut [IoSliceMut::new(&mut piece)], at, ReadWriteFlags::NOWAIT) {
        Ok(there) => there,
        // Not all file systems can.
        Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => 0,
        Err(error) => return Err(io::Error::from(error).into()),
    };
    if there == length {
        return Ok(piece.into());
    }
    let file = file.clone();
    off_runtime(move || match file.read_exact_at(&mut piece[there..], at + there as u64) {
        Ok(()) => Ok(piece.into()),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Err(ObjectError::Damaged("the file is too short".into()))
        }
        Err(error) => Err(error.into()),
    })
    .await
}

pub async fn off_runtime<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ObjectError> + Send + 'static,
) -> Result<T, ObjectError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(ObjectError::Unavailable(error.to_string().into())),
    }
}

/// Locks the folder's file for as long as it is open.
pub async fn take(lock: File) -> anyhow::Result<File> {
    let since = Instant::now();
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::WouldBlock) if since.elapsed() < TAKING_OVER => {
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
            Err(TryLockError::WouldBlock) => bail!("another process uses it"),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
    }
}

/// Whether the folder had to be made.
pub fn make_folder(folder: &Path) -> io::Result<bool> {
    if folder.is_dir() {
        return Ok(false);
    }
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    Ok(true)
}

/// Makes the names in a folder durable.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
