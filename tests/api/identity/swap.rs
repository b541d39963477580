//! Ids of others: whoever puts one into a request gets nothing, and does not learn whether it is somebody's.

use prost::Message as _;
use prost_reflect::FieldDescriptor;

use crate::harness::prelude::*;
use crate::harness::raw;
use crate::house::reflection::{filled, method};
use crate::house::{Rpc, rpcs};

/// Ids that nobody has.
const NOBODY: &str = "0198b3f2-7d0c-7a51-8f0e-5b1d2c3e4f60";

/// What stands in the fields of a request, all ids being those of one person.
fn texts(account_id: &str, session_id: &str) -> impl Fn(&FieldDescriptor) -> String {
    move |field| match field.name() {
        "account_id" => account_id.to_owned(),
        "session_id" => session_id.to_owned(),
        name if name.ends_with("_id") => NOBODY.to_owned(),
        "email" | "new_email" => "nobody@example.com".to_owned(),
        "role" | "roles" => "user".to_owned(),
        "audience" => "catalogue".to_owned(),
        "paths" => "info".to_owned(),
        "page_token" | "date_of_birth" => String::new(),
        _ => "because of a test".to_owned(),
    }
}

/// What comes of a call: the code, reason and sentence, and the bytes of an answer.
async fn outcome(world: &World, rpc: &Rpc, token: &str, message: Vec<u8>) -> (Code, String, String, Vec<u8>) {
    match raw::call(world.channel(), &rpc.path, Some(token), message).await {
        Ok(bytes) => (Code::Ok, String::new(), String::new(), bytes.to_vec()),
        Err(status) => {
            let bytes = status.details().to_vec();
            let refusal = Refusal::from(status);
            (refusal.code, refusal.reason, refusal.message, bytes)
        }
    }
}

#[tokio::test]
async fn s32_an_id_of_somebody_else_opens_nothing_and_says_nothing() {
    let world = World::with(&["--identity-directory", "admin"]).await;
    let (victim, mut moderator) = (world.sign_up("victim").await, world.sign_up("moderator").await);
    world.with_role(&mut moderator, "moderator").await;
    let stranger = world.sign_up("stranger").await;
    let mut tried = Vec::new();
    for rpc in rpcs().into_iter().filter(|rpc| rpc.context() == "identity" && rpc.is_public_api()) {
        let input = method(&rpc.path).input();
        let swapped = filled(&input, &texts(&victim.account_id, &victim.session_id));
        let invented = filled(&input, &texts(NOBODY, NOBODY));
        for (swapped, invented) in swapped.into_iter().zip(invented) {
            let (swapped, invented) = (swapped.encode_to_vec(), invented.encode_to_vec());
            if swapped == invented {
                continue;
            }
            tried.push(rpc.path.rsplit('/').next().unwrap().to_owned());
            for caller in [&stranger, &moderator] {
                let found = outcome(&world, &rpc, &caller.access_token, swapped.clone()).await;
                let nobodys = outcome(&world, &rpc, &caller.access_token, invented.clone()).await;
                assert_eq!(found, nobodys, "{}: it shows that there is somebody", rpc.path);
                let refused = matches!(found.0, Code::NotFound | Code::PermissionDenied | Code::Unauthenticated);
                let own = found.0 == Code::InvalidArgument && found.2.contains("must be empty or your own");
                assert!(refused || own, "{}: {found:?}", rpc.path);
            }
        }
    }
    let expected = [
        "ListAuditEvents",
        "GetProfile",
        "UpdateProfile",
        "AssignRole",
        "GetAccount",
        "RevokeRole",
        "SetAccountStatus",
        "IssueToken",
        "IssueToken",
        "RevokeSession",
    ];
    assert_eq!(tried, expected, "an rpc that takes an id is tried");
    // Nothing has happened to whose ids they were.
    let me = victim.accounts(&world).get_me(GetMeRequest {}).await.unwrap().into_inner().account.unwrap();
    assert_eq!((me.state(), me.roles), (AccountState::Active, vec!["user".to_owned()]));
    let sessions = victim.sessions(&world).list_sessions(ListSessionsRequest::default()).await.unwrap().into_inner();
    assert_eq!(sessions.sessions.len(), 1);
}

#[tokio::test]
async fn s32_a_session_of_somebody_else_is_no_session() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let asked = RevokeSessionRequest { session_id: ada.session_id.clone() };
    let refused = refusal(bob.sessions(&world).revoke_session(asked).await);
    assert_eq!(refused.is(), (Code::NotFound, "SESSION_NOT_FOUND"));
    ada.accounts(&world).get_me(GetMeRequest {}).await.unwrap();
}
