//! Reads stored objects again, one after the other and slowly, so that damage is known before somebody asks for the file. A disk that has lost a
//! bit tells nobody, and a download can't: its digest is known when its bytes are gone.

use std::time::Duration;

use futures_util::StreamExt as _;
use quartet_chassis::db::DbError;
use quartet_chassis::parts::Parts;
use quartet_chassis::telemetry::Seldom;
use tokio::time::{Instant, sleep_until, timeout};

use crate::digest::Running;
use crate::objects::{ObjectError, Objects};
use crate::store::Store;
use crate::store::check::Due;

/// How often it is asked whether an object is due.
const PERIOD: Duration = Duration::from_secs(5);
/// How long the store may take for a piece.
const PATIENCE: Duration = Duration::from_secs(30);
/// How many bytes a second are read at the most.
const PACE: f64 = (16 << 20) as f64;

/// Starts what goes on until the process stops, unless objects are never to be read again.
pub fn start(store: &Store, objects: Objects, parts: &Parts) {
    if store.limits().check_days > 0 {
        parts.spawn(check(store.clone(), objects));
    }
}

async fn check(store: Store, objects: Objects) {
    let mut seldom = Seldom::default();
    loop {
        match check_one(&store, &objects).await {
            // There may be more.
            Ok(true) => continue,
            Ok(false) => {}
            Err(error) if seldom.again() => tracing::warn!(%error, "can't check stored objects"),
            Err(_) => {}
        }
        tokio::time::sleep(PERIOD).await;
    }
}

/// Reads an object that is due; whether it is worth going on at once.
async fn check_one(store: &Store, objects: &Objects) -> Result<bool, DbError> {
    let Some(due) = store.take_check().await? else { return Ok(false) };
    let mut found = read(objects, &due).await;
    if let Err(ObjectError::Damaged(_)) = found {
        // What was read wrong only once was damaged on its way.
        found = read(objects, &due).await;
    }
    match found {
        Ok(()) => {
            store.note_check(&due, true).await?;
            metrics::counter!("quartet_media_checks_total", "outcome" => "whole").increment(1);
            Ok(true)
        }
        Err(error @ (ObjectError::Missing | ObjectError::Damaged(_))) => {
            // One that was deleted meanwhile is missed by nobody.
            if store.note_check(&due, false).await? {
                metrics::counter!("quartet_media_checks_total", "outcome" => "damaged").increment(1);
                tracing::error!(%error, object = due.object_key, "a stored object is damaged");
            }
            Ok(true)
        }
        Err(error) => {
            tracing::warn!(%error, object = due.object_key, "a stored object can't be checked");
            Ok(false)
        }
    }
}

/// Reads an object as slowly as it has to be, and compares it with what it was.
async fn read(objects: &Objects, due: &Due) -> Result<(), ObjectError> {
    let slow = |_| ObjectError::Unavailable("no answer in time".into());
    let range = 0..due.size_bytes.unsigned_abs();
    let mut pieces = timeout(PATIENCE, objects.read(&due.object_key, range)).await.map_err(slow)??;
    let (mut running, mut length, began) = (Running::default(), 0, Instant::now());
    while let Some(piece) = timeout(PATIENCE, pieces.next()).await.map_err(slow)? {
        let piece = piece?;
        length += piece.len();
        running.add(&[piece]);
        sleep_until(began + Duration::from_secs_f64(length as f64 / PACE)).await;
    }
    if running.finish()[..] == due.sha256[..] {
        Ok(())
    } else {
        Err(ObjectError::Damaged("its SHA-256 is another".into()))
    }
}
