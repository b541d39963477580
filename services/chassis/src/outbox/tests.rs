use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use chrono::TimeDelta;
use diesel::sql_query;
use tokio::sync::{Notify, Semaphore, mpsc};

use super::work::pause;
use super::*;
use crate::crypt::MasterKey;
use crate::db::{ANSWER, Migrations};

const PATIENT: Duration = Duration::from_secs(60);

async fn outbox(folder: &tempfile::TempDir) -> anyhow::Result<Outbox> {
    let none = || diesel_migrations::EmbeddedMigrations::new(&[]);
    let url = format!("sqlite:{}", folder.path().join("test.db").display());
    let db = Db::open(&url, Migrations { postgres: none, sqlite: none }, Faults::default(), ANSWER).await?;
    let create = "create table if not exists outbox (id blob primary key, kind text, payload blob, due_time timestamp, \
        attempts integer, lease_time timestamp, create_time timestamp, done_time timestamp, account_id blob)";
    db.transaction(async |conn| on!(conn, |db| sql_query(create).execute(db).await)).await?;
    let sealer = MasterKey::parse(&"ab".repeat(32))?.sealer("test");
    let (filled, stopping, faults) = (watch::Sender::new(()), CancellationToken::new(), Faults::default());
    Ok(Outbox { db, clock: Clock::System, sealer, filled, stopping, faults })
}

async fn add(outbox: &Outbox, kind: &str, account: Option<Id>) -> Result<Id, OutboxError> {
    let db = outbox.db.clone();
    let id = db.transaction(async |conn| outbox.insert(conn, kind, account, b"x").await).await;
    outbox.wake();
    id
}

async fn until_waiting(outbox: &Outbox, count: i64) -> anyhow::Result<()> {
    let reached = async {
        while outbox.waiting().await? != count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(PATIENT, reached).await?
}

/// Does quick jobs and never ends a slow one.
async fn quick(job: Job, begun: Arc<Notify>) -> anyhow::Result<()> {
    begun.notify_one();
    if job.kind == "slow" { std::future::pending().await } else { Ok(()) }
}

#[tokio::test(flavor = "multi_thread")]
async fn i24_a_slow_job_holds_up_no_other() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let outbox = outbox(&folder).await?;
    let begun = Arc::new(Notify::new());
    add(&outbox, "slow", None).await?;
    let begins = begun.clone();
    let worker = tokio::spawn(outbox.clone().work(Lane::WHOLE, move |job| quick(job, begins.clone())));
    tokio::time::timeout(PATIENT, begun.notified()).await?;
    for _ in 0..40 {
        add(&outbox, "quick", None).await?;
    }
    until_waiting(&outbox, 1).await?;
    worker.abort();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn i24_what_a_stop_interrupts_the_next_process_begins_at_once() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let first = outbox(&folder).await?;
    let begun = Arc::new(Notify::new());
    let job = add(&first, "slow", None).await?;
    let begins = begun.clone();
    let worker = tokio::spawn(first.clone().work(Lane::WHOLE, move |job| quick(job, begins.clone())));
    tokio::time::timeout(PATIENT, begun.notified()).await?;
    first.stopping.cancel();
    tokio::time::timeout(PATIENT, worker).await??;

    let next = outbox(&folder).await?;
    let (done, mut told) = tokio::sync::mpsc::unbounded_channel();
    let worker = tokio::spawn(next.clone().work(Lane::WHOLE, move |job| {
        let sent = done.send(job.id);
        async move { Ok(sent?) }
    }));
    assert_eq!(tokio::time::timeout(PATIENT, told.recv()).await?, Some(job));
    worker.abort();
    Ok(())
}

#[test]
fn i24_pauses_grow_and_end_growing() {
    let pauses: Vec<i64> = [0, 1, 2, 7, 8, 30, i32::MAX].map(|n| pause(n, 0).num_milliseconds()).to_vec();
    assert_eq!(pauses, [250, 500, 1000, 32_000, 60_000, 60_000, 60_000]);
    assert!(pause(0, u64::MAX) < TimeDelta::milliseconds(375));
}

/// Rows by how they are: those that are there, and those that are done and kept.
async fn rows(outbox: &Outbox) -> anyhow::Result<(i64, i64)> {
    let conn = &mut outbox.db.read().await?;
    let all: i64 = on!(conn, |db| outbox::table.count().get_result(db).await)?;
    let kept = outbox::table.filter(outbox::done_time.is_not_null()).count();
    let kept: i64 = on!(conn, |db| kept.get_result(db).await)?;
    Ok((all, kept))
}

#[tokio::test(flavor = "multi_thread")]
async fn i24_a_job_that_is_done_goes_and_so_does_what_earlier_versions_kept() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let outbox = outbox(&folder).await?;
    for _ in 0..SOME + 7 {
        add(&outbox, "old", None).await?;
    }
    let done = outbox::done_time.eq(outbox.clock.now());
    let db = outbox.db.clone();
    db.transaction(async |conn| on!(conn, |db| diesel::update(outbox::table).set(done).execute(db).await)).await?;
    let worker = tokio::spawn(outbox.clone().work(Lane::WHOLE, move |_| async { Ok(()) }));
    add(&outbox, "quick", None).await?;
    until_waiting(&outbox, 0).await?;
    assert_eq!(rows(&outbox).await?, (SOME + 7, SOME + 7), "the new one has gone");
    assert_eq!(outbox.sweep().await? as i64, SOME + 7);
    assert_eq!(rows(&outbox).await?, (0, 0));
    worker.abort();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn s49_jobs_about_one_account_hold_up_nobody_else_s() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let outbox = outbox(&folder).await?;
    let (eve, bob) = (Id::new(&Clock::System), Id::new(&Clock::System));
    for _ in 0..100 {
        add(&outbox, "slow", Some(eve)).await?;
    }
    add(&outbox, "quick", Some(bob)).await?;
    add(&outbox, "quick", None).await?;
    let slow = Arc::<AtomicUsize>::default();
    let begun = slow.clone();
    let lane = Lane { kind: None, slots: 8, of_an_account: 2 };
    let worker = tokio::spawn(outbox.clone().work(lane, move |job| {
        let begun = begun.clone();
        async move {
            if job.kind == "slow" {
                begun.fetch_add(1, Ordering::SeqCst);
                std::future::pending().await
            } else {
                Ok(())
            }
        }
    }));
    until_waiting(&outbox, 100).await?;
    // The second may have been taken and not begun yet.
    let both = async {
        while AtomicUsize::load(&slow, Ordering::SeqCst) < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENT, both).await?;
    assert_eq!(AtomicUsize::load(&slow, Ordering::SeqCst), 2);
    worker.abort();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn s49_each_lane_has_slots_of_its_own() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let outbox = outbox(&folder).await?;
    let lane = |kind| Lane { kind: Some(kind), slots: 2, of_an_account: 2 };
    for _ in 0..10 {
        add(&outbox, "slow", None).await?;
        add(&outbox, "quick", None).await?;
    }
    let slow = tokio::spawn(outbox.clone().work(lane("slow"), |_| std::future::pending()));
    let quick = tokio::spawn(outbox.clone().work(lane("quick"), |_| async { Ok(()) }));
    until_waiting(&outbox, 10).await?;
    slow.abort();
    quick.abort();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn s49_an_open_job_can_be_given_something_newer_until_it_is_done() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let outbox = outbox(&folder).await?;
    let bob = Id::new(&Clock::System);
    let id = add(&outbox, "slow", Some(bob)).await?;
    let db = outbox.db.clone();
    let open = async || db.transaction(async |conn| outbox.open_about(conn, "slow", vec![bob]).await).await;
    let before = open().await?;
    assert_eq!((before.len(), before[0].id, before[0].payload.as_slice()), (1, id, b"x".as_slice()));
    let far = outbox.clock.now() + TimeDelta::hours(1);
    let replace =
        async |at: &Open, text: &[u8]| db.transaction(async |conn| outbox.replace(conn, at, text, far).await).await;
    assert!(replace(&before[0], b"y").await?);
    assert!(!replace(&before[0], b"z").await?, "somebody was faster");
    let after = open().await?;
    assert_eq!((after[0].id, after[0].payload.as_slice()), (id, b"y".as_slice()));
    // It is due as it was.
    let (carried, mut carries) = mpsc::unbounded_channel();
    let held = Arc::new(Semaphore::new(0));
    let holds = held.clone();
    let worker = tokio::spawn(outbox.clone().work(Lane::WHOLE, move |job| {
        let (carried, holds) = (carried.clone(), holds.clone());
        async move {
            carried.send(job.payload)?;
            holds.acquire().await?.forget();
            Ok(())
        }
    }));
    assert_eq!(tokio::time::timeout(PATIENT, carries.recv()).await?.as_deref(), Some(b"y".as_slice()));
    // A worker is at it: it carries the newer one behind that, and nobody else does meanwhile.
    assert!(replace(&after[0], b"z").await?);
    held.add_permits(1);
    assert_eq!(tokio::time::timeout(PATIENT, carries.recv()).await?.as_deref(), Some(b"z".as_slice()));
    let last = open().await?;
    held.add_permits(1);
    until_waiting(&outbox, 0).await?;
    assert!(!replace(&last[0], b"late").await?, "it is done");
    worker.abort();
    Ok(())
}
