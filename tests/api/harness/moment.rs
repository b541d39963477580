//! What is told while something changes between two reads of one and the same answer.

use std::sync::atomic::{AtomicBool, Ordering};

use tonic::Status;

use super::{Grounds, Refusal};

/// An id as PostgreSQL reads it.
pub fn bytes(id: &str) -> String {
    format!("'\\x{}'", id.replace('-', ""))
}

/// What `ask` is told, again and again, while `change` happens in the middle of an answer. It holds a table of the service until somebody
/// waits to read that, who has read what comes before it by then.
pub async fn told_amid<T>(
    grounds: &Grounds,
    service: &str,
    table: &str,
    change: &str,
    ask: impl AsyncFn() -> Result<T, Status>,
) -> Vec<Result<T, Refusal>> {
    let waiting = format!(
        "exists (select from pg_locks join pg_database on pg_database.oid = database
            where datname = current_database() and relation = '{table}'::regclass
            and mode = 'AccessShareLock' and not granted)"
    );
    let statement = format!(
        "do $$ begin
            lock table {table} in access exclusive mode;
            for turn in 1..3000 loop
                exit when {waiting};
                perform pg_sleep(0.01);
            end loop;
            if not {waiting} then
                raise exception 'nobody has asked';
            end if;
            {change}
        end $$"
    );
    let changed = AtomicBool::new(false);
    let changing = async {
        grounds.postgres.run(&grounds.database(service), &statement).await;
        changed.store(true, Ordering::Relaxed);
    };
    let asking = async {
        let mut told = Vec::new();
        while !changed.load(Ordering::Relaxed) {
            told.push(ask().await.map_err(Refusal::from));
        }
        told
    };
    tokio::join!(changing, asking).1
}
