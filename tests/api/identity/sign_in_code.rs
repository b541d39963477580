//! Signing in with what was mailed.

use sign_in_with_code_request::Proof;

use crate::harness::prelude::*;

async fn request(world: &World, email: &str) -> String {
    let asked = RequestSignInCodeRequest { email: email.to_owned() };
    world.sessions().request_sign_in_code(asked).await.unwrap().into_inner().message
}

/// The code and the link's token of the mail with this number.
async fn mailed(world: &World, email: &str, number: usize) -> (String, String) {
    let mail = eventually("a mail with a sign-in code", async || {
        let mails = world.mails(email).await.into_iter().filter(|mail| mail.subject == "Sign in to your account");
        mails.skip(number).last()
    })
    .await;
    (crate::harness::mail::code(&mail), crate::harness::mail::token(&mail))
}

async fn sign_in(world: &World, email: &str, proof: Proof) -> Result<SignInWithCodeResponse, tonic::Status> {
    let asked = SignInWithCodeRequest { email: email.to_owned(), proof: Some(proof), ..Default::default() };
    world.sessions().sign_in_with_code(asked).await.map(tonic::Response::into_inner)
}

fn other(code: &str, step: u32) -> String {
    let number: u32 = code.parse().unwrap();
    format!("{:07}", (number + step) % 10_000_000)
}

const REFUSED: (Code, &str) = (Code::Unauthenticated, "SIGN_IN_CODE_INVALID");

#[tokio::test]
async fn i10_a_mailed_code_starts_a_session() {
    let world = World::shared().await;
    let ada = world.activated("ada").await;
    let message = request(&world, &ada.email.to_uppercase()).await;
    assert_eq!(message, "If you are registered, you will receive an email with instructions.");
    let (code, _) = mailed(&world, &ada.email, 0).await;
    let tokens = sign_in(&world, &ada.email, Proof::Code(code)).await.unwrap();
    assert_eq!((tokens.token_type.as_str(), tokens.expires_in_seconds), ("bearer", 600));
    assert_eq!(tokens.account_id, ada.account_id);
    let me = world.as_token(&tokens.access_token).accounts().get_me(GetMeRequest {}).await.unwrap().into_inner();
    assert_eq!(me.account.unwrap().email, ada.email);
    let renewed = world.try_refresh(&tokens.refresh_token).await.unwrap();
    assert_eq!(renewed.session_id, tokens.session_id);
}

#[tokio::test]
async fn i10_the_links_token_starts_a_session() {
    let world = World::shared().await;
    let ada = world.activated("ada").await;
    request(&world, &ada.email).await;
    let (_, token) = mailed(&world, &ada.email, 0).await;
    let tokens = sign_in(&world, &ada.email, Proof::Token(token)).await.unwrap();
    assert_eq!(tokens.account_id, ada.account_id);
}

#[tokio::test]
async fn i10_either_of_them_works_once() {
    let world = World::shared().await;
    let ada = world.activated("ada").await;
    request(&world, &ada.email).await;
    let (code, token) = mailed(&world, &ada.email, 0).await;
    sign_in(&world, &ada.email, Proof::Code(code.clone())).await.unwrap();
    for proof in [Proof::Code(code.clone()), Proof::Token(token.clone())] {
        assert_eq!(refusal(sign_in(&world, &ada.email, proof).await).is(), REFUSED);
    }
    // A code of one account opens no other, and an activation's none at all.
    let bob = world.register("bob").await;
    let activation = world.mail_token(&bob.email).await;
    assert_eq!(refusal(sign_in(&world, &bob.email, Proof::Token(activation)).await).is(), REFUSED);
    request(&world, &ada.email).await;
    let (code, _) = mailed(&world, &ada.email, 1).await;
    let carol = world.activated("carol").await;
    request(&world, &carol.email).await;
    mailed(&world, &carol.email, 0).await;
    assert_eq!(refusal(sign_in(&world, &carol.email, Proof::Code(code.clone())).await).is(), REFUSED);
    sign_in(&world, &ada.email, Proof::Code(code)).await.unwrap();
}

#[tokio::test]
async fn i10_five_wrong_codes_end_the_code_and_leave_the_link() {
    let world = World::shared().await;
    let ada = world.activated("ada").await;
    request(&world, &ada.email).await;
    let (code, token) = mailed(&world, &ada.email, 0).await;
    for step in 1..=5 {
        let refused = refusal(sign_in(&world, &ada.email, Proof::Code(other(&code, step))).await);
        assert_eq!(refused.is(), REFUSED);
    }
    assert_eq!(refusal(sign_in(&world, &ada.email, Proof::Code(code)).await).is(), REFUSED, "the right one is late");
    sign_in(&world, &ada.email, Proof::Token(token)).await.expect("the link is good");
}

#[tokio::test]
async fn i10_a_code_lives_fifteen_minutes_and_the_next_one_replaces_it() {
    let world = World::own().await;
    let ada = world.activated("ada").await;
    request(&world, &ada.email).await;
    let (first, _) = mailed(&world, &ada.email, 0).await;
    world.move_clock(Duration::from_secs(15 * 60)).await;
    assert_eq!(refusal(sign_in(&world, &ada.email, Proof::Code(first)).await).is(), REFUSED);
    request(&world, &ada.email).await;
    let (_, second) = mailed(&world, &ada.email, 1).await;
    request(&world, &ada.email).await;
    let (third, _) = mailed(&world, &ada.email, 2).await;
    assert_eq!(refusal(sign_in(&world, &ada.email, Proof::Token(second)).await).is(), REFUSED);
    sign_in(&world, &ada.email, Proof::Code(third)).await.unwrap();
}

#[tokio::test]
async fn i10_s09_an_unknown_address_gets_the_same_answers_and_no_mail() {
    let world = World::shared().await;
    let (ada, pending) = (world.activated("ada").await, world.register("pending").await);
    let nobody = world.address("nobody");
    let mut answers = Vec::new();
    for email in [&ada.email, &pending.email, &nobody] {
        let message = request(&world, email).await;
        let refused = refusal(sign_in(&world, email, Proof::Code("x000000".to_owned())).await);
        let by_link = refusal(sign_in(&world, email, Proof::Token("x".repeat(43))).await);
        let bytes = |refused: &Refusal| refused.status.details().to_vec();
        answers.push((message, refused.message.clone(), bytes(&refused), by_link.message.clone(), bytes(&by_link)));
    }
    assert_eq!(answers[0], answers[2]);
    assert_eq!(answers[1], answers[2]);
    mailed(&world, &ada.email, 0).await;
    assert!(world.mails(&nobody).await.is_empty());
    let subjects: Vec<_> = world.mails(&pending.email).await.into_iter().map(|mail| mail.subject).collect();
    assert!(!subjects.contains(&"Sign in to your account".to_owned()), "{subjects:?}");
    for asked in [
        SignInWithCodeRequest { email: ada.email.clone(), ..Default::default() },
        SignInWithCodeRequest { email: ada.email, proof: Some(Proof::Token(String::new())), ..Default::default() },
    ] {
        let refused = refusal(world.sessions().sign_in_with_code(asked).await);
        assert_eq!((refused.code, refused.fields), (Code::InvalidArgument, vec!["token".to_owned()]));
    }
}
