//! Clients that go away in the middle of a call.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::join_all;

use crate::harness::prelude::*;
use crate::harness::{Clients, channel, within};

const CALLS: u64 = 10_000;
const AT_ONCE: u64 = 16;
/// More connections than the pools of all processes of a fleet have, and fewer than so many calls would leave behind.
const POOLS: usize = 250;

/// A number below `limit`, different enough from call to call.
fn scattered(number: u64, limit: u64) -> u64 {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29) % limit
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f19_ten_thousand_cancelled_calls_leave_nothing_behind() {
    let world = Arc::new(World::own().await);
    let people = Arc::new([world.sign_up("one").await, world.sign_up("two").await, world.sign_up("three").await]);
    // Signs in so often that its earlier sessions end.
    let restless = Arc::new(world.sign_up("restless").await);
    let files = open_files(&world);
    let (done, answered) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let mut tasks = Vec::new();
    for _ in 0..AT_ONCE {
        let (world, people, restless) = (world.clone(), people.clone(), restless.clone());
        let (done, answered) = (done.clone(), answered.clone());
        tasks.push(tokio::spawn(async move {
            let mut stored = Vec::new();
            loop {
                let number = done.fetch_add(1, Ordering::Relaxed);
                if number >= CALLS {
                    return stored;
                }
                let person = &people[(number % 3) as usize];
                let patience = Duration::from_micros(scattered(number, 3_000));
                let called = tokio::time::timeout(patience, one_call(&world, person, &restless, number)).await;
                if let Ok(registered) = called {
                    answered.fetch_add(1, Ordering::Relaxed);
                    stored.extend(registered);
                }
            }
        }));
    }
    let mut stored = Vec::new();
    for task in tasks {
        stored.extend(task.await.unwrap());
    }
    let answered = answered.load(Ordering::Relaxed);
    assert!(answered < CALLS, "some were cancelled");

    // What was answered is there, and every answer belongs to its question. Over a new connection: a gateway may have closed the
    // one on which so many calls were given up.
    let clients = |token: Option<&str>| Clients::new(channel(world.gateway()), token);
    // The calls that were given up run to their end first.
    within(Duration::from_secs(180), "the queue is empty", async || {
        let asked = SignInRequest {
            email: people[0].email.clone(),
            password: people[0].password.clone(),
            ..Default::default()
        };
        clients(None).sessions().sign_in(asked).await.ok()
    })
    .await;
    for email in stored.iter().take(200) {
        let asked = RegisterRequest { email: email.clone(), password: PASSWORD.into() };
        let refused = refusal(clients(None).accounts().register(asked).await);
        assert_eq!(refused.is(), (Code::AlreadyExists, "EMAIL_TAKEN"), "{email} was answered and is not stored");
    }
    let mut calm = Vec::new();
    for person in people.iter() {
        // A session of its own: of an account's many only the newest live on.
        let asked =
            SignInRequest { email: person.email.clone(), password: person.password.clone(), ..Default::default() };
        let session = clients(None).sessions().sign_in(asked).await.unwrap().into_inner();
        let asked = RefreshRequest { refresh_token: session.refresh_token };
        let renewed = clients(None).sessions().refresh(asked).await.unwrap().into_inner();
        calm.push((clients(Some(&renewed.access_token)), &person.email));
    }
    // More at once than any pool has connections, and of more accounts than share one: none of them is lost.
    let calls = (0..200).map(async |number: usize| {
        let (theirs, email) = &calm[number % calm.len()];
        let me = theirs.accounts().get_me(GetMeRequest {}).await.unwrap().into_inner();
        assert_eq!(me.account.unwrap().email, **email);
    });
    join_all(calls).await;
    if let Some(fleet) = world.fleet() {
        let identity = fleet.grounds.database("identity");
        let number = identity.trim_start_matches("identity_");
        let open = format!(
            "select count(*) from pg_stat_activity where datname like '%\\_{number}' and state like 'idle in transaction%'"
        );
        eventually("no transaction is open", async || {
            let count = fleet.grounds.postgres.run(&identity, &open).await;
            (count == "0").then_some(())
        })
        .await;
        eventually("files are closed again", async || (open_files(&world) <= files + POOLS).then_some(())).await;
    }
}

/// A call of one of several kinds. A registration that was answered gives its address.
async fn one_call(world: &World, person: &Person, restless: &Person, number: u64) -> Option<String> {
    match number % 6 {
        0 => {
            let email = format!("cancelled.{number}@example.com");
            let asked = RegisterRequest { email: email.clone(), password: PASSWORD.into() };
            return world.accounts().register(asked).await.ok().map(|_| email);
        }
        1 => drop(world.try_sign_in(&restless.email, &restless.password).await),
        2 => drop(person.accounts(world).get_me(GetMeRequest {}).await),
        3 => drop(person.sessions(world).list_sessions(ListSessionsRequest::default()).await),
        4 => drop(world.movies().list_movies(ListMoviesRequest::default()).await),
        _ => {
            let asked = RequestPasswordResetRequest { email: person.email.clone() };
            drop(world.accounts().request_password_reset(asked).await);
        }
    }
    None
}

/// The open files of a fleet's processes.
fn open_files(world: &World) -> usize {
    world.fleet().map_or(0, |fleet| fleet.processes().map(crate::harness::Process::open_files).sum())
}
