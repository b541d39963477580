//! The audit log: who did what to whom.

use std::collections::HashMap;

use crate::harness::prelude::*;

async fn events(world: &World, admin: &Person, asked: ListAuditEventsRequest) -> Vec<AuditEvent> {
    admin.audit(world).list_audit_events(asked).await.unwrap().into_inner().events
}

fn about(person: &Person) -> ListAuditEventsRequest {
    ListAuditEventsRequest { account_id: person.account_id.clone(), ..Default::default() }
}

#[tokio::test]
async fn i22_every_administrative_act_is_in_the_log_with_who_when_from_where_and_what() {
    let world = World::shared().await;
    let (admin, ada) = (world.admin().await, world.sign_up("audited").await);
    let account_id = ada.account_id.clone();
    let role = || "teacher".to_owned();
    let mut asked = Request::new(AssignRoleRequest { account_id: account_id.clone(), role: role() });
    asked.metadata_mut().insert("x-request-id", "audit-test-1".parse().unwrap());
    admin.roles(&world).assign_role(asked).await.unwrap();
    let asked = RevokeRoleRequest { account_id: account_id.clone(), role: role() };
    admin.roles(&world).revoke_role(asked).await.unwrap();
    for (state, reason) in [(AccountState::Suspended, "spam"), (AccountState::Active, "")] {
        let (account_id, reason) = (account_id.clone(), reason.to_owned());
        let asked = SetAccountStatusRequest { account_id, state: state.into(), reason };
        admin.roles(&world).set_account_status(asked).await.unwrap();
    }

    let found = events(&world, &admin, about(&ada)).await;
    let actions: Vec<&str> = found.iter().map(|event| event.action.as_str()).collect();
    assert_eq!(actions, ["account.unsuspended", "account.suspended", "role.revoked", "role.assigned"]);
    for event in &found {
        assert_eq!((event.actor.as_str(), &event.actor_account_id), ("account", &admin.account_id));
        assert_eq!(event.subject_account_id, ada.account_id);
        assert!(event.create_time.is_some() && !event.event_id.is_empty() && !event.request_id.is_empty());
        assert!(!event.actor_pseudonym.is_empty() && event.actor_pseudonym != admin.account_id);
        assert!(!event.subject_pseudonym.is_empty() && event.subject_pseudonym != ada.account_id);
        assert_eq!(event.client_address, "127.0.0.1");
        assert!(event.user_agent.starts_with("tonic/"), "{}", event.user_agent);
    }
    let details = |name: &str, value: &str| HashMap::from([(name.to_owned(), value.to_owned())]);
    assert_eq!(found[3].details, details("role", "teacher"));
    assert_eq!(found[1].details, details("reason", "spam"));
    // Of the administrator the same, as of who did it.
    let own = events(&world, &admin, about(&admin)).await;
    assert_eq!(own[..4], found[..]);
}

#[tokio::test]
async fn i22_what_the_operator_does_is_in_the_log() {
    let world = World::own().await;
    let admin = world.admin().await;
    let created = &events(&world, &admin, about(&admin)).await[0];
    assert_eq!((created.action.as_str(), created.actor.as_str()), ("administrator.created", "operator"));
    assert_eq!((&created.subject_account_id, created.actor_account_id.as_str()), (&admin.account_id, ""));

    let mut rotate = match world.grounds() {
        Some(grounds) => grounds.command("keys rotate", &[]),
        None => {
            let data = world.data().unwrap();
            ["keys", "rotate", "--data", data.to_str().unwrap()].map(str::to_owned).to_vec()
        }
    };
    rotate.retain(|word| !word.is_empty());
    let words: Vec<&str> = rotate.iter().map(String::as_str).collect();
    let output = world.quartet(&words).await;
    assert!(output.status.success(), "{output:?}");
    let asked = ListAuditEventsRequest { action: "keys.rotated".to_owned(), ..Default::default() };
    let rotated = events(&world, &admin, asked).await;
    assert_eq!((rotated.len(), rotated[0].actor.as_str()), (1, "operator"));
}

#[tokio::test]
async fn i22_the_log_is_read_in_pages_and_by_action() {
    let world = World::own().await;
    let (admin, ada) = (world.admin().await, world.sign_up("paged").await);
    for role in ["student", "teacher", "moderator"] {
        let asked = AssignRoleRequest { account_id: ada.account_id.clone(), role: role.to_owned() };
        admin.roles(&world).assign_role(asked).await.unwrap();
    }
    let mut asked = ListAuditEventsRequest { page_size: 2, action: "role.assigned".to_owned(), ..Default::default() };
    let mut roles = Vec::new();
    loop {
        let page = admin.audit(&world).list_audit_events(asked.clone()).await.unwrap().into_inner();
        roles.extend(page.events.into_iter().map(|event| event.details["role"].clone()));
        if page.next_page_token.is_empty() {
            break;
        }
        asked.page_token = page.next_page_token;
    }
    assert_eq!(roles, ["moderator", "teacher", "student"]);

    let nobody =
        ListAuditEventsRequest { account_id: "0198b3f2-7d0c-7a51-8f0e-5b1d2c3e4f60".to_owned(), ..Default::default() };
    assert!(events(&world, &admin, nobody).await.is_empty());
    let wrong =
        ListAuditEventsRequest { page_size: -1, page_token: "x".to_owned(), account_id: "x".to_owned(), ..asked };
    let wrong = refusal(admin.audit(&world).list_audit_events(wrong).await);
    assert_eq!(wrong.fields, ["page_size", "page_token", "account_id"]);
}

#[tokio::test]
async fn i22_nothing_is_recorded_of_what_was_refused() {
    let world = World::shared().await;
    let (admin, pending) = (world.admin().await, world.register("refused").await);
    let asked = SetAccountStatusRequest {
        account_id: pending.account_id.clone(),
        state: AccountState::Suspended.into(),
        reason: "spam".to_owned(),
    };
    refusal(admin.roles(&world).set_account_status(asked).await);
    let asked = ListAuditEventsRequest { account_id: pending.account_id, ..Default::default() };
    assert_eq!(events(&world, &admin, asked).await, []);
}

#[tokio::test]
async fn s36_no_action_of_the_log_is_named_by_what_a_database_refuses() {
    let world = World::shared().await;
    let admin = world.admin().await;
    for action in super::HOSTILE {
        let asked = ListAuditEventsRequest { action: action.to_owned(), ..Default::default() };
        match admin.audit(&world).list_audit_events(asked).await {
            Ok(found) => assert_eq!(found.into_inner().events, [], "{action:?}"),
            Err(status) => assert_eq!(Refusal::from(status).fields, ["action"], "{action:?}"),
        }
    }
}
