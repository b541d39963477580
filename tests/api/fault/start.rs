//! Starting: parts that are not there yet, and two that want the same.

use std::process::{Child, Stdio};

use crate::harness::prelude::*;
use crate::harness::{
    Grounds, OwnPostgres, Postgres, Process, World, free_port, gateway_flags, quartet, quartet_command, rounds, wire,
};

async fn is_ready(port: u16) -> Option<bool> {
    let address = ([127, 0, 0, 1], port).into();
    let answer = wire::try_send(address, "GET", "/readyz", &[], b"").await.ok()?;
    Some(answer.status == 200)
}

#[tokio::test]
async fn f22_roles_start_in_any_order_without_their_parts_and_are_ready_when_these_appear() {
    if World::shared().await.is_embedded() {
        return;
    }
    let postgres = OwnPostgres::start().await;
    for order in [
        ["gateway", "media", "messaging", "catalogue", "identity"],
        ["messaging", "catalogue", "identity", "gateway", "media"],
        ["media", "identity", "gateway", "catalogue", "messaging"],
    ] {
        let grounds = Grounds::make(postgres.server.clone(), &[]).await;
        grounds.migrate().await;
        postgres.act("stop").await;
        grounds.redis.stop();
        let ports = [free_port(), free_port(), free_port(), free_port(), free_port()];
        let [gateway, catalogue, identity, media, messaging] = ports.map(|port| format!("127.0.0.1:{port}"));
        let mut starting = Vec::new();
        for role in order {
            let at = [&identity, &catalogue, &media, &messaging];
            let (listen, others) = match role {
                "gateway" => (&gateway, gateway_flags(&at).to_vec()),
                "catalogue" => (&catalogue, vec!["--identity-address", &identity]),
                "media" => (&media, vec!["--identity-address", &identity]),
                "messaging" => (&messaging, vec!["--identity-address", &identity]),
                _ => (&identity, Vec::new()),
            };
            let more = [vec!["--listen", listen], others].concat();
            starting.push(Process::spawn(&grounds.role(role, &more)));
        }
        eventually("the gateway lives", async || is_ready(ports[0]).await).await;
        assert_eq!(is_ready(ports[0]).await, Some(false), "{order:?}: alive, and not ready");

        grounds.redis.restart().await;
        postgres.act("start").await;
        eventually("the gateway is ready", async || is_ready(ports[0]).await.filter(|ready| *ready)).await;
        let clients = crate::harness::Clients::new(crate::harness::channel(gateway.parse().unwrap()), None);
        eventually("calls go through", async || {
            let asked =
                SignInRequest { email: "nobody@example.com".into(), password: PASSWORD.into(), ..Default::default() };
            let refused = Refusal::from(clients.sessions().sign_in(asked).await.err()?);
            clients.movies().list_movies(ListMoviesRequest::default()).await.ok()?;
            (refused.is() == (Code::Unauthenticated, "CREDENTIALS_INVALID")).then_some(())
        })
        .await;
        for process in starting {
            let mut process = tokio::task::spawn_blocking(|| process.ready()).await.unwrap();
            assert_eq!(process.ended(Duration::ZERO).await, None, "none has given up");
        }
    }
}

/// A process that ends with the test.
struct Kept(Child);

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn f23_a_second_server_on_a_data_directory_is_refused_every_time() {
    if World::shared().await.is_fleet() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let arguments = ["--data", data.to_str().unwrap(), "--listen", "127.0.0.1:0"].map(str::to_owned);
    let mut command = quartet_command(&arguments);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let _first = Kept(command.spawn().unwrap());
    eventually("the first one runs", async || data.join("identity.db").exists().then_some(())).await;
    for _ in 0..rounds(5, 20) {
        let arguments = arguments.clone();
        let second = tokio::task::spawn_blocking(move || quartet(&arguments)).await.unwrap();
        assert!(!second.status.success());
        assert!(second.stderr.contains(data.to_str().unwrap()), "it says which directory: {}", second.stderr);
        assert!(!second.stderr.contains("panicked"), "{}", second.stderr);
    }
}

#[tokio::test]
async fn f23_migrators_at_the_same_time_wait_for_each_other() {
    if World::shared().await.is_embedded() {
        return;
    }
    for _ in 0..3 {
        let grounds = Grounds::make(Postgres::of_this_run(), &[]).await;
        tokio::join!(grounds.migrate(), grounds.migrate(), grounds.migrate(), grounds.migrate());
        grounds.migrate().await;
    }
}
