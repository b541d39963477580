//! `quartet push test`, as somebody uses it who wonders why nothing comes.

use super::server::{PushServer, reply};
use super::{browser, register, world};

#[tokio::test]
async fn g13_the_command_prints_each_hop() {
    let server = PushServer::start(|asked, _| reply(if asked.path == "/good" { 201 } else { 500 })).await;
    let world = world().await;
    let ada = world.sign_up("ada").await;
    let address = format!("http://{}", world.gateway());
    let run = async |device: &[&str]| {
        let who = ["--server", &address, "--access-token", &ada.access_token];
        world.quartet(&[&["push", "test"], device, &who[..]].concat()).await
    };
    let output = run(&[]).await;
    assert!(!output.status.success() && output.stderr.contains("no devices"), "{output:?}");
    let device = register(&world, &ada, browser(&server.url("/good"))).await;
    let output = run(&[]).await;
    assert!(output.status.success() && output.stdout.contains(&device.device_id), "{output:?}");
    let output = run(&[&device.device_id]).await;
    assert!(output.status.success(), "{output:?}");
    let hops: Vec<&str> = output.stdout.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(hops, ["address", "encrypt", "sign", "send"]);

    let device = register(&world, &ada, browser(&server.url("/bad"))).await;
    let output = run(&[&device.device_id]).await;
    assert!(!output.status.success(), "{output:?}");
    let last = output.stdout.lines().last().unwrap_or_default();
    assert!(last.starts_with("send") && last.contains("FAILED") && last.contains("500"), "{output:?}");
}
