//! Identity while parts of it fail.

use crate::harness::prelude::*;

#[tokio::test]
async fn i24_a_registration_commits_while_no_mail_can_be_sent_and_the_mail_goes_out_later() {
    let world = World::own().await;
    world.fault(Fault::Mail, true).await;
    let registered = world.register("patient").await;
    let refused = refusal(world.try_sign_in(&registered.email, &registered.password).await);
    assert_eq!(refused.is(), (Code::PermissionDenied, "ACCOUNT_NOT_ACTIVATED"), "the account is there");
    world.fault(Fault::Mail, false).await;
    world.move_clock(Duration::from_secs(60)).await;
    let token = world.mail_token(&registered.email).await;
    let proof = Some(activate_request::Proof::Token(token));
    world.accounts().activate(ActivateRequest { email: registered.email.clone(), proof }).await.unwrap();
    world.sign_in(&registered.email, &registered.password).await;
}

#[tokio::test]
async fn i24_a_mail_whose_code_has_expired_meanwhile_goes_out_with_a_new_one() {
    let world = World::own().await;
    world.fault(Fault::Mail, true).await;
    let registered = world.register("very.patient").await;
    world.register("later").await;
    world.move_clock(Duration::from_secs(20 * 60)).await;
    world.codes_are_new().await;
    world.fault(Fault::Mail, false).await;
    world.move_clock(Duration::from_secs(60)).await;
    let proof = Some(activate_request::Proof::Code(world.mail_code(&registered.email).await));
    world.accounts().activate(ActivateRequest { email: registered.email, proof }).await.unwrap();
}

#[tokio::test]
async fn i24_a_reset_that_could_not_be_mailed_for_an_hour_is_given_up() {
    let world = World::own().await;
    let ada = world.activated("ada").await;
    world.fault(Fault::Mail, true).await;
    let asked = RequestPasswordResetRequest { email: ada.email.clone() };
    world.accounts().request_password_reset(asked).await.unwrap();
    world.move_clock(Duration::from_secs(61 * 60)).await;
    let given_up = async || (world.number("identity", "select count(*) from outbox").await == 0).then_some(());
    eventually("it is given up", given_up).await;
    world.fault(Fault::Mail, false).await;
    world.move_clock(Duration::from_secs(60)).await;
    assert_eq!(world.mails(&ada.email).await.len(), 1, "the activation's alone");
}

#[tokio::test]
async fn i1_a_registration_that_can_not_be_stored_leaves_nothing() {
    let world = World::own().await;
    let email = world.address("unlucky");
    let asked = RegisterRequest { email: email.clone(), password: PASSWORD.to_owned() };
    world.fault(Fault::StoreFull, true).await;
    let refused = refusal(world.accounts().register(asked.clone()).await);
    assert_eq!(refused.is(), (Code::ResourceExhausted, "STORAGE_FULL"));
    world.fault(Fault::StoreFull, false).await;
    world.accounts().register(asked).await.expect("nothing of the first try is left");
    eventually("one mail", async || (world.mails(&email).await.len() == 1).then_some(())).await;
}

#[tokio::test]
async fn s37_no_error_says_how_the_server_is_built() {
    let world = World::own().await;
    let ada = world.sign_up("ada").await;
    let mut refusals = Vec::new();
    world.fault(Fault::Store, true).await;
    refusals.push(refusal(world.try_sign_in(&ada.email, &ada.password).await));
    refusals.push(refusal(ada.accounts(&world).get_me(GetMeRequest {}).await));
    refusals.push(refusal(world.movies().list_movies(ListMoviesRequest::default()).await));
    refusals.push(refusal(world.taxonomy().list_genres(ListGenresRequest::default()).await));
    for refused in &refusals {
        assert!(matches!(refused.code, Code::Unavailable | Code::Internal), "{refused:?}");
    }
    world.fault(Fault::Store, false).await;

    // Every process's next call panics, whose ever it is: some of these meet it.
    eventually("a call panics", async || {
        world.fault(Fault::Panic, true).await;
        for _ in 0..8 {
            refusals.extend(ada.accounts(&world).get_me(GetMeRequest {}).await.err().map(Refusal::from));
            refusals.extend(world.movies().list_movies(ListMoviesRequest::default()).await.err().map(Refusal::from));
        }
        refusals.iter().any(|refused| refused.is() == (Code::Internal, "INTERNAL")).then_some(())
    })
    .await;
    eventually("all is well again", async || {
        let me = ada.accounts(&world).get_me(GetMeRequest {}).await;
        let movies = world.movies().list_movies(ListMoviesRequest::default()).await;
        (me.is_ok() && movies.is_ok()).then_some(())
    })
    .await;

    let words = [
        "sql",
        "select ",
        "insert ",
        "diesel",
        "postgres",
        "/home",
        "/tmp",
        "/root",
        ".rs:",
        "panicked",
        "thread",
        "backtrace",
    ];
    for refused in refusals {
        let said = format!("{:?} {:?}", refused.status, refused.metadata).to_lowercase();
        let said = said.replace("postgresql", "");
        assert!(!words.iter().any(|word| said.contains(word)), "{said}");
    }
}
