//! The rows of messaging's database, for what no client can bring about.

use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, SqliteConnection};

use crate::harness::prelude::*;

/// Runs a statement about an id, which it is given as the database reads it.
pub async fn run(world: &World, id: &str, statement: impl Fn(&str) -> String) {
    let id = id.replace('-', "");
    match world.fleet() {
        Some(fleet) => {
            let database = fleet.grounds.database("messaging");
            fleet.grounds.postgres.run(&database, &statement(&format!("'\\x{id}'"))).await;
        }
        None => {
            let path = world.data().unwrap().join("messaging.db");
            let mut store = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
            store.batch_execute("pragma busy_timeout = 30000").unwrap();
            // One transaction, as with psql: each on its own would wait for the disk, and this waiting holds up the whole test.
            let statement = statement(&format!("x'{id}'"));
            store.batch_execute(&format!("begin immediate; {statement}; commit")).unwrap();
        }
    }
}
