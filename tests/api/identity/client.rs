//! Programs that may ask for tokens, as the machine's operator makes them.

use issue_token_request::Form;

use crate::harness::prelude::*;
use crate::harness::{Output, quartet, unique};

/// A program with a key.
#[derive(Debug, Clone)]
pub struct Program {
    pub name: String,
    pub client_id: String,
    pub client_key: String,
}

impl Program {
    /// One with a name that no other test has.
    pub async fn create(world: &World, scope: &str) -> Program {
        let name = format!("program-{}", unique());
        let output = command(world, &["clients", "create", &name, "--scope", scope]).await;
        assert!(output.status.success(), "{output:?}");
        let value = |field: &str| {
            let line = output.stdout.lines().find_map(|line| line.strip_prefix(field));
            line.unwrap_or_else(|| panic!("no {field} in {output:?}")).to_owned()
        };
        Program { client_id: value("client_id: "), client_key: value("client_key: "), name }
    }

    /// A token of an account.
    async fn mint(&self, world: &World, account_id: &str) -> Result<String, tonic::Status> {
        let (client_id, client_key) = (self.client_id.clone(), self.client_key.clone());
        let form = Form::Mint(MintToken { client_id, client_key, account_id: account_id.to_owned() });
        let asked = IssueTokenRequest { form: Some(form), ..Default::default() };
        world.sessions().issue_token(asked).await.map(|answer| answer.into_inner().access_token)
    }
}

/// Runs a command of the operator's on the identity of a world.
pub async fn command(world: &World, words: &[&str]) -> Output {
    let arguments = match (world.grounds(), world.data()) {
        (Some(grounds), _) => grounds.command(&words.join(" "), &[]),
        (None, Some(data)) => {
            let data = ["--data", data.to_str().unwrap()];
            words.iter().chain(&data).map(|&word| word.to_owned()).collect()
        }
        (None, None) => panic!("no world without a place"),
    };
    tokio::task::spawn_blocking(move || quartet(&arguments)).await.unwrap()
}

/// What the audit log has of an action, done to an account.
pub async fn audit(world: &World, action: &str, account_id: &str) -> Vec<AuditEvent> {
    let admin = world.admin().await;
    let (action, account_id) = (action.to_owned(), account_id.to_owned());
    let asked = ListAuditEventsRequest { page_size: 100, action, account_id, ..Default::default() };
    admin.audit(world).list_audit_events(asked).await.unwrap().into_inner().events
}

#[tokio::test]
async fn i18_a_client_is_made_listed_and_deleted_with_the_sessions_that_it_has_started() {
    let world = World::own().await;
    let (ada, program, other) = (
        world.sign_up("ada").await,
        Program::create(&world, "token.mint").await,
        Program::create(&world, "token.mint").await,
    );
    let token = program.mint(&world, &ada.account_id).await.unwrap();
    let kept = other.mint(&world, &ada.account_id).await.unwrap();
    let list = command(&world, &["clients", "list"]).await.stdout;
    assert!(list.contains(&program.name) && list.contains(&program.client_id), "{list}");
    assert!(list.contains("token.mint") && !list.contains(&program.client_key), "{list}");

    let deleted = command(&world, &["clients", "delete", &program.name]).await;
    assert!(deleted.status.success(), "{deleted:?}");
    let me = async |token: &str| world.as_token(token).accounts().get_me(GetMeRequest {}).await;
    let refused = refused_at_last(async || me(&token).await).await;
    assert_eq!(refused.is(), (Code::Unauthenticated, "SESSION_REVOKED"));
    me(&kept).await.expect("another client's session lives");
    me(&ada.access_token).await.expect("the owner's session lives");
    let refused = refusal(program.mint(&world, &ada.account_id).await);
    assert_eq!(refused.is(), (Code::Unauthenticated, "CLIENT_INVALID"));
    let list = command(&world, &["clients", "list"]).await.stdout;
    assert!(!list.contains(&program.name) && list.contains(&other.name), "{list}");

    for (action, name) in [("client.created", &other.name), ("client.deleted", &program.name)] {
        let events = audit(&world, action, "").await;
        let event = events.iter().find(|event| event.details["client"] == *name);
        assert_eq!(event.unwrap_or_else(|| panic!("{events:?}")).actor, "operator");
    }
}

#[tokio::test]
async fn i18_a_client_has_a_name_of_its_own_and_a_scope_that_there_is() {
    let world = World::shared().await;
    let program = Program::create(&world, "token.mint").await;
    let says = async |words: &[&str]| {
        let refused = command(&world, words).await;
        assert!(!refused.status.success(), "{refused:?}");
        refused.stderr
    };
    let again = says(&["clients", "create", &program.name, "--scope", "token.mint"]).await;
    assert!(again.contains("there is a client with this name"), "{again}");
    let wrong = says(&["clients", "create", "a:b", "--scope", "root"]).await;
    assert!(wrong.contains("`name`") && wrong.contains("`scopes`"), "{wrong}");
    assert!(says(&["clients", "create", "lacks-a-scope"]).await.contains("--scope"));
    assert!(says(&["clients", "delete", "nobody"]).await.contains("there is no such client"));
}

#[tokio::test]
async fn i18_no_rpc_from_outside_makes_clients() {
    let world = World::shared().await;
    let admin = world.admin().await;
    for rpc in ["CreateClient", "ListClients", "DeleteClient"] {
        let path = format!("/quartet.identity.v1.ClientService/{rpc}");
        let refused =
            refusal(crate::harness::raw::call(world.channel(), &path, Some(&admin.access_token), Vec::new()).await);
        assert_eq!(refused.is(), (Code::Unimplemented, "METHOD_UNKNOWN"));
    }
}
