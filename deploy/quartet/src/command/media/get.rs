//! `quartet media get`: a file comes down, and goes on where it was broken off.

use std::fs::{File, TryLockError};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use indicatif::ProgressBar;
use quartet_chassis::id::Id;
use quartet_proto::media::v1::media_service_client::MediaServiceClient;
use quartet_proto::media::v1::{ByteRange, DownloadRequest, Media, download_response};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use sha2::{Digest as _, Sha256};
use tonic::Status;

use super::patience::Patience;
use super::session::Session;
use super::source::digest_of;
use super::{as_account, bar, media};
use crate::command::say;
use crate::process::complain;
use crate::reach::failed;
use crate::settings::Options;
use crate::task::Get;

pub async fn run(options: &Options, wanted: &Get) -> anyhow::Result<()> {
    let (path, media) = as_account(options, async |session| {
        let media = media(session, &wanted.media).await.map_err(failed)?;
        let path = target(wanted.file.as_deref(), &media)?;
        let bar = bar(u64::try_from(media.size_bytes)?);
        let patience = Patience::new(Duration::from_secs(wanted.patience));
        let fetched = fetch(session, &media, &path, &bar, patience).await;
        bar.finish_and_clear();
        fetched.map(|()| (path, media))
    })
    .await?;
    let (size, sha256) = (media.size_bytes, hex::encode(&media.sha256));
    say(format_args!("{} is there: {size} bytes, SHA-256 {sha256}", path.display()));
    Ok(())
}

/// Where the file goes. What somebody else has chosen leads to no other folder and hides nothing, be it a name or what a server calls an id.
fn target(wanted: Option<&Path>, media: &Media) -> anyhow::Result<PathBuf> {
    let id: Id = media.media_id.parse().context("the server answers with a file's id that is none")?;
    let name: String = media.name.chars().map(|c| if c == '/' || c.is_control() { '_' } else { c }).collect();
    let name = match name.trim_start_matches('.') {
        "" => id.to_string(),
        bare if bare.len() < name.len() => format!("_{bare}"),
        bare => bare.to_owned(),
    };
    Ok(match wanted {
        None => PathBuf::from(name),
        Some(folder) if folder.is_dir() => folder.join(name),
        Some(file) => file.to_owned(),
    })
}

async fn fetch(
    session: &mut Session,
    media: &Media,
    path: &Path,
    bar: &ProgressBar,
    mut patience: Patience,
) -> anyhow::Result<()> {
    if path.exists() {
        return compare(path, media, bar);
    }
    let mut part = Part::open(path, media, bar)?;
    let mut has_old = part.at > 0;
    loop {
        while part.at < part.size {
            let before = part.at;
            let Err(status) = download(session, media, &mut part, bar).await? else { continue };
            if part.at > before {
                patience.restore();
            }
            if let Some(status) = session.after(status).await {
                patience.bear(status, bar).await?;
            }
        }
        if part.digest.clone().finalize()[..] == media.sha256[..] {
            return part.keep(path);
        }
        part.clear()?;
        if !has_old {
            bail!("what came has another SHA-256 than the file that was uploaded");
        }
        has_old = false;
        let old = part.path.display();
        bar.suspend(|| complain(format_args!("{old} was no part of this file: beginning anew")));
    }
}

/// A file of that name that is there is good when it is the same.
fn compare(path: &Path, media: &Media, bar: &ProgressBar) -> anyhow::Result<()> {
    let file = File::open(path).with_context(|| format!("can't read {}", path.display()))?;
    let size = file.metadata()?.len();
    if i64::try_from(size)? == media.size_bytes {
        let digest = tokio::task::block_in_place(|| digest_of(&file, size, bar))?;
        if digest.finalize()[..] == media.sha256[..] {
            return Ok(());
        }
    }
    bail!("{} is there and is another file: name another place", path.display())
}

/// Streams what is still to come. The outer error is this machine's, the inner one the server's or the line's.
async fn download(
    session: &mut Session,
    media: &Media,
    part: &mut Part,
    bar: &ProgressBar,
) -> anyhow::Result<Result<(), Status>> {
    let range = ByteRange { offset: i64::try_from(part.at)?, ..Default::default() };
    let asked = DownloadRequest { media_id: media.media_id.clone(), range: Some(range), ..Default::default() };
    let request = match session.request(asked).await {
        Ok(request) => request,
        Err(status) => return Ok(Err(status)),
    };
    let mut stream = match MediaServiceClient::new(session.channel()).download(request).await {
        Ok(answer) => answer.into_inner(),
        Err(status) => return Ok(Err(status)),
    };
    loop {
        match stream.message().await {
            Ok(Some(message)) => {
                if let Some(download_response::Content::Data(data)) = message.content {
                    tokio::task::block_in_place(|| part.write(&data))?;
                    bar.set_position(part.at);
                }
            }
            Ok(None) if part.at < part.size => return Ok(Err(Status::unavailable("the stream has ended too soon"))),
            Ok(None) => return Ok(Ok(())),
            Err(status) => return Ok(Err(status)),
        }
    }
}

/// The file as far as it is there.
struct Part {
    path: PathBuf,
    file: File,
    at: u64,
    size: u64,
    digest: Sha256,
}

impl Part {
    /// Takes up what an earlier command has left. Two commands don't write one file.
    fn open(target: &Path, media: &Media, bar: &ProgressBar) -> anyhow::Result<Part> {
        let mut path = target.as_os_str().to_owned();
        path.push(".part");
        let path = PathBuf::from(path);
        let unusable = || format!("can't write {}", path.display());
        let file = File::options().create(true).truncate(false).read(true).write(true).open(&path);
        let file = file.with_context(unusable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!("another process writes {}", path.display()),
            Err(TryLockError::Error(error)) => return Err(error).with_context(unusable),
        }
        let (at, size) = (file.metadata()?.len(), u64::try_from(media.size_bytes)?);
        let mut part = Part { path, file, at, size, digest: Sha256::new() };
        if at > size {
            part.clear()?;
        } else {
            bar.set_message("(reading what is there already)");
            part.digest = tokio::task::block_in_place(|| digest_of(&part.file, at, bar))?;
            bar.set_message("");
        }
        part.file.seek(SeekFrom::Start(part.at))?;
        Ok(part)
    }

    fn write(&mut self, data: &[u8]) -> anyhow::Result<()> {
        let fitting = data.len() as u64 <= self.size - self.at;
        anyhow::ensure!(fitting, "more bytes come than the file has");
        self.file.write_all(data).with_context(|| format!("can't write {}", self.path.display()))?;
        self.digest.update(data);
        self.at += data.len() as u64;
        Ok(())
    }

    fn clear(&mut self) -> anyhow::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        (self.at, self.digest) = (0, Sha256::new());
        Ok(())
    }

    /// Gives the file its name, which nothing else has taken meanwhile.
    fn keep(self, target: &Path) -> anyhow::Result<()> {
        self.file.sync_all()?;
        match renameat_with(CWD, &self.path, CWD, target, RenameFlags::NOREPLACE) {
            // A file system that can't.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => Ok(std::fs::rename(&self.path, target)?),
            renamed => renamed.with_context(|| format!("can't name the file {}", target.display())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s51_a_name_leads_to_no_other_folder() {
        const ID: &str = "0198b3f2-7d0c-7a51-8f0e-5b1d2c3e4f60";
        let called = |name: &str, id: &str| {
            let media = Media { name: name.to_owned(), media_id: id.to_owned(), ..Default::default() };
            target(None, &media).map(|path| path.display().to_string())
        };
        let named = |name: &str| called(name, ID).unwrap_or_default();
        for id in ["", "..", "../../etc/passwd", "/etc/passwd"] {
            assert!(called("...", id).is_err() && called("beach.mp4", id).is_err(), "{id}");
        }
        assert_eq!(named("beach.mp4"), "beach.mp4");
        assert_eq!(named("../../etc/passwd"), "__.._etc_passwd");
        assert_eq!(named(".bashrc"), "_bashrc");
        assert_eq!(named("..."), ID);
        assert_eq!(named("a\u{7}b"), "a_b");
    }
}
