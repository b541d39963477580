//! The rows of messaging's database, for what no client can bring about.

use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, SqliteConnection};

use crate::harness::prelude::*;

/// Runs a statement about an id, which it is given as the database reads it.
pub async fn run(world: &World, id: &str, statement: impl Fn(&str) -> String) {
    let id = id.replace('-', "");
    match world.fleet() {
        Some(fleet) => {
            let database = fleet.grounds.identity_database.replace("identity", "messaging");
            fleet.grounds.postgres.run(&database, &statement(&format!("'\\x{id}'"))).await;
        }
        None => {
            let path = world.data().unwrap().join("messaging.db");
            let mut store = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
            store.batch_execute("pragma busy_timeout = 5000").unwrap();
            store.batch_execute(&statement(&format!("x'{id}'"))).unwrap();
        }
    }
}
