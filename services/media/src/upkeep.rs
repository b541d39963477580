//! What the service does unasked, in small turns and on each instance: it gives up uploads to which nothing comes, empties deleted projects,
//! removes objects that nothing refers to, and forgets what is too old. All of it is due by the clock and known from the database.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use quartet_chassis::db::DbError;
use quartet_chassis::faults::Faults;
use quartet_chassis::id::Id;
use quartet_chassis::parts::Parts;
use quartet_chassis::telemetry::Seldom;

use crate::objects::Objects;
use crate::store::Store;
use crate::store::garbage::GarbageRow;

/// How often it looks.
const PERIOD: Duration = Duration::from_secs(1);
/// How many rows are taken at once …
const SOME: i64 = 64;
/// … how many times in a turn, while there are more …
const TIMES: usize = 64;
/// … and how many objects are removed at once.
const AT_ONCE: usize = 8;

/// Starts what goes on until the process stops. A store of objects that hangs holds up nothing else.
pub fn start(store: &Store, objects: Objects, parts: &Parts) {
    parts.spawn(rows(store.clone(), parts.faults.clone()));
    parts.spawn(garbage(store.clone(), objects, parts.faults.clone()));
}

async fn rows(store: Store, faults: Faults) {
    let mut seldom = Seldom::default();
    loop {
        let results = [expire(&store).await, store.purge_projects(&faults).await, sweep(&store).await];
        if let Some(error) = results.into_iter().find_map(Result::err)
            && seldom.again()
        {
            tracing::warn!(%error, "can't look after media");
        }
        tokio::time::sleep(PERIOD).await;
    }
}

async fn expire(store: &Store) -> Result<(), DbError> {
    // One that can't be ended must not keep us from the rest of the turn.
    for _ in 0..TIMES {
        if store.expire_uploads(SOME).await? == 0 {
            break;
        }
    }
    Ok(())
}

async fn sweep(store: &Store) -> Result<(), DbError> {
    while store.sweep().await? {}
    Ok(())
}

async fn garbage(store: Store, objects: Objects, faults: Faults) {
    let mut seldom = Seldom::default();
    loop {
        match remove_some(&store, &objects, &faults).await {
            // There may be more.
            Ok(removed) if removed > 0 => continue,
            Ok(_) => {}
            Err(error) if seldom.again() => tracing::warn!(%error, "can't remove objects"),
            Err(_) => {}
        }
        tokio::time::sleep(PERIOD).await;
    }
}

/// Removes some objects; how many are gone.
async fn remove_some(store: &Store, objects: &Objects, faults: &Faults) -> Result<usize, DbError> {
    let due = store.due_garbage(SOME).await?;
    if due.is_empty() {
        return Ok(0);
    }
    faults.within("media garbage", remove(store, objects, &due)).await
}

async fn remove(store: &Store, objects: &Objects, due: &[GarbageRow]) -> Result<usize, DbError> {
    let taken = store.take_garbage(due).await?;
    let removals = stream::iter(taken).map(|row| remove_one(objects, row)).buffer_unordered(AT_ONCE);
    let gone: Vec<Id> = removals.filter_map(std::future::ready).collect().await;
    store.forget_garbage(&gone).await?;
    Ok(gone.len())
}

async fn remove_one(objects: &Objects, row: GarbageRow) -> Option<Id> {
    match objects.remove(&row.object_key, &row.store_id).await {
        Ok(()) => Some(row.id),
        Err(error) => {
            tracing::warn!(%error, object = row.object_key, "an object can't be removed yet");
            None
        }
    }
}
