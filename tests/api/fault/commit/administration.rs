//! The rpcs of administrators, of the machine's operator and of services.

use std::io::Write as _;

use quartet_proto::identity::v1::audit_service_client::AuditServiceClient;
use quartet_proto::identity::v1::erasure_service_client::ErasureServiceClient;
use quartet_proto::identity::v1::role_service_client::RoleServiceClient;

use super::{Case, Stage};
use crate::harness::prelude::*;
use crate::harness::{Bearer, unique};

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case { name: "RoleService/AssignRole", run: |stage| Box::pin(assign_role(stage)) },
        Case { name: "RoleService/RevokeRole", run: |stage| Box::pin(revoke_role(stage)) },
        Case { name: "RoleService/SetAccountStatus (suspend)", run: |stage| Box::pin(suspend(stage)) },
        Case { name: "RoleService/SetAccountStatus (open)", run: |stage| Box::pin(unsuspend(stage)) },
        Case { name: "ErasureService/ReportErasure", run: |stage| Box::pin(report_erasure(stage)) },
        Case { name: "AdministrationService/CreateAdministrator", run: |stage| Box::pin(create_administrator(stage)) },
        Case { name: "KeyService/RotateKeys", run: |stage| Box::pin(rotate_keys(stage)) },
        Case { name: "ClientService/CreateClient", run: |stage| Box::pin(create_client(stage)) },
        Case { name: "ClientService/DeleteClient", run: |stage| Box::pin(delete_client(stage)) },
        Case { name: "AccountImportService/ImportAccounts", run: |stage| Box::pin(import_accounts(stage)) },
    ]
}

fn roles(world: &World, admin: &Person) -> RoleServiceClient<Bearer> {
    RoleServiceClient::new(Bearer::new(world.channel(), Some(&admin.access_token)))
}

/// How often the audit log says that something was done to somebody.
async fn audited(stage: &Stage, admin: &Person, subject: &Person, action: &str) -> usize {
    let mut audit = AuditServiceClient::new(Bearer::new(stage.world.channel(), Some(&admin.access_token)));
    let asked = ListAuditEventsRequest {
        account_id: subject.account_id.clone(),
        action: action.to_owned(),
        ..Default::default()
    };
    audit.list_audit_events(asked).await.unwrap().into_inner().events.len()
}

async fn has_role(stage: &Stage, person: &Person, role: &str) -> bool {
    let me = person.accounts(&stage.world).get_me(GetMeRequest {}).await.unwrap().into_inner();
    me.account.unwrap().roles.iter().any(|one| one == role)
}

async fn assign_role(stage: &mut Stage) {
    let (admin, person) = (stage.admin().await, stage.world.sign_up("assigned").await);
    let asked = AssignRoleRequest { account_id: person.account_id.clone(), role: "teacher".into() };
    let outcome =
        stage.call("RoleService/AssignRole", async |world| roles(world, &admin).assign_role(asked.clone()).await).await;
    stage.done(outcome, &[]);
    let person = stage.world.sign_in(&person.email, PASSWORD).await;
    assert!(has_role(stage, &person, "teacher").await);
    assert_eq!(audited(stage, &admin, &person, "role.assigned").await, 1);
}

async fn revoke_role(stage: &mut Stage) {
    let (admin, person) = (stage.admin().await, stage.world.sign_up("unassigned").await);
    let asked = AssignRoleRequest { account_id: person.account_id.clone(), role: "teacher".into() };
    roles(&stage.world, &admin).assign_role(asked).await.unwrap();
    let asked = RevokeRoleRequest { account_id: person.account_id.clone(), role: "teacher".into() };
    let outcome =
        stage.call("RoleService/RevokeRole", async |world| roles(world, &admin).revoke_role(asked.clone()).await).await;
    stage.done(outcome, &[]);
    let person = stage.world.sign_in(&person.email, PASSWORD).await;
    assert!(!has_role(stage, &person, "teacher").await);
    assert_eq!(audited(stage, &admin, &person, "role.revoked").await, 1);
}

fn status(person: &Person, state: AccountState) -> SetAccountStatusRequest {
    let (account_id, reason) = (person.account_id.clone(), "it was used for spam".to_owned());
    SetAccountStatusRequest { account_id, state: state.into(), reason }
}

async fn suspend(stage: &mut Stage) {
    let (admin, person) = (stage.admin().await, stage.world.sign_up("suspended").await);
    let asked = status(&person, AccountState::Suspended);
    let outcome = stage
        .call("RoleService/SetAccountStatus", async |world| {
            roles(world, &admin).set_account_status(asked.clone()).await
        })
        .await;
    stage.done(outcome, &[]);
    stage.is_out(&person).await;
    let refused = refusal(stage.world.try_sign_in(&person.email, PASSWORD).await);
    assert_eq!(refused.reason, "ACCOUNT_DISABLED");
    assert_eq!(stage.count(&person.email, "Your account was suspended").await, 1);
    assert_eq!(audited(stage, &admin, &person, "account.suspended").await, 1);
}

async fn unsuspend(stage: &mut Stage) {
    let (admin, person) = (stage.admin().await, stage.world.sign_up("open").await);
    roles(&stage.world, &admin).set_account_status(status(&person, AccountState::Suspended)).await.unwrap();
    let asked = status(&person, AccountState::Active);
    let outcome = stage
        .call("RoleService/SetAccountStatus", async |world| {
            roles(world, &admin).set_account_status(asked.clone()).await
        })
        .await;
    stage.done(outcome, &[]);
    stage.world.sign_in(&person.email, PASSWORD).await;
    assert_eq!(stage.count(&person.email, "Your account is open again").await, 1);
    assert_eq!(audited(stage, &admin, &person, "account.unsuspended").await, 1);
}

/// What the catalogue tells identity. Where it is in the same process it does so by itself.
async fn report_erasure(stage: &mut Stage) {
    let delete = async |stage: &Stage, person: &Person| {
        let asked = DeleteAccountRequest { password: PASSWORD.into() };
        person.accounts(&stage.world).delete_account(asked).await
    };
    let begun = if stage.world.data().is_some() {
        let begun = loop {
            let person = stage.world.sign_up("erased").await;
            stage.aim("ErasureService/ReportErasure").await;
            match delete(stage, &person).await {
                Ok(begun) => break begun.into_inner(),
                // The report was faster than the answer, and nobody else knows the erasure's secret.
                Err(_) => stage.revive().await,
            }
        };
        let ended = eventually("the catalogue reports", async || {
            if !stage.is_alive().await {
                return Some(true);
            }
            is_complete(stage, &begun).await.then_some(false)
        })
        .await;
        if ended {
            stage.revive().await;
            stage.mails("").await;
        }
        begun
    } else {
        let person = stage.world.sign_up("erased").await;
        let begun = delete(stage, &person).await.unwrap().into_inner();
        let token = stage.world.service_token_of("catalogue", "identity");
        let asked = ReportErasureRequest {
            erasure_id: begun.erasure_id.clone(),
            context: "catalogue".into(),
            removed: vec![Removed { kind: "review".into(), count: 3 }],
        };
        let outcome = stage
            .call("ErasureService/ReportErasure", async |world| {
                let bearer = Bearer::new(world.channel(), Some(&token));
                ErasureServiceClient::new(bearer).report_erasure(asked.clone()).await
            })
            .await;
        stage.done(outcome, &[]);
        // The others have nothing to remove.
        for context in ["media", "messaging"] {
            let token = stage.world.service_token_of(context, "identity");
            let bearer = Bearer::new(stage.world.channel(), Some(&token));
            let asked = ReportErasureRequest {
                context: context.into(),
                removed: Vec::new(),
                erasure_id: begun.erasure_id.clone(),
            };
            ErasureServiceClient::new(bearer).report_erasure(asked).await.expect("the report is refused");
        }
        begun
    };
    eventually("the erasure is complete", async || is_complete(stage, &begun).await.then_some(())).await;
}

async fn is_complete(stage: &Stage, begun: &DeleteAccountResponse) -> bool {
    let asked = GetErasureRequest { erasure_id: begun.erasure_id.clone(), secret: begun.secret.clone() };
    let told = ErasureServiceClient::new(stage.world.channel()).get_erasure(asked).await;
    told.is_ok_and(|told| told.into_inner().state() == ErasureState::Complete)
}

async fn create_administrator(stage: &mut Stage) {
    let email = stage.world.address("operator");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), PASSWORD).unwrap();
    let words = ["admin", "create", &email, "--password-file", file.path().to_str().unwrap()];
    let Some(output) = stage.command("AdministrationService/CreateAdministrator", &words).await else { return };
    assert!(output.status.success(), "{output:?}");
    let admin = stage.world.sign_in(&email, PASSWORD).await;
    assert!(has_role(stage, &admin, "admin").await);
}

async fn rotate_keys(stage: &mut Stage) {
    let person = stage.world.sign_up("rotated").await;
    let Some(output) = stage.command("KeyService/RotateKeys", &["keys", "rotate"]).await else { return };
    assert!(output.status.success(), "{output:?}");
    person.accounts(&stage.world).get_me(GetMeRequest {}).await.expect("tokens that were given out stay good");
    stage.world.sign_in(&person.email, PASSWORD).await;
}

/// The id and the key that `clients create` prints.
fn printed(stdout: &str) -> (String, String) {
    let field = |name: &str| {
        let line = stdout.lines().find_map(|line| line.trim().strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name} in {stdout}")).trim().to_owned()
    };
    (field("client_id:"), field("client_key:"))
}

/// A new client that may mint tokens: its id and its key.
pub(super) async fn client(stage: &Stage) -> (String, String) {
    let name = format!("client-{}", unique());
    let output = stage.operate(&["clients", "create", &name, "--scope", "token.mint"]).await;
    assert!(output.status.success(), "{output:?}");
    printed(&output.stdout)
}

async fn listed(stage: &Stage, name: &str) -> usize {
    let output = stage.operate(&["clients", "list"]).await;
    assert!(output.status.success(), "{output:?}");
    output.stdout.lines().filter(|line| line.split_whitespace().any(|word| word == name)).count()
}

async fn create_client(stage: &mut Stage) {
    let name = format!("created-{}", unique());
    let words = ["clients", "create", &name, "--scope", "token.mint"];
    let Some(output) = stage.command("ClientService/CreateClient", &words).await else { return };
    assert_eq!(listed(stage, &name).await, 1);
    if !output.status.success() {
        // It is there, and its key was lost on the way: made anew.
        assert!(stage.crashed, "{output:?}");
        assert!(stage.operate(&["clients", "delete", &name]).await.status.success());
        assert!(stage.operate(&words).await.status.success());
        assert_eq!(listed(stage, &name).await, 1);
    }
}

async fn delete_client(stage: &mut Stage) {
    let name = format!("deleted-{}", unique());
    assert!(stage.operate(&["clients", "create", &name, "--scope", "token.mint"]).await.status.success());
    let Some(output) = stage.command("ClientService/DeleteClient", &["clients", "delete", &name]).await else { return };
    assert!(output.status.success() || stage.crashed, "{output:?}");
    assert_eq!(listed(stage, &name).await, 0);
}

async fn import_accounts(stage: &mut Stage) {
    let mut file = tempfile::Builder::new().suffix(".csv").tempfile().unwrap();
    let emails: Vec<String> = (0..3).map(|_| stage.world.address("imported")).collect();
    let hash = bcrypt::hash(PASSWORD, 4).unwrap();
    writeln!(file, "email,password_hash").unwrap();
    for email in &emails {
        writeln!(file, "{email},{hash}").unwrap();
    }
    let words = ["import", "accounts", file.path().to_str().unwrap()];
    let Some(output) = stage.command("AccountImportService/ImportAccounts", &words).await else { return };
    assert!(output.status.success(), "{output:?}");
    for email in &emails {
        stage.world.sign_in(email, PASSWORD).await;
        assert!(!stage.mails(email).await.iter().any(|mail| mail.subject.contains("ctivate")), "nobody gets a mail");
    }
}
