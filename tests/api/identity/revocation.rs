//! What is revoked stays so, whatever happens to Redis.

use std::time::Instant;

use rustix::process::Signal;
use tonic::transport::Channel;

use crate::harness::prelude::*;
use crate::harness::{Fleet, OwnPostgres, PATIENCE, Process, channel, is_quiet, raw, within};

/// What a service thinks of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Good,
    Refused,
    /// It can't know at this moment.
    Unknown,
}

/// Asks a service that is behind this connection.
pub async fn verdict(channel: &Channel, path: &str, token: &str) -> Verdict {
    match raw::call(channel.clone(), path, Some(token), Vec::new()).await {
        Ok(_) => Verdict::Good,
        // The token was good, the role was missing.
        Err(status) if status.code() == Code::PermissionDenied => Verdict::Good,
        Err(status) if status.code() == Code::Unauthenticated => Verdict::Refused,
        Err(status) if status.code() == Code::Unavailable => Verdict::Unknown,
        Err(status) => panic!("{path}: {status:?}"),
    }
}

const IDENTITY: &str = "/quartet.identity.v1.AccountService/GetMe";
const CATALOGUE: &str = "/quartet.catalogue.v1.ImportService/ImportMovieFile";

/// Every way to a service: through the gateway, and past it.
fn ways(world: &World) -> Vec<(Channel, &'static str)> {
    let mut ways = vec![(world.channel(), IDENTITY), (world.channel(), CATALOGUE)];
    ways.extend(world.direct("identity").into_iter().map(|address| (channel(address), IDENTITY)));
    ways.extend(world.direct("catalogue").into_iter().map(|address| (channel(address), CATALOGUE)));
    ways
}

async fn verdicts(ways: &[(Channel, &'static str)], token: &str) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for (channel, path) in ways {
        verdicts.push(verdict(channel, path, token).await);
    }
    verdicts
}

/// Waits until every way refuses the token, which is promised within `limit`, and checks a second long that none takes it again.
async fn refused_within(limit: Duration, ways: &[(Channel, &'static str)], token: &str) {
    let all_refuse = async || verdicts(ways, token).await.iter().all(|one| *one == Verdict::Refused).then_some(());
    // Beside other tests a beat may be missed and more: how soon it comes is shown by a quiet run.
    let limit = if is_quiet() { limit } else { PATIENCE };
    within(limit, "every service refuses the token", all_refuse).await;
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(1) {
        assert!(!verdicts(ways, token).await.contains(&Verdict::Good));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn good(ways: &[(Channel, &'static str)], token: &str) {
    eventually("every service takes the token", async || {
        let verdicts = verdicts(ways, token).await;
        assert!(!verdicts.contains(&Verdict::Refused), "a valid token is never refused: {verdicts:?}");
        verdicts.iter().all(|one| *one == Verdict::Good).then_some(())
    })
    .await;
}

async fn sign_out(world: &World, person: &Person) {
    person.sessions(world).sign_out(SignOutRequest {}).await.unwrap();
}

#[tokio::test]
async fn s26_i9_a_revocation_is_seen_by_every_service_within_a_second() {
    let world = World::shared().await;
    let ways = ways(&world);
    let ada = world.sign_up("ada").await;
    good(&ways, &ada.access_token).await;
    sign_out(&world, &ada).await;
    refused_within(Duration::from_secs(1), &ways, &ada.access_token).await;
}

#[tokio::test]
async fn s26_a_revocation_outlives_a_flush_an_eviction_and_a_restart_of_redis() {
    let world = World::own().await;
    let Some(fleet) = world.fleet() else { return };
    let (ways, redis) = (ways(&world), &fleet.grounds.redis);
    let (ada, eve) = (world.sign_up("ada").await, world.sign_up("eve").await);
    sign_out(&world, &eve).await;
    refused_within(Duration::from_secs(1), &ways, &eve.access_token).await;

    redis.command("FLUSHALL").await.unwrap();
    refused_within(Duration::from_secs(5), &ways, &eve.access_token).await;
    good(&ways, &ada.access_token).await;

    redis.command("CONFIG SET maxmemory-policy allkeys-lru").await.unwrap();
    redis.command("CONFIG SET maxmemory 1").await.unwrap();
    refused_within(Duration::from_secs(5), &ways, &eve.access_token).await;
    good(&ways, &ada.access_token).await;
    redis.command("CONFIG SET maxmemory 0").await.unwrap();

    redis.stop();
    redis.restart().await;
    refused_within(Duration::from_secs(5), &ways, &eve.access_token).await;
    good(&ways, &ada.access_token).await;
}

/// A Redis that comes back with what it held a while ago, from a dump or on a replica, is not taken at its word.
#[tokio::test]
async fn s26_an_older_copy_of_redis_is_not_believed() {
    let world = World::own().await;
    let Some(fleet) = world.fleet() else { return };
    let redis = &fleet.grounds.redis;
    let (ada, eve) = (world.sign_up("ada").await, world.sign_up("eve").await);
    good(&ways(&world), &ada.access_token).await;
    let set = redis.command("KEYS *:revocations").await.unwrap();
    let set = set.lines().find(|line| line.ends_with(":revocations")).expect("the set is there").to_owned();
    let copy = redis.command(&format!("ZRANGE {set} 0 -1 WITHSCORES")).await.unwrap();
    let copy: Vec<&str> = copy.lines().filter(|line| !line.starts_with(['*', '$', '+'])).collect();
    assert!(copy.iter().any(|member| member.starts_with("complete")), "{copy:?}");

    sign_out(&world, &eve).await;
    redis.stop();
    redis.restart().await;
    for pair in copy.chunks(2) {
        redis.command(&format!("ZADD {set} {} {}", pair[1], pair[0])).await.unwrap();
    }
    let addresses: Vec<String> = world.direct("identity").iter().map(ToString::to_string).collect();
    let process = Process::start(&fleet.grounds.role("catalogue", &["--identity-address", &addresses.join(",")])).await;
    let way = [(channel(process.started.listen), CATALOGUE)];
    refused_within(Duration::from_secs(5), &way, &eve.access_token).await;
    good(&way, &ada.access_token).await;
}

/// A command beside a fleet that knows no Redis leaves the telling to the servers.
#[tokio::test]
async fn s26_what_a_command_without_redis_revokes_is_heard_by_every_service() {
    let world = World::own().await;
    let Some(fleet) = world.fleet() else { return };
    let (ways, ada) = (ways(&world), world.sign_up("ada").await);
    good(&ways, &ada.access_token).await;
    let mut command = fleet.grounds.command("keys rotate", &["--withdraw-now"]);
    let redis = command.iter().position(|word| word == "--redis-url").expect("a fleet has a Redis");
    command.drain(redis..redis + 2);
    let output = world.quartet(&command.iter().map(String::as_str).collect::<Vec<_>>()).await;
    assert!(output.status.success(), "{output:?}");
    refused_within(Duration::from_secs(5), &ways, &ada.access_token).await;
}

#[tokio::test]
async fn s26_f06_with_redis_down_or_hung_revocations_are_seen_within_five_seconds_and_all_goes_on() {
    let world = World::own().await;
    let Some(fleet) = world.fleet() else { return };
    let (ways, redis) = (ways(&world), &fleet.grounds.redis);
    let people = [world.sign_up("ada").await, world.sign_up("bob").await, world.sign_up("eve").await];
    good(&ways, &people[2].access_token).await;

    redis.stop();
    sign_out(&world, &people[0]).await;
    refused_within(Duration::from_secs(5), &ways, &people[0].access_token).await;
    good(&ways, &people[2].access_token).await;
    world.sign_in(&people[1].email, &people[1].password).await;
    redis.restart().await;

    redis.freeze().await;
    sign_out(&world, &people[1]).await;
    refused_within(Duration::from_secs(5), &ways, &people[1].access_token).await;
    good(&ways, &people[2].access_token).await;
    world.sign_in(&people[0].email, &people[0].password).await;
    redis.thaw();
    refused_within(Duration::from_secs(5), &ways, &people[0].access_token).await;
    good(&ways, &people[2].access_token).await;
}

#[tokio::test]
async fn s26_a_service_that_starts_later_knows_what_was_revoked() {
    let world = World::own().await;
    let Some(fleet) = world.fleet() else { return };
    let (ada, eve) = (world.sign_up("ada").await, world.sign_up("eve").await);
    sign_out(&world, &eve).await;
    let addresses: Vec<String> = world.direct("identity").iter().map(ToString::to_string).collect();
    let addresses = addresses.join(",");
    for role in ["identity", "catalogue"] {
        let more: &[&str] = if role == "identity" { &[] } else { &["--identity-address", &addresses] };
        let process = Process::start(&fleet.grounds.role(role, more)).await;
        let path = if role == "identity" { IDENTITY } else { CATALOGUE };
        let way = [(channel(process.started.listen), path)];
        refused_within(Duration::from_secs(5), &way, &eve.access_token).await;
        good(&way, &ada.access_token).await;
    }
}

#[tokio::test]
async fn s27_what_can_not_be_known_is_neither_accepted_nor_refused() {
    if World::shared().await.is_embedded() {
        return;
    }
    let postgres = OwnPostgres::start().await;
    let world = World::from_fleet(Fleet::start_on(postgres.server.clone(), &[]).await);
    let fleet = world.fleet().unwrap();
    let ways = ways(&world);
    let (ada, eve) = (world.sign_up_at_last("ada").await, world.sign_up_at_last("eve").await);
    refused_at_last(async || eve.sessions(&world).sign_out(SignOutRequest {}).await).await;
    refused_within(Duration::from_secs(1), &ways, &eve.access_token).await;

    fleet.grounds.redis.stop();
    postgres.act("stop").await;
    eventually("nobody knows any longer", async || {
        let verdicts = verdicts(&ways, &ada.access_token).await;
        assert!(!verdicts.contains(&Verdict::Refused), "clients would sign out: {verdicts:?}");
        verdicts.iter().all(|one| *one == Verdict::Unknown).then_some(())
    })
    .await;
    for _ in 0..20 {
        assert!(!verdicts(&ways, &eve.access_token).await.contains(&Verdict::Good));
        assert!(!verdicts(&ways, &ada.access_token).await.contains(&Verdict::Refused));
    }
    postgres.act("start").await;
    good(&ways, &ada.access_token).await;
    refused_within(Duration::from_secs(5), &ways, &eve.access_token).await;
    fleet.grounds.redis.restart().await;
    good(&ways, &ada.access_token).await;
}

#[tokio::test]
async fn s27_the_catalogue_without_identity_and_redis_answers_unavailable_and_public_reads_go_on() {
    let world = World::own().await;
    let Some(fleet) = world.fleet() else { return };
    let ada = world.sign_up("ada").await;
    let catalogue = channel(fleet.catalogue.started.listen);
    good(&[(catalogue.clone(), CATALOGUE)], &ada.access_token).await;
    fleet.grounds.redis.stop();
    for identity in &fleet.identities {
        identity.signal(Signal::KILL);
    }
    eventually("the catalogue no longer knows", async || {
        let verdict = verdict(&catalogue, CATALOGUE, &ada.access_token).await;
        assert_ne!(verdict, Verdict::Refused);
        (verdict == Verdict::Unknown).then_some(())
    })
    .await;
    world.movies().list_movies(ListMoviesRequest::default()).await.expect("movies are public");
}
