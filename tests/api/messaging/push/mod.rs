//! Devices, and the pushes that reach them.

mod device;
mod firebase;
mod hold;
pub mod server;
mod skip;
mod ssrf;
mod tool;
mod web;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use quartet_proto::messaging::v1::register_device_request::Target;

use self::server::PushServer;
use crate::harness::PATIENT;
use crate::harness::prelude::*;

/// A key of Web Push: of RFC 8291's example.
pub const VAPID: &str = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw";
/// A browser's keys: of the same example.
pub const PRIVATE: &str = "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94";
pub const PUBLIC: &str = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
pub const SECRET: &str = "BTBZMqHH6r4Tts7J_aSIgg";

pub fn decoded(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

/// A world in which push services are on loopback.
async fn world() -> World {
    let flags = ["--messaging-push-loopback", "--messaging-vapid-key", VAPID];
    World::with(&[&flags[..], &PATIENT[..]].concat()).await
}

/// What a browser registers.
pub fn browser(endpoint: &str) -> RegisterDeviceRequest {
    let (p256dh, auth) = (decoded(PUBLIC), decoded(SECRET));
    let target = Target::WebPush(WebPushSubscription { endpoint: endpoint.to_owned(), p256dh, auth });
    RegisterDeviceRequest { name: "Browser".to_owned(), target: Some(target) }
}

fn phone(token: &str) -> RegisterDeviceRequest {
    RegisterDeviceRequest { name: "Phone".to_owned(), target: Some(Target::FcmToken(token.to_owned())) }
}

pub async fn register(world: &World, person: &Person, asked: RegisterDeviceRequest) -> Device {
    let answer = person.devices(world).register_device(asked).await;
    answer.map_err(Refusal::from).expect("not registered").into_inner().device.unwrap()
}

pub async fn devices(world: &World, person: &Person) -> Vec<Device> {
    person.devices(world).list_devices(ListDevicesRequest {}).await.unwrap().into_inner().devices
}

async fn tried(world: &World, person: &Person, device_id: &str) -> Result<Vec<PushStep>, tonic::Status> {
    let asked = TestPushRequest { device_id: device_id.to_owned() };
    person.devices(world).test_push(asked).await.map(|answer| answer.into_inner().steps)
}

/// Waits until a path has taken so many pushes.
async fn until_taken(server: &PushServer, path: &str, count: usize) {
    eventually("pushes are taken", async || (server.taken(path).len() >= count).then_some(())).await;
}

/// Waits until something is so, while the world's clock runs fast: half a minute in a second.
async fn as_time_goes(world: &World, what: &str, is_so: impl Fn() -> bool) {
    let mut turn = 0;
    eventually(what, async || {
        if is_so() {
            return Some(());
        }
        if turn % 40 == 0 {
            world.move_clock(Duration::from_secs(30)).await;
        }
        turn += 1;
        None
    })
    .await;
}
