//! `quartet media put`: a file goes up, and goes on where it was broken off.

use std::time::Duration;

use anyhow::bail;
use bytes::Bytes;
use indicatif::ProgressBar;
use quartet_proto::media::v1::upload_service_client::UploadServiceClient;
use quartet_proto::media::v1::{
    CompleteUploadRequest, GetUploadRequest, Media, StartUploadRequest, UploadHeader, UploadRequest, UploadState,
    UploadStatus, upload_request,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{StreamExt as _, once};
use tonic::{Code, Status};

use super::patience::Patience;
use super::session::Session;
use super::source::{Digest, Source};
use super::{as_account, bar, media};
use crate::command::say;
use crate::reach::failed;
use crate::settings::Options;
use crate::task::Put;

/// Pieces that are read ahead of the line.
const AHEAD: usize = 4;
/// Uploads of one and the same file within a day that have ended without leaving it there.
const ATTEMPTS: u32 = 100;

pub async fn run(options: &Options, wanted: &Put) -> anyhow::Result<()> {
    let source = Source::open(wanted)?;
    let bar = bar(source.size());
    let stored = as_account(options, async |session| {
        let patience = Patience::new(Duration::from_secs(wanted.patience));
        Errand { session, source: &source, bar: &bar, patience }.run(&wanted.project).await
    });
    let stored = stored.await;
    bar.finish_and_clear();
    let stored = stored?;
    say(format_args!(
        "{} is media {}: {} bytes, SHA-256 {}",
        stored.name,
        stored.media_id,
        stored.size_bytes,
        hex::encode(&stored.sha256)
    ));
    Ok(())
}

/// A file on its way.
struct Errand<'a> {
    session: &'a mut Session,
    source: &'a Source,
    bar: &'a ProgressBar,
    patience: Patience,
}

/// How far a file is.
enum Begun {
    Open(UploadStatus),
    /// It is there already.
    There(Media),
}

impl Errand<'_> {
    async fn run(mut self, project_id: &str) -> anyhow::Result<Media> {
        let mut upload = match self.begin(project_id).await? {
            Begun::Open(upload) => upload,
            Begun::There(media) => return Ok(media),
        };
        let mut digest = Digest::default();
        loop {
            let offset = u64::try_from(upload.offset_bytes)?;
            self.bar.set_position(offset);
            digest = self.source.digest(digest, offset, self.bar).await?;
            let moved = if offset < self.source.size() {
                let (moved, known) = self.send(&upload, digest).await?;
                digest = known;
                moved
            } else {
                match self.complete(&upload, digest.clone()).await? {
                    Ok(media) => return Ok(media),
                    Err(status) => Err(status),
                }
            };
            upload = self.standing(upload, moved).await?;
        }
    }

    /// The upload of this very file, begun now or before.
    async fn begin(&mut self, project_id: &str) -> anyhow::Result<Begun> {
        for attempt in 0..ATTEMPTS {
            let upload = self.start(project_id, attempt).await?;
            match upload.state() {
                UploadState::Open => return Ok(Begun::Open(upload)),
                UploadState::Completed => match media(self.session, &upload.media_id).await {
                    Ok(media) => return Ok(Begun::There(media)),
                    // Deleted since: it is wanted again.
                    Err(status) if status.code() == Code::NotFound => {}
                    Err(status) => return Err(failed(status)),
                },
                _ => {}
            }
        }
        bail!("this file was begun {ATTEMPTS} times today and never stored: something is wrong with it")
    }

    async fn start(&mut self, project_id: &str, attempt: u32) -> anyhow::Result<UploadStatus> {
        let asked = StartUploadRequest {
            project_id: project_id.to_owned(),
            name: self.source.name.clone(),
            kind: self.source.kind.into(),
            content_type: self.source.content_type.clone(),
            size_bytes: i64::try_from(self.source.size())?,
            idempotency_key: self.source.key(project_id, attempt),
            ..Default::default()
        };
        loop {
            let call = self.session.call(asked.clone(), async |channel, asked| {
                UploadServiceClient::new(channel).start_upload(asked).await
            });
            match call.await {
                Ok(answer) => return Ok(answer.upload.unwrap_or_default()),
                Err(status) => self.patience.bear(status, self.bar).await?,
            }
        }
    }

    /// Streams what is still to come. What has become of it, and the digest of all that was read.
    async fn send(&mut self, upload: &UploadStatus, digest: Digest) -> anyhow::Result<(Result<i64, Status>, Digest)> {
        let header = UploadHeader {
            upload_id: upload.upload_id.clone(),
            offset_bytes: upload.offset_bytes,
            ..Default::default()
        };
        let (pieces, taken) = mpsc::channel(AHEAD);
        let messages = once(upload_request::Content::Header(header))
            .chain(ReceiverStream::new(taken).map(upload_request::Content::Data))
            .map(|content| UploadRequest { content: Some(content) });
        let request = match self.session.request(messages).await {
            Ok(request) => request,
            Err(status) => return Ok((Err(status), digest)),
        };
        let mut uploads = UploadServiceClient::new(self.session.channel());
        let from = u64::try_from(upload.offset_bytes)?;
        let (answer, digest) =
            tokio::join!(uploads.upload(request), self.source.send(from, digest, pieces, self.bar.clone()));
        Ok((answer.map(|answer| answer.into_inner().offset_bytes), digest?))
    }

    /// Makes the file readable. The server compares the digest of what it has with that of the file here.
    async fn complete(&mut self, upload: &UploadStatus, digest: Digest) -> anyhow::Result<Result<Media, Status>> {
        if !self.source.is_unchanged() {
            bail!("the file was changed while it was read: give the command again");
        }
        let sha256: Bytes = digest.finish();
        let asked = CompleteUploadRequest { upload_id: upload.upload_id.clone(), sha256 };
        self.bar.set_message("(completing)");
        let call = self
            .session
            .call(asked, async |channel, asked| UploadServiceClient::new(channel).complete_upload(asked).await);
        Ok(call.await.map(|answer| answer.media.unwrap_or_default()))
    }

    /// Where the upload stands after a try: what was stored of a stream that broke stays stored.
    async fn standing(&mut self, before: UploadStatus, moved: Result<i64, Status>) -> anyhow::Result<UploadStatus> {
        let mut trouble = match moved {
            Ok(offset_bytes) if offset_bytes > before.offset_bytes => {
                self.patience.restore();
                return Ok(UploadStatus { offset_bytes, ..before });
            }
            Ok(_) => Some(Status::internal("nothing was stored")),
            Err(status) => self.session.after(status).await,
        };
        loop {
            if let Some(status) = trouble.take() {
                self.patience.bear(status, self.bar).await?;
            }
            let asked = GetUploadRequest { upload_id: before.upload_id.clone() };
            let call = self
                .session
                .call(asked, async |channel, asked| UploadServiceClient::new(channel).get_upload(asked).await);
            match call.await {
                Ok(answer) => return self.gone_on(&before, answer.upload.unwrap_or_default()),
                Err(status) => trouble = Some(status),
            }
        }
    }

    fn gone_on(&mut self, before: &UploadStatus, now: UploadStatus) -> anyhow::Result<UploadStatus> {
        if now.offset_bytes > before.offset_bytes {
            self.patience.restore();
        }
        match now.state() {
            // Completed by a call whose answer was lost: the same call again gives the same answer.
            UploadState::Open | UploadState::Completed => Ok(now),
            UploadState::Failed => bail!("the upload has failed ({}): the same command begins anew", now.failure),
            _ => bail!("the upload was given up: the same command begins anew"),
        }
    }
}
