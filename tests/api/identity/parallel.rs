//! Refreshes that come together or whose answers are lost.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures_util::future::join_all;
use quartet_proto::identity::v1::session_service_client::SessionServiceClient;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::harness::prelude::*;
use crate::harness::{Bearer, Clients, channel, rounds};

/// Refreshes with one token, all at once, and checks that one live successor is left and that it works.
async fn together(world: &World, count: usize) {
    let ada = world.sign_up("parallel").await;
    let calls = (0..count).map(|_| world.try_refresh(&ada.refresh_token));
    let mut leaves = HashSet::new();
    for answer in join_all(calls).await {
        leaves.insert(answer.expect("nobody is signed out").refresh_token);
    }
    assert_eq!(leaves.len(), 1);
    let leaf = leaves.into_iter().next().unwrap();
    let renewed = world.try_refresh(&leaf).await.expect("the leaf lives");
    world.as_token(&renewed.access_token).accounts().get_me(GetMeRequest {}).await.unwrap();
}

#[tokio::test]
async fn s25_two_parallel_refreshes_leave_one_leaf() {
    let world = World::shared().await;
    for _ in 0..rounds(20, 1000) {
        together(&world, 2).await;
    }
}

#[tokio::test]
async fn s25_ten_parallel_refreshes_leave_one_leaf() {
    let world = World::shared().await;
    for _ in 0..rounds(5, 1000) {
        together(&world, 10).await;
    }
}

#[tokio::test]
async fn s25_a_hundred_parallel_refreshes_leave_one_leaf() {
    // The last of them may come long after the first.
    let world = World::with(&["--identity-refresh-grace-seconds", "60"]).await;
    together(&world, 100).await;
}

#[tokio::test]
async fn s25_whoever_lost_the_answer_asks_again_and_stays_signed_in() {
    let world = World::shared().await;
    let mut ada = world.sign_up("cut").await;
    for _ in 0..10 {
        let proxy = cutting_proxy(world.gateway()).await;
        let mut sessions = Clients::new(channel(proxy), None).sessions();
        let asked = RefreshRequest { refresh_token: ada.refresh_token.clone() };
        sessions.refresh(asked).await.expect_err("the answer was cut off");
        ada.renewed(world.try_refresh(&ada.refresh_token).await.expect("still signed in"));
    }
    ada.accounts(&world).get_me(GetMeRequest {}).await.unwrap();
}

#[tokio::test]
async fn s25_an_identity_killed_between_commit_and_answer_signs_nobody_out() {
    let world = World::with(&["--identity-refresh-grace-seconds", "60"]).await;
    let Some(fleet) = world.fleet() else { return };
    let refreshed = Arc::new(AtomicU64::new(0));
    let stop = Arc::new(AtomicBool::new(false));
    let mut clients = Vec::new();
    for _ in 0..12 {
        let person = world.sign_up("killed").await;
        let (sessions, refreshed, stop) = (world.sessions(), refreshed.clone(), stop.clone());
        clients.push(tokio::spawn(refresh_until(sessions, person, refreshed, stop)));
    }
    let so_far = async |count: u64| (refreshed.load(Ordering::Relaxed) >= count).then_some(());
    eventually("refreshes go through", async || so_far(100).await).await;
    fleet.identities[0].signal(rustix::process::Signal::KILL);
    let count = refreshed.load(Ordering::Relaxed) + 100;
    eventually("refreshes go on with the other one", async || so_far(count).await).await;
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        let person = client.await.unwrap();
        let me = patiently("somebody answers", async || person.accounts(&world).get_me(GetMeRequest {}).await).await;
        me.expect("still signed in");
    }
}

/// Refreshes again and again, with the same token as long as there is no answer, as clients do.
async fn refresh_until(
    mut sessions: SessionServiceClient<Bearer>,
    mut person: Person,
    refreshed: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
) -> Person {
    while !stop.load(Ordering::Relaxed) {
        match sessions.refresh(RefreshRequest { refresh_token: person.refresh_token.clone() }).await {
            Ok(answer) => {
                person.renewed(answer.into_inner());
                refreshed.fetch_add(1, Ordering::Relaxed);
            }
            Err(status) => {
                assert!(!matches!(status.code(), Code::Unauthenticated | Code::InvalidArgument), "{status:?}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
    person
}

/// A way to the gateway that closes when the answer to the first call begins.
async fn cutting_proxy(gateway: std::net::SocketAddr) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut server = tokio::net::TcpStream::connect(gateway).await.unwrap();
        let (mut from_client, mut from_server) = ([0; 16384], [0; 16384]);
        loop {
            tokio::select! {
                read = client.read(&mut from_client) => match read {
                    Ok(length) if length > 0 => server.write_all(&from_client[..length]).await.unwrap(),
                    _ => return,
                },
                read = server.read(&mut from_server) => match read {
                    Ok(length) if length > 0 && !has_headers(&from_server[..length]) => {
                        client.write_all(&from_server[..length]).await.unwrap();
                    }
                    _ => return,
                },
            }
        }
    });
    address
}

/// Whether HTTP/2 frames hold a HEADERS frame: the answer to a call begins.
fn has_headers(mut bytes: &[u8]) -> bool {
    while let Some((head, rest)) = bytes.split_at_checked(9) {
        if head[3] == 1 {
            return true;
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        bytes = rest.get(length..).unwrap_or_default();
    }
    false
}
