//! Passwords, whole and as they are.

use crate::harness::prelude::*;

async fn registered_with(world: &World, password: &str) -> String {
    let email = world.address("password");
    let asked = RegisterRequest { email: email.clone(), password: password.to_owned() };
    world.accounts().register(asked).await.unwrap();
    let token = world.mail_token(&email).await;
    let asked = ActivateRequest { email: email.clone(), proof: Some(activate_request::Proof::Token(token)) };
    world.accounts().activate(asked).await.unwrap();
    email
}

#[tokio::test]
async fn s02_passwords_that_differ_late_or_after_a_nul_are_different() {
    let world = World::shared().await;
    let long = format!("Aa1!{}", "x".repeat(68));
    assert_eq!(long.len(), 72);
    for (right, wrong) in [
        (format!("{long}1"), format!("{long}2")),
        (format!("{long}1"), long.clone()),
        (format!("{long}{}", "y".repeat(900)), format!("{long}{}z", "y".repeat(899))),
        ("Aa1!aaaa\0one".to_owned(), "Aa1!aaaa\0two".to_owned()),
        ("Aa1!aaaa\0one".to_owned(), "Aa1!aaaa".to_owned()),
        ("Aa1!aaaa".to_owned(), "aa1!aaaa".to_owned()),
        ("Aa1!aaaa".to_owned(), "Aa1!aaaa ".to_owned()),
    ] {
        let email = registered_with(&world, &right).await;
        let refused = refusal(world.try_sign_in(&email, &wrong).await);
        assert_eq!(refused.is(), (Code::Unauthenticated, "CREDENTIALS_INVALID"), "{wrong:?} is not {right:?}");
        world.sign_in(&email, &right).await;
    }
}

#[tokio::test]
async fn s02_sixty_four_crabs_are_a_password_where_length_counts() {
    let world = World::with(&["--identity-password-policy", "length"]).await;
    let crabs = "🦀".repeat(64);
    let email = registered_with(&world, &crabs).await;
    let refused = refusal(world.try_sign_in(&email, &"🦀".repeat(63)).await);
    assert_eq!(refused.is(), (Code::Unauthenticated, "CREDENTIALS_INVALID"));
    world.sign_in(&email, &crabs).await;
}

#[tokio::test]
async fn s02_the_same_letters_in_another_unicode_form_are_the_same_password() {
    let world = World::shared().await;
    let email = registered_with(&world, "Pässw0rd!\u{e9}").await;
    world.sign_in(&email, "Pa\u{308}ssw0rd!e\u{301}").await;
}

const NEW: &str = "Another2@horse";

async fn update(world: &World, person: &Person, current: &str, new: &str) -> Result<i32, tonic::Status> {
    let asked = UpdatePasswordRequest { current_password: current.to_owned(), new_password: new.to_owned() };
    person.accounts(world).update_password(asked).await.map(|answer| answer.into_inner().revoked_count)
}

#[tokio::test]
async fn i15_s05_a_new_password_ends_every_other_session_and_its_owner_is_told() {
    let world = World::shared().await;
    let ada = world.sign_up("ada").await;
    let (second, third) =
        (world.sign_in(&ada.email, &ada.password).await, world.sign_in(&ada.email, &ada.password).await);
    assert_eq!(update(&world, &ada, &ada.password, NEW).await.unwrap(), 2);
    for ended in [&second, &third] {
        let refused = refusal(world.try_refresh(&ended.refresh_token).await);
        assert_eq!(refused.is(), (Code::Unauthenticated, "REFRESH_TOKEN_NOT_FOUND"));
        let refused = refused_at_last(async || ended.accounts(&world).get_me(GetMeRequest {}).await).await;
        assert_eq!(refused.is(), (Code::Unauthenticated, "SESSION_REVOKED"));
    }
    ada.accounts(&world).get_me(GetMeRequest {}).await.expect("the session that asked goes on");
    world.try_refresh(&ada.refresh_token).await.expect("and can be renewed");
    super::email_change::mail_about(&world, &ada.email, "Your password was changed").await;
    let refused = refusal(world.try_sign_in(&ada.email, &ada.password).await);
    assert_eq!(refused.is(), (Code::Unauthenticated, "CREDENTIALS_INVALID"));
    world.sign_in(&ada.email, NEW).await;
}

#[tokio::test]
async fn i15_a_new_password_needs_the_old_one_and_follows_the_rules() {
    let world = World::shared().await;
    let ada = world.sign_up("ada").await;
    for current in ["Wrong1!horse", &ada.password.to_uppercase()] {
        let refused = refusal(update(&world, &ada, current, NEW).await);
        assert_eq!(refused.is(), (Code::Unauthenticated, "CREDENTIALS_INVALID"), "{current}");
    }
    assert_eq!(refusal(update(&world, &ada, "", NEW).await).is(), (Code::InvalidArgument, "FIELDS_INVALID"));
    let own = format!("{}1!A", ada.email);
    for new in ["", "weak", "Password1!", &ada.password, &own] {
        let refused = refusal(update(&world, &ada, &ada.password, new).await);
        assert_eq!(refused.is(), (Code::InvalidArgument, "FIELDS_INVALID"), "{new}");
        assert_eq!(refused.fields, ["new_password"], "{new}");
    }
    let asked = UpdatePasswordRequest { current_password: ada.password.clone(), new_password: NEW.to_owned() };
    let refused = refusal(world.accounts().update_password(asked).await);
    assert_eq!(refused.is(), (Code::Unauthenticated, "TOKEN_MISSING"));
    world.sign_in(&ada.email, &ada.password).await;
}

#[tokio::test]
async fn s05_of_two_new_passwords_at_once_one_counts_and_a_mailed_reset_ends_with_the_old_one() {
    let world = World::shared().await;
    let ada = world.sign_up("ada").await;
    let asked = RequestPasswordResetRequest { email: ada.email.clone() };
    world.accounts().request_password_reset(asked).await.unwrap();
    let reset = super::email_change::mail_about(&world, &ada.email, "Reset your password").await;
    let (one, two) =
        tokio::join!(update(&world, &ada, &ada.password, NEW), update(&world, &ada, &ada.password, "Third3!horse"));
    assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
    let counts = if one.is_ok() { NEW } else { "Third3!horse" };
    world.sign_in(&ada.email, counts).await;
    let code = crate::harness::mail::code(&reset);
    let refused =
        refusal(world.accounts().verify_reset_code(VerifyResetCodeRequest { email: ada.email.clone(), code }).await);
    assert_eq!(refused.is(), (Code::InvalidArgument, "RESET_INVALID"));
}

#[tokio::test]
async fn s01_length_counts_characters_of_any_script_and_an_endless_password_is_never_hashed() {
    let world = World::with(&["--identity-password-policy", "length"]).await;
    let register = async |password: &str| {
        let asked = RegisterRequest { email: world.address("length"), password: password.to_owned() };
        world.accounts().register(asked).await.map(drop)
    };
    // A letter and its accent are one character in the form that is compared.
    for letter in ["a", "猫", "🦀", "e\u{301}", "\u{e9}"] {
        for (count, good) in [(7, false), (8, false), (14, false), (15, true), (64, true)] {
            let registered = register(&letter.repeat(count)).await;
            assert_eq!(registered.is_ok(), good, "{count} times {letter}");
        }
    }
    register(&"ab ".repeat(342)[..1024]).await.unwrap();
    let before = hashes(&world).await;
    for endless in ["ab ".repeat(342)[..1025].to_owned(), "🦀".repeat(257), "x".repeat(100_000)] {
        let refused = refusal(register(&endless).await);
        assert_eq!(refused.is(), (Code::InvalidArgument, "FIELDS_INVALID"));
        let refused = refusal(world.try_sign_in(&world.address("length"), &endless).await);
        assert_eq!(refused.is(), (Code::InvalidArgument, "FIELDS_INVALID"));
    }
    // In one process with the other tests' installations they count together.
    assert!(hashes(&world).await == before || world.is_embedded(), "nothing was hashed");
}

/// How many passwords identity has hashed.
async fn hashes(world: &World) -> u64 {
    let mut sum = 0;
    for port in world.admin_ports() {
        let answer = crate::harness::wire::send(port, "GET", "/metrics", &[], b"").await;
        let text = answer.text();
        let lines = text.lines().filter(|line| line.starts_with("quartet_password_hashes_total"));
        sum += lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum::<u64>();
    }
    sum
}

#[tokio::test]
async fn s04_blanks_are_welcome_and_what_everybody_tries_is_refused_with_the_reason() {
    let world = World::with(&["--identity-password-policy", "length"]).await;
    registered_with(&world, "aaaa bbbb cccc dddd").await;
    for (password, why) in [
        ("passwordpassword", "common"),
        ("1234567890123456", "common"),
        ("quartetquartet1!", "common"),
        ("fourteen chars", "at least 15"),
    ] {
        let asked = RegisterRequest { email: world.address("common"), password: password.to_owned() };
        let refused = refusal(world.accounts().register(asked).await);
        assert_eq!(refused.is(), (Code::InvalidArgument, "FIELDS_INVALID"), "{password}");
        assert!(refused.status.message().contains(why) || format!("{refused:?}").contains(why), "{refused:?}");
    }
    let email = world.address("someone.with.a.long.name");
    let asked = RegisterRequest { email: email.clone(), password: email };
    assert_eq!(refusal(world.accounts().register(asked).await).is(), (Code::InvalidArgument, "FIELDS_INVALID"));
}
