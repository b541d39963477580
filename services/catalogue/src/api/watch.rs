//! The stream of changes.

use std::time::Duration;

use quartet_chassis::db::DbError;
use quartet_chassis::parts::Parts;
use quartet_proto::catalogue::v1::{Movie, MovieChange, WatchMoviesResponse, movie_change};
use tokio::sync::mpsc::{Sender, channel};
use tokio::sync::watch::Receiver;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use crate::error::Error;
use crate::feed::Place;
use crate::store::Store;
use crate::store::change::{BATCH, Change};

/// The longest that a stream is silent.
const BEAT: Duration = Duration::from_secs(20);
/// How often it is looked for what other instances have committed.
const PERIOD: Duration = Duration::from_millis(500);
/// How many bytes of movies go into a message, but for the first movie: a client takes no message above 4 MiB.
const LENGTH: usize = 1 << 20;

type Message = Result<WatchMoviesResponse, Status>;

/// Begins a stream behind a place.
pub fn begin(store: &Store, place: Place, parts: &Parts) -> ReceiverStream<Message> {
    // One message waits at most: a slow client holds no connection and little memory.
    let (sender, receiver) = channel(1);
    let store = store.clone();
    parts.spawn(async move {
        if let Err(error) = watch(&store, place, &sender).await {
            sender.send(Err(error.into())).await.ok();
        }
    });
    ReceiverStream::new(receiver)
}

/// Looks for what other instances have committed, as long as the process runs and somebody watches.
pub async fn look(store: Store) {
    loop {
        tokio::time::sleep(PERIOD).await;
        if let Err(error) = store.look_for_changes().await {
            tracing::warn!(%error, "can't look for changes");
        }
    }
}

/// Sends what is new, and a beat where nothing is, until the client goes or the database fails.
async fn watch(store: &Store, mut place: Place, sender: &Sender<Message>) -> Result<(), Error> {
    let mut newest = store.hear();
    loop {
        // Before it is looked: what is committed from here on wakes it.
        newest.borrow_and_update();
        let (message, next) = next(store, place).await?;
        let complete = message.complete;
        if sender.send(Ok(message)).await.is_err() {
            return Ok(());
        }
        place = next;
        if complete && !wait(&mut newest, sender).await {
            return Ok(());
        }
        // Somebody who is slow, or away for a month with the stream open, is told like everybody else.
        if !place.is_known(&store.state().await?) {
            return Err(Error::CursorTooOld);
        }
    }
}

/// Waits for a change or for the time of a beat; false when the client has gone.
async fn wait(newest: &mut Receiver<i64>, sender: &Sender<Message>) -> bool {
    tokio::select! {
        () = sender.closed() => false,
        heard = newest.changed() => heard.is_ok(),
        () = tokio::time::sleep(BEAT) => true,
    }
}

/// The next message, and how far it goes.
async fn next(store: &Store, mut place: Place) -> Result<(WatchMoviesResponse, Place), DbError> {
    let changes = store.changes_after(&place).await?;
    let mut complete = changes.len() < BATCH;
    let mut message = WatchMoviesResponse::default();
    let mut length = 0;
    for change in changes {
        let (number, id) = change.place();
        let change = match change {
            Change::Is(row) => movie_change::Change::Movie(Movie::from(*row)),
            Change::IsGone(id, _) => movie_change::Change::DeletedMovieId(id.to_string()),
        };
        length += self::length(&change);
        if length > LENGTH && !message.changes.is_empty() {
            complete = false;
            break;
        }
        message.changes.push(MovieChange { change: Some(change) });
        (place.number, place.id) = (number, id);
    }
    (message.cursor, message.complete) = (place.cursor(), complete);
    Ok((message, place))
}

/// About how many bytes a change has.
fn length(change: &movie_change::Change) -> usize {
    let movie_change::Change::Movie(movie) = change else { return 64 };
    let names = movie.genres.iter().chain(&movie.actors).chain(&movie.languages);
    256 + movie.name.len() + movie.original_name.len() + movie.overview.len() + names.map(String::len).sum::<usize>()
}
