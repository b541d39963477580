//! K1: an installation from before movies could be searched finds its movies after the upgrade.

use diesel::{Connection as _, RunQueryDsl as _, SqliteConnection, sql_query};

use super::{HEADER, found, import};
use crate::harness::prelude::*;

const BEFORE: [&str; 2] = ["delete from movie_search", "update movie set change_number = 0"];

/// Brings the catalogue's database into the state that the migration leaves, and lets the program look after it.
async fn upgrade(world: &World) {
    match world.grounds() {
        Some(grounds) => {
            let database = grounds.database("catalogue");
            for statement in BEFORE {
                grounds.postgres.run(&database, statement).await;
            }
            grounds.migrate().await;
        }
        None => {
            let path = world.process().data().unwrap().join("catalogue.db");
            let mut store = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
            sql_query("pragma busy_timeout = 5000").execute(&mut store).unwrap();
            sql_query("insert into movie_words (movie_words) values ('delete-all')").execute(&mut store).unwrap();
            for statement in BEFORE {
                sql_query(statement).execute(&mut store).unwrap();
            }
            drop(store);
            world.process().aim(Fault::CrashBeforeCommit, "", 0).await;
            let asked = RegisterRequest { email: "late@example.com".to_owned(), password: PASSWORD.to_owned() };
            world.accounts().register(asked).await.ok();
            world.process().revive().await;
        }
    }
}

#[tokio::test]
async fn k1_an_installation_from_before_the_search_finds_its_movies() {
    // On PostgreSQL a lone process is identity.
    let fleet = std::env::var("QUARTET_TEST_MODE").is_ok_and(|mode| mode == "fleet");
    let world = if fleet { World::own().await } else { World::lone(&[]).await };
    let mut file = format!("{HEADER}\n");
    for row in 0..1203 {
        file += &format!("Ancient {row},2001-01-01,50,Drama,Of Amélie.,Title,Released,English,1,1,JP\n");
    }
    import(&world, file.as_bytes()).await;
    upgrade(&world).await;
    let all = SearchMoviesRequest { query: "amelie anc".to_owned(), ..Default::default() };
    eventually("all movies are found", async || {
        let answer = world.movies().search_movies(all.clone()).await.ok()?.into_inner();
        (answer.total_size == 1203).then_some(())
    })
    .await;
    assert_eq!(found(&world, "\"ancient 77\"").await, ["Ancient 77"]);
    // They have a place in the feed of changes, too.
    let mut stream = world.movies().watch_movies(WatchMoviesRequest::default()).await.unwrap().into_inner();
    let mut told = 0;
    loop {
        let message = stream.message().await.unwrap().unwrap();
        told += message.changes.len();
        if message.complete {
            break;
        }
    }
    assert_eq!(told, 1203);
}
