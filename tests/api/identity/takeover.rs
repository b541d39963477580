//! An address that somebody else has registered first goes to whoever reads its mail (S-13), in whatever order things happen.

use super::email_change::{asked, count_about, mail_about};
use crate::harness::mail;
use crate::harness::prelude::*;

const SQUATTERS: &str = "Squatter1!horse";
const OWNERS: &str = "Owner1!horse";
const LAX: [&str; 2] = ["--identity-require-verified-email", "false"];

/// Somebody registers the address and, where that can be done, signs in.
async fn squat(world: &World) -> (String, Person) {
    let email = world.address("victim");
    let request = RegisterRequest { email: email.clone(), password: SQUATTERS.to_owned() };
    world.accounts().register(request).await.unwrap();
    let squatter = world.sign_in(&email, SQUATTERS).await;
    (email, squatter)
}

async fn activate(world: &World, token: Option<&str>, email: &str) -> Result<ActivateResponse, tonic::Status> {
    let mail = mail_about(world, email, "Activate your account").await;
    let proof = Some(activate_request::Proof::Token(mail::token(&mail)));
    let mut accounts = match token {
        Some(token) => world.as_token(token).accounts(),
        None => world.accounts(),
    };
    let request = ActivateRequest { email: email.to_owned(), proof };
    accounts.activate(request).await.map(tonic::Response::into_inner)
}

async fn reset(world: &World, email: &str) {
    let request = RequestPasswordResetRequest { email: email.to_owned() };
    world.accounts().request_password_reset(request).await.unwrap();
    let mail = mail_about(world, email, "Reset your password").await;
    let proof = Some(complete_password_reset_request::Proof::Token(mail::token(&mail)));
    let request = CompletePasswordResetRequest { email: email.to_owned(), proof, password: OWNERS.to_owned() };
    world.accounts().complete_password_reset(request).await.unwrap();
}

async fn sign_in_by_mail(world: &World, email: &str) -> SignInWithCodeResponse {
    let request = RequestSignInCodeRequest { email: email.to_owned() };
    world.sessions().request_sign_in_code(request).await.unwrap();
    let mail = mail_about(world, email, "Sign in to your account").await;
    let proof = Some(sign_in_with_code_request::Proof::Code(mail::code(&mail)));
    let request = SignInWithCodeRequest { email: email.to_owned(), proof, ..Default::default() };
    world.sessions().sign_in_with_code(request).await.unwrap().into_inner()
}

/// The squatter has nothing left: no password, no session, no token.
async fn assert_out(world: &World, squatter: &Person) {
    let refused = refusal(world.try_sign_in(&squatter.email, SQUATTERS).await);
    assert_eq!(refused.is(), (Code::Unauthenticated, "CREDENTIALS_INVALID"));
    let refused = refusal(world.try_refresh(&squatter.refresh_token).await);
    assert_eq!(refused.is(), (Code::Unauthenticated, "REFRESH_TOKEN_NOT_FOUND"));
    let refused = refused_at_last(async || squatter.accounts(world).get_me(GetMeRequest {}).await).await;
    assert_eq!(refused.is(), (Code::Unauthenticated, "SESSION_REVOKED"));
}

#[tokio::test]
async fn s13_first_order_the_owner_confirms_what_somebody_else_has_registered_and_used() {
    let world = World::with(&LAX).await;
    let (email, squatter) = squat(&world).await;
    // The squatter prepares a way back: a change of the address that only waits to be confirmed.
    let elsewhere = world.address("squatter");
    let (way_back, _) = asked(&world, &squatter, &elsewhere).await;

    let activated = activate(&world, None, &email).await.unwrap();
    assert_eq!((activated.message.as_str(), activated.password_needed), ("User account activated successfully.", true));
    mail_about(&world, &email, "Your address is confirmed").await;
    assert_out(&world, &squatter).await;
    let proof = Some(confirm_email_change_request::Proof::Token(way_back));
    let request = ConfirmEmailChangeRequest { email: elsewhere, proof };
    let refused = refusal(world.anonymous().email_changes().confirm_email_change(request).await);
    assert_eq!(refused.is(), (Code::InvalidArgument, "EMAIL_CHANGE_INVALID"));
    reset(&world, &email).await;
    world.sign_in(&email, OWNERS).await;
}

#[tokio::test]
async fn s13_second_order_the_owner_resets_the_password_before_confirming() {
    let world = World::with(&LAX).await;
    let (email, squatter) = squat(&world).await;
    reset(&world, &email).await;
    assert_out(&world, &squatter).await;
    let refused = refusal(activate(&world, None, &email).await);
    assert_eq!(refused.is(), (Code::InvalidArgument, "ACTIVATION_INVALID"), "the squatter's mail is worth nothing");
    world.sign_in(&email, OWNERS).await;
}

#[tokio::test]
async fn s13_third_order_the_owner_signs_in_with_a_mailed_code() {
    let world = World::with(&LAX).await;
    let (email, squatter) = squat(&world).await;
    let tokens = sign_in_by_mail(&world, &email).await;
    assert_out(&world, &squatter).await;
    let mut accounts = world.as_token(&tokens.access_token).accounts();
    let account = accounts.get_me(GetMeRequest {}).await.unwrap().into_inner().account.unwrap();
    assert!(account.email_verified);
    // Without a password a fresh sign-in is as good as one.
    let request = UpdatePasswordRequest { current_password: String::new(), new_password: OWNERS.to_owned() };
    accounts.update_password(request).await.unwrap();
    world.sign_in(&email, OWNERS).await;
    let again = sign_in_by_mail(&world, &email).await;
    world.sign_in(&email, OWNERS).await;
    assert_eq!(again.account_id, tokens.account_id, "a confirmed address keeps its password");
}

#[tokio::test]
async fn s13_fourth_order_the_owner_has_confirmed_before_the_squatter_comes() {
    let world = World::with(&LAX).await;
    let email = world.address("victim");
    let request = RegisterRequest { email: email.clone(), password: OWNERS.to_owned() };
    world.accounts().register(request).await.unwrap();
    let owner = world.sign_in(&email, OWNERS).await;
    let elsewhere = world.sign_in(&email, OWNERS).await;
    let activated = activate(&world, Some(&owner.access_token), &email).await.unwrap();
    assert!(!activated.password_needed, "who confirms in a session of the account has registered it");
    owner.accounts(&world).get_me(GetMeRequest {}).await.unwrap();
    let refused = refusal(world.try_refresh(&elsewhere.refresh_token).await);
    assert_eq!(refused.is(), (Code::Unauthenticated, "REFRESH_TOKEN_NOT_FOUND"));

    let request = RegisterRequest { email: email.clone(), password: SQUATTERS.to_owned() };
    let refused = refusal(world.accounts().register(request).await);
    assert_eq!(refused.is(), (Code::AlreadyExists, "EMAIL_TAKEN"));
    world.sign_in(&email, OWNERS).await;
    let refused = refusal(world.try_sign_in(&email, SQUATTERS).await);
    assert_eq!(refused.is(), (Code::Unauthenticated, "CREDENTIALS_INVALID"));
}

#[tokio::test]
async fn s13_a_session_of_another_account_keeps_nobodys_password() {
    let world = World::with(&LAX).await;
    let (email, squatter) = squat(&world).await;
    let (_, somebody) = squat(&world).await;
    let activated = activate(&world, Some(&somebody.access_token), &email).await.unwrap();
    assert!(activated.password_needed);
    assert_out(&world, &squatter).await;
    somebody.accounts(&world).get_me(GetMeRequest {}).await.unwrap();
}

#[tokio::test]
async fn i10_s13_who_waits_for_the_activation_gets_that_instead_of_a_sign_in() {
    let world = World::shared().await;
    let registered = world.register("pending").await;
    // A mail that a later one replaces before it is sent is not sent.
    world.mail_token(&registered.email).await;
    let request = RequestSignInCodeRequest { email: registered.email.clone() };
    world.sessions().request_sign_in_code(request).await.unwrap();
    eventually("another activation mail", async || {
        (count_about(&world, &registered.email, "Activate your account").await == 2).then_some(())
    })
    .await;
    assert_eq!(count_about(&world, &registered.email, "Sign in to your account").await, 0);
    activate(&world, None, &registered.email).await.unwrap();
    world.sign_in(&registered.email, &registered.password).await;
}
