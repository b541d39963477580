//! `quartet media put` and `get`: files to and from a server somewhere, as an account of it.
//!
//! Nothing about an upload or a download is kept on this machine but the file itself: a command that was broken off goes on when it is
//! given again.

mod connection;
mod get;
mod kind;
mod patience;
mod put;
pub mod session;
mod source;

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use quartet_proto::media::v1::media_service_client::MediaServiceClient;
use quartet_proto::media::v1::{GetMediaRequest, Media};
use tonic::Status;

use self::session::Session;
use crate::settings::Options;
use crate::task::MediaTool;

pub async fn run(tool: MediaTool, options: &Options) -> anyhow::Result<()> {
    match tool {
        MediaTool::Put(wanted) => put::run(options, &wanted).await,
        MediaTool::Get(wanted) => get::run(options, &wanted).await,
    }
}

/// Does something as the account, until it is done or somebody wants it to end, and signs out either way.
pub async fn as_account<T>(
    options: &Options,
    work: impl AsyncFnOnce(&mut Session) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let mut session = Session::open(&options.client).await?;
    let done = tokio::select! {
        done = work(&mut session) => done,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("broken off: the same command goes on")),
    };
    session.end().await;
    done
}

/// What is known of a file.
async fn media(session: &mut Session, media_id: &str) -> Result<Media, Status> {
    let asked = GetMediaRequest { media_id: media_id.to_owned() };
    let answer = session.call(asked, async |channel, asked| MediaServiceClient::new(channel).get_media(asked).await);
    Ok(answer.await?.media.unwrap_or_default())
}

/// Shows on a terminal how far it is; indicatif sees that it is one.
fn bar(size: u64) -> ProgressBar {
    let bar = ProgressBar::new(size);
    let form = "{bar:40} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left {msg}";
    if let Ok(style) = ProgressStyle::with_template(form) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}
