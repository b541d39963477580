//! F-22: a fleet whose databases have no tables yet.

use std::net::SocketAddr;

use bytes::Bytes;

use crate::harness::prelude::*;
use crate::harness::{Clients, Grounds, Postgres, Process, channel, gateway_flags, raw, wire};

/// What a port says of itself: ready or not, and by `grpc.health.v1` serving (1) or not (2).
async fn health(process: &Process) -> (u16, Option<u8>) {
    let page = wire::send(process.started.admin, "GET", "/readyz", &[], b"").await.status;
    (page, grpc_health(process.started.listen).await)
}

async fn grpc_health(port: SocketAddr) -> Option<u8> {
    let answer: Bytes = raw::call(channel(port), "/grpc.health.v1.Health/Check", None, Vec::new()).await.ok()?;
    answer.get(1).copied()
}

#[tokio::test]
async fn f22_roles_on_unmigrated_databases_are_not_ready_until_they_are_migrated() {
    if World::shared().await.is_embedded() {
        return;
    }
    let grounds = Grounds::make(Postgres::of_this_run(), &[]).await;
    let identity = Process::start(&grounds.role("identity", &[])).await;
    let at = identity.started.listen.to_string();
    let catalogue = Process::start(&grounds.role("catalogue", &["--identity-address", &at])).await;
    let media = Process::start(&grounds.role("media", &["--identity-address", &at])).await;
    let messaging = Process::start(&grounds.role("messaging", &["--identity-address", &at])).await;
    let others = [&catalogue, &media, &messaging].map(|role| role.started.listen.to_string());
    let [catalogue_at, media_at, messaging_at] = others;
    let addresses = [at, catalogue_at, media_at, messaging_at];
    let gateway = Process::start(&grounds.role("gateway", &gateway_flags(&addresses))).await;
    let clients = Clients::new(channel(gateway.started.listen), None);
    let register = async || {
        let asked = RegisterRequest { email: "ada@example.com".into(), password: PASSWORD.into() };
        clients.accounts().register(asked).await
    };
    let list = async || clients.movies().list_movies(ListMoviesRequest::default()).await;

    let mut roles = [identity, catalogue, media, messaging, gateway];
    for role in &roles {
        assert_eq!(health(role).await, (503, Some(2)), "alive, and not ready");
    }
    for refused in [refusal(register().await), refusal(list().await)] {
        assert_eq!(refused.is(), (Code::Unavailable, "DEPENDENCY_UNAVAILABLE"), "{refused:?}");
    }

    grounds.migrate().await;
    for role in &roles {
        eventually("ready", async || (health(role).await == (200, Some(1))).then_some(())).await;
    }
    register().await.expect("no restart was needed");
    list().await.expect("no restart was needed");
    for role in &mut roles {
        assert_eq!(role.ended(Duration::ZERO).await, None);
    }
}
