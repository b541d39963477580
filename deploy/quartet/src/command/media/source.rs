//! A file on its way to a server.

use std::fs::{File, Metadata};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use indicatif::ProgressBar;
use quartet_proto::media::v1::MediaKind;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use super::kind;
use crate::task::Put;

/// Bytes that are read and sent at a time: the server takes up to 1 MiB in a message.
const PIECE: usize = 512 << 10;

/// The file, and what it will be in the project.
pub struct Source {
    path: PathBuf,
    file: Arc<File>,
    seen: (u64, i64, i64),
    pub name: String,
    pub kind: MediaKind,
    pub content_type: String,
}

/// The digest of a file's beginning.
#[derive(Clone, Default)]
pub struct Digest {
    at: u64,
    state: Sha256,
}

impl Source {
    pub fn open(wanted: &Put) -> anyhow::Result<Source> {
        let shown = wanted.file.display();
        let unreadable = || format!("can't read {shown}");
        let path = wanted.file.canonicalize().with_context(unreadable)?;
        let file = File::open(&path).with_context(unreadable)?;
        let metadata = file.metadata().with_context(unreadable)?;
        if !metadata.is_file() {
            bail!("{shown} is no file");
        }
        if metadata.len() == 0 {
            bail!("{shown} is empty: a file without bytes can't be uploaded");
        }
        let (content_type, known) = kind::of_name(&path);
        let unclear = || format!("the name of {shown} does not tell what it is: give `--kind`");
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        Ok(Source {
            name: wanted.name.clone().or(name).unwrap_or_default(),
            kind: wanted.kind.map(MediaKind::from).or(known).with_context(unclear)?,
            content_type: wanted.content_type.clone().unwrap_or_else(|| content_type.to_owned()),
            seen: seen(&metadata),
            file: Arc::new(file),
            path,
        })
    }

    pub fn size(&self) -> u64 {
        self.seen.0
    }

    /// The same for the same file into the same project, whenever and wherever the command is given on this machine; another one for
    /// each attempt, and for a file that was changed.
    pub fn key(&self, project_id: &str, attempt: u32) -> String {
        let (size, seconds, nanoseconds) = self.seen;
        let mut digest = Sha256::new();
        let path: &[u8] = self.path.as_os_str().as_bytes();
        for text in [path, project_id.as_bytes(), self.name.as_bytes(), self.content_type.as_bytes()] {
            digest.update((text.len() as u64).to_le_bytes());
            digest.update(text);
        }
        digest.update(i32::from(self.kind).to_le_bytes());
        digest.update(size.to_le_bytes());
        digest.update(seconds.to_le_bytes());
        digest.update(nanoseconds.to_le_bytes());
        digest.update(attempt.to_le_bytes());
        hex::encode(digest.finalize())
    }

    /// Whether it is still the file that it was. Who changes it in the middle would otherwise store neither the one nor the other.
    pub fn is_unchanged(&self) -> bool {
        std::fs::metadata(&self.path).is_ok_and(|metadata| seen(&metadata) == self.seen)
    }

    /// Reads the file on a thread of its own, from `from` to its end, into `pieces`, for as long as they are taken. Gives the digest of
    /// all that was ever read.
    pub async fn send(
        &self,
        from: u64,
        mut digest: Digest,
        pieces: mpsc::Sender<Bytes>,
        bar: ProgressBar,
    ) -> anyhow::Result<Digest> {
        let (file, size) = (self.file.clone(), self.size());
        let sent = tokio::task::spawn_blocking(move || {
            read(&file, from, size, |at, piece| {
                digest.add(at, &piece);
                let goes_on = pieces.blocking_send(piece).is_ok();
                bar.set_position(at);
                goes_on
            })?;
            io::Result::Ok(digest)
        });
        sent.await?.with_context(|| self.unreadable())
    }

    /// The digest up to `to`, of which the beginning is there already.
    pub async fn digest(&self, mut digest: Digest, to: u64, bar: &ProgressBar) -> anyhow::Result<Digest> {
        if digest.at >= to {
            return Ok(digest);
        }
        let (file, from, bar) = (self.file.clone(), digest.at, bar.clone());
        bar.set_message("(reading what is stored already)");
        let digested = tokio::task::spawn_blocking(move || {
            read(&file, from, to, |at, piece| {
                digest.add(at, &piece);
                bar.set_position(at);
                true
            })?;
            bar.set_message("");
            io::Result::Ok(digest)
        });
        digested.await?.with_context(|| self.unreadable())
    }

    fn unreadable(&self) -> String {
        format!("can't read {}", self.path.display())
    }
}

impl Digest {
    /// Takes in a piece that begins at `at`; what was taken in before is left out.
    fn add(&mut self, at: u64, piece: &[u8]) {
        let known = usize::try_from(self.at.saturating_sub(at)).unwrap_or(usize::MAX).min(piece.len());
        if at <= self.at {
            self.state.update(&piece[known..]);
            self.at = self.at.max(at + piece.len() as u64);
        }
    }

    pub fn finish(self) -> Bytes {
        self.state.finalize().to_vec().into()
    }
}

/// What shows that a file was changed: its length, and when it was last written.
fn seen(metadata: &Metadata) -> (u64, i64, i64) {
    (metadata.len(), metadata.mtime(), metadata.mtime_nsec())
}

/// Reads pieces with their places, for as long as `take` wants more.
fn read(mut file: &File, from: u64, to: u64, mut take: impl FnMut(u64, Bytes) -> bool) -> io::Result<()> {
    file.seek(SeekFrom::Start(from))?;
    let mut at = from;
    while at < to {
        let length = usize::try_from(to - at).unwrap_or(PIECE).min(PIECE);
        let mut piece = Vec::with_capacity(length);
        file.take(length as u64).read_to_end(&mut piece)?;
        if piece.len() < length {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it has become shorter"));
        }
        if !take(at, piece.into()) {
            return Ok(());
        }
        at += length as u64;
    }
    Ok(())
}

/// The digest of a file's first bytes, as many as `length`.
pub fn digest_of(file: &File, length: u64, bar: &ProgressBar) -> io::Result<Sha256> {
    let mut state = Sha256::new();
    read(file, 0, length, |at, piece| {
        state.update(&piece);
        bar.set_position(at);
        true
    })?;
    Ok(state)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "what a test stands on must be there")]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn put(file: &std::path::Path) -> Put {
        Put { file: file.to_owned(), project: "p".to_owned(), kind: None, content_type: None, name: None, patience: 1 }
    }

    #[test]
    fn the_same_file_has_the_same_key_until_it_is_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("beach.mp4");
        std::fs::write(&path, b"waves").unwrap();
        let (first, again) = (Source::open(&put(&path)).unwrap(), Source::open(&put(&path)).unwrap());
        assert_eq!(first.key("p", 0), again.key("p", 0));
        assert_eq!(first.key("p", 0).len(), 64);
        assert_ne!(first.key("p", 0), first.key("p", 1));
        assert_ne!(first.key("p", 0), first.key("q", 0));
        File::options().append(true).open(&path).unwrap().write_all(b"!").unwrap();
        assert_ne!(first.key("p", 0), Source::open(&put(&path)).unwrap().key("p", 0));
        assert!(!first.is_unchanged() && !again.is_unchanged());
    }

    #[test]
    fn a_digest_takes_in_each_byte_once() {
        let mut digest = Digest::default();
        for (at, piece) in [(0, "abc"), (0, "abcd"), (2, "cd"), (3, "def"), (0, "a")] {
            digest.add(at, piece.as_bytes());
        }
        assert_eq!(digest.finish(), Sha256::digest("abcdef").to_vec());
    }

    #[test]
    fn what_can_not_be_uploaded_is_said_at_once() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("empty.mp4"), b"").unwrap();
        std::fs::write(folder.path().join("thing.bin"), b"x").unwrap();
        for (name, expected) in
            [("", "is no file"), ("empty.mp4", "is empty"), ("thing.bin", "--kind"), ("no", "can't read")]
        {
            let refused = Source::open(&put(&folder.path().join(name))).err().unwrap();
            assert!(format!("{refused:#}").contains(expected), "{refused:#}");
        }
    }
}
