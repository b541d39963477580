//! The stream of what happens to the uploads and files of a project.

use std::time::Duration;

use quartet_chassis::clock::timestamp;
use quartet_chassis::failure::Fields;
use quartet_chassis::id::Id;
use quartet_chassis::parts::Parts;
use quartet_proto::media::v1::{MediaEvent, MediaEventKind, WatchMediaResponse};
use tokio::sync::mpsc::{Sender, channel};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use crate::error::Error;
use crate::store::Store;
use crate::store::project::not_found;
use crate::store::watch::{BATCH, EventRow};

/// The longest that a stream is silent.
const BEAT: Duration = Duration::from_secs(20);
/// How often it is looked for what other instances have committed, and whether the watcher is still a member.
const PERIOD: Duration = Duration::from_secs(1);

type Message = Result<WatchMediaResponse, Status>;

/// Whose events, and for whom.
#[derive(Clone, Copy)]
pub struct Watched {
    pub project_id: Id,
    pub account_id: Id,
}

/// Begins a stream behind an event; 0 stands for the last that there is.
pub async fn begin(
    store: &Store,
    watched: Watched,
    after: i64,
    parts: &Parts,
) -> Result<ReceiverStream<Message>, Error> {
    let last = last_event(store, watched).await?;
    if after > last {
        let mut fields = Fields::default();
        fields.refuse("after", "must be a `cursor` of this project");
        return Err(fields.into());
    }
    let cursor = if after == 0 { last } else { after };
    // What lies behind the cursor must still be known before the stream is promised.
    let first = next(store, watched, cursor, last).await?;
    // One message waits at most: a slow client holds no connection and little memory.
    let (sender, receiver) = channel(1);
    let store = store.clone();
    parts.spawn(async move {
        if let Err(error) = watch(&store, watched, first, &sender).await {
            sender.send(Err(error.into())).await.ok();
        }
    });
    Ok(ReceiverStream::new(receiver))
}

/// Sends what is new, and a beat where nothing is, until the client goes, is no member any more, or the database fails.
async fn watch(
    store: &Store,
    watched: Watched,
    mut message: WatchMediaResponse,
    sender: &Sender<Message>,
) -> Result<(), Error> {
    let mut said = Instant::now();
    loop {
        let (cursor, full) = (message.cursor, message.events.len() >= BATCH);
        if sender.send(Ok(message)).await.is_err() {
            return Ok(());
        }
        let mut bell = std::pin::pin!(store.bell(watched.project_id).notified());
        message = loop {
            // Before it is looked: what is committed from here on is heard.
            bell.as_mut().enable();
            let next = next(store, watched, cursor, last_event(store, watched).await?).await?;
            if full || !next.events.is_empty() || said.elapsed() >= BEAT {
                said = Instant::now();
                break next;
            }
            tokio::select! {
                () = sender.closed() => return Ok(()),
                () = bell.as_mut() => bell.set(store.bell(watched.project_id).notified()),
                () = tokio::time::sleep(PERIOD) => {}
            }
        };
    }
}

async fn last_event(store: &Store, watched: Watched) -> Result<i64, Error> {
    let last = store.last_event(watched.project_id, watched.account_id).await?;
    last.ok_or_else(|| not_found(watched.project_id))
}

/// What lies behind a cursor.
async fn next(store: &Store, watched: Watched, cursor: i64, last: i64) -> Result<WatchMediaResponse, Error> {
    if cursor == last {
        return Ok(WatchMediaResponse { events: Vec::new(), cursor });
    }
    let rows = store.events_after(watched.project_id, watched.account_id, cursor).await?;
    // Numbers have no gaps: where the next one is missing, what was old has been removed, or the watcher.
    if rows.first().is_none_or(|row| row.number != cursor + 1) {
        last_event(store, watched).await?;
        return Err(Error::CursorTooOld);
    }
    let cursor = rows.last().map_or(cursor, |row| row.number);
    Ok(WatchMediaResponse { events: rows.into_iter().map(MediaEvent::from).collect(), cursor })
}

impl From<EventRow> for MediaEvent {
    fn from(row: EventRow) -> MediaEvent {
        let kind = MediaEventKind::from_str_name(&format!("MEDIA_EVENT_KIND_{}", row.kind)).unwrap_or_default();
        let text = |id: Option<Id>| id.map(|id| id.to_string()).unwrap_or_default();
        MediaEvent {
            number: row.number,
            kind: kind.into(),
            upload_id: text(row.upload_id),
            media_id: text(row.media_id),
            time: Some(timestamp(row.create_time)),
        }
    }
}
