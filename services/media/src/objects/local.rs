//! Objects in a folder of this machine: `uploads/<id>` while they grow, `objects/<aa>/<id>` once they are whole.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream;
use rustix::fs::{Advice, fadvise};
use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

use super::disk::{make_folder, off_runtime, piece, sync_folder, take};
use super::key::id;
use super::{Bytestream, ObjectError};

/// How much is read at once. Longer pieces cost each thread that ever reads one some megabytes of the allocator's pages.
const PIECE: usize = 64 * 1024;
/// How long a call waits for its turn, which another call for the same object has.
const PATIENCE: Duration = Duration::from_secs(25);

/// A folder of objects. No second process has it.
#[derive(Clone)]
pub struct Directory(Arc<Inner>);

struct Inner {
    root: PathBuf,
    /// Whose turn it is with an object.
    turns: Mutex<HashMap<String, Weak<Turn<()>>>>,
    /// A file of the folder, locked for as long as it is open.
    lock: File,
}

impl Directory {
    /// Takes a folder, which is made when it is missing.
    pub async fn open(root: &Path) -> anyhow::Result<Directory> {
        let what = || format!("can't use `{}` for media", root.display());
        for folder in [root, &root.join("uploads"), &root.join("objects")] {
            make_folder(folder).with_context(what)?;
        }
        let lock = File::options().create(true).truncate(false).write(true).mode(0o600).open(root.join("lock"));
        let lock = take(lock.with_context(what)?).await.with_context(what)?;
        // Made and durable before anything lies in them: whoever finds one later need not know who has made it.
        let objects = root.join("objects");
        for number in 0..=u8::MAX {
            make_folder(&objects.join(format!("{number:02x}"))).with_context(what)?;
        }
        sync_folder(&objects).with_context(what)?;
        sync_folder(root).with_context(what)?;
        Ok(Directory(Arc::new(Inner { root: root.to_owned(), turns: Mutex::default(), lock })))
    }

    pub async fn begin(&self, key: &str) -> Result<(), ObjectError> {
        self.alone(key, |paths| {
            File::options().create(true).truncate(false).write(true).mode(0o600).open(&paths.growing)?;
            sync_folder(&paths.uploads)?;
            Ok(())
        })
        .await
    }

    pub async fn put(&self, key: &str, offset: u64, data: Vec<Bytes>) -> Result<(), ObjectError> {
        self.alone(key, move |paths| {
            let file = File::options().write(true).open(&paths.growing)?;
            let mut at = offset;
            for piece in &data {
                file.write_all_at(piece, at)?;
                at += piece.len() as u64;
            }
            // Until here it may be lost. Where this fails the part is sent and written again, so no later one pretends.
            file.sync_data()?;
            Ok(())
        })
        .await
    }

    pub async fn finish(&self, key: &str, size: u64) -> Result<(), ObjectError> {
        self.alone(key, move |paths| {
            if paths.whole.try_exists()? {
                return paths.is_whole(size);
            }
            let growing = File::options().write(true).open(&paths.growing)?;
            match growing.metadata()?.len() {
                there if there < size => return Err(ObjectError::Damaged("a part is gone".into())),
                there if there > size => growing.set_len(size)?,
                _ => {}
            }
            growing.sync_all()?;
            if make_folder(&paths.folder)? {
                sync_folder(&paths.objects)?;
            }
            fs::rename(&paths.growing, &paths.whole)?;
            sync_folder(&paths.folder)?;
            sync_folder(&paths.uploads)?;
            Ok(())
        })
        .await
    }

    pub async fn remove(&self, key: &str) -> Result<(), ObjectError> {
        self.alone(key, |paths| {
            for (file, folder) in [(&paths.growing, &paths.uploads), (&paths.whole, &paths.folder)] {
                match fs::remove_file(file) {
                    Ok(()) => sync_folder(folder)?,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Ok(())
        })
        .await?;
        self.is_here()
    }

    pub async fn read(&self, key: &str, range: Range<u64>) -> Result<Bytestream, ObjectError> {
        let paths = self.paths(key)?;
        let end = range.end;
        let own = self.clone();
        let opened = off_runtime(move || {
            own.is_here()?;
            let file = File::open(&paths.whole)?;
            if file.metadata()?.len() < end {
                return Err(ObjectError::Damaged("the file is too short".into()));
            }
            // The kernel reads ahead twice as far; that it can't is no harm.
            let _ = fadvise(&file, 0, None, Advice::Sequential);
            Ok(Arc::new(file))
        });
        let file = opened.await.map_err(|error| self.truth(error))?;
        let pieces = stream::try_unfold((file, range), |(file, range)| async move {
            if range.is_empty() {
                return Ok(None);
            }
            let length = usize::try_from(range.end - range.start).unwrap_or(PIECE).min(PIECE);
            let piece = piece(&file, range.start, length).await?;
            let next = range.start + piece.len() as u64;
            Ok(Some((piece, (file, next..range.end))))
        });
        Ok(pieces.boxed())
    }

    pub async fn is_ready(&self) -> Result<(), ObjectError> {
        let root = self.0.root.clone();
        off_runtime(move || Ok(fs::metadata(root.join("objects")).map(drop)?)).await
    }

    /// Does something with an object's files, off the runtime's threads, while nobody else does. It goes on to its end even when nobody
    /// waits for it any more, and so does the turn.
    async fn alone<T: Send + 'static>(
        &self,
        key: &str,
        work: impl FnOnce(&Paths) -> Result<T, ObjectError> + Send + 'static,
    ) -> Result<T, ObjectError> {
        let paths = self.paths(key)?;
        let slow = |_| ObjectError::Unavailable("the disk is too slow".into());
        let turn = tokio::time::timeout(PATIENCE, self.turn(key)).await.map_err(slow)?;
        let own = self.clone();
        let done = off_runtime(move || {
            let _turn = turn;
            own.is_here()?;
            work(&paths)
        });
        done.await.map_err(|error| self.truth(error))
    }

    /// Asked before and behind what is done: what was missing in a folder that was away is not gone because that is back.
    fn is_here(&self) -> Result<(), ObjectError> {
        match self.truth(ObjectError::Missing) {
            ObjectError::Missing => Ok(()),
            away => Err(away),
        }
    }

    /// What is missing in a folder that is not the one that was opened, as when its disk is not mounted, is not lost.
    fn truth(&self, error: ObjectError) -> ObjectError {
        let is_here = || -> io::Result<bool> {
            let (own, found) = (self.0.lock.metadata()?, fs::metadata(self.0.root.join("lock"))?);
            Ok((own.dev(), own.ino()) == (found.dev(), found.ino()))
        };
        match error {
            ObjectError::Missing if !is_here().unwrap_or(false) => {
                ObjectError::Unavailable("the folder is not there".into())
            }
            error => error,
        }
    }

    async fn turn(&self, key: &str) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.0.turns.lock().unwrap_or_else(PoisonError::into_inner);
            turns.retain(|_, turn| turn.strong_count() > 0);
            let known = turns.get(key).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                let turn = Arc::new(Turn::new(()));
                turns.insert(key.to_owned(), Arc::downgrade(&turn));
                turn
            })
        };
        turn.lock_owned().await
    }

    fn paths(&self, key: &str) -> Result<Paths, ObjectError> {
        let id = id(key)?;
        let (uploads, objects) = (self.0.root.join("uploads"), self.0.root.join("objects"));
        let folder = objects.join(&id[id.len() - 2..]);
        Ok(Paths { growing: uploads.join(id), whole: folder.join(id), uploads, objects, folder })
    }
}

/// Where an object's files are.
struct Paths {
    uploads: PathBuf,
    objects: PathBuf,
    folder: PathBuf,
    growing: PathBuf,
    whole: PathBuf,
}

impl Paths {
    /// What an object is that was finished before.
    fn is_whole(&self, size: u64) -> Result<(), ObjectError> {
        if fs::metadata(&self.whole)?.len() != size {
            return Err(ObjectError::Damaged("it was finished with another length".into()));
        }
        // Whoever has finished it may not have come as far.
        sync_folder(&self.folder)?;
        Ok(())
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "what a test stands on must be there")]
mod tests {
    use futures_util::{FutureExt as _, TryStreamExt as _};

    use super::*;

    const KEY: &str = "objects/60/0198b3f2-7d0c-7a51-8f0e-5b1d2c3e4f60";

    async fn directory() -> (tempfile::TempDir, Directory) {
        let folder = tempfile::tempdir().unwrap();
        let directory = Directory::open(&folder.path().join("media")).await.unwrap();
        (folder, directory)
    }

    async fn put(directory: &Directory, offset: u64, data: &[u8]) -> Result<(), ObjectError> {
        let (first, second) = data.split_at(data.len() / 2);
        directory.put(KEY, offset, vec![Bytes::copy_from_slice(first), Bytes::copy_from_slice(second)]).await
    }

    async fn read(directory: &Directory, range: Range<u64>) -> Result<Vec<u8>, ObjectError> {
        let pieces: Vec<Bytes> = directory.read(KEY, range).await?.try_collect().await?;
        Ok(pieces.concat())
    }

    #[tokio::test]
    async fn m6_an_object_is_not_there_until_it_is_whole_and_then_it_is_all_there() {
        let (_folder, directory) = directory().await;
        let bytes: Vec<u8> = (0..700_000_u32).map(|at| (at % 251) as u8).collect();
        directory.begin(KEY).await.unwrap();
        directory.begin(KEY).await.unwrap();
        put(&directory, 0, &bytes[..500_000]).await.unwrap();
        // A part again, and one that reaches further than what is there in the end.
        put(&directory, 0, &bytes[..500_000]).await.unwrap();
        put(&directory, 500_000, &[7; 400_000]).await.unwrap();
        put(&directory, 500_000, &bytes[500_000..]).await.unwrap();
        assert_eq!(read(&directory, 0..1).await, Err(ObjectError::Missing));

        directory.finish(KEY, 700_000).await.unwrap();
        assert_eq!(read(&directory, 0..700_000).await.unwrap(), bytes);
        assert_eq!(read(&directory, 262_143..262_146).await.unwrap(), bytes[262_143..262_146]);
        directory.finish(KEY, 700_000).await.unwrap();
        assert!(matches!(directory.finish(KEY, 1).await, Err(ObjectError::Damaged(_))));
        assert!(matches!(read(&directory, 0..700_001).await, Err(ObjectError::Damaged(_))));
        assert_eq!(put(&directory, 0, b"later").await, Err(ObjectError::Missing));
    }

    #[tokio::test]
    async fn f16_the_folders_of_objects_are_there_before_the_objects() {
        let (folder, _directory) = directory().await;
        let objects = folder.path().join("media/objects");
        assert_eq!(fs::read_dir(&objects).unwrap().count(), 256);
        assert!(objects.join("00").is_dir() && objects.join("ff").is_dir());
    }

    #[tokio::test]
    async fn f16_what_is_removed_does_not_come_back() {
        let (folder, directory) = directory().await;
        directory.begin(KEY).await.unwrap();
        put(&directory, 0, b"some").await.unwrap();
        assert!(matches!(directory.finish(KEY, 5).await, Err(ObjectError::Damaged(_))));
        directory.remove(KEY).await.unwrap();
        assert_eq!(put(&directory, 4, b"more").await, Err(ObjectError::Missing));
        assert_eq!(directory.finish(KEY, 4).await, Err(ObjectError::Missing));

        directory.begin(KEY).await.unwrap();
        put(&directory, 0, b"some").await.unwrap();
        directory.finish(KEY, 4).await.unwrap();
        directory.remove(KEY).await.unwrap();
        directory.remove(KEY).await.unwrap();
        assert_eq!(read(&directory, 0..4).await, Err(ObjectError::Missing));
        for place in ["uploads", "objects/60"] {
            assert_eq!(fs::read_dir(folder.path().join("media").join(place)).unwrap().count(), 0, "{place}");
        }
    }

    #[tokio::test]
    async fn s55_writers_of_one_object_take_turns_even_when_nobody_waits_for_them() {
        let (_folder, directory) = directory().await;
        directory.begin(KEY).await.unwrap();
        let long = vec![Bytes::from(vec![1; 8 << 20])];
        for _ in 0..8 {
            // It has begun, and nobody hears its end.
            let _ = directory.put(KEY, 0, long.clone()).now_or_never();
            directory.put(KEY, 0, vec![Bytes::from(vec![2; 8 << 20])]).await.unwrap();
        }
        directory.finish(KEY, 8 << 20).await.unwrap();
        assert!(read(&directory, 0..8 << 20).await.unwrap().iter().all(|byte| *byte == 2));
    }

    #[tokio::test]
    async fn f23_a_folder_has_one_owner() {
        let (folder, first) = directory().await;
        let root = folder.path().join("media");
        let error = Directory::open(&root).await.err().unwrap();
        assert!(format!("{error:#}").ends_with("another process uses it"), "{error:#}");
        drop(first);
        Directory::open(&root).await.unwrap();
    }

    #[tokio::test]
    async fn f16_what_is_in_a_folder_that_is_away_is_not_lost() {
        let (folder, directory) = directory().await;
        let (here, away) = (folder.path().join("media"), folder.path().join("away"));
        directory.begin(KEY).await.unwrap();
        put(&directory, 0, b"some").await.unwrap();
        fs::rename(&here, &away).unwrap();
        for empty in [false, true] {
            if empty {
                // A mount point without its disk.
                fs::create_dir(&here).unwrap();
            }
            assert!(matches!(put(&directory, 4, b"more").await, Err(ObjectError::Unavailable(_))));
            assert!(matches!(directory.begin(KEY).await, Err(ObjectError::Unavailable(_))));
            assert!(matches!(directory.finish(KEY, 4).await, Err(ObjectError::Unavailable(_))));
            assert!(matches!(directory.remove(KEY).await, Err(ObjectError::Unavailable(_))));
            assert!(matches!(read(&directory, 0..4).await, Err(ObjectError::Unavailable(_))));
        }
        fs::remove_dir(&here).unwrap();
        fs::rename(&away, &here).unwrap();
        put(&directory, 4, b"more").await.unwrap();
        directory.finish(KEY, 8).await.unwrap();
        assert_eq!(read(&directory, 0..8).await.unwrap(), b"somemore");
    }

    #[tokio::test]
    async fn f24_a_file_that_is_cut_is_no_shorter_object() {
        let (folder, directory) = directory().await;
        directory.begin(KEY).await.unwrap();
        put(&directory, 0, &[1; 600_000]).await.unwrap();
        directory.finish(KEY, 600_000).await.unwrap();
        let stream = directory.read(KEY, 0..600_000).await.unwrap();
        File::options().write(true).open(folder.path().join("media").join(KEY)).unwrap().set_len(300_000).unwrap();
        let read: Result<Vec<Bytes>, ObjectError> = stream.try_collect().await;
        assert!(matches!(read, Err(ObjectError::Damaged(_))));
    }
}
