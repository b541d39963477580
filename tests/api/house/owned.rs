//! What the server alone decides.

use prost_reflect::{DescriptorPool, Kind, MessageDescriptor};
use quartet_chassis::auth::access::Access;

use super::rpcs;

/// Facts about an account that are never its owner's to state.
const OWNED: [&str; 12] = [
    "role",
    "roles",
    "state",
    "status",
    "email_verified",
    "epoch",
    "owner",
    "owner_id",
    "create_time",
    "listed",
    "disabled",
    "scopes",
];
/// Fields that bear such a name and state nothing of an account: what to look for, what to keep of one's own, where a course stands,
/// which is its teachers' to say, what somebody may do in a project or a group, which is its owners', and what a request does not look at
/// because it holds a whole resource, of which it changes what its mask names.
const HARMLESS: [&str; 18] = [
    "quartet.identity.v1.NarrowToken.roles",
    "quartet.catalogue.v1.Course.state",
    "quartet.catalogue.v1.Course.create_time",
    "quartet.catalogue.v1.SetCourseStateRequest.state",
    "quartet.catalogue.v1.Section.state",
    "quartet.catalogue.v1.Section.create_time",
    "quartet.catalogue.v1.ContentBlock.state",
    "quartet.catalogue.v1.ContentBlock.create_time",
    "quartet.media.v1.Project.create_time",
    "quartet.media.v1.Project.role",
    "quartet.media.v1.Media.create_time",
    "quartet.media.v1.SetMemberRequest.role",
    "quartet.messaging.v1.Conversation.create_time",
    "quartet.messaging.v1.Conversation.role",
    "quartet.messaging.v1.Message.status",
    "quartet.messaging.v1.Participant.create_time",
    "quartet.messaging.v1.Participant.role",
    "quartet.messaging.v1.SetParticipantRoleRequest.role",
];

fn fields(message: &MessageDescriptor, found: &mut Vec<String>) {
    for field in message.fields() {
        if found.iter().any(|name| name == field.full_name()) {
            continue;
        }
        found.push(field.full_name().to_owned());
        if let Kind::Message(inner) = field.kind() {
            fields(&inner, found);
        }
    }
}

/// Whoever needs no role for an rpc can't say with it what only the server or an administrator may (S-14).
#[test]
fn s14_no_rpc_lets_an_account_state_what_the_server_decides() {
    let pool = DescriptorPool::decode(quartet_proto::DESCRIPTORS).unwrap();
    let mut looked_at = 0;
    let mut wrong = Vec::new();
    for rpc in rpcs() {
        if !matches!(rpc.rule.access, Access::Public | Access::Optional | Access::Account) || rpc.context() == "control"
        {
            continue;
        }
        let (service, method) = rpc.path[1..].split_once('/').unwrap();
        let service = pool.get_service_by_name(service).unwrap();
        let method = service.methods().find(|found| found.name() == method).unwrap();
        let mut found = Vec::new();
        fields(&method.input(), &mut found);
        looked_at += found.len();
        let is_owned = |field: &String| OWNED.contains(&field.rsplit('.').next().unwrap());
        wrong.extend(found.into_iter().filter(|field| is_owned(field) && !HARMLESS.contains(&field.as_str())));
    }
    assert!(looked_at > 40, "{looked_at}");
    assert!(wrong.is_empty(), "{wrong:?}");
}
