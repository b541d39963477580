//! The rpcs of devices.

use crate::fault::stage::{Case, Stage};
use crate::harness::prelude::*;
use crate::messaging::push::server::{PushServer, reply};
use crate::messaging::push::{browser, devices, register};

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case { name: "DeviceService/RegisterDevice", run: |stage| Box::pin(register_one(stage)) },
        Case { name: "DeviceService/UnregisterDevice", run: |stage| Box::pin(unregister(stage)) },
        Case { name: "DeviceService/TestPush", run: |stage| Box::pin(try_one(stage)) },
    ]
}

async fn register_one(stage: &mut Stage) {
    let ada = stage.world.sign_up("ada").await;
    let asked = browser(&format!("http://127.0.0.1:9/{}", ada.account_id));
    let outcome = stage
        .call("DeviceService/RegisterDevice", &ada, async |clients| {
            clients.devices().register_device(asked.clone()).await
        })
        .await;
    let made = outcome.unwrap().device.unwrap();
    assert_eq!(devices(&stage.world, &ada).await, [made]);
}

async fn unregister(stage: &mut Stage) {
    let ada = stage.world.sign_up("ada").await;
    let made = register(&stage.world, &ada, browser(&format!("http://127.0.0.1:9/{}", ada.account_id))).await;
    let asked = UnregisterDeviceRequest { device_id: made.device_id };
    let outcome = stage
        .call("DeviceService/UnregisterDevice", &ada, async |clients| {
            clients.devices().unregister_device(asked.clone()).await
        })
        .await;
    outcome.unwrap();
    assert!(devices(&stage.world, &ada).await.is_empty());
}

/// A trial may come twice; what is known of the device is right either way.
async fn try_one(stage: &mut Stage) {
    let server = PushServer::start(|_, _| reply(201)).await;
    let ada = stage.world.sign_up("ada").await;
    let made = register(&stage.world, &ada, browser(&server.url("/ada"))).await;
    let asked = TestPushRequest { device_id: made.device_id };
    let outcome = stage
        .call("DeviceService/TestPush", &ada, async |clients| clients.devices().test_push(asked.clone()).await)
        .await;
    assert!(outcome.unwrap().steps.iter().all(|step| step.ok));
    assert!(devices(&stage.world, &ada).await[0].push_time.is_some());
    assert!((1..=2).contains(&server.taken("/ada").len()));
}
