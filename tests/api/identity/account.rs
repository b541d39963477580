//! Registration, activation, one's own account.

use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, SqliteConnection};

use crate::harness::prelude::*;

use activate_request::Proof;

fn register(email: &str, password: &str) -> RegisterRequest {
    RegisterRequest { email: email.to_owned(), password: password.to_owned() }
}

fn activate(email: &str, proof: Proof) -> ActivateRequest {
    ActivateRequest { email: email.to_owned(), proof: Some(proof) }
}

#[tokio::test]
async fn i1_a_registration_answers_the_account_and_mails_link_and_code() {
    let world = World::shared().await;
    let email = world.address("Ada");
    let answer = world.accounts().register(register(&email, PASSWORD)).await.unwrap().into_inner();
    assert_eq!(answer.email, email);
    assert_eq!(answer.account_id.len(), 36, "a UUID");
    assert!(world.mail_token(&email).await.len() >= 22, "128 bits at least");
    assert_eq!(world.mail_code(&email).await.len(), 7);
}

#[tokio::test]
async fn i1_an_address_registers_once_whatever_its_case() {
    let world = World::shared().await;
    let registered = world.activated("twice").await;
    for email in [registered.email.clone(), registered.email.to_uppercase()] {
        let refusal = refusal(world.accounts().register(register(&email, PASSWORD)).await);
        assert_eq!(refusal.is(), (Code::AlreadyExists, "EMAIL_TAKEN"));
        assert_eq!(refusal.message, format!("A user with this email {email} already exists."));
    }
}

#[tokio::test]
async fn i1_of_two_registrations_at_once_one_wins() {
    let world = World::shared().await;
    let email = world.address("race");
    let (mut one, mut two) = (world.accounts(), world.accounts());
    let (one, two) = tokio::join!(one.register(register(&email, PASSWORD)), two.register(register(&email, PASSWORD)));
    let lost: Vec<_> = [one, two].into_iter().filter_map(Result::err).map(Refusal::from).collect();
    assert_eq!(lost.iter().map(Refusal::is).collect::<Vec<_>>(), [(Code::AlreadyExists, "EMAIL_TAKEN")]);
}

#[tokio::test]
async fn i1_every_broken_rule_of_a_registration_is_named_at_once() {
    let world = World::shared().await;
    let refused = refusal(world.accounts().register(register("no address", "short")).await);
    assert_eq!(refused.is(), (Code::InvalidArgument, "FIELDS_INVALID"));
    assert!(
        refused.fields.contains(&"email".to_owned()) && refused.fields.contains(&"password".to_owned()),
        "{refused:?}"
    );
}

#[tokio::test]
async fn i1_a_weak_password_or_a_bad_address_is_refused() {
    let world = World::shared().await;
    for password in
        ["", "Aa1!aaa", "aaaaaaa1!", "AAAAAAA1!", "Aaaaaaaa!", "Aaaaaaaa1", "Aaaaaaa1-", &"Aa1!".repeat(257)]
    {
        let refused = refusal(world.accounts().register(register(&world.address("weak"), password)).await);
        assert_eq!(
            (refused.is(), refused.fields.clone()),
            ((Code::InvalidArgument, "FIELDS_INVALID"), vec!["password".to_owned()])
        );
    }
    let long = format!("{}@example.com", "a".repeat(250));
    for email in [
        "",
        "ada",
        "@example.com",
        "ada@",
        "a b@example.com",
        "ada@exa mple.com",
        "a\r\nb@example.com",
        "a@b@c.de",
        &long,
    ] {
        let refused = refusal(world.accounts().register(register(email, PASSWORD)).await);
        assert_eq!(
            (refused.is(), refused.fields.clone()),
            ((Code::InvalidArgument, "FIELDS_INVALID"), vec!["email".to_owned()]),
            "{email:?}"
        );
    }
}

#[tokio::test]
async fn i2_a_link_activates_an_account_once() {
    let world = World::shared().await;
    let registered = world.register("link").await;
    let proof = Proof::Token(world.mail_token(&registered.email).await);
    let answer = world.accounts().activate(activate(&registered.email, proof.clone())).await.unwrap().into_inner();
    assert_eq!(answer.message, "User account activated successfully.");
    let again = refusal(world.accounts().activate(activate(&registered.email, proof)).await);
    assert_eq!(again.is(), (Code::FailedPrecondition, "ACCOUNT_ALREADY_ACTIVE"));
    assert_eq!(again.message, "User account is already active.");
    world.sign_in(&registered.email, &registered.password).await;
}

#[tokio::test]
async fn i2_a_code_activates_an_account() {
    let world = World::shared().await;
    let registered = world.register("code").await;
    let proof = Proof::Code(world.mail_code(&registered.email).await);
    world.accounts().activate(activate(&registered.email, proof)).await.unwrap();
    world.sign_in(&registered.email, &registered.password).await;
}

#[tokio::test]
async fn i2_a_wrong_proof_and_an_unknown_address_get_the_same_answer() {
    let world = World::shared().await;
    let (ada, bob) = (world.register("ada").await, world.register("bob").await);
    let others = world.mail_token(&bob.email).await;
    let unknown = world.address("nobody");
    let mut tried = Vec::new();
    for (email, proof) in [
        (&ada.email, Proof::Token("0".repeat(43))),
        (&ada.email, Proof::Token(others.clone())),
        (&ada.email, Proof::Code("x234567".into())),
        (&unknown, Proof::Token("0".repeat(43))),
        (&unknown, Proof::Token(others)),
        (&unknown, Proof::Code("1234567".into())),
    ] {
        let refused = refusal(world.accounts().activate(activate(email, proof)).await);
        tried.push((refused.code, refused.reason, refused.message));
    }
    let same =
        (Code::InvalidArgument, "ACTIVATION_INVALID".to_owned(), "Invalid or expired activation token.".to_owned());
    assert_eq!(tried, vec![same; 6]);
}

#[tokio::test]
async fn i2_an_activation_expires_after_fifteen_minutes() {
    let world = World::own().await;
    let registered = world.register("late").await;
    let (token, code) = (world.mail_token(&registered.email).await, world.mail_code(&registered.email).await);
    world.move_clock(Duration::from_secs(15 * 60 + 1)).await;
    for proof in [Proof::Token(token), Proof::Code(code)] {
        let refused = refusal(world.accounts().activate(activate(&registered.email, proof)).await);
        assert_eq!(refused.is(), (Code::InvalidArgument, "ACTIVATION_INVALID"));
    }
}

#[tokio::test]
async fn i3_a_new_activation_mail_replaces_the_earlier_one() {
    let world = World::shared().await;
    let registered = world.register("resend").await;
    let first = world.mail_token(&registered.email).await;
    let asked = ResendActivationRequest { email: registered.email.clone() };
    world.accounts().resend_activation(asked).await.unwrap();
    let second = eventually("the second mail", async || {
        Some(world.mail_token(&registered.email).await).filter(|token| *token != first)
    })
    .await;
    let refused = refusal(world.accounts().activate(activate(&registered.email, Proof::Token(first))).await);
    assert_eq!(refused.is(), (Code::InvalidArgument, "ACTIVATION_INVALID"));
    world.accounts().activate(activate(&registered.email, Proof::Token(second))).await.unwrap();
}

#[tokio::test]
async fn i3_a_new_activation_mail_is_promised_to_everybody() {
    let world = World::shared().await;
    let (pending, active) = (world.register("pending").await, world.activated("active").await);
    let mut answers = Vec::new();
    for email in [pending.email, active.email.clone(), world.address("nobody")] {
        answers.push(world.accounts().resend_activation(ResendActivationRequest { email }).await.unwrap().into_inner());
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!(world.mails(&active.email).await.len(), 1, "an active account gets no other activation mail");
}

#[tokio::test]
async fn i4_a_confirmed_address_can_be_waived() {
    let world = World::with(&["--identity-require-verified-email", "false"]).await;
    let registered = world.register("unverified").await;
    let person = world.sign_in(&registered.email, &registered.password).await;
    let account = person.accounts(&world).get_me(GetMeRequest {}).await.unwrap().into_inner().account.unwrap();
    assert_eq!((account.state(), account.email_verified), (AccountState::Active, false));
}

#[tokio::test]
async fn s13_who_confirms_an_address_ends_the_sessions_of_whoever_registered_it() {
    let world = World::with(&["--identity-require-verified-email", "false"]).await;
    let registered = world.register("squatted").await;
    let squatter = world.sign_in(&registered.email, &registered.password).await;
    let token = world.mail_token(&registered.email).await;
    world.accounts().activate(activate(&registered.email, Proof::Token(token))).await.unwrap();
    let refused = refusal(world.try_refresh(&squatter.refresh_token).await);
    assert_eq!(refused.is(), (Code::Unauthenticated, "REFRESH_TOKEN_NOT_FOUND"));
    let refused = refused_at_last(async || squatter.accounts(&world).get_me(GetMeRequest {}).await).await;
    assert_eq!(refused.is(), (Code::Unauthenticated, "SESSION_REVOKED"));
}

#[tokio::test]
async fn s13_of_two_silent_registrations_the_one_who_reads_the_mail_sets_the_password() {
    let world = World::with(&["--identity-silent-registration", "true"]).await;
    let (email, squatters, owners) = (world.address("victim"), "Squatter1!horse", "Owner1!horse");
    world.accounts().register(register(&email, squatters)).await.unwrap();
    let first = world.mail_token(&email).await;
    world.accounts().register(register(&email, owners)).await.unwrap();
    let again = eventually("the second mail", async || world.mails(&email).await.into_iter().nth(1)).await;
    assert_eq!(again.subject, "Complete your registration");
    assert!(again.text.contains("registered again") && again.text.contains("/reset-password?"), "{}", again.text);

    // No earlier mail activates it, and asking for another one brings no other kind.
    let refused = refusal(world.accounts().activate(activate(&email, Proof::Token(first))).await);
    assert_eq!(refused.is(), (Code::InvalidArgument, "ACTIVATION_INVALID"));
    world.accounts().resend_activation(ResendActivationRequest { email: email.clone() }).await.unwrap();
    let last = eventually("the third mail", async || world.mails(&email).await.into_iter().nth(2)).await;
    assert_eq!(last.subject, again.subject);
    let code = world.mail_code(&email).await;
    refusal(world.accounts().activate(activate(&email, Proof::Code(code))).await);
    for password in [squatters, owners] {
        let refused = refusal(world.try_sign_in(&email, password).await);
        assert_eq!(refused.is(), (Code::Unauthenticated, "CREDENTIALS_INVALID"), "nobody's password counts yet");
    }

    let proof = Some(complete_password_reset_request::Proof::Token(world.mail_token(&email).await));
    let asked = CompletePasswordResetRequest { email: email.clone(), proof, password: owners.to_owned() };
    world.accounts().complete_password_reset(asked).await.unwrap();
    world.sign_in(&email, owners).await;
    let refused = refusal(world.try_sign_in(&email, squatters).await);
    assert_eq!(refused.is(), (Code::Unauthenticated, "CREDENTIALS_INVALID"));
}

#[tokio::test]
async fn s13_a_squatter_who_has_used_up_the_mails_gains_nothing() {
    let world = World::with(&["--identity-silent-registration", "true", "--identity-mails-per-hour", "1"]).await;
    let email = world.address("victim");
    world.accounts().register(register(&email, "Squatter1!horse")).await.unwrap();
    let token = world.mail_token(&email).await;
    world.accounts().register(register(&email, PASSWORD)).await.unwrap();
    eventually("the squatter's password counts no more", async || {
        let refused = refusal(world.try_sign_in(&email, "Squatter1!horse").await);
        (refused.is() == (Code::Unauthenticated, "CREDENTIALS_INVALID")).then_some(())
    })
    .await;
    let refused = refusal(world.accounts().activate(activate(&email, Proof::Token(token))).await);
    assert_eq!(refused.is(), (Code::InvalidArgument, "ACTIVATION_INVALID"));
}

#[tokio::test]
async fn i2_a_suspended_account_is_not_activated_and_its_proof_is_not_used_up() {
    let world = World::own().await;
    let registered = world.register("suspended").await;
    let (token, code) = (world.mail_token(&registered.email).await, world.mail_code(&registered.email).await);
    for state in ["SUSPENDED", "DEACTIVATED"] {
        set_state(&world, state).await;
        for proof in [Proof::Token(token.clone()), Proof::Code(code.clone())] {
            let refused = refusal(world.accounts().activate(activate(&registered.email, proof)).await);
            assert_eq!(refused.is(), (Code::InvalidArgument, "ACTIVATION_INVALID"), "{state}");
        }
    }
    set_state(&world, "PENDING").await;
    world.accounts().activate(activate(&registered.email, Proof::Token(token))).await.unwrap();
}

/// Puts every account into a state, past the contracts: they have no rpc for it yet.
async fn set_state(world: &World, state: &str) {
    let sql = format!("update account set state = '{state}'");
    match world.fleet() {
        Some(fleet) => drop(fleet.grounds.postgres.run(&fleet.grounds.database("identity"), &sql).await),
        None => {
            let path = world.data().unwrap().join("identity.db");
            let mut store = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
            store.batch_execute("pragma busy_timeout = 5000").unwrap();
            store.batch_execute(&sql).unwrap();
        }
    }
}

#[tokio::test]
async fn i11_the_own_account_is_shown_to_whoever_is_signed_in() {
    let world = World::shared().await;
    let ada = world.sign_up("Ada").await;
    let account = ada.accounts(&world).get_me(GetMeRequest {}).await.unwrap().into_inner().account.unwrap();
    assert_eq!((account.account_id, account.email), (ada.account_id, ada.email));
    assert_eq!((account.state, account.roles), (AccountState::Active.into(), vec!["user".to_owned()]));
    assert!(account.email_verified && account.create_time.is_some());
    let refused = refusal(world.accounts().get_me(GetMeRequest {}).await);
    assert_eq!(refused.is(), (Code::Unauthenticated, "TOKEN_MISSING"));
}

#[tokio::test]
async fn x11_an_account_that_was_never_activated_dies_after_a_day_and_frees_its_address() {
    let world = World::own().await;
    let registered = world.register("forgotten").await;
    world.move_clock(Duration::from_secs(24 * 3600 + 60)).await;
    let again = eventually("the address is free", async || {
        world.accounts().register(register(&registered.email, PASSWORD)).await.ok()
    })
    .await
    .into_inner();
    assert_ne!(again.account_id, registered.account_id);
}

#[tokio::test]
async fn x9_an_installation_can_hide_which_addresses_are_known() {
    let world = World::with(&["--identity-silent-registration", "true"]).await;
    let known = world.activated("known").await;
    let (again, fresh) = (known.email.clone(), world.address("fresh"));
    let again = world.accounts().register(register(&again, PASSWORD)).await.unwrap().into_inner();
    let fresh = world.accounts().register(register(&fresh, PASSWORD)).await.unwrap().into_inner();
    assert_eq!((again.account_id, &again.message), (fresh.account_id, &fresh.message));
    eventually("the owner is told", async || (world.mails(&known.email).await.len() >= 2).then_some(())).await;
    world.sign_in(&known.email, &known.password).await;
}
