//! S-50: a push endpoint leads nowhere that its owner could not reach by themselves.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::TcpListener;

use super::server::{PushServer, Reply, reply};
use super::{VAPID, browser, devices, register, tried, until_taken, world};
use crate::harness::free_port;
use crate::harness::prelude::*;
use crate::messaging::talk::{direct, say};

/// A port on loopback that nobody must come to.
struct Canary {
    port: u16,
    visits: Arc<AtomicUsize>,
}

impl Canary {
    async fn set() -> Canary {
        // Where nobody was before it, who might come back.
        let port = free_port();
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let visits = Arc::<AtomicUsize>::default();
        let counted = visits.clone();
        tokio::spawn(async move {
            while listener.accept().await.is_ok() {
                counted.fetch_add(1, Ordering::SeqCst);
            }
        });
        Canary { port, visits }
    }

    fn visits(&self) -> usize {
        self.visits.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn s50_an_endpoint_inside_is_not_registered_however_it_is_written() {
    let canary = Canary::set().await;
    let port = canary.port;
    // The port is let through, so that the address alone decides.
    let ports = format!("443,{port}");
    let world = World::with(&["--messaging-vapid-key", VAPID, "--messaging-push-ports", &ports]).await;
    let ada = world.sign_up("ada").await;
    let hosts = [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.0.0.1.",
        "127。0。0。1",
        "①②⑦.⓪.⓪.①",
        "0",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "localhost",
        "localhost.",
        "a.localhost",
        "x@127.0.0.1",
        "10.0.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "[fd00::1]",
        "[fe80::1]",
    ];
    for host in hosts {
        let asked = browser(&format!("https://{host}:{port}/x"));
        let refused = refusal(ada.devices(&world).register_device(asked).await);
        assert_eq!(refused.fields, ["web_push.endpoint"], "{host}");
    }
    for endpoint in [format!("http://8.8.8.8:{port}/x"), "https://8.8.8.8:22/x".to_owned()] {
        let refused = refusal(ada.devices(&world).register_device(browser(&endpoint)).await);
        assert_eq!(refused.fields, ["web_push.endpoint"], "{endpoint}");
    }
    assert!(devices(&world, &ada).await.is_empty());
    assert_eq!(canary.visits(), 0);
}

#[tokio::test]
async fn s50_a_redirect_is_not_followed_and_nothing_of_an_answer_is_told() {
    let canary = Canary::set().await;
    let inside = format!("http://127.0.0.1:{}/", canary.port);
    let server = PushServer::start(move |asked, _| match asked.path.as_str() {
        "/fence" => reply(201),
        path => Reply {
            headers: vec![("location", inside.clone())],
            body: "what lies inside".repeat(10_000),
            ..reply(if path == "/307" { 307 } else { 302 })
        },
    })
    .await;
    let world = world().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = direct(&world, &ada, &bob).await;
    for path in ["/302", "/307"] {
        let device = register(&world, &bob, browser(&server.url(path))).await;
        let steps = tried(&world, &bob, &device.device_id).await.unwrap();
        let last = steps.last().unwrap();
        assert_eq!((last.name.as_str(), last.ok), ("send", false));
        assert!(steps.iter().all(|step| !step.detail.contains("inside")), "{steps:?}");
        say(&world, &ada, &id, "Hello").await;
        eventually("it came", async || (server.at(path).len() >= 2).then_some(())).await;
    }
    register(&world, &bob, browser(&server.url("/fence"))).await;
    say(&world, &ada, &id, "Hello").await;
    until_taken(&server, "/fence", 1).await;
    assert_eq!(canary.visits(), 0);
}
