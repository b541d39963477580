//! Signing in, staying so, signing out.

use crate::harness::prelude::*;

const DAY: Duration = Duration::from_secs(24 * 3600);

async fn get_me(world: &World, token: &str) -> Result<Account, tonic::Status> {
    let answer = world.as_token(token).accounts().get_me(GetMeRequest {}).await;
    answer.map(|answer| answer.into_inner().account.unwrap())
}

async fn sessions(world: &World, person: &Person) -> Vec<Session> {
    let asked = ListSessionsRequest { page_size: 100, ..Default::default() };
    person.sessions(world).list_sessions(asked).await.unwrap().into_inner().sessions
}

/// Waits until a token is refused for the end of its session.
async fn ended(world: &World, token: &str) {
    let refused = refused_at_last(async || get_me(world, token).await).await;
    assert_eq!(refused.is(), (Code::Unauthenticated, "SESSION_REVOKED"));
}

#[tokio::test]
async fn i5_a_sign_in_answers_a_session_with_its_tokens() {
    let world = World::shared().await;
    let ada = world.activated("ada").await;
    let answer = world.try_sign_in(&ada.email.to_uppercase(), &ada.password).await.unwrap();
    assert_eq!((answer.token_type.as_str(), answer.expires_in_seconds), ("bearer", 600));
    assert_eq!((answer.account_id, answer.session_id.len()), (ada.account_id.clone(), 36));
    assert_eq!(get_me(&world, &answer.access_token).await.unwrap().account_id, ada.account_id);
}

#[tokio::test]
async fn i5_a_wrong_password_and_an_unknown_address_get_the_same_answer() {
    let world = World::shared().await;
    let (ada, pending) = (world.activated("ada").await, world.register("pending").await);
    let mut answers = Vec::new();
    for email in [ada.email, pending.email, world.address("nobody")] {
        let refused = refusal(world.try_sign_in(&email, "Wrong1!password").await);
        answers.push((refused.code, refused.reason, refused.message));
    }
    let same = (Code::Unauthenticated, "CREDENTIALS_INVALID".to_owned(), "Invalid email or password.".to_owned());
    assert_eq!(answers, vec![same; 3]);
}

#[tokio::test]
async fn i5_an_account_that_is_not_activated_is_told_so_after_the_right_password() {
    let world = World::shared().await;
    let pending = world.register("pending").await;
    let refused = refusal(world.try_sign_in(&pending.email, &pending.password).await);
    assert_eq!(refused.is(), (Code::PermissionDenied, "ACCOUNT_NOT_ACTIVATED"));
    assert_eq!(refused.message, "User account is not activated.");
}

#[tokio::test]
async fn i5_a_bad_token_does_not_hinder_a_sign_in_or_a_refresh() {
    let world = World::shared().await;
    let ada = world.sign_up("ada").await;
    let mut sessions = world.as_token("expired.or.forged").sessions();
    let asked = SignInRequest { email: ada.email.clone(), password: ada.password.clone(), ..Default::default() };
    sessions.sign_in(asked).await.unwrap();
    sessions.refresh(RefreshRequest { refresh_token: ada.refresh_token }).await.unwrap();
}

#[tokio::test]
async fn i5_what_is_missing_is_named() {
    let world = World::shared().await;
    let refused = refusal(world.try_sign_in("", "").await);
    assert_eq!(refused.is(), (Code::InvalidArgument, "FIELDS_INVALID"));
    assert_eq!(refused.fields, ["email", "password"]);
    let refused = refusal(world.try_refresh("").await);
    assert_eq!(refused.code, Code::InvalidArgument);
}

#[tokio::test]
async fn i8_a_refresh_answers_a_successor() {
    let world = World::shared().await;
    let ada = world.sign_up("ada").await;
    let answer = world.try_refresh(&ada.refresh_token).await.unwrap();
    assert_ne!(answer.refresh_token, ada.refresh_token);
    assert_ne!(answer.access_token, ada.access_token);
    assert_eq!((answer.session_id, answer.account_id), (ada.session_id, ada.account_id.clone()));
    assert_eq!((answer.token_type.as_str(), answer.expires_in_seconds), ("bearer", 600));
    assert_eq!(get_me(&world, &answer.access_token).await.unwrap().account_id, ada.account_id);
    world.try_refresh(&answer.refresh_token).await.unwrap();
}

#[tokio::test]
async fn i8_a_refresh_token_that_is_garbage_expired_or_ended_is_refused() {
    let world = World::own().await;
    let (ada, mut bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    for garbage in ["x", "a.b.c", &ada.access_token, &ada.refresh_token[1..], &format!("{}=", ada.refresh_token)] {
        let refused = refusal(world.try_refresh(garbage).await);
        assert_eq!(refused.is(), (Code::InvalidArgument, "REFRESH_TOKEN_INVALID"), "{garbage}");
    }
    ada.sessions(&world).sign_out(SignOutRequest {}).await.unwrap();
    let refused = refusal(world.try_refresh(&ada.refresh_token).await);
    assert_eq!(refused.is(), (Code::Unauthenticated, "REFRESH_TOKEN_NOT_FOUND"));
    assert_eq!(refused.message, "Refresh token not found.");

    let renewed = world.try_refresh(&bob.refresh_token).await.unwrap();
    bob.renewed(renewed);
    world.move_clock(Duration::from_secs(400 * 24 * 3600)).await;
    let refused = refusal(world.try_refresh(&bob.refresh_token).await);
    assert_eq!(refused.is(), (Code::InvalidArgument, "REFRESH_TOKEN_INVALID"));
    assert_eq!(refused.message, "Token has expired.");
}

#[tokio::test]
async fn x8_two_tabs_that_refresh_get_the_same_successor() {
    let world = World::with(&["--identity-refresh-grace-seconds", "60"]).await;
    let ada = world.sign_up("ada").await;
    let first = world.try_refresh(&ada.refresh_token).await.unwrap();
    world.move_clock(Duration::from_secs(40)).await;
    let second = world.try_refresh(&ada.refresh_token).await.unwrap();
    assert_eq!(first.refresh_token, second.refresh_token);
    world.try_refresh(&second.refresh_token).await.unwrap();
}

#[tokio::test]
async fn x8_a_token_that_was_just_replaced_is_refused_without_harm() {
    let world = World::own().await;
    let ada = world.sign_up("ada").await;
    let first = world.try_refresh(&ada.refresh_token).await.unwrap();
    world.move_clock(Duration::from_secs(15)).await;
    let refused = refusal(world.try_refresh(&ada.refresh_token).await);
    assert_eq!(refused.is(), (Code::Unauthenticated, "REFRESH_TOKEN_SUPERSEDED"));
    world.try_refresh(&first.refresh_token).await.unwrap();
}

#[tokio::test]
async fn s24_a_spent_token_ends_the_session_on_every_service_and_its_owner_is_told() {
    let world = World::own().await;
    let ada = world.sign_up("ada").await;
    let (first, other) = (ada.refresh_token.clone(), world.sign_in(&ada.email, &ada.password).await);
    let second = world.try_refresh(&first).await.unwrap();
    let third = world.try_refresh(&second.refresh_token).await.unwrap();
    world.move_clock(Duration::from_secs(60)).await;
    let refused = refusal(world.try_refresh(&first).await);
    assert_eq!(refused.is(), (Code::Unauthenticated, "REFRESH_TOKEN_REUSED"));
    for token in [&second.access_token, &third.access_token] {
        ended(&world, token).await;
    }
    refusal(world.try_refresh(&third.refresh_token).await);
    eventually("a mail about it", async || (world.mails(&ada.email).await.len() >= 2).then_some(())).await;
    get_me(&world, &other.access_token).await.expect("another session of the same account lives on");
}

#[tokio::test]
async fn s24_a_replay_after_its_successor_was_used_ends_the_session_even_within_the_grace() {
    let world = World::shared().await;
    let ada = world.sign_up("ada").await;
    let second = world.try_refresh(&ada.refresh_token).await.unwrap();
    let third = world.try_refresh(&second.refresh_token).await.unwrap();
    let refused = refusal(world.try_refresh(&ada.refresh_token).await);
    assert_eq!(refused.is(), (Code::Unauthenticated, "REFRESH_TOKEN_REUSED"));
    ended(&world, &third.access_token).await;
}

#[tokio::test]
async fn i9_a_sign_out_ends_this_session_alone() {
    let world = World::shared().await;
    let ada = world.sign_up("ada").await;
    let other = world.sign_in(&ada.email, &ada.password).await;
    ada.sessions(&world).sign_out(SignOutRequest {}).await.unwrap();
    ended(&world, &ada.access_token).await;
    get_me(&world, &other.access_token).await.unwrap();
    let left: Vec<_> = sessions(&world, &other).await.into_iter().map(|session| session.session_id).collect();
    assert_eq!(left, [other.session_id]);
}

#[tokio::test]
async fn i9_the_own_sessions_are_listed_the_newest_first() {
    let world = World::shared().await;
    let ada = world.sign_up("ada").await;
    let second = world.sign_in(&ada.email, &ada.password).await;
    let third = world.sign_in(&ada.email, &ada.password).await;
    let listed = sessions(&world, &second).await;
    let ids: Vec<_> = listed.iter().map(|session| (session.session_id.as_str(), session.current)).collect();
    assert_eq!(
        ids,
        [(third.session_id.as_str(), false), (second.session_id.as_str(), true), (ada.session_id.as_str(), false)]
    );
    for session in &listed {
        assert!(session.create_time.is_some() && session.last_use_time.is_some() && session.expire_time.is_some());
        assert!(session.user_agent.contains("tonic"), "{session:?}");
        assert_eq!(session.client_address, "127.0.0.1");
    }

    let mut paged = Vec::new();
    let mut page_token = String::new();
    loop {
        let asked = ListSessionsRequest { page_size: 2, page_token };
        let page = second.sessions(&world).list_sessions(asked).await.unwrap().into_inner();
        assert!(page.sessions.len() <= 2);
        paged.extend(page.sessions);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(paged.len(), listed.len());
    for (page_size, page_token) in [(-1, ""), (0, "no token of ours")] {
        let asked = ListSessionsRequest { page_size, page_token: page_token.to_owned() };
        assert_eq!(refusal(second.sessions(&world).list_sessions(asked).await).code, Code::InvalidArgument);
    }
}

#[tokio::test]
async fn i9_one_of_the_own_sessions_can_be_ended_and_nobody_elses() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let other = world.sign_in(&ada.email, &ada.password).await;
    let end = |session_id: &str| RevokeSessionRequest { session_id: session_id.to_owned() };
    ada.sessions(&world).revoke_session(end(&other.session_id)).await.unwrap();
    ended(&world, &other.access_token).await;
    for id in [&bob.session_id, &ada.account_id, &other.session_id] {
        let refused = refusal(ada.sessions(&world).revoke_session(end(id)).await);
        assert_eq!(refused.is(), (Code::NotFound, "SESSION_NOT_FOUND"));
    }
    get_me(&world, &bob.access_token).await.unwrap();
    let refused = refusal(ada.sessions(&world).revoke_session(end("x")).await);
    assert_eq!((refused.code, refused.fields), (Code::InvalidArgument, vec!["session_id".to_owned()]));
}

#[tokio::test]
async fn i9_all_own_sessions_can_be_ended_or_all_others() {
    let world = World::shared().await;
    let ada = world.sign_up("ada").await;
    let others = [world.sign_in(&ada.email, &ada.password).await, world.sign_in(&ada.email, &ada.password).await];
    let others_only = RevokeAllSessionsRequest { keep_current: true };
    let answer = ada.sessions(&world).revoke_all_sessions(others_only).await.unwrap().into_inner();
    assert_eq!(answer.revoked_count, 2);
    for other in others {
        ended(&world, &other.access_token).await;
    }
    get_me(&world, &ada.access_token).await.unwrap();
    let answer = ada.sessions(&world).revoke_all_sessions(RevokeAllSessionsRequest::default()).await.unwrap();
    assert_eq!(answer.into_inner().revoked_count, 1);
    ended(&world, &ada.access_token).await;
}

#[tokio::test]
async fn i9_the_hundred_and_first_session_ends_the_oldest() {
    let world = World::shared().await;
    let ada = world.sign_up("busy").await;
    let second = world.sign_in(&ada.email, &ada.password).await;
    for _ in 0..98 {
        world.sign_in(&ada.email, &ada.password).await;
    }
    get_me(&world, &ada.access_token).await.expect("a hundred are fine");
    let last = world.sign_in(&ada.email, &ada.password).await;
    ended(&world, &ada.access_token).await;
    let refused = refusal(world.try_refresh(&ada.refresh_token).await);
    assert_eq!(refused.is(), (Code::Unauthenticated, "REFRESH_TOKEN_NOT_FOUND"));
    get_me(&world, &second.access_token).await.unwrap();
    assert_eq!(sessions(&world, &last).await.len(), 100);
}

#[tokio::test]
async fn s29_every_sign_in_is_a_session_of_its_own_and_shows_where_from_and_when() {
    let world = World::own().await;
    let ada = world.activated("ada").await;
    let asked = SignInRequest {
        email: ada.email.clone(),
        password: ada.password.clone(),
        device_name: "Ada's t\u{e9}l\u{e9}phone".to_owned(),
        ..Default::default()
    };
    let named = world.sessions().sign_in(asked.clone()).await.unwrap().into_inner();
    let again = world.sessions().sign_in(asked.clone()).await.unwrap().into_inner();
    assert_ne!(named.session_id, again.session_id);
    world.move_clock(Duration::from_secs(300)).await;
    let renewed = world.try_refresh(&named.refresh_token).await.unwrap();
    let listed = world.as_token(&renewed.access_token).sessions().list_sessions(ListSessionsRequest::default()).await;
    let listed = listed.unwrap().into_inner().sessions;
    let of = |id: &str| listed.iter().find(|session| session.session_id == id).unwrap().clone();
    let (used, unused) = (of(&named.session_id), of(&again.session_id));
    let seconds = |time: Option<prost_types::Timestamp>| time.unwrap().seconds;
    assert!(seconds(used.last_use_time) >= seconds(used.create_time) + 299, "{used:?}");
    assert_eq!(unused.last_use_time, unused.create_time);
    assert_eq!((used.device_name, used.actor), (asked.device_name.clone(), String::new()));

    let end = RevokeSessionRequest { session_id: again.session_id };
    world.as_token(&renewed.access_token).sessions().revoke_session(end).await.expect("each one can be ended");
    for device_name in ["x".repeat(101), "a\0b".to_owned(), "a\nb".to_owned()] {
        let refused = refusal(world.sessions().sign_in(SignInRequest { device_name, ..asked.clone() }).await);
        assert_eq!((refused.code, refused.fields), (Code::InvalidArgument, vec!["device_name".to_owned()]));
    }
}

#[tokio::test]
async fn s22_a_session_ends_when_it_is_not_used_for_fourteen_days() {
    let world = World::own().await;
    let ada = world.sign_up("ada").await;
    world.move_clock(DAY * 13).await;
    let second = world.try_refresh(&ada.refresh_token).await.expect("used within fourteen days");
    world.move_clock(DAY * 13).await;
    let third = world.try_refresh(&second.refresh_token).await.expect("and again");
    world.move_clock(DAY * 14 + Duration::from_secs(1)).await;
    let refused = refusal(world.try_refresh(&third.refresh_token).await);
    assert_eq!((refused.code, refused.message.as_str()), (Code::InvalidArgument, "Token has expired."));
}

#[tokio::test]
async fn s22_a_session_ends_after_ninety_days_however_often_it_is_used() {
    let world = World::own().await;
    let ada = world.sign_up("ada").await;
    let mut token = ada.refresh_token;
    for _ in 0..6 {
        world.move_clock(DAY * 13).await;
        token = world.try_refresh(&token).await.expect("used often enough").refresh_token;
    }
    world.move_clock(DAY * 11).await;
    token = world.try_refresh(&token).await.expect("the eighty-ninth day").refresh_token;
    world.move_clock(DAY * 2).await;
    let refused = refusal(world.try_refresh(&token).await);
    assert_eq!((refused.code, refused.message.as_str()), (Code::InvalidArgument, "Token has expired."));
    // The same in SQL, where a token does not say when its session ends.
    let world = World::with(&["--identity-rotate-refresh-tokens", "false"]).await;
    let bob = world.sign_up("bob").await;
    world.move_clock(DAY * 15).await;
    let refused = refusal(world.try_refresh(&bob.refresh_token).await);
    // The session may have been swept at this very moment.
    assert!(["Token has expired.", "Refresh token not found."].contains(&refused.message.as_str()), "{refused:?}");
}

#[tokio::test]
async fn x8_clients_that_ignore_the_successor_work_where_rotation_is_off() {
    let world = World::with(&["--identity-rotate-refresh-tokens", "false"]).await;
    let ada = world.sign_up("ada").await;
    for _ in 0..5 {
        world.move_clock(DAY).await;
        let renewed = world.try_refresh(&ada.refresh_token).await.expect("the same token, day after day");
        get_me(&world, &renewed.access_token).await.unwrap();
    }
}

#[tokio::test]
async fn x6_a_session_is_a_row_that_outlives_every_process_and_not_its_end() {
    let world = World::own().await;
    let ada = world.sign_up("ada").await;
    // Whichever instance is asked, it is the same session.
    let mut token = ada.refresh_token.clone();
    for _ in 0..8 {
        let renewed = world.try_refresh(&token).await.unwrap();
        assert_eq!(renewed.session_id, ada.session_id);
        token = renewed.refresh_token;
    }
    ada.sessions(&world).sign_out(SignOutRequest {}).await.unwrap();
    let refused = refusal(world.try_refresh(&token).await);
    assert_eq!(refused.is(), (Code::Unauthenticated, "REFRESH_TOKEN_NOT_FOUND"));
}

#[tokio::test]
async fn x6_an_access_token_lives_ten_minutes_and_its_session_longer() {
    let world = World::own().await;
    let ada = world.sign_up("ada").await;
    world.move_clock(Duration::from_secs(9 * 60)).await;
    get_me(&world, &ada.access_token).await.unwrap();
    world.move_clock(Duration::from_secs(61)).await;
    let refused = refusal(get_me(&world, &ada.access_token).await);
    assert_eq!(refused.is(), (Code::Unauthenticated, "TOKEN_EXPIRED"));
    let renewed = world.try_refresh(&ada.refresh_token).await.unwrap();
    get_me(&world, &renewed.access_token).await.unwrap();
}
