//! `quartet import movies`: streams a file to the catalogue and reports what became of each row.

use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use quartet_proto::catalogue::v1::import_service_client::ImportServiceClient;
use quartet_proto::catalogue::v1::{ImportIssueKind, ImportMoviesRequest, ImportSummary};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::say;
use crate::reach::{Reached, failed, operator};
use crate::settings::Options;
use crate::task::Context;

/// Bytes of one message.
const PIECE: usize = 64 * 1024;

pub async fn movies(options: &Options, path: &Path) -> anyhow::Result<()> {
    let unreadable = || format!("can't read {}", path.display());
    let file = std::fs::File::open(path).with_context(unreadable)?;
    let size = file.metadata().with_context(unreadable)?.len();
    let bar = ProgressBar::new(size);
    // Shown on a terminal only; indicatif sees to that.
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {bytes} of {total_bytes}, {elapsed}") {
        bar.set_style(style);
    }

    let reached = Reached::open(options, Context::Catalogue).await?;
    let (pieces, stream) = mpsc::channel(4);
    let reader = tokio::task::spawn_blocking({
        let bar = bar.clone();
        move || send(file, &pieces, &bar)
    });
    let mut client = ImportServiceClient::new(reached.upstream.clone());
    let answer = client.import_movies(operator(ReceiverStream::new(stream))).await;
    let read = reader.await?;
    reached.close().await;
    bar.finish_and_clear();
    read.with_context(unreadable)?;
    report(&answer.map_err(failed)?.into_inner().summary.unwrap_or_default());
    Ok(())
}

/// Sends the file piece by piece, as fast as they are taken.
fn send(mut file: std::fs::File, pieces: &mpsc::Sender<ImportMoviesRequest>, bar: &ProgressBar) -> std::io::Result<()> {
    loop {
        let mut content = Vec::with_capacity(PIECE);
        let length = file.by_ref().take(PIECE as u64).read_to_end(&mut content)?;
        // A receiver that is gone has answered already.
        if length == 0 || pieces.blocking_send(ImportMoviesRequest { content: content.into() }).is_err() {
            return Ok(());
        }
        bar.inc(length as u64);
    }
}

fn report(summary: &ImportSummary) {
    for issue in &summary.issues {
        let kind = match issue.kind() {
            ImportIssueKind::Duplicate => "duplicate",
            ImportIssueKind::Rejected => "rejected",
            ImportIssueKind::Unspecified => "noted",
        };
        say(format_args!("line {}: {kind}: {}", issue.line, issue.message));
    }
    let found = summary.rows_duplicate + summary.rows_rejected;
    let untold = usize::try_from(found).unwrap_or_default().saturating_sub(summary.issues.len());
    if untold > 0 {
        say(format_args!("and {untold} more like these"));
    }
    say(format_args!(
        "{} rows read: {} movies stored, {} unchanged, {} duplicates, {} rejected",
        summary.rows_read,
        summary.movies_stored,
        summary.movies_unchanged,
        summary.rows_duplicate,
        summary.rows_rejected
    ));
}
