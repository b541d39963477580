//! The storage layer itself, on whichever engine this half of the run has: transactions, group commit, and what can go wrong in them.

use std::sync::Arc;

use diesel::prelude::*;
use diesel::sql_query;
use diesel_async::RunQueryDsl;
use quartet_chassis::db::{Conn, Db, DbError, Migrations};
use quartet_chassis::faults::Faults;
use quartet_chassis::on;
use quartet_proto::control::v1::Fault;
use tokio::sync::Barrier;

use crate::harness::PATIENCE;
use crate::harness::prelude::*;

diesel::table! {
    entry (name) {
        name -> Text,
        size -> BigInt,
    }
}

fn no_migrations() -> diesel_migrations::EmbeddedMigrations {
    diesel_migrations::EmbeddedMigrations::new(&[])
}

/// A database with one empty table. The folder goes with the test.
async fn database() -> (Db, DatabaseHome) {
    let home = DatabaseHome::new().await;
    let db = open(&home).await;
    db.transaction(async |conn| {
        on!(conn, |db| sql_query("create table entry (name text primary key, size bigint not null, unique (size))")
            .execute(db)
            .await)
    })
    .await
    .unwrap();
    (db, home)
}

async fn open(home: &DatabaseHome) -> Db {
    let migrations = Migrations { postgres: no_migrations, sqlite: no_migrations };
    Db::open(home.url(), migrations, Faults::default(), PATIENCE).await.unwrap()
}

async fn insert(conn: &mut Conn, name: &str, size: i64) -> Result<(), DbError> {
    let row = (entry::name.eq(name), entry::size.eq(size));
    on!(conn, |db| diesel::insert_into(entry::table).values(row).execute(db).await).map(drop)
}

async fn add(db: &Db, name: &str, size: i64) -> Result<(), DbError> {
    db.transaction(async |conn| insert(conn, name, size).await).await
}

async fn names(db: &Db) -> Vec<String> {
    let conn = &mut db.read().await.unwrap();
    on!(conn, |db| entry::table.select(entry::name).order(entry::name).load(db).await).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn err_undoes_and_ok_keeps() {
    let (db, _home) = database().await;
    add(&db, "kept", 1).await.unwrap();
    let refused: Result<(), DbError> = db
        .transaction(async |conn| {
            insert(conn, "undone", 2).await?;
            Err(DbError::Full)
        })
        .await;
    assert!(matches!(refused, Err(DbError::Full)));
    assert_eq!(names(&db).await, ["kept"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_64_writers_were_answered_is_there_after_opening_again() {
    let (db, home) = database().await;
    let writers: Vec<_> = (0..64)
        .map(|writer| {
            let db = db.clone();
            tokio::spawn(async move {
                for number in 0..20 {
                    add(&db, &format!("{writer:02}-{number:02}"), writer * 100 + number).await.unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(names(&open(&home).await).await.len(), 64 * 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duplicate_is_told_by_its_columns_on_either_engine() {
    let (db, _home) = database().await;
    add(&db, "a", 1).await.unwrap();
    let error = add(&db, "b", 1).await.unwrap_err();
    assert!(error.is_duplicate_of("entry", &["size"]), "{error}");
    assert!(!error.is_duplicate_of("entry", &["name"]), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_body_takes_none_of_its_batch_with_it() {
    let (db, _home) = database().await;
    let start = Arc::new(Barrier::new(32));
    let writers: Vec<_> = (0..32)
        .map(|number| {
            let (db, start) = (db.clone(), start.clone());
            tokio::spawn(async move {
                start.wait().await;
                db.transaction(async |conn| {
                    insert(conn, &format!("{number:02}"), number).await?;
                    if number % 2 == 0 { Ok(()) } else { Err(DbError::Full) }
                })
                .await
            })
        })
        .collect();
    for (number, writer) in writers.into_iter().enumerate() {
        assert_eq!(writer.await.unwrap().is_ok(), number % 2 == 0);
    }
    assert_eq!(names(&db).await.len(), 16);
}

/// F-19, at its root: a transaction whose future is dropped leaves nothing, and nobody waits for it in vain.
#[tokio::test(flavor = "multi_thread")]
async fn f19_a_dropped_transaction_leaves_nothing_behind() {
    let (db, _home) = database().await;
    for round in 0..50 {
        let start = Arc::new(Barrier::new(3));
        let (dropped, kept) = (db.clone(), db.clone());
        let (first, second) = (start.clone(), start.clone());
        let stuck = tokio::spawn(async move {
            first.wait().await;
            dropped
                .transaction(async |conn| {
                    insert(conn, &format!("dropped-{round}"), 1000 + round).await?;
                    std::future::pending::<()>().await;
                    Ok::<(), DbError>(())
                })
                .await
        });
        let writer = tokio::spawn(async move {
            second.wait().await;
            add(&kept, &format!("kept-{round:02}"), round).await
        });
        start.wait().await;
        tokio::task::yield_now().await;
        stuck.abort();
        assert!(stuck.await.unwrap_err().is_cancelled());
        writer.await.unwrap().unwrap();
    }
    let names = names(&db).await;
    assert_eq!(names.len(), 50, "{names:?}");
    assert!(names.iter().all(|name| name.starts_with("kept-")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_can_not_write() {
    let (db, home) = database().await;
    if home.is_postgres() {
        return;
    }
    let conn = &mut db.read().await.unwrap();
    assert!(insert(conn, "never", 1).await.is_err());
    assert!(names(&db).await.is_empty());
}

/// F-07 for the database file: a full one refuses by name, keeps what it has answered, and works again when there is room.
#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_sees_one_moment_and_holds_nobody_up() {
    let (db, _home) = database().await;
    add(&db, "before", 1).await.unwrap();
    let all = async |conn: &mut Conn| -> Result<Vec<String>, DbError> {
        let query = entry::table.select(entry::name).order(entry::name);
        on!(conn, |db| query.load(db).await)
    };
    let writer = db.clone();
    let seen: Result<_, DbError> = db
        .snapshot(async |conn| {
            let first = all(conn).await?;
            add(&writer, "meanwhile", 2).await?;
            Ok((first, all(conn).await?))
        })
        .await;
    assert_eq!(seen.unwrap(), (vec!["before".to_owned()], vec!["before".to_owned()]));
    assert_eq!(names(&db).await, ["before", "meanwhile"]);
    // The next ones see more, whatever became of those before them, and none of them writes.
    let refused: Result<(), DbError> = db.snapshot(async |conn| insert(conn, "by a reader", 3).await).await;
    assert!(refused.is_err());
    for _ in 0..20 {
        let failed: Result<(), DbError> = db
            .snapshot(async |conn| {
                all(conn).await?;
                Err(DbError::Full)
            })
            .await;
        assert!(matches!(failed, Err(DbError::Full)));
    }
    let seen: Result<_, DbError> = db.snapshot(async |conn| all(conn).await).await;
    assert_eq!(seen.unwrap(), ["before", "meanwhile"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn f07_a_full_database_refuses_and_recovers() {
    let (db, home) = database().await;
    if home.is_postgres() {
        return;
    }
    add(&db, "before", 0).await.unwrap();
    limit_pages(&db, 40).await;
    let mut answered = 1;
    let full = loop {
        let batch: Vec<_> = (0..16)
            .map(|writer| {
                let db = db.clone();
                let number = i64::from(answered * 100 + writer);
                tokio::spawn(async move { add(&db, &format!("{number}-{}", "x".repeat(2000)), number).await })
            })
            .collect();
        let mut failure = None;
        for writer in batch {
            match writer.await.unwrap() {
                Ok(()) => answered += 1,
                Err(error) => failure = Some(error),
            }
        }
        if let Some(failure) = failure {
            break failure;
        }
    };
    assert!(matches!(full, DbError::Full | DbError::Unavailable(_)), "{full}");
    assert_eq!(names(&db).await.len(), answered as usize, "exactly what was answered is there");
    limit_pages(&db, 100_000).await;
    add(&db, "after", -1).await.unwrap();
}

async fn limit_pages(db: &Db, pages: u32) {
    db.transaction(async |conn| {
        on!(conn, |db| sql_query(format!("pragma max_page_count = {pages}")).execute(db).await)
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_control_services_faults_reach_the_store() {
    let home = DatabaseHome::new().await;
    let faults = Faults::default();
    let migrations = Migrations { postgres: no_migrations, sqlite: no_migrations };
    let db = Db::open(home.url(), migrations, faults.clone(), PATIENCE).await.unwrap();
    db.ping().await.unwrap();
    faults.set(Fault::Store, true);
    assert!(matches!(db.ping().await, Err(DbError::Unavailable(_))));
    faults.set(Fault::Store, false);
    db.ping().await.unwrap();
}
