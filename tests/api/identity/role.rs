//! Roles and status of accounts.

use crate::harness::prelude::*;
use crate::harness::{PATIENCE, is_quiet, rounds, within};

fn assign(person: &Person, role: &str) -> AssignRoleRequest {
    AssignRoleRequest { account_id: person.account_id.clone(), role: role.to_owned() }
}

fn revoke(person: &Person, role: &str) -> RevokeRoleRequest {
    RevokeRoleRequest { account_id: person.account_id.clone(), role: role.to_owned() }
}

fn suspend(person: &Person, reason: &str) -> SetAccountStatusRequest {
    let state = AccountState::Suspended.into();
    SetAccountStatusRequest { account_id: person.account_id.clone(), state, reason: reason.to_owned() }
}

fn reopen(person: &Person) -> SetAccountStatusRequest {
    let state = AccountState::Active.into();
    SetAccountStatusRequest { account_id: person.account_id.clone(), state, ..Default::default() }
}

async fn get(world: &World, admin: &Person, id: &str) -> Account {
    let asked = GetAccountRequest { account_id: id.to_owned() };
    admin.roles(world).get_account(asked).await.unwrap().into_inner().account.unwrap()
}

/// What the person's own token is answered with, as soon as it is refused: on a quiet machine within five seconds.
async fn refused(world: &World, person: &Person) -> Refusal {
    let limit = if is_quiet() { Duration::from_secs(5) } else { PATIENCE };
    let asked = async || {
        let refused = person.accounts(world).get_me(GetMeRequest {}).await.err();
        refused.filter(|status| status.code() != Code::Unavailable).map(Refusal::from)
    };
    within(limit, "it is refused", asked).await
}

#[tokio::test]
async fn i22_the_roles_are_listed_with_what_they_are_for() {
    let world = World::shared().await;
    let admin = world.admin().await;
    let roles = admin.roles(&world).list_roles(ListRolesRequest {}).await.unwrap().into_inner().roles;
    let names: Vec<&str> = roles.iter().map(|role| role.name.as_str()).collect();
    assert_eq!(names, ["admin", "moderator", "student", "teacher", "user"]);
    assert!(roles.iter().all(|role| !role.description.is_empty()));
}

#[tokio::test]
async fn x12_an_account_has_several_roles_at_once_and_its_next_token_says_so() {
    let world = World::shared().await;
    let (admin, mut ada) = (world.admin().await, world.sign_up("roles").await);
    for role in ["teacher", "student", "moderator"] {
        admin.roles(&world).assign_role(assign(&ada, role)).await.unwrap();
    }
    // The token from before is stale at once; the session goes on.
    assert_eq!(refused(&world, &ada).await.is(), (Code::Unauthenticated, "TOKEN_STALE"));
    ada.renewed(world.try_refresh(&ada.refresh_token).await.unwrap());
    let me = ada.accounts(&world).get_me(GetMeRequest {}).await.unwrap().into_inner().account.unwrap();
    assert_eq!(me.roles, ["moderator", "student", "teacher", "user"]);
    // What a role is good for: it opens an rpc that asks for it.
    let opened = ada.imports(&world).import_movies(tokio_stream::empty()).await.map_err(Refusal::from);
    assert!(opened.as_ref().err().is_none_or(|refusal| refusal.reason != "ROLE_MISSING"), "{opened:?}");
}

#[tokio::test]
async fn i22_a_revoked_role_is_gone_at_once() {
    let world = World::shared().await;
    let (admin, mut ada) = (world.admin().await, world.sign_up("moderator").await);
    world.with_role(&mut ada, "moderator").await;
    admin.roles(&world).revoke_role(revoke(&ada, "moderator")).await.unwrap();
    assert_eq!(refused(&world, &ada).await.is(), (Code::Unauthenticated, "TOKEN_STALE"));
    ada.renewed(world.try_refresh(&ada.refresh_token).await.unwrap());
    let closed = refusal(ada.imports(&world).import_movies(tokio_stream::empty()).await);
    assert_eq!(closed.is(), (Code::PermissionDenied, "ROLE_MISSING"));
}

#[tokio::test]
async fn i22_what_is_done_again_changes_nothing() {
    let world = World::shared().await;
    let (admin, mut ada) = (world.admin().await, world.sign_up("again").await);
    world.with_role(&mut ada, "student").await;
    admin.roles(&world).assign_role(assign(&ada, "student")).await.unwrap();
    admin.roles(&world).revoke_role(revoke(&ada, "teacher")).await.unwrap();
    admin.roles(&world).set_account_status(reopen(&ada)).await.unwrap();
    ada.accounts(&world).get_me(GetMeRequest {}).await.expect("the token is still good");

    let asked = ListAuditEventsRequest { account_id: ada.account_id.clone(), ..Default::default() };
    let events = admin.audit(&world).list_audit_events(asked).await.unwrap().into_inner().events;
    let actions: Vec<&str> = events.iter().map(|event| event.action.as_str()).collect();
    assert_eq!(actions, ["role.assigned"]);
}

#[tokio::test]
async fn i22_only_roles_that_there_are_can_be_given_and_the_one_of_all_stays() {
    let world = World::shared().await;
    let (admin, ada) = (world.admin().await, world.sign_up("none").await);
    for role in ["", "root", "Admin", "admin\n"] {
        let wrong = refusal(admin.roles(&world).assign_role(assign(&ada, role)).await);
        assert_eq!(wrong.is(), (Code::InvalidArgument, "FIELDS_INVALID"));
        assert_eq!(wrong.fields, ["role"]);
    }
    let everybodys = refusal(admin.roles(&world).revoke_role(revoke(&ada, "user")).await);
    assert_eq!(everybodys.fields, ["role"]);
    let mut nobody = ada.clone();
    nobody.account_id = "0198b3f2-7d0c-7a51-8f0e-5b1d2c3e4f60".to_owned();
    let nobody = refusal(admin.roles(&world).assign_role(assign(&nobody, "student")).await);
    assert_eq!(nobody.is(), (Code::NotFound, "ACCOUNT_NOT_FOUND"));
}

#[tokio::test]
async fn i22_a_suspended_account_is_shut_on_every_way_and_its_owner_is_told_why() {
    let world = World::shared().await;
    let (admin, ada) = (world.admin().await, world.sign_up("suspended").await);
    world.accounts().request_password_reset(RequestPasswordResetRequest { email: ada.email.clone() }).await.unwrap();
    let reset = world.mail_token(&ada.email).await;

    let done = admin.roles(&world).set_account_status(suspend(&ada, "Sells <b>watches</b>")).await.unwrap();
    assert_eq!(done.into_inner().account.unwrap().state(), AccountState::Suspended);
    assert_eq!(refused(&world, &ada).await.is(), (Code::Unauthenticated, "SESSION_REVOKED"));
    let renewed = refusal(world.try_refresh(&ada.refresh_token).await);
    assert_eq!(renewed.is(), (Code::Unauthenticated, "REFRESH_TOKEN_NOT_FOUND"));
    let signed_in = refusal(world.try_sign_in(&ada.email, &ada.password).await);
    assert_eq!(signed_in.is(), (Code::PermissionDenied, "ACCOUNT_DISABLED"));
    let asked = CompletePasswordResetRequest {
        email: ada.email.clone(),
        proof: Some(complete_password_reset_request::Proof::Token(reset)),
        password: "Another1!horse".to_owned(),
    };
    let reset = refusal(world.accounts().complete_password_reset(asked).await);
    assert_eq!(reset.is(), (Code::InvalidArgument, "RESET_INVALID"));

    let mail = eventually("the notice", async || {
        world.mails(&ada.email).await.into_iter().find(|mail| mail.subject == "Your account was suspended")
    })
    .await;
    assert!(mail.text.contains("Sells <b>watches</b>"), "{}", mail.text);
}

#[tokio::test]
async fn i22_an_account_that_is_open_again_signs_in_anew() {
    let world = World::shared().await;
    let (admin, ada) = (world.admin().await, world.sign_up("reopened").await);
    admin.roles(&world).set_account_status(suspend(&ada, "a mistake")).await.unwrap();
    let done = admin.roles(&world).set_account_status(reopen(&ada)).await.unwrap().into_inner();
    assert_eq!(done.account.unwrap().state(), AccountState::Active);
    assert_eq!(refused(&world, &ada).await.is(), (Code::Unauthenticated, "SESSION_REVOKED"), "the old session is over");
    world.sign_in(&ada.email, &ada.password).await.accounts(&world).get_me(GetMeRequest {}).await.unwrap();
    eventually("the notice", async || {
        world.mails(&ada.email).await.into_iter().find(|mail| mail.subject == "Your account is open again")
    })
    .await;
}

#[tokio::test]
async fn i22_a_state_that_is_not_an_administrators_stays_as_it_is() {
    let world = World::shared().await;
    let (admin, pending) = (world.admin().await, world.register("pending").await);
    let set = |state: AccountState, reason: &str| SetAccountStatusRequest {
        account_id: pending.account_id.clone(),
        state: state.into(),
        reason: reason.to_owned(),
    };
    for (state, reason) in [(AccountState::Suspended, "why not"), (AccountState::Active, "")] {
        let fixed = refusal(admin.roles(&world).set_account_status(set(state, reason)).await);
        assert_eq!(fixed.is(), (Code::FailedPrecondition, "ACCOUNT_STATE_FIXED"), "{state:?}");
    }
    for state in [AccountState::Unspecified, AccountState::Pending, AccountState::Deactivated, AccountState::Erasing] {
        let wrong = refusal(admin.roles(&world).set_account_status(set(state, "")).await);
        assert_eq!(wrong.fields, ["state"], "{state:?}");
    }
    let without = refusal(admin.roles(&world).set_account_status(set(AccountState::Suspended, " ")).await);
    assert_eq!(without.fields, ["reason"]);
    let long = "x".repeat(501);
    let long = refusal(admin.roles(&world).set_account_status(set(AccountState::Suspended, &long)).await);
    assert_eq!(long.fields, ["reason"]);
    assert_eq!(get(&world, &admin, &pending.account_id).await.state(), AccountState::Pending);
}

#[tokio::test]
async fn i22_the_last_administrator_stays_one() {
    let world = World::own().await;
    let (admin, mut second) = (world.admin().await, world.sign_up("second").await);
    let last = (Code::FailedPrecondition, "LAST_ADMINISTRATOR");
    let refused = refusal(admin.roles(&world).revoke_role(revoke(&admin, "admin")).await);
    assert_eq!(refused.is(), last);
    let refused = refusal(admin.roles(&world).set_account_status(suspend(&admin, "tired")).await);
    assert_eq!(refused.is(), last);

    let assigned = admin.roles(&world).assign_role(assign(&second, "admin")).await.unwrap().into_inner();
    assert_eq!(assigned.account.unwrap().roles, ["admin", "user"]);
    second.renewed(world.try_refresh(&second.refresh_token).await.unwrap());
    // One that is suspended does not count.
    admin.roles(&world).set_account_status(suspend(&second, "holidays")).await.unwrap();
    let refused = refusal(admin.roles(&world).revoke_role(revoke(&admin, "admin")).await);
    assert_eq!(refused.is(), last);
    admin.roles(&world).set_account_status(reopen(&second)).await.unwrap();
    admin.roles(&world).revoke_role(revoke(&admin, "admin")).await.unwrap();
}

#[tokio::test]
async fn i22_accounts_are_listed_the_newest_first_and_found_by_address_state_and_role() {
    let world = World::own().await;
    let admin = world.admin().await;
    let mut people = Vec::new();
    for number in 0..4 {
        people.push(world.activated(&format!("listed{number}")).await);
    }
    let pending = world.register("pending").await;
    let list = async |asked: ListAccountsRequest| admin.roles(&world).list_accounts(asked).await.unwrap().into_inner();
    let ids = |page: &ListAccountsResponse| page.accounts.iter().map(|a| a.account_id.clone()).collect::<Vec<_>>();
    let only = |account_id: &str| vec![account_id.to_owned()];

    let mut expected = vec![admin.account_id.clone()];
    expected.extend(people.iter().map(|person| person.account_id.clone()));
    expected.push(pending.account_id.clone());
    expected.reverse();
    let mut found = Vec::new();
    let mut asked = ListAccountsRequest { page_size: 4, ..Default::default() };
    loop {
        let page = list(asked.clone()).await;
        found.extend(ids(&page));
        if page.next_page_token.is_empty() {
            break;
        }
        asked.page_token = page.next_page_token;
    }
    assert_eq!(found, expected);

    let by_email = ListAccountsRequest { email: people[1].email.to_uppercase(), ..Default::default() };
    let page = list(by_email.clone()).await;
    assert_eq!(ids(&page), only(&people[1].account_id));
    assert_eq!((page.accounts[0].email.clone(), page.accounts[0].email_verified), (people[1].email.clone(), true));
    let none = list(ListAccountsRequest { role: "admin".to_owned(), ..by_email }).await;
    assert!(none.accounts.is_empty());
    let by_role = ListAccountsRequest { role: "admin".to_owned(), ..Default::default() };
    assert_eq!(ids(&list(by_role).await), only(&admin.account_id));
    let by_state = ListAccountsRequest { state: AccountState::Pending.into(), ..Default::default() };
    assert_eq!(ids(&list(by_state).await), only(&pending.account_id));

    let wrong = ListAccountsRequest {
        page_size: -1,
        page_token: "none".to_owned(),
        email: "none".to_owned(),
        state: 99,
        role: "none".to_owned(),
    };
    let wrong = refusal(admin.roles(&world).list_accounts(wrong).await);
    assert_eq!(wrong.fields, ["page_size", "page_token", "email", "role", "state"]);
}

#[tokio::test]
async fn i22_only_administrators_administrate() {
    let world = World::shared().await;
    let (mut ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    world.with_role(&mut ada, "moderator").await;
    let mut roles = ada.roles(&world);
    let missing = (Code::PermissionDenied, "ROLE_MISSING");
    assert_eq!(refusal(roles.assign_role(assign(&ada, "admin")).await).is(), missing);
    assert_eq!(refusal(roles.revoke_role(revoke(&bob, "user")).await).is(), missing);
    assert_eq!(refusal(roles.set_account_status(suspend(&bob, "for fun")).await).is(), missing);
    assert_eq!(refusal(roles.list_accounts(ListAccountsRequest::default()).await).is(), missing);
    let known = refusal(roles.get_account(GetAccountRequest { account_id: bob.account_id.clone() }).await);
    let unknown = refusal(roles.get_account(GetAccountRequest { account_id: "nobody".to_owned() }).await);
    assert_eq!(known.is(), missing);
    assert_eq!(known.message, unknown.message, "who is there stays hidden");
    let log = ada.audit(&world).list_audit_events(ListAuditEventsRequest::default()).await;
    assert_eq!(refusal(log).is(), missing);
}

/// The only two administrators do the same to each other at the same moment: one of them is left, and only one has had their way.
async fn duel(world: &World, root: &mut Person, suspending: bool) {
    let mut two = [world.sign_up("one").await, world.sign_up("two").await];
    for person in &mut two {
        world.with_role_by(root, person, "admin").await;
        person.renewed(world.try_refresh(&person.refresh_token).await.unwrap());
    }
    two[0].roles(world).revoke_role(revoke(root, "admin")).await.unwrap();

    let act = async |one: &Person, other: &Person| -> Result<(), tonic::Status> {
        if suspending {
            one.roles(world).set_account_status(suspend(other, "a duel")).await.map(drop)
        } else {
            one.roles(world).revoke_role(revoke(other, "admin")).await.map(drop)
        }
    };
    let (first, second) = tokio::join!(act(&two[0], &two[1]), act(&two[1], &two[0]));
    let (winner, lost) = match (first, second) {
        (Ok(()), Err(lost)) => (&two[0], Refusal::from(lost)),
        (Err(lost), Ok(())) => (&two[1], Refusal::from(lost)),
        other => panic!("exactly one has its way: {other:?}"),
    };
    assert!(["ROLE_MISSING", "TOKEN_STALE", "SESSION_REVOKED"].contains(&lost.reason.as_str()), "{lost:?}");
    assert_eq!(administrators(world, winner).await, vec![winner.account_id.clone()]);

    world.with_role_by(winner, root, "admin").await;
    root.renewed(world.try_refresh(&root.refresh_token).await.unwrap());
    root.roles(world).revoke_role(revoke(winner, "admin")).await.unwrap();
}

/// The ids of the administrators in use.
async fn administrators(world: &World, asker: &Person) -> Vec<String> {
    let asked =
        ListAccountsRequest { role: "admin".to_owned(), state: AccountState::Active.into(), ..Default::default() };
    let page = asker.roles(world).list_accounts(asked).await.unwrap().into_inner();
    page.accounts.into_iter().map(|account| account.account_id).collect()
}

#[tokio::test]
async fn s34_two_administrators_who_shut_each_other_out_leave_exactly_one() {
    let world = World::own().await;
    let mut root = world.admin().await;
    for round in 0..rounds(8, 100) {
        duel(&world, &mut root, round % 2 == 0).await;
    }
}

#[tokio::test]
async fn s34_an_administrator_who_loses_the_role_meanwhile_does_nothing_afterwards() {
    let world = World::shared().await;
    for _ in 0..rounds(8, 100) {
        let (root, mut admin) = (world.admin().await, world.sign_up("losing").await);
        world.with_role(&mut admin, "admin").await;
        let target = world.sign_up("target").await;
        let calls: Vec<_> = ["student", "teacher", "moderator"]
            .into_iter()
            .map(|role| {
                let (mut roles, asked) = (admin.roles(&world), assign(&target, role));
                tokio::spawn(async move { roles.assign_role(asked).await.map(drop) })
            })
            .collect();
        root.roles(&world).revoke_role(revoke(&admin, "admin")).await.unwrap();
        let mut given = 0;
        for call in calls {
            match call.await.unwrap().map_err(Refusal::from) {
                Ok(()) => given += 1,
                Err(late) => assert!(
                    ["ROLE_MISSING", "TOKEN_STALE", "SESSION_REVOKED"].contains(&late.reason.as_str()),
                    "{late:?}"
                ),
            }
        }
        // What the log says stands: every act of theirs is older than the loss of the role.
        let asked = ListAuditEventsRequest { account_id: admin.account_id.clone(), ..Default::default() };
        let events = root.audit(&world).list_audit_events(asked).await.unwrap().into_inner().events;
        assert_eq!(events[0].action, "role.revoked", "{events:?}");
        let own = events.iter().filter(|event| event.actor_account_id == admin.account_id).count();
        assert_eq!(own, given);
    }
}
