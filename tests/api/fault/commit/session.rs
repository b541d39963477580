//! The rpcs of sessions.

use quartet_proto::identity::v1::issue_token_request::Form;

use super::{Case, Stage};
use crate::harness::prelude::*;

const NEW_DEVICE: &str = "A new sign-in to your account";
const ENDED: [&str; 3] = ["TOKEN_REVOKED", "TOKEN_INVALID", "SESSION_REVOKED"];

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case { name: "SessionService/SignIn", run: |stage| Box::pin(sign_in(stage)) },
        Case { name: "SessionService/RequestSignInCode", run: |stage| Box::pin(request_code(stage)) },
        Case { name: "SessionService/SignInWithCode (code)", run: |stage| Box::pin(sign_in_with_code(stage, true)) },
        Case { name: "SessionService/SignInWithCode (link)", run: |stage| Box::pin(sign_in_with_code(stage, false)) },
        Case { name: "SessionService/Refresh", run: |stage| Box::pin(refresh(stage)) },
        Case { name: "SessionService/Refresh (reused)", run: |stage| Box::pin(refresh_reused(stage)) },
        Case { name: "SessionService/SignOut", run: |stage| Box::pin(sign_out(stage)) },
        Case { name: "SessionService/RevokeSession", run: |stage| Box::pin(revoke_session(stage)) },
        Case { name: "SessionService/RevokeAllSessions", run: |stage| Box::pin(revoke_all(stage)) },
        Case { name: "SessionService/IssueToken (impersonate)", run: |stage| Box::pin(impersonate(stage)) },
        Case { name: "SessionService/IssueToken (mint)", run: |stage| Box::pin(mint(stage)) },
    ]
}

async fn is_good(stage: &Stage, access_token: &str, email: &str) {
    let me = stage.world.as_token(access_token).accounts().get_me(GetMeRequest {}).await.unwrap().into_inner();
    assert_eq!(me.account.unwrap().email, email);
}

/// A session for each call that was committed, each known to its owner: at most the one whose answer was lost is more than meant.
async fn has_begun(stage: &mut Stage, person: &Person, before: usize) {
    let begun = stage.sessions(person).await - before;
    assert!(begun == 1 || stage.crashed && begun == 2, "{begun} sessions");
    assert!(stage.count(&person.email, NEW_DEVICE).await <= before + begun);
}

async fn sign_in(stage: &mut Stage) {
    let person = stage.world.sign_up("sign.in").await;
    let asked = SignInRequest { email: person.email.clone(), password: PASSWORD.into(), ..Default::default() };
    let outcome =
        stage.call("SessionService/SignIn", async |world| world.sessions().sign_in(asked.clone()).await).await;
    let tokens = stage.done(outcome, &[]).unwrap();
    is_good(stage, &tokens.access_token, &person.email).await;
    stage.world.try_refresh(&tokens.refresh_token).await.unwrap();
    has_begun(stage, &person, 1).await;
}

async fn request_code(stage: &mut Stage) {
    let person = stage.world.sign_up("code").await;
    let before = stage.mails(&person.email).await.len();
    let asked = RequestSignInCodeRequest { email: person.email.clone() };
    let outcome = stage
        .call("SessionService/RequestSignInCode", async |world| {
            world.sessions().request_sign_in_code(asked.clone()).await
        })
        .await;
    stage.done(outcome, &[]);
    let count = stage.mails(&person.email).await.len() - before;
    assert!(count == 1 || stage.crashed && count == 2, "{count} mails");
    let proof = Some(sign_in_with_code_request::Proof::Code(stage.world.mail_code(&person.email).await));
    let asked = SignInWithCodeRequest { email: person.email.clone(), proof, ..Default::default() };
    stage.world.sessions().sign_in_with_code(asked).await.unwrap();
}

async fn sign_in_with_code(stage: &mut Stage, by_code: bool) {
    let person = stage.world.sign_up("with.code").await;
    // The mail about the new device comes before the code's.
    stage.mails(&person.email).await;
    let asked = RequestSignInCodeRequest { email: person.email.clone() };
    stage.world.sessions().request_sign_in_code(asked.clone()).await.unwrap();
    let proof = match by_code {
        true => sign_in_with_code_request::Proof::Code(stage.world.mail_code(&person.email).await),
        false => sign_in_with_code_request::Proof::Token(stage.world.mail_token(&person.email).await),
    };
    let used = SignInWithCodeRequest { email: person.email.clone(), proof: Some(proof), ..Default::default() };
    let outcome = stage
        .call("SessionService/SignInWithCode", async |world| world.sessions().sign_in_with_code(used.clone()).await)
        .await;
    match stage.done(outcome, &["SIGN_IN_CODE_INVALID"]) {
        Some(tokens) => is_good(stage, &tokens.access_token, &person.email).await,
        // Used, and its session lost on the way: the next code signs in.
        None => {
            stage.mails(&person.email).await;
            stage.world.sessions().request_sign_in_code(asked).await.unwrap();
            stage.mails(&person.email).await;
            let proof = Some(sign_in_with_code_request::Proof::Token(stage.world.mail_token(&person.email).await));
            let next = SignInWithCodeRequest { email: person.email.clone(), proof, ..Default::default() };
            stage.world.sessions().sign_in_with_code(next).await.unwrap();
        }
    }
    let again = refusal(stage.world.sessions().sign_in_with_code(used).await);
    assert_eq!(again.reason, "SIGN_IN_CODE_INVALID", "used once");
    has_begun(stage, &person, 1).await;
}

async fn refresh(stage: &mut Stage) {
    let mut person = stage.world.sign_up("refresh").await;
    let asked = RefreshRequest { refresh_token: person.refresh_token.clone() };
    let outcome =
        stage.call("SessionService/Refresh", async |world| world.sessions().refresh(asked.clone()).await).await;
    let renewed = stage.done(outcome, &[]).expect("nobody is signed out");
    person.renewed(renewed);
    is_good(stage, &person.access_token, &person.email).await;
    let renewed = stage.world.try_refresh(&person.refresh_token).await.expect("the successor lives");
    person.renewed(renewed);
    assert_eq!(stage.sessions(&person).await, 1);
}

async fn refresh_reused(stage: &mut Stage) {
    let person = stage.world.sign_up("reused").await;
    let renewed = stage.world.try_refresh(&person.refresh_token).await.unwrap();
    stage.world.try_refresh(&renewed.refresh_token).await.unwrap();
    stage.world.move_clock(Duration::from_secs(30)).await;
    let asked = RefreshRequest { refresh_token: person.refresh_token.clone() };
    let outcome =
        stage.call("SessionService/Refresh", async |world| world.sessions().refresh(asked.clone()).await).await;
    let refused = outcome.expect_err("a spent token");
    assert!(["REFRESH_TOKEN_REUSED", "REFRESH_TOKEN_NOT_FOUND"].contains(&refused.reason.as_str()), "{refused:?}");
    stage.is_out(&person).await;
    assert_eq!(stage.count(&person.email, "A session of yours was ended").await, 1);
}

async fn sign_out(stage: &mut Stage) {
    let person = stage.world.sign_up("sign.out").await;
    let outcome = stage
        .call("SessionService/SignOut", async |world| person.sessions(world).sign_out(SignOutRequest {}).await)
        .await;
    stage.done(outcome, &ENDED);
    stage.is_out(&person).await;
    refusal(stage.world.try_refresh(&person.refresh_token).await);
}

async fn revoke_session(stage: &mut Stage) {
    let person = stage.world.sign_up("revoke").await;
    let other = stage.world.sign_in(&person.email, PASSWORD).await;
    let asked = RevokeSessionRequest { session_id: other.session_id.clone() };
    let outcome = stage
        .call("SessionService/RevokeSession", async |world| person.sessions(world).revoke_session(asked.clone()).await)
        .await;
    stage.done(outcome, &["SESSION_NOT_FOUND"]);
    stage.is_out(&other).await;
    assert_eq!(stage.sessions(&person).await, 1);
}

async fn revoke_all(stage: &mut Stage) {
    let person = stage.world.sign_up("revoke.all").await;
    let other = stage.world.sign_in(&person.email, PASSWORD).await;
    let asked = RevokeAllSessionsRequest { keep_current: true };
    let outcome = stage
        .call("SessionService/RevokeAllSessions", async |world| person.sessions(world).revoke_all_sessions(asked).await)
        .await;
    let count = stage.done(outcome, &[]).unwrap().revoked_count;
    assert!(count == 1 || stage.crashed && count == 0, "{count}");
    stage.is_out(&other).await;
    assert_eq!(stage.sessions(&person).await, 1);
}

async fn impersonate(stage: &mut Stage) {
    let admin = stage.admin().await;
    let person = stage.world.sign_up("impersonated").await;
    let form = ImpersonateToken { account_id: person.account_id.clone(), reason: "a question of support".into() };
    let asked = IssueTokenRequest { form: Some(Form::Impersonate(form)), ..Default::default() };
    let outcome = stage
        .call("SessionService/IssueToken", async |world| admin.sessions(world).issue_token(asked.clone()).await)
        .await;
    let issued = stage.done(outcome, &[]).unwrap();
    is_good(stage, &issued.access_token, &person.email).await;
    has_begun(stage, &person, 1).await;
    let told = stage.count(&person.email, "An administrator acts for you").await;
    assert_eq!(told, stage.sessions(&person).await - 1, "the owner knows of each");
}

async fn mint(stage: &mut Stage) {
    let (client_id, client_key) = super::administration::client(stage).await;
    let person = stage.world.sign_up("minted").await;
    let form = MintToken { client_id, client_key, account_id: person.account_id.clone() };
    let asked = IssueTokenRequest { form: Some(Form::Mint(form)), ..Default::default() };
    let outcome =
        stage.call("SessionService/IssueToken", async |world| world.sessions().issue_token(asked.clone()).await).await;
    let issued = stage.done(outcome, &[]).unwrap();
    is_good(stage, &issued.access_token, &person.email).await;
    has_begun(stage, &person, 1).await;
}
