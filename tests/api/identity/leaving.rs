//! Accounts that their owners put aside, and what is shut to an account that is not in use.

use reactivate_request::Proof;

use super::email_change::{count_about, mail_about};
use crate::harness::mail;
use crate::harness::prelude::*;

const AGAIN: &str = "Take your account into use again";
const INVALID: (Code, &str) = (Code::InvalidArgument, "REACTIVATION_INVALID");
const NO_CREDENTIALS: (Code, &str) = (Code::Unauthenticated, "CREDENTIALS_INVALID");
const NOT_DEACTIVATED: (Code, &str) = (Code::FailedPrecondition, "ACCOUNT_NOT_DEACTIVATED");

async fn deactivate(world: &World, person: &Person, password: &str) -> Result<(), tonic::Status> {
    person.accounts(world).deactivate(DeactivateRequest { password: password.to_owned() }).await.map(drop)
}

async fn reactivate(
    world: &World,
    email: &str,
    password: &str,
    proof: Option<Proof>,
) -> Result<ReactivateResponse, tonic::Status> {
    let asked = ReactivateRequest { email: email.to_owned(), password: password.to_owned(), proof };
    world.accounts().reactivate(asked).await.map(tonic::Response::into_inner)
}

/// Asks for a reactivation and answers the mail's token and code.
async fn mailed(world: &World, email: &str) -> (String, String) {
    let before = count_about(world, email, AGAIN).await;
    assert!(!reactivate(world, email, PASSWORD, None).await.unwrap().reactivated);
    eventually("the mail", async || (count_about(world, email, AGAIN).await > before).then_some(())).await;
    let mail = mail_about(world, email, AGAIN).await;
    (mail::token(&mail), mail::code(&mail))
}

#[tokio::test]
async fn i17_a_deactivated_account_is_shut_until_password_and_mail_open_it_again() {
    let world = World::shared().await;
    let ada = world.sign_up("ada").await;
    let refused = refusal(deactivate(&world, &ada, "Wrong1!horse").await);
    assert_eq!(refused.is(), NO_CREDENTIALS);
    deactivate(&world, &ada, &ada.password).await.unwrap();
    mail_about(&world, &ada.email, "Your account was deactivated").await;
    let refused = refusal(world.try_sign_in(&ada.email, &ada.password).await);
    assert_eq!(refused.is(), (Code::PermissionDenied, "ACCOUNT_DISABLED"));
    let refused = refusal(
        world.accounts().register(RegisterRequest { email: ada.email.clone(), password: PASSWORD.to_owned() }).await,
    );
    assert_eq!(refused.is(), (Code::AlreadyExists, "EMAIL_TAKEN"), "nothing of it is lost");

    let (token, _) = mailed(&world, &ada.email).await;
    let answer = reactivate(&world, &ada.email, &ada.password, Some(Proof::Token(token))).await.unwrap();
    assert!(answer.reactivated && !answer.message.is_empty());
    mail_about(&world, &ada.email, "Your account is in use again").await;
    let back = world.sign_in(&ada.email, &ada.password).await;
    assert_eq!(back.account_id, ada.account_id);
    let refused = refusal(world.try_refresh(&ada.refresh_token).await);
    assert_eq!(refused.is(), (Code::Unauthenticated, "REFRESH_TOKEN_NOT_FOUND"), "no earlier session comes back");
}

#[tokio::test]
async fn i17_a_code_opens_it_too_and_neither_opens_it_without_the_other() {
    let world = World::shared().await;
    let ada = world.sign_up("ada").await;
    deactivate(&world, &ada, &ada.password).await.unwrap();
    for proof in [None, Some(Proof::Code("1234567".to_owned()))] {
        let refused = refusal(reactivate(&world, &ada.email, "Wrong1!horse", proof).await);
        assert_eq!(refused.is(), NO_CREDENTIALS);
    }
    let (token, code) = mailed(&world, &ada.email).await;
    let wrong = format!("{:07}", (code.parse::<u64>().unwrap() + 1) % 10_000_000);
    for proof in [Proof::Code(wrong), Proof::Token("0".repeat(43))] {
        assert_eq!(refusal(reactivate(&world, &ada.email, &ada.password, Some(proof)).await).is(), INVALID);
    }
    let refused = refusal(reactivate(&world, &ada.email, "Wrong1!horse", Some(Proof::Token(token.clone()))).await);
    assert_eq!(refused.is(), NO_CREDENTIALS, "the mail alone is not enough");
    reactivate(&world, &ada.email, &ada.password, Some(Proof::Code(code))).await.unwrap();
    let again = refusal(reactivate(&world, &ada.email, &ada.password, Some(Proof::Token(token))).await);
    assert_eq!(again.is(), NOT_DEACTIVATED);
}

#[tokio::test]
async fn i17_what_an_account_is_learns_only_who_has_its_password() {
    let world = World::shared().await;
    let (pending, active) = (world.register("pending").await, world.activated("active").await);
    let nobody = world.address("nobody");
    for email in [&pending.email, &active.email, &nobody] {
        assert_eq!(refusal(reactivate(&world, email, "Wrong1!horse", None).await).is(), NO_CREDENTIALS);
    }
    for email in [&pending.email, &active.email] {
        assert_eq!(refusal(reactivate(&world, email, PASSWORD, None).await).is(), NOT_DEACTIVATED);
    }
    let refused = refusal(reactivate(&world, "nowhere", "", Some(Proof::Code(String::new()))).await);
    assert_eq!(refused.is(), (Code::InvalidArgument, "FIELDS_INVALID"));
    assert_eq!(refused.fields, ["email", "password", "code"]);
}

#[tokio::test]
async fn x11_an_account_that_was_put_aside_is_no_account_that_waits_for_its_activation() {
    let world = World::with(&["--identity-require-verified-email", "false"]).await;
    let registered = world.register("ada").await;
    let activation = world.mail_token(&registered.email).await;
    let ada = world.sign_in(&registered.email, &registered.password).await;
    deactivate(&world, &ada, &ada.password).await.unwrap();
    let asked = ResendActivationRequest { email: ada.email.clone() };
    world.accounts().resend_activation(asked).await.unwrap();
    let proof = Some(activate_request::Proof::Token(activation));
    let refused = refusal(world.accounts().activate(ActivateRequest { email: ada.email.clone(), proof }).await);
    assert_eq!(refused.is(), (Code::InvalidArgument, "ACTIVATION_INVALID"));
    // It does not die as a registration does, either.
    world.move_clock(Duration::from_secs(48 * 3600)).await;
    let (token, _) = mailed(&world, &ada.email).await;
    assert_eq!(count_about(&world, &ada.email, "Activate your account").await, 1);
    reactivate(&world, &ada.email, &ada.password, Some(Proof::Token(token))).await.unwrap();
    let back = world.sign_in(&ada.email, &ada.password).await;
    let account = back.accounts(&world).get_me(GetMeRequest {}).await.unwrap().into_inner().account.unwrap();
    assert!(account.email_verified, "who has read the mail has confirmed the address");
}

#[tokio::test]
async fn i17_an_account_without_a_password_sets_one_before_it_leaves() {
    let world = World::with(&["--identity-require-verified-email", "false"]).await;
    let registered = world.register("ada").await;
    // Who signs in by mail first need not be who has registered: the password is gone.
    let ((token, _), _) = proofs(&world, &registered.email).await;
    let proof = Some(sign_in_with_code_request::Proof::Token(token));
    let asked = SignInWithCodeRequest { email: registered.email.clone(), proof, ..Default::default() };
    let tokens = world.sessions().sign_in_with_code(asked).await.unwrap().into_inner();
    let mut accounts = world.as_token(&tokens.access_token).accounts();
    let refused = refusal(accounts.deactivate(DeactivateRequest::default()).await);
    assert_eq!(refused.is(), (Code::InvalidArgument, "FIELDS_INVALID"));
    assert_eq!(refused.fields, ["password"]);
    let asked = UpdatePasswordRequest { new_password: PASSWORD.to_owned(), ..Default::default() };
    accounts.update_password(asked).await.unwrap();
    accounts.deactivate(DeactivateRequest { password: PASSWORD.to_owned() }).await.unwrap();
    let (token, _) = mailed(&world, &registered.email).await;
    reactivate(&world, &registered.email, PASSWORD, Some(Proof::Token(token))).await.unwrap();
}

#[tokio::test]
async fn i17_the_last_administrator_can_neither_leave_nor_be_deleted() {
    let world = World::own().await;
    let admin = world.admin().await;
    let last = (Code::FailedPrecondition, "LAST_ADMINISTRATOR");
    assert_eq!(refusal(deactivate(&world, &admin, &admin.password).await).is(), last);
    let asked = DeleteAccountRequest { password: admin.password.clone() };
    assert_eq!(refusal(admin.accounts(&world).delete_account(asked).await).is(), last);
    let second = world.admin().await;
    let (one, two) =
        tokio::join!(deactivate(&world, &admin, &admin.password), deactivate(&world, &second, &second.password));
    assert!(one.is_ok() != two.is_ok(), "one of two may go, {one:?} {two:?}");
    let refused = [one, two].into_iter().find_map(Result::err).map(Refusal::from).unwrap();
    assert_eq!(refused.is(), last);
}

/// Whoever an account is shut to, it is shut in every way: with the password, by code and link, with tokens from before.
async fn assert_shut(world: &World, person: &Person, by_mail: &(String, String), state: &str) {
    let refused = refusal(world.try_sign_in(&person.email, &person.password).await);
    assert!(["ACCOUNT_DISABLED", "CREDENTIALS_INVALID"].contains(&refused.reason.as_str()), "{state}: {refused:?}");
    let refused = refusal(world.try_refresh(&person.refresh_token).await);
    let ended = ["REFRESH_TOKEN_NOT_FOUND", "ACCOUNT_DISABLED", "ACCOUNT_NOT_FOUND"];
    assert!(ended.contains(&refused.reason.as_str()), "{state}: {refused:?}");
    let refused = refused_at_last(async || person.accounts(world).get_me(GetMeRequest {}).await).await;
    assert_eq!(refused.code, Code::Unauthenticated, "{state}");
    let (token, code) = by_mail.clone();
    for proof in [sign_in_with_code_request::Proof::Token(token), sign_in_with_code_request::Proof::Code(code)] {
        let asked = SignInWithCodeRequest { email: person.email.clone(), proof: Some(proof), ..Default::default() };
        let refused = refusal(world.sessions().sign_in_with_code(asked).await);
        assert_eq!(refused.is(), (Code::Unauthenticated, "SIGN_IN_CODE_INVALID"), "{state}");
    }
    let before = world.mails(&person.email).await.len();
    let asked = RequestSignInCodeRequest { email: person.email.clone() };
    world.sessions().request_sign_in_code(asked).await.unwrap();
    let asked = RequestPasswordResetRequest { email: person.email.clone() };
    world.accounts().request_password_reset(asked).await.unwrap();
    let asked = ResendActivationRequest { email: person.email.clone() };
    world.accounts().resend_activation(asked).await.unwrap();
    // A mail to somebody else goes the same way, later: whatever was to come has come.
    world.register("behind").await;
    let mails = world.mails(&person.email).await;
    let with_code = |subject: &str| ["Sign in to your account", "Reset your password"].contains(&subject);
    let more = mails.iter().skip(before).filter(|mail| with_code(&mail.subject));
    assert_eq!(more.count(), 0, "{state}");
}

/// A sign-in's token and code, and a reset's.
async fn proofs(world: &World, email: &str) -> ((String, String), (String, String)) {
    let asked = RequestSignInCodeRequest { email: email.to_owned() };
    world.sessions().request_sign_in_code(asked).await.unwrap();
    let sign_in = mail_about(world, email, "Sign in to your account").await;
    let asked = RequestPasswordResetRequest { email: email.to_owned() };
    world.accounts().request_password_reset(asked).await.unwrap();
    let reset = mail_about(world, email, "Reset your password").await;
    ((mail::token(&sign_in), mail::code(&sign_in)), (mail::token(&reset), mail::code(&reset)))
}

async fn assert_no_reset(world: &World, email: &str, (token, code): &(String, String), state: &str) {
    let asked = VerifyResetCodeRequest { email: email.to_owned(), code: code.clone() };
    let refused = refusal(world.accounts().verify_reset_code(asked).await);
    assert_eq!(refused.is(), (Code::InvalidArgument, "RESET_INVALID"), "{state}");
    let proof = Some(complete_password_reset_request::Proof::Token(token.clone()));
    let asked = CompletePasswordResetRequest { email: email.to_owned(), proof, password: "Another2@horse".to_owned() };
    let refused = refusal(world.accounts().complete_password_reset(asked).await);
    assert_eq!(refused.is(), (Code::InvalidArgument, "RESET_INVALID"), "{state}");
}

#[tokio::test]
async fn s15_a_deactivated_account_is_shut_in_every_way() {
    let world = World::shared().await;
    let ada = world.sign_up("ada").await;
    let (sign_in, reset) = proofs(&world, &ada.email).await;
    deactivate(&world, &ada, &ada.password).await.unwrap();
    assert_shut(&world, &ada, &sign_in, "DEACTIVATED").await;
    assert_no_reset(&world, &ada.email, &reset, "DEACTIVATED").await;
}

#[tokio::test]
async fn s15_a_suspended_account_is_shut_in_every_way_and_its_owner_can_not_open_it() {
    let world = World::shared().await;
    let (admin, ada) = (world.admin().await, world.sign_up("ada").await);
    let (sign_in, reset) = proofs(&world, &ada.email).await;
    let asked = SetAccountStatusRequest {
        account_id: ada.account_id.clone(),
        state: AccountState::Suspended.into(),
        reason: "It was used to send spam.".to_owned(),
    };
    admin.roles(&world).set_account_status(asked).await.unwrap();
    assert_shut(&world, &ada, &sign_in, "SUSPENDED").await;
    assert_no_reset(&world, &ada.email, &reset, "SUSPENDED").await;
    assert_eq!(refusal(reactivate(&world, &ada.email, &ada.password, None).await).is(), NOT_DEACTIVATED);
}

#[tokio::test]
async fn s15_an_account_that_is_being_deleted_is_shut_in_every_way() {
    let world = World::shared().await;
    let ada = world.sign_up("ada").await;
    let (sign_in, reset) = proofs(&world, &ada.email).await;
    let asked = DeleteAccountRequest { password: "Wrong1!horse".to_owned() };
    let refused = refusal(ada.accounts(&world).delete_account(asked).await);
    assert_eq!(refused.is(), NO_CREDENTIALS);
    let asked = DeleteAccountRequest { password: ada.password.clone() };
    let begun = ada.accounts(&world).delete_account(asked).await.unwrap().into_inner();
    assert!(!begun.erasure_id.is_empty() && !begun.secret.is_empty());
    assert_shut(&world, &ada, &sign_in, "ERASING").await;
    assert_no_reset(&world, &ada.email, &reset, "ERASING").await;
    assert_eq!(refusal(reactivate(&world, &ada.email, &ada.password, None).await).is(), NO_CREDENTIALS);
}
