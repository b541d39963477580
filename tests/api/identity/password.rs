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
