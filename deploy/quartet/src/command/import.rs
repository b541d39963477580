//! `quartet import …`: streams a file to a service and reports what became of each line.

use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use quartet_chassis::upstream::Upstream;
use quartet_proto::catalogue::v1::import_service_client::ImportServiceClient;
use quartet_proto::catalogue::v1::{ImportIssueKind, ImportMoviesRequest, ImportSummary};
use quartet_proto::identity::v1::account_import_service_client::AccountImportServiceClient;
use quartet_proto::identity::v1::{AccountFileFormat, ImportAccountsRequest, ImportAccountsResponse};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Response, Status};

use super::say;
use crate::reach::{Reached, failed, operator};
use crate::settings::Options;
use crate::task::{AccountFormat, Context};

/// Bytes of one message.
const PIECE: usize = 64 * 1024;

pub async fn movies(options: &Options, path: &Path) -> anyhow::Result<()> {
    let message = |content: Vec<u8>| ImportMoviesRequest { content: content.into() };
    let call =
        async |upstream: Upstream, messages| ImportServiceClient::new(upstream).import_movies(operator(messages)).await;
    let answer = import(options, path, Context::Catalogue, message, call).await?;
    report(&answer.summary.unwrap_or_default());
    Ok(())
}

pub async fn accounts(options: &Options, path: &Path, format: Option<AccountFormat>) -> anyhow::Result<()> {
    let format = match format.or_else(|| format_of(path)) {
        Some(AccountFormat::Csv) => AccountFileFormat::Csv,
        Some(AccountFormat::Jsonl) => AccountFileFormat::JsonLines,
        None => anyhow::bail!("{} does not tell its form: give `--format csv` or `--format jsonl`", path.display()),
    };
    let message = move |content: Vec<u8>| ImportAccountsRequest { format: format.into(), content };
    let call = async |upstream: Upstream, messages| {
        AccountImportServiceClient::new(upstream).import_accounts(operator(messages)).await
    };
    report_accounts(&import(options, path, Context::Identity, message, call).await?);
    Ok(())
}

/// The form that the end of a file's name stands for.
fn format_of(path: &Path) -> Option<AccountFormat> {
    match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
        "csv" => Some(AccountFormat::Csv),
        "jsonl" | "ndjson" => Some(AccountFormat::Jsonl),
        _ => None,
    }
}

/// Sends a file to a service, with a bar that shows how far it is, and gives the answer.
async fn import<T: Send + 'static, A>(
    options: &Options,
    path: &Path,
    context: Context,
    message: impl Fn(Vec<u8>) -> T + Send + 'static,
    call: impl AsyncFnOnce(Upstream, ReceiverStream<T>) -> Result<Response<A>, Status>,
) -> anyhow::Result<A> {
    let unreadable = || format!("can't read {}", path.display());
    let file = std::fs::File::open(path).with_context(unreadable)?;
    let size = file.metadata().with_context(unreadable)?.len();
    let bar = ProgressBar::new(size);
    // Shown on a terminal only; indicatif sees to that.
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {bytes} of {total_bytes}, {elapsed}") {
        bar.set_style(style);
    }

    let reached = Reached::open(options, context).await?;
    let (pieces, stream) = mpsc::channel(4);
    let reader = tokio::task::spawn_blocking({
        let bar = bar.clone();
        move || send(file, &pieces, message, &bar)
    });
    let answer = call(reached.upstream.clone(), ReceiverStream::new(stream)).await;
    let read = reader.await?;
    reached.close().await;
    bar.finish_and_clear();
    read.with_context(unreadable)?;
    Ok(answer.map_err(failed)?.into_inner())
}

/// Sends the file piece by piece, as fast as they are taken; of an empty file one piece, which says what the file is.
fn send<T>(
    mut file: std::fs::File,
    pieces: &mpsc::Sender<T>,
    message: impl Fn(Vec<u8>) -> T,
    bar: &ProgressBar,
) -> std::io::Result<()> {
    let mut sent = false;
    loop {
        let mut content = Vec::with_capacity(PIECE);
        let length = file.by_ref().take(PIECE as u64).read_to_end(&mut content)?;
        // A receiver that is gone has answered already.
        if (sent && length == 0) || pieces.blocking_send(message(content)).is_err() {
            return Ok(());
        }
        sent = true;
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

fn report_accounts(answer: &ImportAccountsResponse) {
    for problem in &answer.problems {
        say(format_args!("line {}: {}", problem.line, problem.reason));
    }
    let untold = usize::try_from(answer.refused_count).unwrap_or_default().saturating_sub(answer.problems.len());
    if untold > 0 {
        say(format_args!("and {untold} more like these"));
    }
    say(format_args!(
        "{} lines read: {} accounts made, {} unchanged, {} refused",
        answer.row_count, answer.created_count, answer.unchanged_count, answer.refused_count
    ));
}
