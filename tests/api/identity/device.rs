//! Devices that an account knows.

use crate::harness::prelude::*;

const NEW: &str = "A new sign-in to your account";

async fn sign_in(world: &World, email: &str, password: &str, device_token: &str) -> SignInResponse {
    try_sign_in(world, email, password, device_token).await.unwrap()
}

async fn try_sign_in(
    world: &World,
    email: &str,
    password: &str,
    device_token: &str,
) -> Result<SignInResponse, tonic::Status> {
    let asked = SignInRequest {
        email: email.to_owned(),
        password: password.to_owned(),
        device_token: device_token.to_owned(),
        ..Default::default()
    };
    world.sessions().sign_in(asked).await.map(tonic::Response::into_inner)
}

async fn notices(world: &World, email: &str) -> usize {
    world.mails(email).await.iter().filter(|mail| mail.subject == NEW).count()
}

async fn noticed(world: &World, email: &str, count: usize) {
    eventually("notices of new devices", async || (notices(world, email).await >= count).then_some(())).await;
    assert_eq!(notices(world, email).await, count);
}

#[tokio::test]
async fn i9_a_sign_in_from_a_new_device_is_mailed_and_one_from_a_known_device_is_not() {
    let world = World::shared().await;
    let ada = world.activated("ada").await;
    let first = sign_in(&world, &ada.email, &ada.password, "").await;
    assert!(first.device_token.split('.').count() == 3, "{}", first.device_token);
    let again = sign_in(&world, &ada.email, &ada.password, &first.device_token).await;
    assert_eq!(again.device_token, first.device_token);
    let other = sign_in(&world, &ada.email, &ada.password, "").await;
    assert_ne!(other.device_token, first.device_token);
    noticed(&world, &ada.email, 1).await;
    let mail = world.mails(&ada.email).await.into_iter().rfind(|mail| mail.subject == NEW).unwrap();
    assert!(mail.text.contains("127.0.0.1") && mail.text.contains("tonic") && mail.text.contains("UTC"), "{mail:?}");
    sign_in(&world, &ada.email, &ada.password, &other.device_token).await;

    // By the mailed code it is the same.
    let asked = RequestSignInCodeRequest { email: ada.email.clone() };
    world.sessions().request_sign_in_code(asked).await.unwrap();
    let code = eventually("a code", async || {
        let mail = world.mails(&ada.email).await.into_iter().find(|mail| mail.subject == "Sign in to your account")?;
        Some(crate::harness::mail::code(&mail))
    })
    .await;
    let asked = SignInWithCodeRequest {
        email: ada.email.clone(),
        proof: Some(sign_in_with_code_request::Proof::Code(code)),
        device_token: first.device_token.clone(),
        ..Default::default()
    };
    let by_code = world.sessions().sign_in_with_code(asked).await.unwrap().into_inner();
    assert_eq!(by_code.device_token, first.device_token);
    noticed(&world, &ada.email, 1).await;
}

#[tokio::test]
async fn s06_a_device_token_that_is_not_good_is_as_good_as_none() {
    let world = World::shared().await;
    let (ada, bob) = (world.activated("ada").await, world.sign_up("bob").await);
    let own = sign_in(&world, &ada.email, &ada.password, "").await.device_token;
    let others = sign_in(&world, &bob.email, &bob.password, "").await.device_token;
    let cut = own[..own.len() - 1].to_owned();
    let mut sent = 0;
    for token in [others, cut, "x".to_owned(), "x".repeat(5000), ada.account_id.clone(), bob.refresh_token] {
        let answer = sign_in(&world, &ada.email, &ada.password, &token).await;
        assert_ne!(answer.device_token, own);
        sent += 1;
        noticed(&world, &ada.email, sent).await;
    }
    let refused = refusal(try_sign_in(&world, &ada.email, "Wrong1!password", &own).await);
    assert_eq!(refused.is(), (Code::Unauthenticated, "CREDENTIALS_INVALID"), "it is no password");
    let refused = refusal(world.try_refresh(&own).await);
    assert_eq!(refused.is(), (Code::InvalidArgument, "REFRESH_TOKEN_INVALID"));
    let refused = refusal(world.as_token(&own).accounts().get_me(GetMeRequest {}).await);
    assert_eq!(refused.is(), (Code::Unauthenticated, "TOKEN_INVALID"));
}

#[tokio::test]
async fn i9_an_account_knows_fifty_devices_and_forgets_the_one_not_used_the_longest() {
    let world = World::own().await;
    let ada = world.activated("ada").await;
    let first = sign_in(&world, &ada.email, &ada.password, "").await.device_token;
    let second = sign_in(&world, &ada.email, &ada.password, "").await.device_token;
    for _ in 0..47 {
        sign_in(&world, &ada.email, &ada.password, "").await;
    }
    let used = sign_in(&world, &ada.email, &ada.password, &first).await;
    assert_eq!(used.device_token, first);
    for _ in 0..2 {
        sign_in(&world, &ada.email, &ada.password, "").await;
    }
    assert_eq!(sign_in(&world, &ada.email, &ada.password, &first).await.device_token, first);
    assert_ne!(sign_in(&world, &ada.email, &ada.password, &second).await.device_token, second);
}

#[tokio::test]
async fn s06_a_password_reset_forgets_every_device() {
    let world = World::shared().await;
    let ada = world.activated("ada").await;
    let device = sign_in(&world, &ada.email, &ada.password, "").await.device_token;
    let asked = RequestPasswordResetRequest { email: ada.email.clone() };
    world.accounts().request_password_reset(asked).await.unwrap();
    let token = eventually("the reset's mail", async || {
        let mail = world.mails(&ada.email).await.into_iter().find(|mail| mail.subject == "Reset your password")?;
        Some(crate::harness::mail::token(&mail))
    })
    .await;
    let asked = CompletePasswordResetRequest {
        email: ada.email.clone(),
        password: "Another1!horse".to_owned(),
        proof: Some(complete_password_reset_request::Proof::Token(token)),
    };
    world.accounts().complete_password_reset(asked).await.unwrap();
    let answer = sign_in(&world, &ada.email, "Another1!horse", &device).await;
    assert_ne!(answer.device_token, device);
    noticed(&world, &ada.email, 1).await;
}
