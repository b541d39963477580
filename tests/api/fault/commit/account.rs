//! The rpcs of accounts, addresses and profiles.

use quartet_proto::identity::v1::email_change_service_client::EmailChangeServiceClient;
use quartet_proto::identity::v1::erasure_service_client::ErasureServiceClient;
use quartet_proto::identity::v1::profile_service_client::ProfileServiceClient;

use super::{Case, Stage};
use crate::harness::Bearer;
use crate::harness::prelude::*;

const OTHER: &str = "Other2!battery";

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case { name: "AccountService/Register", run: |stage| Box::pin(register(stage)) },
        Case { name: "AccountService/Activate (link)", run: |stage| Box::pin(activate(stage, false)) },
        Case { name: "AccountService/Activate (code)", run: |stage| Box::pin(activate(stage, true)) },
        Case { name: "AccountService/ResendActivation", run: |stage| Box::pin(resend(stage)) },
        Case { name: "AccountService/RequestPasswordReset", run: |stage| Box::pin(request_reset(stage)) },
        Case { name: "AccountService/VerifyResetCode", run: |stage| Box::pin(verify_reset_code(stage)) },
        Case { name: "AccountService/CompletePasswordReset", run: |stage| Box::pin(complete_reset(stage)) },
        Case { name: "AccountService/UpdatePassword", run: |stage| Box::pin(update_password(stage)) },
        Case { name: "AccountService/Deactivate", run: |stage| Box::pin(deactivate(stage)) },
        Case { name: "AccountService/Reactivate (first call)", run: |stage| Box::pin(reactivate(stage, false)) },
        Case { name: "AccountService/Reactivate (second call)", run: |stage| Box::pin(reactivate(stage, true)) },
        Case { name: "AccountService/DeleteAccount", run: |stage| Box::pin(delete(stage)) },
        Case { name: "EmailChangeService/RequestEmailChange", run: |stage| Box::pin(request_change(stage)) },
        Case { name: "EmailChangeService/ConfirmEmailChange", run: |stage| Box::pin(confirm_change(stage)) },
        Case { name: "ProfileService/UpdateProfile", run: |stage| Box::pin(update_profile(stage)) },
        Case { name: "ProfileService/SetAvatar", run: |stage| Box::pin(set_avatar(stage)) },
    ]
}

fn bearer(world: &World, token: &str) -> Bearer {
    Bearer::new(world.channel(), Some(token))
}

/// The account is in use, with this password and no other one of the two.
async fn is_in_use(stage: &Stage, email: &str, password: &str) -> Person {
    let wrong = if password == OTHER { PASSWORD } else { OTHER };
    let refused = refusal(stage.world.try_sign_in(email, wrong).await);
    assert_eq!(refused.reason, "CREDENTIALS_INVALID");
    stage.world.sign_in(email, password).await
}

async fn activate_by_link(stage: &Stage, email: &str, token: String) {
    let proof = Some(activate_request::Proof::Token(token));
    stage.world.accounts().activate(ActivateRequest { email: email.to_owned(), proof }).await.unwrap();
}

async fn register(stage: &mut Stage) {
    let email = stage.world.address("register");
    let asked = RegisterRequest { email: email.clone(), password: PASSWORD.into() };
    let outcome =
        stage.call("AccountService/Register", async |world| world.accounts().register(asked.clone()).await).await;
    stage.done(outcome, &["EMAIL_TAKEN"]);
    let mails = stage.mails(&email).await;
    assert_eq!(mails.len(), 1, "one account, one mail");
    let token = stage.world.mail_token(&email).await;
    activate_by_link(stage, &email, token).await;
    is_in_use(stage, &email, PASSWORD).await;
}

async fn activate(stage: &mut Stage, by_code: bool) {
    let email = stage.world.register("activate").await.email;
    let proof = match by_code {
        true => activate_request::Proof::Code(stage.world.mail_code(&email).await),
        false => activate_request::Proof::Token(stage.world.mail_token(&email).await),
    };
    let asked = ActivateRequest { email: email.clone(), proof: Some(proof) };
    let outcome =
        stage.call("AccountService/Activate", async |world| world.accounts().activate(asked.clone()).await).await;
    stage.done(outcome, &["ACCOUNT_ALREADY_ACTIVE", "ACTIVATION_INVALID"]);
    is_in_use(stage, &email, PASSWORD).await;
    let again = refusal(stage.world.accounts().activate(asked).await);
    assert!(["ACCOUNT_ALREADY_ACTIVE", "ACTIVATION_INVALID"].contains(&again.reason.as_str()), "used once");
}

async fn resend(stage: &mut Stage) {
    let email = stage.world.register("resend").await.email;
    let asked = ResendActivationRequest { email: email.clone() };
    let outcome = stage
        .call("AccountService/ResendActivation", async |world| world.accounts().resend_activation(asked.clone()).await)
        .await;
    stage.done(outcome, &[]);
    // Whoever asks twice may get two mails, and the last one counts.
    let count = stage.mails(&email).await.len();
    assert!(count == 2 || stage.crashed && count == 3, "{count} mails");
    let token = stage.world.mail_token(&email).await;
    activate_by_link(stage, &email, token).await;
}

async fn request_reset(stage: &mut Stage) {
    let email = stage.world.activated("reset").await.email;
    let asked = RequestPasswordResetRequest { email: email.clone() };
    let outcome = stage
        .call("AccountService/RequestPasswordReset", async |world| {
            world.accounts().request_password_reset(asked.clone()).await
        })
        .await;
    stage.done(outcome, &[]);
    let count = stage.mails(&email).await.len();
    assert!(count == 2 || stage.crashed && count == 3, "{count} mails");
    reset_by_link(stage, &email).await;
}

/// Sets the other password by the link of the last mail.
async fn reset_by_link(stage: &Stage, email: &str) {
    let proof = Some(complete_password_reset_request::Proof::Token(stage.world.mail_token(email).await));
    let asked = CompletePasswordResetRequest { email: email.to_owned(), proof, password: OTHER.into() };
    stage.world.accounts().complete_password_reset(asked).await.unwrap();
    is_in_use(stage, email, OTHER).await;
}

async fn requested_reset(stage: &Stage, name: &str) -> Person {
    let person = stage.world.sign_up(name).await;
    let asked = RequestPasswordResetRequest { email: person.email.clone() };
    stage.world.accounts().request_password_reset(asked).await.unwrap();
    person
}

async fn verify_reset_code(stage: &mut Stage) {
    let email = requested_reset(stage, "verify").await.email;
    let code = stage.world.mail_code(&email).await;
    let asked = VerifyResetCodeRequest { email: email.clone(), code };
    let outcome = stage
        .call("AccountService/VerifyResetCode", async |world| world.accounts().verify_reset_code(asked.clone()).await)
        .await;
    let Some(granted) = stage.done(outcome, &["RESET_INVALID"]) else {
        // The code is spent and its grant is lost. The link of the same mail is not.
        return reset_by_link(stage, &email).await;
    };
    let proof = Some(complete_password_reset_request::Proof::ResetGrant(granted.reset_grant));
    let asked = CompletePasswordResetRequest { email: email.clone(), proof, password: OTHER.into() };
    stage.world.accounts().complete_password_reset(asked).await.unwrap();
    is_in_use(stage, &email, OTHER).await;
}

async fn complete_reset(stage: &mut Stage) {
    let person = requested_reset(stage, "complete").await;
    let proof = Some(complete_password_reset_request::Proof::Token(stage.world.mail_token(&person.email).await));
    let asked = CompletePasswordResetRequest { email: person.email.clone(), proof, password: OTHER.into() };
    let outcome = stage
        .call("AccountService/CompletePasswordReset", async |world| {
            world.accounts().complete_password_reset(asked.clone()).await
        })
        .await;
    stage.done(outcome, &["RESET_INVALID"]);
    is_in_use(stage, &person.email, OTHER).await;
    refusal(stage.world.try_refresh(&person.refresh_token).await);
    assert_eq!(stage.count(&person.email, "Your password was reset").await, 1);
}

async fn update_password(stage: &mut Stage) {
    let person = stage.world.sign_up("update").await;
    let other = stage.world.sign_in(&person.email, PASSWORD).await;
    let asked = UpdatePasswordRequest { current_password: PASSWORD.into(), new_password: OTHER.into() };
    let outcome = stage
        .call("AccountService/UpdatePassword", async |world| {
            person.accounts(world).update_password(asked.clone()).await
        })
        .await;
    // The old password is not the old one any more.
    stage.done(outcome, &["CREDENTIALS_INVALID"]);
    is_in_use(stage, &person.email, OTHER).await;
    person.accounts(&stage.world).get_me(GetMeRequest {}).await.expect("this session lives on");
    refusal(stage.world.try_refresh(&other.refresh_token).await);
    assert_eq!(stage.count(&person.email, "Your password was changed").await, 1);
}

async fn deactivate(stage: &mut Stage) {
    let person = stage.world.sign_up("deactivate").await;
    let asked = DeactivateRequest { password: PASSWORD.into() };
    let outcome = stage
        .call("AccountService/Deactivate", async |world| person.accounts(world).deactivate(asked.clone()).await)
        .await;
    stage.done(outcome, &["TOKEN_REVOKED", "TOKEN_INVALID", "SESSION_REVOKED"]);
    let refused = refusal(stage.world.try_sign_in(&person.email, PASSWORD).await);
    assert_eq!(refused.reason, "ACCOUNT_DISABLED");
    stage.is_out(&person).await;
    assert_eq!(stage.count(&person.email, "Your account was deactivated").await, 1);
}

async fn reactivate(stage: &mut Stage, second: bool) {
    let person = stage.world.sign_up("reactivate").await;
    person.accounts(&stage.world).deactivate(DeactivateRequest { password: PASSWORD.into() }).await.unwrap();
    let mut asked = ReactivateRequest { email: person.email.clone(), password: PASSWORD.into(), proof: None };
    if !second {
        reactivate_once(stage, &asked).await;
    } else {
        stage.world.accounts().reactivate(asked.clone()).await.unwrap();
    }
    // All that is to come has come: the last mail is the one that counts.
    stage.mails(&person.email).await;
    asked.proof = Some(reactivate_request::Proof::Token(stage.world.mail_token(&person.email).await));
    if second {
        reactivate_once(stage, &asked).await;
    } else {
        stage.world.accounts().reactivate(asked).await.unwrap();
    }
    is_in_use(stage, &person.email, PASSWORD).await;
    assert_eq!(stage.count(&person.email, "Your account is in use again").await, 1);
}

async fn reactivate_once(stage: &mut Stage, asked: &ReactivateRequest) {
    let outcome =
        stage.call("AccountService/Reactivate", async |world| world.accounts().reactivate(asked.clone()).await).await;
    stage.done(outcome, &["ACCOUNT_NOT_DEACTIVATED", "REACTIVATION_INVALID"]);
}

async fn delete(stage: &mut Stage) {
    let person = stage.world.sign_up("delete").await;
    let asked = DeleteAccountRequest { password: PASSWORD.into() };
    let outcome = stage
        .call("AccountService/DeleteAccount", async |world| person.accounts(world).delete_account(asked.clone()).await)
        .await;
    let begun = stage.done(outcome, &["TOKEN_REVOKED", "TOKEN_INVALID", "SESSION_REVOKED"]);
    stage.is_out(&person).await;
    refusal(stage.world.try_sign_in(&person.email, PASSWORD).await);
    if let Some(DeleteAccountResponse { erasure_id, secret }) = begun {
        let mut erasures = ErasureServiceClient::new(stage.world.channel());
        erasures.get_erasure(GetErasureRequest { erasure_id, secret }).await.unwrap();
    }
}

fn changes(world: &World, person: &Person) -> EmailChangeServiceClient<Bearer> {
    EmailChangeServiceClient::new(bearer(world, &person.access_token))
}

async fn request_change(stage: &mut Stage) {
    let person = stage.world.sign_up("change").await;
    let new_email = stage.world.address("changed");
    let asked = RequestEmailChangeRequest { new_email: new_email.clone(), password: PASSWORD.into() };
    let outcome = stage
        .call("EmailChangeService/RequestEmailChange", async |world| {
            changes(world, &person).request_email_change(asked.clone()).await
        })
        .await;
    stage.done(outcome, &[]);
    let counts =
        [stage.mails(&new_email).await.len(), stage.count(&person.email, "Your address is to be changed").await];
    assert!(counts == [1, 1] || stage.crashed && counts.iter().all(|count| (1..=2).contains(count)), "{counts:?}");
    let proof = Some(confirm_email_change_request::Proof::Token(stage.world.mail_token(&new_email).await));
    let asked = ConfirmEmailChangeRequest { email: new_email.clone(), proof };
    changes(&stage.world, &person).confirm_email_change(asked).await.unwrap();
    is_in_use(stage, &new_email, PASSWORD).await;
}

async fn confirm_change(stage: &mut Stage) {
    let person = stage.world.sign_up("confirm").await;
    let new_email = stage.world.address("confirmed");
    let asked = RequestEmailChangeRequest { new_email: new_email.clone(), password: PASSWORD.into() };
    changes(&stage.world, &person).request_email_change(asked).await.unwrap();
    let proof = Some(confirm_email_change_request::Proof::Token(stage.world.mail_token(&new_email).await));
    let asked = ConfirmEmailChangeRequest { email: new_email.clone(), proof };
    let outcome = stage
        .call("EmailChangeService/ConfirmEmailChange", async |world| {
            changes(world, &person).confirm_email_change(asked.clone()).await
        })
        .await;
    stage.done(outcome, &["EMAIL_CHANGE_INVALID"]);
    let owner = is_in_use(stage, &new_email, PASSWORD).await;
    assert_eq!(owner.account_id, person.account_id);
    refusal(stage.world.try_sign_in(&person.email, PASSWORD).await);
    assert_eq!(stage.count(&person.email, "Your address was changed").await, 1);
}

fn profiles(world: &World, person: &Person) -> ProfileServiceClient<Bearer> {
    ProfileServiceClient::new(bearer(world, &person.access_token))
}

async fn update_profile(stage: &mut Stage) {
    let person = stage.world.sign_up("profile").await;
    let profile = Profile { first_name: "Ada".into(), last_name: "Lovelace".into(), ..Default::default() };
    let paths = vec!["first_name".to_owned(), "last_name".to_owned()];
    let asked = UpdateProfileRequest { profile: Some(profile), update_mask: Some(prost_types::FieldMask { paths }) };
    let outcome = stage
        .call("ProfileService/UpdateProfile", async |world| {
            profiles(world, &person).update_profile(asked.clone()).await
        })
        .await;
    stage.done(outcome, &[]);
    let found = profiles(&stage.world, &person).get_profile(GetProfileRequest::default()).await.unwrap();
    let found = found.into_inner().profile.unwrap();
    assert_eq!((found.first_name.as_str(), found.last_name.as_str()), ("Ada", "Lovelace"));
}

async fn set_avatar(stage: &mut Stage) {
    let person = stage.world.sign_up("avatar").await;
    let url = "https://example.com/ada.png".to_owned();
    let asked = SetAvatarRequest { avatar: Some(set_avatar_request::Avatar::Url(url.clone())) };
    let outcome = stage
        .call("ProfileService/SetAvatar", async |world| profiles(world, &person).set_avatar(asked.clone()).await)
        .await;
    stage.done(outcome, &[]);
    let found = profiles(&stage.world, &person).get_profile(GetProfileRequest::default()).await.unwrap();
    assert_eq!(found.into_inner().profile.unwrap().avatar_url, url);
}
