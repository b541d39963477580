//! G12: devices are their session's, and a target is one account's.

use futures_util::future::join_all;

use super::server::{PushServer, reply};
use super::{browser, decoded, devices, phone, register, tried, world};
use crate::harness::prelude::*;
use crate::harness::rounds;

#[tokio::test]
async fn g12_x18_a_device_is_registered_listed_and_removed_by_its_own_account() {
    let world = world().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let made = register(&world, &ada, browser("http://127.0.0.1:9/ada")).await;
    assert_eq!((made.name.as_str(), made.kind(), made.current), ("Browser", PushKind::Web, true));
    assert!(made.create_time.is_some() && made.push_time.is_none());
    assert_eq!(devices(&world, &ada).await, std::slice::from_ref(&made));
    assert!(devices(&world, &bob).await.is_empty());
    let again = register(&world, &ada, browser("http://127.0.0.1:9/ada")).await;
    assert_eq!(again, made, "the same again is the same");
    let next = register(&world, &ada, browser("http://127.0.0.1:9/next")).await;
    assert_eq!(devices(&world, &ada).await, std::slice::from_ref(&next), "a session has one");

    let remove = async |person: &Person, id: &str| {
        let asked = UnregisterDeviceRequest { device_id: id.to_owned() };
        person.devices(&world).unregister_device(asked).await.unwrap();
    };
    remove(&bob, &next.device_id).await;
    remove(&ada, "none").await;
    assert_eq!(devices(&world, &ada).await.len(), 1);
    remove(&ada, &next.device_id).await;
    remove(&ada, &next.device_id).await;
    assert!(devices(&world, &ada).await.is_empty());
}

#[tokio::test]
async fn g12_the_same_target_under_another_account_moves() {
    let world = world().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let hers = register(&world, &ada, browser("http://127.0.0.1:9/shared")).await;
    let his = register(&world, &bob, browser("http://127.0.0.1:9/shared")).await;
    assert_ne!(hers.device_id, his.device_id);
    assert!(devices(&world, &ada).await.is_empty());
    let (one, other) = tokio::join!(
        register(&world, &ada, browser("http://127.0.0.1:9/shared")),
        register(&world, &bob, browser("http://127.0.0.1:9/shared"))
    );
    let (hers, his) = (devices(&world, &ada).await, devices(&world, &bob).await);
    assert_eq!(hers.len() + his.len(), 1, "{one:?} {other:?}");
}

#[tokio::test]
async fn g12_a_device_goes_with_its_session() {
    let world = world().await;
    let ada = world.sign_up("ada").await;
    let other = world.sign_in(&ada.email, PASSWORD).await;
    let stays = register(&world, &ada, browser("http://127.0.0.1:9/stays")).await;
    let goes = register(&world, &other, browser("http://127.0.0.1:9/goes")).await;
    let ids: Vec<String> = devices(&world, &ada).await.into_iter().map(|device| device.device_id).collect();
    assert_eq!(ids, [goes.device_id, stays.device_id.clone()], "the newest first");
    other.sessions(&world).sign_out(SignOutRequest {}).await.unwrap();
    eventually("the device is gone", async || (devices(&world, &ada).await.len() == 1).then_some(())).await;
    assert_eq!(devices(&world, &ada).await[0].device_id, stays.device_id);
}

#[tokio::test]
async fn g12_s49_an_account_has_twenty_devices() {
    let world = world().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let mut last = ada.clone();
    for number in 0..20 {
        register(&world, &last, browser(&format!("http://127.0.0.1:9/{number}"))).await;
        last = world.sign_in(&ada.email, PASSWORD).await;
    }
    let refused = refusal(last.devices(&world).register_device(browser("http://127.0.0.1:9/more")).await);
    assert_eq!(refused.is(), (Code::ResourceExhausted, "DEVICE_LIMIT_REACHED"));
    register(&world, &ada, browser("http://127.0.0.1:9/other")).await;
    register(&world, &bob, browser("http://127.0.0.1:9/bob")).await;
    assert_eq!(devices(&world, &ada).await.len(), 20);
}

#[tokio::test]
async fn g12_s34_an_account_has_twenty_devices_however_many_sessions_register_at_once() {
    let world = world().await;
    let ada = world.sign_up("ada").await;
    for number in 0..15 {
        let session = world.sign_in(&ada.email, PASSWORD).await;
        register(&world, &session, browser(&format!("http://127.0.0.1:9/{number}"))).await;
    }
    let others = join_all((0..10).map(|_| world.sign_in(&ada.email, PASSWORD))).await;
    for round in 0..rounds(5, 10) {
        let asked = |number: usize| browser(&format!("http://127.0.0.1:9/more/{round}/{number}"));
        let all = others.iter().enumerate();
        let all = join_all(all.map(async |(number, session)| {
            session.devices(&world).register_device(asked(number)).await.map_err(Refusal::from)
        }))
        .await;
        for refused in all.iter().filter_map(|one| one.as_ref().err()) {
            assert_eq!(refused.is(), (Code::ResourceExhausted, "DEVICE_LIMIT_REACHED"));
        }
        let made: Vec<String> =
            all.into_iter().flatten().map(|made| made.into_inner().device.unwrap().device_id).collect();
        assert_eq!((made.len(), devices(&world, &ada).await.len()), (5, 20), "round {round}");
        for device_id in made {
            ada.devices(&world).unregister_device(UnregisterDeviceRequest { device_id }).await.unwrap();
        }
    }
}

#[tokio::test]
async fn g12_s34_a_session_has_one_device_however_often_it_registers_at_once() {
    let world = world().await;
    let ada = world.sign_up("ada").await;
    for round in 0..rounds(10, 30) {
        let one = async |number: usize| {
            register(&world, &ada, browser(&format!("http://127.0.0.1:9/{round}/{number}"))).await.device_id
        };
        let made = join_all((0..6).map(one)).await;
        let there = devices(&world, &ada).await;
        assert_eq!(there.len(), 1, "round {round}: {there:?}");
        assert!(made.contains(&there[0].device_id), "the last of them");
    }
}

#[tokio::test]
async fn g12_all_that_is_wrong_with_a_device_is_told_at_once() {
    let world = world().await;
    let ada = world.sign_up("ada").await;
    let ask = async |asked| refusal(ada.devices(&world).register_device(asked).await);
    assert_eq!(ask(RegisterDeviceRequest::default()).await.fields, ["target"]);
    let subscription =
        WebPushSubscription { endpoint: "ftp://127.0.0.1/x".into(), p256dh: vec![4; 65], auth: vec![0; 15] };
    let asked = RegisterDeviceRequest { name: "a\nb".into(), target: Some(super::Target::WebPush(subscription)) };
    assert_eq!(ask(asked).await.fields, ["name", "web_push.endpoint", "web_push.p256dh", "web_push.auth"]);
    for token in [String::new(), "a b".into(), "ä".into(), "x".repeat(4097)] {
        assert_eq!(ask(phone(&token)).await.fields, ["fcm_token"]);
    }
    assert_eq!(ask(phone("token")).await.is(), (Code::FailedPrecondition, "PUSH_NOT_CONFIGURED"));
    assert!(devices(&world, &ada).await.is_empty());
}

#[tokio::test]
async fn g12_what_there_is_to_register_with_is_told_to_everybody() {
    let config = async |world: &World| {
        world.anonymous().devices().get_push_config(GetPushConfigRequest {}).await.unwrap().into_inner()
    };
    let told = config(&world().await).await;
    // The public half of the key that the world was given, by RFC 8291.
    let public = "BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8";
    assert_eq!((told.fcm, told.web_push_public_key), (false, decoded(public)));
    let plain = World::shared().await;
    let told = config(&plain).await;
    if plain.is_embedded() {
        assert_eq!(told.web_push_public_key.len(), 65, "in one process Web Push works at once");
    } else {
        assert!(told.web_push_public_key.is_empty());
        let ada = plain.sign_up("ada").await;
        let refused = refusal(ada.devices(&plain).register_device(browser("https://push.example.com/x")).await);
        assert_eq!(refused.is(), (Code::FailedPrecondition, "PUSH_NOT_CONFIGURED"));
    }
}

#[tokio::test]
async fn g13_a_trial_shows_each_step_and_is_one_s_own() {
    let server = PushServer::start(|asked, _| reply(if asked.path == "/gone" { 410 } else { 201 })).await;
    let world = world().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let device = register(&world, &ada, browser(&server.url("/ada"))).await;
    let steps = tried(&world, &ada, &device.device_id).await.unwrap();
    let names: Vec<&str> = steps.iter().map(|step| step.name.as_str()).collect();
    assert_eq!(names, ["address", "encrypt", "sign", "send"]);
    assert!(steps.iter().all(|step| step.ok), "{steps:?}");
    assert_eq!(server.taken("/ada").len(), 1);
    assert!(devices(&world, &ada).await[0].push_time.is_some());
    for id in [device.device_id.as_str(), "none"] {
        let refused = refusal(tried(&world, &bob, id).await);
        assert_eq!(refused.is(), (Code::NotFound, "DEVICE_NOT_FOUND"));
    }
    let device = register(&world, &ada, browser(&server.url("/gone"))).await;
    let steps = tried(&world, &ada, &device.device_id).await.unwrap();
    assert!(!steps.last().unwrap().ok, "{steps:?}");
    assert!(devices(&world, &ada).await.is_empty(), "its push service knows it no more");
    let held = eventually("it is enough", async || {
        let refused = Refusal::from(tried(&world, &ada, "none").await.err()?);
        (refused.reason == "RATE_LIMITED").then_some(refused)
    })
    .await;
    assert_eq!(held.code, Code::ResourceExhausted);
}

#[tokio::test]
async fn g12_a_lesser_token_registers_no_device() {
    let world = world().await;
    let ada = world.sign_up("ada").await;
    let hers = register(&world, &ada, browser("http://127.0.0.1:9/ada")).await;
    let form = issue_token_request::Form::Narrow(NarrowToken { roles: Vec::new() });
    let asked = IssueTokenRequest { form: Some(form), audience: "messaging".to_owned(), life_seconds: 60 };
    let token = ada.sessions(&world).issue_token(asked).await.unwrap().into_inner().access_token;
    let lesser = world.as_token(&token);
    assert_eq!(lesser.devices().list_devices(ListDevicesRequest {}).await.unwrap().into_inner().devices.len(), 1);
    let refused = refusal(lesser.devices().register_device(browser("http://127.0.0.1:9/eve")).await);
    assert_eq!(refused.is(), (Code::PermissionDenied, "ACTOR_REFUSED"));
    let asked = UnregisterDeviceRequest { device_id: hers.device_id.clone() };
    let refused = refusal(lesser.devices().unregister_device(asked).await);
    assert_eq!(refused.is(), (Code::PermissionDenied, "ACTOR_REFUSED"));
    assert_eq!(devices(&world, &ada).await, [hers], "and takes no place of the owner's");
    let bob = world.sign_up("bob").await;
    let asked = BlockAccountRequest { account_id: bob.account_id.clone() };
    let refused = refusal(lesser.conversations().block_account(asked).await);
    assert_eq!(refused.is(), (Code::PermissionDenied, "ACTOR_REFUSED"), "nor does it leave anything else behind");
}
