//! Resets, and what holds for every link and code that a mail brings.

use crate::harness::accepted;
use crate::harness::prelude::*;

use complete_password_reset_request::Proof;

const NEW: &str = "Another2@horse";

fn complete(email: &str, proof: Proof, password: &str) -> CompletePasswordResetRequest {
    CompletePasswordResetRequest { email: email.to_owned(), proof: Some(proof), password: password.to_owned() }
}

fn verify(email: &str, code: &str) -> VerifyResetCodeRequest {
    VerifyResetCodeRequest { email: email.to_owned(), code: code.to_owned() }
}

/// Asks for a reset and answers the mail's token and code.
async fn request(world: &World, email: &str) -> (String, String) {
    let before = world.mails(email).await.len();
    let asked = RequestPasswordResetRequest { email: email.to_owned() };
    world.accounts().request_password_reset(asked).await.unwrap();
    eventually("the reset mail", async || (world.mails(email).await.len() > before).then_some(())).await;
    (world.mail_token(email).await, world.mail_code(email).await)
}

/// A code of the same length that is not this one.
fn wrong(code: &str, by: u64) -> String {
    let space = 10u64.pow(code.len() as u32);
    format!("{:0width$}", (code.parse::<u64>().unwrap() + by) % space, width = code.len())
}

async fn grant(world: &World, email: &str, code: &str) -> String {
    world.accounts().verify_reset_code(verify(email, code)).await.unwrap().into_inner().reset_grant
}

#[tokio::test]
async fn i12_a_reset_is_promised_to_everybody_and_mailed_to_active_accounts() {
    let world = World::shared().await;
    let (pending, active) = (world.register("pending").await, world.activated("active").await);
    for email in [pending.email, active.email.clone(), world.address("nobody")] {
        let answer = world.accounts().request_password_reset(RequestPasswordResetRequest { email }).await.unwrap();
        let promised = "If you are registered, you will receive an email with instructions.";
        assert_eq!(answer.into_inner().message, promised);
    }
    eventually("the mail", async || (world.mails(&active.email).await.len() == 2).then_some(())).await;
    let refused = refusal(world.accounts().request_password_reset(RequestPasswordResetRequest::default()).await);
    assert_eq!(
        (refused.is(), refused.fields.clone()),
        ((Code::InvalidArgument, "FIELDS_INVALID"), vec!["email".to_owned()])
    );
}

#[tokio::test]
async fn i14_a_link_sets_the_password_once_and_ends_every_session() {
    let world = World::shared().await;
    let ada = world.sign_up("ada").await;
    let (token, _) = request(&world, &ada.email).await;
    let answer = world.accounts().complete_password_reset(complete(&ada.email, Proof::Token(token.clone()), NEW)).await;
    assert_eq!(answer.unwrap().into_inner().message, "Password reset successfully.");

    let again = refusal(world.accounts().complete_password_reset(complete(&ada.email, Proof::Token(token), NEW)).await);
    assert_eq!(again.is(), (Code::InvalidArgument, "RESET_INVALID"));
    let refused = refused_at_last(async || ada.accounts(&world).get_me(GetMeRequest {}).await).await;
    assert_eq!(refused.code, Code::Unauthenticated);
    assert_eq!(
        refusal(world.try_refresh(&ada.refresh_token).await).is(),
        (Code::Unauthenticated, "REFRESH_TOKEN_NOT_FOUND")
    );
    let old = refusal(world.try_sign_in(&ada.email, &ada.password).await);
    assert_eq!(old.is(), (Code::Unauthenticated, "CREDENTIALS_INVALID"));
    world.sign_in(&ada.email, NEW).await;
}

#[tokio::test]
async fn i14_a_refused_reset_says_the_same_whatever_is_wrong() {
    let world = World::shared().await;
    let (ada, bob) = (world.activated("ada").await, world.activated("bob").await);
    let (token, _) = request(&world, &ada.email).await;
    let mut answers = Vec::new();
    for (email, proof) in [
        (ada.email.clone(), Proof::Token("0".repeat(43))),
        (ada.email.clone(), Proof::ResetGrant("0".repeat(43))),
        (bob.email, Proof::Token(token.clone())),
        (world.address("nobody"), Proof::Token(token.clone())),
    ] {
        let refused = refusal(world.accounts().complete_password_reset(complete(&email, proof, NEW)).await);
        answers.push((refused.code, refused.reason, refused.message));
    }
    let same = (Code::InvalidArgument, "RESET_INVALID".to_owned(), "Invalid email or token.".to_owned());
    assert_eq!(answers, vec![same; 4]);
    world.accounts().complete_password_reset(complete(&ada.email, Proof::Token(token), NEW)).await.unwrap();
}

#[tokio::test]
async fn i14_a_weak_new_password_is_refused_and_spends_nothing() {
    let world = World::shared().await;
    let ada = world.activated("ada").await;
    let (token, _) = request(&world, &ada.email).await;
    let weak = complete(&ada.email, Proof::Token(token.clone()), "weak");
    let refused = refusal(world.accounts().complete_password_reset(weak).await);
    assert_eq!(
        (refused.is(), refused.fields.clone()),
        ((Code::InvalidArgument, "FIELDS_INVALID"), vec!["password".to_owned()])
    );
    world.accounts().complete_password_reset(complete(&ada.email, Proof::Token(token), NEW)).await.unwrap();
}

#[tokio::test]
async fn i13_x3_a_code_is_traded_for_a_grant_that_sets_the_password_once() {
    let world = World::shared().await;
    let ada = world.activated("ada").await;
    let (_, code) = request(&world, &ada.email).await;
    let grant = grant(&world, &ada.email, &code).await;
    let spent = refusal(world.accounts().verify_reset_code(verify(&ada.email, &code)).await);
    assert_eq!(spent.is(), (Code::InvalidArgument, "RESET_INVALID"));
    let proof = Proof::ResetGrant(grant);
    world.accounts().complete_password_reset(complete(&ada.email, proof.clone(), NEW)).await.unwrap();
    let again = refusal(world.accounts().complete_password_reset(complete(&ada.email, proof, PASSWORD)).await);
    assert_eq!(again.is(), (Code::InvalidArgument, "RESET_INVALID"));
    world.sign_in(&ada.email, NEW).await;
}

#[tokio::test]
async fn x3_a_grant_ends_after_ten_minutes_and_a_code_is_no_grant() {
    let world = World::own().await;
    let ada = world.activated("ada").await;
    let (_, code) = request(&world, &ada.email).await;
    let no_grant = complete(&ada.email, Proof::ResetGrant(code.clone()), NEW);
    let refused = refusal(world.accounts().complete_password_reset(no_grant).await);
    assert_eq!(refused.is(), (Code::InvalidArgument, "RESET_INVALID"));
    let grant = grant(&world, &ada.email, &code).await;
    world.move_clock(Duration::from_secs(10 * 60 + 1)).await;
    let late = complete(&ada.email, Proof::ResetGrant(grant), NEW);
    let refused = refusal(world.accounts().complete_password_reset(late).await);
    assert_eq!(refused.is(), (Code::InvalidArgument, "RESET_INVALID"));
}

#[tokio::test]
async fn x2_an_empty_proof_is_refused_before_anything_is_compared() {
    let world = World::shared().await;
    let ada = world.activated("ada").await;
    let email = ada.email;
    request(&world, &email).await;
    let refused = [
        refusal(world.accounts().verify_reset_code(verify(&email, "")).await),
        refusal(world.accounts().complete_password_reset(complete(&email, Proof::Token(String::new()), NEW)).await),
        refusal(
            world.accounts().complete_password_reset(complete(&email, Proof::ResetGrant(String::new()), NEW)).await,
        ),
        refusal(world.accounts().activate(ActivateRequest { email: email.clone(), proof: None }).await),
        refusal(
            world
                .accounts()
                .activate(ActivateRequest {
                    email: email.clone(),
                    proof: Some(activate_request::Proof::Code(String::new())),
                })
                .await,
        ),
        refusal(
            world
                .sessions()
                .sign_in_with_code(SignInWithCodeRequest {
                    email: email.clone(),
                    proof: Some(sign_in_with_code_request::Proof::Code(String::new())),
                    ..Default::default()
                })
                .await,
        ),
        refusal(
            world
                .anonymous()
                .email_changes()
                .confirm_email_change(ConfirmEmailChangeRequest {
                    email: email.clone(),
                    proof: Some(confirm_email_change_request::Proof::Code(String::new())),
                })
                .await,
        ),
        refusal(
            world
                .accounts()
                .reactivate(ReactivateRequest {
                    email,
                    password: PASSWORD.to_owned(),
                    proof: Some(reactivate_request::Proof::Code(String::new())),
                })
                .await,
        ),
    ];
    for refused in refused {
        assert_eq!(refused.is(), (Code::InvalidArgument, "FIELDS_INVALID"), "{refused:?}");
    }
}

#[tokio::test]
async fn x10_five_wrong_codes_end_the_code_and_leave_the_link() {
    let world = World::shared().await;
    let ada = world.activated("ada").await;
    let (token, code) = request(&world, &ada.email).await;
    for by in 1..=5 {
        let refused = refusal(world.accounts().verify_reset_code(verify(&ada.email, &wrong(&code, by))).await);
        assert_eq!(refused.is(), (Code::InvalidArgument, "RESET_INVALID"));
    }
    let refused = refusal(world.accounts().verify_reset_code(verify(&ada.email, &code)).await);
    assert_eq!(refused.is(), (Code::InvalidArgument, "RESET_INVALID"), "the sixth try fails, though it is right");
    world.accounts().complete_password_reset(complete(&ada.email, Proof::Token(token), NEW)).await.unwrap();
}

#[tokio::test]
async fn x1_a_new_reset_ends_the_earlier_one() {
    let world = World::shared().await;
    let ada = world.activated("ada").await;
    let (first_token, first_code) = request(&world, &ada.email).await;
    let (token, _) = request(&world, &ada.email).await;
    let refused =
        refusal(world.accounts().complete_password_reset(complete(&ada.email, Proof::Token(first_token), NEW)).await);
    assert_eq!(refused.is(), (Code::InvalidArgument, "RESET_INVALID"));
    refusal(world.accounts().verify_reset_code(verify(&ada.email, &first_code)).await);
    world.accounts().complete_password_reset(complete(&ada.email, Proof::Token(token), NEW)).await.unwrap();
}

#[tokio::test]
async fn x1_after_twenty_wrong_codes_a_day_only_the_link_works() {
    let world = World::own().await;
    let ada = world.activated("ada").await;
    for round in 0..4 {
        let (_, code) = request(&world, &ada.email).await;
        for by in 1..=5 {
            let refused =
                refusal(world.accounts().verify_reset_code(verify(&ada.email, &wrong(&code, by + round))).await);
            assert_eq!(refused.is(), (Code::InvalidArgument, "RESET_INVALID"));
        }
    }
    let (token, code) = request(&world, &ada.email).await;
    let refused = refusal(world.accounts().verify_reset_code(verify(&ada.email, &code)).await);
    assert_eq!(refused.is(), (Code::InvalidArgument, "RESET_INVALID"));
    world.accounts().complete_password_reset(complete(&ada.email, Proof::Token(token), NEW)).await.unwrap();
    world.move_clock(Duration::from_secs(24 * 3600 + 60)).await;
    let (_, code) = request(&world, &ada.email).await;
    grant(&world, &ada.email, &code).await;
}

#[tokio::test]
async fn s11_of_two_hundred_submissions_of_the_right_code_one_is_accepted() {
    let world = World::shared().await;
    let ada = world.activated("ada").await;
    let (_, code) = request(&world, &ada.email).await;
    let granted = accepted(200, async || world.accounts().verify_reset_code(verify(&ada.email, &code)).await);
    assert_eq!(granted.await, 1);
}

#[tokio::test]
async fn s11_parallel_wrong_codes_use_up_the_five_tries() {
    let world = World::shared().await;
    let ada = world.activated("ada").await;
    let (_, code) = request(&world, &ada.email).await;
    let tries = (1..=40).map(|by| {
        let (mut accounts, asked) = (world.accounts(), verify(&ada.email, &wrong(&code, by)));
        tokio::spawn(async move { accounts.verify_reset_code(asked).await.is_ok() })
    });
    for tried in tries.collect::<Vec<_>>() {
        assert!(!tried.await.unwrap());
    }
    refusal(world.accounts().verify_reset_code(verify(&ada.email, &code)).await);
}

#[tokio::test]
async fn s11_a_code_and_a_token_serve_one_account_and_one_purpose() {
    let world = World::shared().await;
    let (ada, bob) = (world.register("ada").await, world.activated("bob").await);
    let (activation, activation_code) = (world.mail_token(&ada.email).await, world.mail_code(&ada.email).await);
    let (reset, reset_code) = request(&world, &bob.email).await;
    refusal(world.accounts().verify_reset_code(verify(&ada.email, &activation_code)).await);
    refusal(
        world.accounts().complete_password_reset(complete(&ada.email, Proof::Token(activation.clone()), NEW)).await,
    );
    for (email, proof) in [
        (&bob.email, activate_request::Proof::Token(reset.clone())),
        (&bob.email, activate_request::Proof::Code(reset_code.clone())),
        (&ada.email, activate_request::Proof::Token(reset)),
        (&ada.email, activate_request::Proof::Code(reset_code.clone())),
    ] {
        refusal(world.accounts().activate(ActivateRequest { email: email.clone(), proof: Some(proof) }).await);
    }
    refusal(world.accounts().verify_reset_code(verify(&ada.email, &reset_code)).await);
    grant(&world, &bob.email, &reset_code).await;
}

/// Token and code of the one mail with a subject.
async fn brought(world: &World, email: &str, subject: &str) -> (String, String) {
    let mail = super::email_change::mail_about(world, email, subject).await;
    (crate::harness::mail::token(&mail), crate::harness::mail::code(&mail))
}

/// Whether any way but `own` takes the token or the code, of this account.
async fn taken_elsewhere(world: &World, email: &str, own: &str, (token, code): &(String, String)) -> Vec<String> {
    let mut taken = Vec::new();
    for (secret, is_token) in [(token, true), (code, false)] {
        let secret = secret.clone();
        let proof = if is_token {
            activate_request::Proof::Token(secret.clone())
        } else {
            activate_request::Proof::Code(secret.clone())
        };
        let asked = ActivateRequest { email: email.to_owned(), proof: Some(proof) };
        if own != "ACTIVATE" && world.accounts().activate(asked).await.is_ok() {
            taken.push(format!("activation, {is_token}"));
        }
        let proof = if is_token {
            sign_in_with_code_request::Proof::Token(secret.clone())
        } else {
            sign_in_with_code_request::Proof::Code(secret.clone())
        };
        let asked = SignInWithCodeRequest { email: email.to_owned(), proof: Some(proof), ..Default::default() };
        if own != "SIGN_IN" && world.sessions().sign_in_with_code(asked).await.is_ok() {
            taken.push(format!("sign-in, {is_token}"));
        }
        let proof = if is_token {
            confirm_email_change_request::Proof::Token(secret.clone())
        } else {
            confirm_email_change_request::Proof::Code(secret.clone())
        };
        let asked = ConfirmEmailChangeRequest { email: email.to_owned(), proof: Some(proof) };
        if own != "CHANGE_EMAIL" && world.anonymous().email_changes().confirm_email_change(asked).await.is_ok() {
            taken.push(format!("email change, {is_token}"));
        }
        let asked = complete(email, Proof::Token(secret.clone()), NEW);
        if own != "RESET" && world.accounts().complete_password_reset(asked).await.is_ok() {
            taken.push(format!("reset, {is_token}"));
        }
        if own != "RESET" && world.accounts().verify_reset_code(verify(email, &secret)).await.is_ok() {
            taken.push(format!("reset's code, {is_token}"));
        }
    }
    taken
}

#[tokio::test]
async fn s11_what_is_mailed_for_one_purpose_serves_no_other() {
    // Two codes of seven digits may be alike.
    let world = World::with(&["--identity-require-verified-email", "false", "--identity-code-digits", "12"]).await;
    // Registered and not confirmed: an account that every kind of mail can be asked for.
    let email = world.register("ada").await.email;
    let ada = world.sign_in(&email, PASSWORD).await;
    let activation = brought(&world, &email, "Activate your account").await;
    request(&world, &email).await;
    let reset = brought(&world, &email, "Reset your password").await;
    let asked = RequestSignInCodeRequest { email: email.clone() };
    world.sessions().request_sign_in_code(asked).await.unwrap();
    let sign_in = brought(&world, &email, "Sign in to your account").await;
    let change = super::email_change::asked(&world, &ada, &world.address("new")).await;
    for (own, proofs) in
        [("ACTIVATE", &activation), ("RESET", &reset), ("SIGN_IN", &sign_in), ("CHANGE_EMAIL", &change)]
    {
        assert_eq!(taken_elsewhere(&world, &email, own, proofs).await, Vec::<String>::new(), "{own}");
    }
    // Nothing of that has used up the links.
    let proof = Some(sign_in_with_code_request::Proof::Token(sign_in.0));
    let asked = SignInWithCodeRequest { email, proof, ..Default::default() };
    world.sessions().sign_in_with_code(asked).await.unwrap();
}

#[tokio::test]
async fn s11_of_two_hundred_sign_ins_and_activations_with_the_right_code_one_is_accepted() {
    use sign_in_with_code_request::Proof;
    let world = World::shared().await;
    for by_link in [false, true] {
        let email = world.activated("ada").await.email;
        let asked = RequestSignInCodeRequest { email: email.clone() };
        world.sessions().request_sign_in_code(asked).await.unwrap();
        let (token, code) = brought(&world, &email, "Sign in to your account").await;
        let proof = Some(if by_link { Proof::Token(token) } else { Proof::Code(code) });
        let asked = SignInWithCodeRequest { email, proof, ..Default::default() };
        let signed_in = accepted(200, async || world.sessions().sign_in_with_code(asked.clone()).await);
        assert_eq!(signed_in.await, 1, "by link: {by_link}");
    }
    let email = world.register("bob").await.email;
    let proof = Some(activate_request::Proof::Code(world.mail_code(&email).await));
    let asked = ActivateRequest { email, proof };
    let activated = accepted(200, async || world.accounts().activate(asked.clone()).await);
    assert_eq!(activated.await, 1, "an activation");
}

#[tokio::test]
async fn s11_s23_the_database_holds_no_code_no_token_and_no_password() {
    // A code of seven digits may be part of a time or of an id.
    let world = World::with(&["--identity-code-digits", "12"]).await;
    let ada = world.sign_up("ada").await;
    let (token, code) = request(&world, &ada.email).await;
    let asked = RequestSignInCodeRequest { email: ada.email.clone() };
    world.sessions().request_sign_in_code(asked).await.unwrap();
    let (sign_in, sign_in_code) = brought(&world, &ada.email, "Sign in to your account").await;
    let (change, change_code) = super::email_change::asked(&world, &ada, &world.address("new")).await;
    let dump = dump(&world).await;
    assert!(dump.contains(&ada.email), "this is the database");
    let refresh_signature = ada.refresh_token.rsplit('.').next().unwrap().to_owned();
    for secret in [token, code, sign_in, sign_in_code, change, change_code] {
        assert!(!dump.contains(&secret), "`{secret}` stands in the database");
    }
    for secret in [ada.refresh_token, refresh_signature, ada.access_token, ada.password] {
        assert!(!dump.contains(&secret), "`{secret}` stands in the database");
    }
}

/// Everything that identity has stored, as text.
async fn dump(world: &World) -> String {
    if let Some(fleet) = world.fleet() {
        return fleet.grounds.postgres.dump(&fleet.grounds.database("identity")).await;
    }
    let mut all = String::new();
    for name in ["identity.db", "identity.db-wal"] {
        let bytes = std::fs::read(world.data().unwrap().join(name)).unwrap_or_default();
        all.push_str(&String::from_utf8_lossy(&bytes));
    }
    all
}
