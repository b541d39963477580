//! A new address for an account.

use confirm_email_change_request::Proof;
use quartet_proto::control::v1::Mail;

use crate::harness::prelude::*;
use crate::harness::{accepted, mail};

const ASKED: &str = "You will receive an email with instructions at the new address.";
const INVALID: (Code, &str) = (Code::InvalidArgument, "EMAIL_CHANGE_INVALID");

/// The last mail with a subject to an address, once there is one.
pub async fn mail_about(world: &World, to: &str, subject: &str) -> Mail {
    eventually(subject, async || world.mails(to).await.into_iter().rfind(|mail| mail.subject == subject)).await
}

/// How many mails with a subject have come to an address.
pub async fn count_about(world: &World, to: &str, subject: &str) -> usize {
    world.mails(to).await.iter().filter(|mail| mail.subject == subject).count()
}

async fn ask(world: &World, person: &Person, new_email: &str) -> Result<String, tonic::Status> {
    let asked = RequestEmailChangeRequest { new_email: new_email.to_owned(), password: person.password.clone() };
    let mut changes = world.as_token(&person.access_token).email_changes();
    changes.request_email_change(asked).await.map(|answer| answer.into_inner().message)
}

/// Asks for another address and answers the mail's token and code.
pub async fn asked(world: &World, person: &Person, new_email: &str) -> (String, String) {
    let before = count_about(world, new_email, "Confirm your new address").await;
    assert_eq!(ask(world, person, new_email).await.unwrap(), ASKED);
    let mail = eventually("the mail to the new address", async || {
        let mails = world.mails(new_email).await.into_iter().filter(|mail| mail.subject == "Confirm your new address");
        mails.skip(before).last()
    })
    .await;
    (mail::token(&mail), mail::code(&mail))
}

async fn confirm(world: &World, email: &str, proof: Proof) -> Result<(), tonic::Status> {
    let asked = ConfirmEmailChangeRequest { email: email.to_owned(), proof: Some(proof) };
    world.anonymous().email_changes().confirm_email_change(asked).await.map(drop)
}

async fn address_of(world: &World, person: &Person) -> String {
    person.accounts(world).get_me(GetMeRequest {}).await.unwrap().into_inner().account.unwrap().email
}

fn other(code: &str, step: u64) -> String {
    format!("{:07}", (code.parse::<u64>().unwrap() + step) % 10_000_000)
}

#[tokio::test]
async fn s05_the_new_address_confirms_the_old_one_is_told_and_every_other_session_ends() {
    let world = World::shared().await;
    let ada = world.sign_up("ada").await;
    let elsewhere = world.sign_in(&ada.email, &ada.password).await;
    let new = world.address("new");
    let (token, _) = asked(&world, &ada, &new).await;
    let told = mail_about(&world, &ada.email, "Your address is to be changed").await;
    assert!(told.text.contains("n…@example.com") && !told.text.contains(&new), "{}", told.text);
    assert_eq!(address_of(&world, &ada).await, ada.email, "nothing has changed yet");

    confirm(&world, &new, Proof::Token(token.clone())).await.unwrap();
    assert_eq!(address_of(&world, &ada).await, new, "the session that asked goes on");
    let told = mail_about(&world, &ada.email, "Your address was changed").await;
    assert!(told.text.contains("n…@example.com") && !told.text.contains(&new), "{}", told.text);
    let refused = refusal(world.try_refresh(&elsewhere.refresh_token).await);
    assert_eq!(refused.is(), (Code::Unauthenticated, "REFRESH_TOKEN_NOT_FOUND"));
    let refused = refused_at_last(async || elsewhere.accounts(&world).get_me(GetMeRequest {}).await).await;
    assert_eq!(refused.is(), (Code::Unauthenticated, "SESSION_REVOKED"));
    world.sign_in(&new, &ada.password).await;
    let refused = refusal(world.try_sign_in(&ada.email, &ada.password).await);
    assert_eq!(refused.is(), (Code::Unauthenticated, "CREDENTIALS_INVALID"));
    assert_eq!(refusal(confirm(&world, &new, Proof::Token(token)).await).is(), INVALID, "a link works once");
}

#[tokio::test]
async fn s05_an_address_changes_by_code_too_and_each_try_counts() {
    let world = World::shared().await;
    let ada = world.sign_up("ada").await;
    let new = world.address("new");
    let (_, code) = asked(&world, &ada, &new).await;
    for step in 1..=4 {
        assert_eq!(refusal(confirm(&world, &new, Proof::Code(other(&code, step))).await).is(), INVALID);
    }
    confirm(&world, &new.to_uppercase(), Proof::Code(code)).await.unwrap();
    assert_eq!(address_of(&world, &ada).await, new);

    let newer = world.address("newer");
    let (token, code) = asked(&world, &ada, &newer).await;
    for step in 1..=5 {
        assert_eq!(refusal(confirm(&world, &newer, Proof::Code(other(&code, step))).await).is(), INVALID);
    }
    assert_eq!(refusal(confirm(&world, &newer, Proof::Code(code)).await).is(), INVALID, "five tries are all");
    confirm(&world, &newer, Proof::Token(token)).await.unwrap();
}

#[tokio::test]
async fn s05_an_address_changes_only_for_who_has_the_password() {
    let world = World::shared().await;
    let ada = world.sign_up("ada").await;
    let new = world.address("new");
    let mut thief = ada.clone();
    thief.password = "Stolen1!device".to_owned();
    let refused = refusal(ask(&world, &thief, &new).await);
    assert_eq!(refused.is(), (Code::Unauthenticated, "CREDENTIALS_INVALID"));
    thief.password.clear();
    refusal(ask(&world, &thief, &new).await);
    let asked = RequestEmailChangeRequest { new_email: new.clone(), password: ada.password.clone() };
    let refused = refusal(world.anonymous().email_changes().request_email_change(asked).await);
    assert_eq!(refused.is(), (Code::Unauthenticated, "TOKEN_MISSING"));
    for (address, why) in [(ada.email.to_uppercase(), "the same"), ("nowhere".to_owned(), "none")] {
        let refused = refusal(ask(&world, &ada, &address).await);
        assert_eq!(refused.is(), (Code::InvalidArgument, "FIELDS_INVALID"), "{why}");
        assert_eq!(refused.fields, ["new_email"], "{why}");
    }
    assert!(world.mails(&new).await.is_empty());
}

#[tokio::test]
async fn s09_who_asks_for_a_taken_address_learns_nothing_and_its_owner_is_told() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let new = world.address("new");
    let (token, _) = asked(&world, &ada, &new).await;
    assert_eq!(ask(&world, &ada, &bob.email).await.unwrap(), ASKED);
    mail_about(&world, &bob.email, "You have an account already").await;
    eventually("ada is told both times", async || {
        (count_about(&world, &ada.email, "Your address is to be changed").await == 2).then_some(())
    })
    .await;
    assert_eq!(count_about(&world, &bob.email, "Confirm your new address").await, 0);
    // As with a free one, the earlier link is replaced.
    assert_eq!(refusal(confirm(&world, &new, Proof::Token(token)).await).is(), INVALID);
}

#[tokio::test]
async fn s13_a_registration_that_nobody_has_activated_makes_room_for_who_proves_the_address() {
    let world = World::shared().await;
    let squatted = world.register("squatted").await;
    let squatters = world.mail_token(&squatted.email).await;
    let ada = world.sign_up("ada").await;
    let (token, _) = asked(&world, &ada, &squatted.email).await;
    confirm(&world, &squatted.email, Proof::Token(token)).await.unwrap();
    assert_eq!(address_of(&world, &ada).await, squatted.email);
    let proof = Some(activate_request::Proof::Token(squatters));
    let refused = refusal(world.accounts().activate(ActivateRequest { email: squatted.email.clone(), proof }).await);
    assert_eq!(refused.is(), (Code::InvalidArgument, "ACTIVATION_INVALID"));
}

#[tokio::test]
async fn s09_of_two_who_ask_for_one_address_each_needs_the_own_link_and_the_second_comes_too_late() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let new = world.address("new");
    let (adas, _) = asked(&world, &ada, &new).await;
    let (bobs, bobs_code) = asked(&world, &bob, &new).await;
    confirm(&world, &new, Proof::Token(adas)).await.unwrap();
    assert_eq!((address_of(&world, &ada).await, address_of(&world, &bob).await), (new.clone(), bob.email.clone()));
    for proof in [Proof::Token(bobs), Proof::Code(bobs_code)] {
        let refused = refusal(confirm(&world, &new, proof).await);
        assert_eq!(refused.is(), INVALID);
        assert_eq!(refused.message, "Invalid or expired email change token.");
    }
}

#[tokio::test]
async fn s11_of_two_hundred_confirmations_with_the_right_code_one_is_accepted() {
    let world = World::shared().await;
    let ada = world.sign_up("ada").await;
    let new = world.address("new");
    let (_, code) = asked(&world, &ada, &new).await;
    let confirmed = accepted(200, async || confirm(&world, &new, Proof::Code(code.clone())).await);
    assert_eq!(confirmed.await, 1);
}

#[tokio::test]
async fn s11_a_reset_that_was_mailed_to_the_old_address_ends_with_it() {
    let world = World::shared().await;
    let ada = world.sign_up("ada").await;
    let reset = RequestPasswordResetRequest { email: ada.email.clone() };
    world.accounts().request_password_reset(reset).await.unwrap();
    let reset = mail_about(&world, &ada.email, "Reset your password").await;
    let new = world.address("new");
    let (token, _) = asked(&world, &ada, &new).await;
    confirm(&world, &new, Proof::Token(token)).await.unwrap();
    for email in [&ada.email, &new] {
        let asked = VerifyResetCodeRequest { email: email.clone(), code: mail::code(&reset) };
        let refused = refusal(world.accounts().verify_reset_code(asked).await);
        assert_eq!(refused.is(), (Code::InvalidArgument, "RESET_INVALID"));
        let proof = Some(complete_password_reset_request::Proof::Token(mail::token(&reset)));
        let asked = CompletePasswordResetRequest { email: email.clone(), proof, password: "Another2@horse".to_owned() };
        let refused = refusal(world.accounts().complete_password_reset(asked).await);
        assert_eq!(refused.is(), (Code::InvalidArgument, "RESET_INVALID"));
    }
}

#[tokio::test]
async fn x1_a_change_expires_after_fifteen_minutes_and_its_mails_count() {
    let world = World::with(&["--identity-mails-per-hour", "3"]).await;
    let ada = world.sign_up("ada").await;
    let new = world.address("new");
    let (token, code) = asked(&world, &ada, &new).await;
    world.move_clock(Duration::from_secs(15 * 60 + 1)).await;
    for proof in [Proof::Token(token), Proof::Code(code)] {
        assert_eq!(refusal(confirm(&world, &new, proof).await).is(), INVALID);
    }
    // Two more; the registration counts by itself.
    let renewed = world.try_refresh(&ada.refresh_token).await.unwrap();
    let mut ada = ada;
    ada.renewed(renewed);
    asked(&world, &ada, &new).await;
    asked(&world, &ada, &new).await;
    let third = world.address("third");
    assert_eq!(ask(&world, &ada, &third).await.unwrap(), ASKED);
    assert!(world.mails(&third).await.is_empty());
    world.move_clock(Duration::from_secs(3600)).await;
    let renewed = world.try_refresh(&ada.refresh_token).await.unwrap();
    ada.renewed(renewed);
    asked(&world, &ada, &third).await;
    assert_eq!(count_about(&world, &third, "Confirm your new address").await, 1);
}

#[tokio::test]
async fn s06_s12_who_uses_up_one_kind_of_an_accounts_mails_keeps_none_of_the_other_kinds_from_it() {
    let world = World::with(&["--identity-mails-per-hour", "2"]).await;
    let ada = world.sign_up("ada").await;
    for _ in 0..6 {
        let asked = RequestSignInCodeRequest { email: ada.email.clone() };
        world.sessions().request_sign_in_code(asked).await.unwrap();
    }
    let reset = || RequestPasswordResetRequest { email: ada.email.clone() };
    world.accounts().request_password_reset(reset()).await.unwrap();
    mail_about(&world, &ada.email, "Reset your password").await;
    mail_about(&world, &ada.email, "Sign in to your account").await;
    for _ in 0..6 {
        world.accounts().request_password_reset(reset()).await.unwrap();
    }
    let new = world.address("new");
    let (token, _) = asked(&world, &ada, &new).await;
    confirm(&world, &new, Proof::Token(token)).await.unwrap();
    // A mail that a later one replaces before it is sent is not sent.
    for subject in ["Sign in to your account", "Reset your password"] {
        assert!((1..=2).contains(&count_about(&world, &ada.email, subject).await), "{subject}");
    }
}
