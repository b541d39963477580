//! Tokens for others: narrowed, minted by a client, and of an administrator who acts for somebody.

use issue_token_request::Form;
use serde_json::Value;

use super::client::{Program, audit};
use super::token::claims;
use crate::harness::prelude::*;
use crate::harness::raw;

const ISSUE: &str = "/quartet.identity.v1.SessionService/IssueToken";
const REASON: &str = "ticket 4711: the course is not listed";

/// Asks for a token with the token of somebody, or without any.
async fn issue(
    world: &World,
    token: Option<&str>,
    form: Form,
    audience: &str,
    life_seconds: i32,
) -> Result<IssueTokenResponse, tonic::Status> {
    let asked = IssueTokenRequest { form: Some(form), audience: audience.to_owned(), life_seconds };
    let mut sessions = token.map_or_else(|| world.sessions(), |token| world.as_token(token).sessions());
    sessions.issue_token(asked).await.map(tonic::Response::into_inner)
}

fn narrow(roles: &[&str]) -> Form {
    Form::Narrow(NarrowToken { roles: roles.iter().map(|&role| role.to_owned()).collect() })
}

fn mint(program: &Program, account_id: &str) -> Form {
    let (client_id, client_key) = (program.client_id.clone(), program.client_key.clone());
    Form::Mint(MintToken { client_id, client_key, account_id: account_id.to_owned() })
}

fn impersonate(account_id: &str, reason: &str) -> Form {
    Form::Impersonate(ImpersonateToken { account_id: account_id.to_owned(), reason: reason.to_owned() })
}

async fn me(world: &World, token: &str) -> Result<Account, tonic::Status> {
    let answer = world.as_token(token).accounts().get_me(GetMeRequest {}).await;
    answer.map(|answer| answer.into_inner().account.unwrap())
}

async fn import(world: &World, token: &str) -> Result<(), tonic::Status> {
    let content = std::fs::read(fixture("movies.csv")).unwrap();
    let pieces = tokio_stream::iter([ImportMoviesRequest { content: content.into() }]);
    world.as_token(token).imports().import_movies(pieces).await.map(drop)
}

async fn sessions(world: &World, person: &Person) -> Vec<Session> {
    let asked = ListSessionsRequest { page_size: 100, ..Default::default() };
    person.sessions(world).list_sessions(asked).await.unwrap().into_inner().sessions
}

/// Waits until a token is refused for the end of a session.
async fn ended(world: &World, token: &str) {
    let refused = refused_at_last(async || me(world, token).await).await;
    assert_eq!(refused.is(), (Code::Unauthenticated, "SESSION_REVOKED"));
}

/// A field of a message: a text.
fn text_field(number: u32, text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    prost::encoding::string::encode(number, &text.to_owned(), &mut bytes);
    bytes
}

#[tokio::test]
async fn x4_no_address_alone_gets_a_token() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let service = world.service_token("identity");
    // The address as any field, known or not; and beside an empty form.
    let mut requests = vec![Vec::new(), text_field(4, &ada.email)];
    requests.extend((1..=16).map(|number| text_field(number, &ada.email)));
    for form in [1, 2, 3] {
        requests.push([text_field(form, ""), text_field(15, &ada.email)].concat());
        requests.push(text_field(form, &String::from_utf8(text_field(1, &ada.email)).unwrap()));
        requests.push(text_field(form, &String::from_utf8(text_field(3, &ada.email)).unwrap()));
    }
    for token in [None, Some(&bob.access_token), Some(&service)] {
        for request in &requests {
            let answer = raw::call(world.channel(), ISSUE, token.map(String::as_str), request.clone()).await;
            assert!(answer.is_err(), "{request:?} of {token:?}: {answer:?}");
        }
    }
    let refused = refusal(raw::call(world.channel(), ISSUE, None, text_field(15, &ada.email)).await);
    assert_eq!(refused.is(), (Code::InvalidArgument, "FIELDS_INVALID"));
    assert_eq!(refused.fields, ["form"]);
    for form in [narrow(&[]), impersonate(&ada.account_id, REASON)] {
        let refused = refusal(issue(&world, None, form, "identity", 0).await);
        assert_eq!(refused.is(), (Code::Unauthenticated, "TOKEN_MISSING"));
    }
}

#[tokio::test]
async fn x4_s21_a_narrowed_token_is_taken_by_one_context_alone() {
    let world = World::own().await;
    let mut ada = world.sign_up("ada").await;
    world.with_role(&mut ada, "moderator").await;
    let own = Some(ada.access_token.as_str());

    let movies = issue(&world, own, narrow(&["moderator"]), "catalogue", 0).await.unwrap();
    assert_eq!(movies.token_type, "bearer");
    assert!((290..=300).contains(&movies.expires_in_seconds), "{movies:?}");
    import(&world, &movies.access_token).await.expect("the catalogue takes it");
    assert_eq!(refusal(me(&world, &movies.access_token).await).is(), (Code::Unauthenticated, "TOKEN_INVALID"));
    import(&world, &movies.access_token).await.expect("whoever has refused it before");

    let accounts = issue(&world, own, narrow(&["moderator"]), "identity", 60).await.unwrap();
    assert_eq!(me(&world, &accounts.access_token).await.unwrap().account_id, ada.account_id);
    let refused = refusal(import(&world, &accounts.access_token).await);
    assert_eq!(refused.is(), (Code::Unauthenticated, "TOKEN_INVALID"));

    let powerless = issue(&world, own, narrow(&[]), "catalogue", 0).await.unwrap();
    let refused = refusal(import(&world, &powerless.access_token).await);
    assert_eq!(refused.is(), (Code::PermissionDenied, "ROLE_MISSING"));
    for identity in world.direct("identity").into_iter().map(crate::harness::channel) {
        let refused = refusal(raw::call(identity, ISSUE, Some(&movies.access_token), Vec::new()).await);
        assert_eq!(refused.is(), (Code::Unauthenticated, "TOKEN_INVALID"), "past the gateway, too");
    }

    let (whole, less) = (claims(&ada.access_token), claims(&movies.access_token));
    for same in ["sub", "sid", "epoch", "iss", "amr"] {
        assert_eq!(whole[same], less[same], "{same}");
    }
    assert_eq!((&less["aud"], &less["roles"]), (&Value::from("catalogue"), &Value::from(vec!["moderator"])));
    assert!(less["act"].is_null() && less["jti"] != whole["jti"]);
    ada.sessions(&world).sign_out(SignOutRequest {}).await.unwrap();
    ended(&world, &accounts.access_token).await;
}

#[tokio::test]
async fn x4_a_narrowed_token_leads_to_no_wider_one() {
    let world = World::own().await;
    let mut ada = world.sign_up("ada").await;
    world.with_role(&mut ada, "moderator").await;
    let own = Some(ada.access_token.as_str());
    for (form, audience, life, field) in [
        (narrow(&["admin"]), "catalogue", 0, "roles"),
        (narrow(&["moderator", "admin"]), "catalogue", 0, "roles"),
        (narrow(&[]), "", 0, "audience"),
        (narrow(&[]), "quartet", 0, "audience"),
        (narrow(&[]), "control", 0, "audience"),
        (narrow(&[]), "catalogue", 901, "life_seconds"),
        (narrow(&[]), "catalogue", -1, "life_seconds"),
    ] {
        let refused = refusal(issue(&world, own, form, audience, life).await);
        assert_eq!(
            (refused.is(), refused.fields.as_slice()),
            ((Code::InvalidArgument, "FIELDS_INVALID"), &[field.to_owned()][..])
        );
    }

    let longest = issue(&world, own, narrow(&["moderator"]), "identity", 900).await.unwrap();
    assert!(longest.expires_in_seconds <= 600, "no longer than her own: {}", longest.expires_in_seconds);
    let first = issue(&world, own, narrow(&["moderator"]), "identity", 120).await.unwrap();
    let narrowed = Some(first.access_token.as_str());
    let second = issue(&world, narrowed, narrow(&["moderator"]), "identity", 600).await.unwrap();
    assert!(second.expires_in_seconds <= 120, "no longer than the narrowed one: {}", second.expires_in_seconds);
    let refused = refusal(issue(&world, narrowed, narrow(&["moderator"]), "catalogue", 0).await);
    assert_eq!(refused.fields, ["audience"]);
    let refused = refusal(issue(&world, narrowed, narrow(&["user"]), "identity", 0).await);
    assert_eq!(refused.fields, ["roles"]);
}

#[tokio::test]
async fn x4_a_narrowed_token_stands_for_no_password_where_an_account_has_none() {
    let world = World::own().await;
    let email = "ada@example.com".to_owned();
    super::import::import(&world, b"email\nada@example.com\n", "csv").await;
    world.sessions().request_sign_in_code(RequestSignInCodeRequest { email: email.clone() }).await.unwrap();
    let proof = Some(sign_in_with_code_request::Proof::Token(world.mail_token(&email).await));
    let asked = SignInWithCodeRequest { email: email.clone(), proof, ..Default::default() };
    let own = world.sessions().sign_in_with_code(asked).await.unwrap().into_inner().access_token;
    let narrowed = issue(&world, Some(&own), narrow(&[]), "identity", 0).await.unwrap().access_token;

    let other = world.as_token(&narrowed);
    let password = UpdatePasswordRequest { new_password: PASSWORD.into(), ..Default::default() };
    let address = RequestEmailChangeRequest { new_email: "eve@example.com".into(), ..Default::default() };
    for refused in [
        refusal(other.accounts().update_password(password.clone()).await),
        refusal(other.email_changes().request_email_change(address).await),
        refusal(other.accounts().delete_account(DeleteAccountRequest::default()).await),
    ] {
        assert_eq!(refused.is(), (Code::Unauthenticated, "SIGN_IN_STALE"));
    }
    world.as_token(&own).accounts().update_password(password).await.expect("her own whole token, and fresh");
    world.sign_in(&email, PASSWORD).await;
}

#[tokio::test]
async fn i18_a_client_gets_a_token_of_an_account_that_its_owner_sees_and_can_end() {
    let world = World::shared().await;
    let ada = world.sign_up("ada").await;
    let program = Program::create(&world, "token.mint").await;
    let minted = issue(&world, None, mint(&program, &ada.account_id), "", 600).await.unwrap();
    assert!((590..=600).contains(&minted.expires_in_seconds), "{minted:?}");
    assert_eq!(me(&world, &minted.access_token).await.unwrap().email, ada.email);
    let claims = claims(&minted.access_token);
    assert_eq!(claims["act"], serde_json::json!({ "sub": format!("client:{}", program.name) }));
    assert_eq!((&claims["aud"], &claims["amr"]), (&Value::from("quartet"), &Value::Array(Vec::new())));

    let actor = format!("client {}", program.name);
    let listed = sessions(&world, &ada).await;
    let [acting] = &listed.iter().filter(|session| session.actor == actor).collect::<Vec<_>>()[..] else {
        panic!("{listed:?}")
    };
    assert_eq!(listed.iter().filter(|session| session.actor.is_empty()).count(), 1);
    let end = RevokeSessionRequest { session_id: acting.session_id.clone() };
    ada.sessions(&world).revoke_session(end).await.unwrap();
    ended(&world, &minted.access_token).await;
    me(&world, &ada.access_token).await.expect("her own session lives");

    let narrowed = issue(&world, None, mint(&program, &ada.account_id), "catalogue", 0).await.unwrap();
    assert_eq!(refusal(me(&world, &narrowed.access_token).await).is(), (Code::Unauthenticated, "TOKEN_INVALID"));
    let events = audit(&world, "token.minted", &ada.account_id).await;
    assert_eq!(events.iter().map(|event| event.actor.as_str()).collect::<Vec<_>>(), vec![actor; 2]);
}

#[tokio::test]
async fn i18_a_client_gets_no_power_along_with_an_account() {
    let world = World::shared().await;
    let (admin, program) = (world.admin().await, Program::create(&world, "token.mint").await);
    let minted = issue(&world, None, mint(&program, &admin.account_id), "", 0).await.unwrap();
    let roles = claims(&minted.access_token)["roles"].clone();
    assert_eq!(
        roles,
        claims(&admin.access_token)["roles"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|role| *role != "admin")
            .cloned()
            .collect::<Value>()
    );
    let refused = refusal(import(&world, &minted.access_token).await);
    assert_eq!(refused.is(), (Code::PermissionDenied, "ROLE_MISSING"));
}

#[tokio::test]
async fn i18_only_the_right_key_of_a_client_with_the_scope_gets_a_token() {
    let world = World::own().await;
    let (ada, pending) = (world.sign_up("ada").await, world.register("pending").await);
    let program = Program::create(&world, "token.mint").await;
    let other = Program::create(&world, "token.mint").await;
    let wrong = [
        Program { client_key: other.client_key.clone(), ..program.clone() },
        Program { client_key: String::new(), ..program.clone() },
        Program { client_id: "00000000-0000-0000-0000-000000000000".to_owned(), ..program.clone() },
        Program { client_id: "x' or '1'='1".to_owned(), ..program.clone() },
        Program { client_key: ada.access_token.clone(), ..program.clone() },
    ];
    let mut answers = Vec::new();
    for wrong in wrong {
        let refused = refusal(issue(&world, None, mint(&wrong, &ada.account_id), "", 0).await);
        answers.push((refused.code, refused.reason, refused.message));
    }
    let same = (Code::Unauthenticated, "CLIENT_INVALID".to_owned(), "no client has this id and key".to_owned());
    assert_eq!(answers, vec![same; 5]);

    let refused = refusal(issue(&world, None, mint(&program, &pending.account_id), "", 0).await);
    assert_eq!(refused.is(), (Code::PermissionDenied, "ACCOUNT_DISABLED"));
    let nobody = "00000000-0000-7000-8000-000000000000";
    let refused = refusal(issue(&world, None, mint(&program, nobody), "", 0).await);
    assert_eq!(refused.is(), (Code::NotFound, "ACCOUNT_NOT_FOUND"));
    let refused = refusal(issue(&world, None, mint(&program, &ada.email), "elsewhere", 1000).await);
    assert_eq!(refused.fields, ["life_seconds", "audience", "account_id"]);
    for token in [&program.client_key, &program.client_id] {
        assert_eq!(refusal(me(&world, token).await).is(), (Code::Unauthenticated, "TOKEN_INVALID"));
    }
}

#[tokio::test]
async fn s06_the_keys_of_clients_are_not_guessed_at() {
    let world = World::own().await;
    let (ada, program) = (world.sign_up("ada").await, Program::create(&world, "token.mint").await);
    let wrong = Program { client_key: "wrong".to_owned(), ..program.clone() };
    let shut = async || {
        let refused = refusal(issue(&world, None, mint(&wrong, &ada.account_id), "", 0).await);
        (refused.reason == "RATE_LIMITED").then_some(refused.code)
    };
    assert_eq!(eventually("guesses are held back", shut).await, Code::ResourceExhausted);
}

#[tokio::test]
async fn i18_an_administrator_acts_for_somebody_with_a_reason_for_a_while() {
    let world = World::shared().await;
    let (ada, admin) = (world.sign_up("ada").await, world.admin().await);
    let as_admin = Some(admin.access_token.as_str());
    for (reason, life, fields) in [
        ("", 0, &["reason"][..]),
        ("because", 0, &["reason"]),
        (REASON, 901, &["life_seconds"]),
        (&"x".repeat(501), 0, &["reason"]),
    ] {
        let refused = refusal(issue(&world, as_admin, impersonate(&ada.account_id, reason), "", life).await);
        assert_eq!(
            (refused.code, refused.fields.iter().map(String::as_str).collect::<Vec<_>>().as_slice()),
            (Code::InvalidArgument, fields)
        );
    }
    let acting = issue(&world, as_admin, impersonate(&ada.account_id, REASON), "", 0).await.unwrap();
    assert!((290..=300).contains(&acting.expires_in_seconds), "{acting:?}");
    assert_eq!(me(&world, &acting.access_token).await.unwrap().email, ada.email);
    let act = claims(&acting.access_token)["act"].clone();
    let own = claims(&admin.access_token);
    assert_eq!(act, serde_json::json!({ "sub": admin.account_id, "sid": admin.session_id, "epoch": own["epoch"] }));

    assert!(sessions(&world, &ada).await.iter().any(|session| session.actor == "administrator"));
    eventually("the owner is told", async || {
        let mails = world.mails(&ada.email).await;
        mails
            .iter()
            .any(|mail| mail.subject == "An administrator acts for you" && mail.text.contains(REASON))
            .then_some(())
    })
    .await;
    let events = audit(&world, "account.impersonated", &ada.account_id).await;
    let [event] = &events[..] else { panic!("{events:?}") };
    assert_eq!(
        (event.actor_account_id.as_str(), event.details["reason"].as_str()),
        (admin.account_id.as_str(), REASON)
    );

    admin.sessions(&world).sign_out(SignOutRequest {}).await.unwrap();
    ended(&world, &acting.access_token).await;
    me(&world, &ada.access_token).await.expect("her own session lives");
}

#[tokio::test]
async fn i18_nobody_but_an_administrator_acts_for_others_and_none_for_another_administrator() {
    let world = World::own().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let (admin, other) = (world.admin().await, world.admin().await);
    let refused = refusal(issue(&world, Some(&bob.access_token), impersonate(&ada.account_id, REASON), "", 0).await);
    assert_eq!(refused.is(), (Code::PermissionDenied, "ROLE_MISSING"));
    for account in [&other.account_id, &admin.account_id] {
        let refused = refusal(issue(&world, Some(&admin.access_token), impersonate(account, REASON), "", 0).await);
        assert_eq!(refused.is(), (Code::PermissionDenied, "ACTOR_REFUSED"));
    }
    // A narrowed token of an administrator's leads to nothing wider than itself.
    let narrowed = issue(&world, Some(&admin.access_token), narrow(&["admin"]), "identity", 60).await.unwrap();
    let narrowed = Some(narrowed.access_token.as_str());
    let refused = refusal(issue(&world, narrowed, impersonate(&ada.account_id, REASON), "", 0).await);
    assert_eq!(refused.fields, ["audience"]);
    let acting = issue(&world, narrowed, impersonate(&ada.account_id, REASON), "identity", 900).await.unwrap();
    assert!(acting.expires_in_seconds <= 60, "{}", acting.expires_in_seconds);

    // Who loses the role loses what was begun with it.
    let acting = issue(&world, Some(&other.access_token), impersonate(&ada.account_id, REASON), "", 0).await.unwrap();
    me(&world, &acting.access_token).await.unwrap();
    let revoke = RevokeRoleRequest { account_id: other.account_id.clone(), role: "admin".to_owned() };
    admin.roles(&world).revoke_role(revoke).await.unwrap();
    ended(&world, &acting.access_token).await;

    let suspend = SetAccountStatusRequest {
        account_id: ada.account_id.clone(),
        state: AccountState::Suspended.into(),
        reason: "spam in every course".to_owned(),
    };
    admin.roles(&world).set_account_status(suspend).await.unwrap();
    let refused = refusal(issue(&world, Some(&admin.access_token), impersonate(&ada.account_id, REASON), "", 0).await);
    assert_eq!(refused.is(), (Code::PermissionDenied, "ACCOUNT_DISABLED"));
}

#[tokio::test]
async fn i18_who_acts_for_somebody_can_t_do_what_is_the_owner_s_alone() {
    let world = World::own().await;
    let (ada, admin) = (world.sign_up("ada").await, world.admin().await);
    let program = Program::create(&world, "token.mint").await;
    let minted = issue(&world, None, mint(&program, &ada.account_id), "", 0).await.unwrap().access_token;
    let form = impersonate(&ada.account_id, REASON);
    let acting = issue(&world, Some(&admin.access_token), form, "", 0).await.unwrap().access_token;
    for token in [&minted, &acting] {
        let clients = world.as_token(token);
        let (mut accounts, mut sessions) = (clients.accounts(), clients.sessions());
        let password = ada.password.clone();
        let update =
            UpdatePasswordRequest { current_password: password.clone(), new_password: "Another1!horse".to_owned() };
        let other = RevokeSessionRequest { session_id: ada.session_id.clone() };
        let refusals = [
            refusal(accounts.update_password(update).await),
            refusal(accounts.deactivate(DeactivateRequest { password: password.clone() }).await),
            refusal(accounts.delete_account(DeleteAccountRequest { password: password.clone() }).await),
            refusal(sessions.revoke_all_sessions(RevokeAllSessionsRequest::default()).await),
            refusal(sessions.revoke_session(other).await),
            refusal(issue(&world, Some(token), narrow(&[]), "identity", 0).await),
            refusal(issue(&world, Some(token), impersonate(&ada.account_id, REASON), "", 0).await),
        ];
        for refused in refusals {
            assert_eq!(refused.is(), (Code::PermissionDenied, "ACTOR_REFUSED"), "{refused:?}");
        }
        sessions.sign_out(SignOutRequest {}).await.expect("the actor's own session ends");
        ended(&world, token).await;
    }
    me(&world, &ada.access_token).await.expect("the owner's session lives");
    world.sign_in(&ada.email, &ada.password).await;
}

#[tokio::test]
async fn i18_introspection_names_the_actor_and_minds_the_audience() {
    let world = World::own().await;
    let (ada, admin) = (world.sign_up("ada").await, world.admin().await);
    let form = impersonate(&ada.account_id, REASON);
    let acting = issue(&world, Some(&admin.access_token), form, "", 0).await.unwrap().access_token;
    let narrowed = issue(&world, Some(&ada.access_token), narrow(&[]), "catalogue", 0).await.unwrap().access_token;
    // In one process no service asks from outside.
    for identity in world.direct("identity").into_iter().map(crate::harness::channel) {
        let ask = async |service: &str, token: &str| {
            let asking = world.service_token_of(service, "identity");
            let mut sessions = crate::harness::Clients::new(identity.clone(), Some(&asking)).sessions();
            sessions.introspect(IntrospectRequest { access_token: token.to_owned() }).await.unwrap().into_inner()
        };
        let answer = ask("catalogue", &acting).await;
        assert_eq!((answer.active, answer.email, answer.actor.as_str()), (true, ada.email.clone(), "administrator"));
        assert_eq!(ask("catalogue", &ada.access_token).await.actor, "");
        assert!(ask("catalogue", &narrowed).await.active && !ask("gateway", &narrowed).await.active);
    }
}
