//! What of an account is the server's, and what of it each caller gets to see.

use prost::Message as _;
use prost_reflect::{DynamicMessage, Kind, MessageDescriptor, Value};
use quartet_proto::identity::v1::profile_service_client::ProfileServiceClient;

use crate::harness::prelude::*;
use crate::harness::{Bearer, raw};
use crate::house::reflection::{method, value};
use crate::house::rpcs;

/// What callers may set in a resource; everything else of it is the server's.
const OWNERS: [(&str, &[&str]); 1] =
    [("quartet.identity.v1.Profile", &["first_name", "last_name", "gender", "date_of_birth", "info"])];

fn profiles(world: &World, person: &Person) -> ProfileServiceClient<Bearer> {
    ProfileServiceClient::new(Bearer::new(world.channel(), Some(&person.access_token)))
}

async fn profile(world: &World, person: &Person, of: &Person) -> Profile {
    let asked = GetProfileRequest { account_id: of.account_id.clone() };
    profiles(world, person).get_profile(asked).await.unwrap().into_inner().profile.unwrap()
}

fn text(name: &str) -> String {
    match name {
        "date_of_birth" => "1990-05-17".to_owned(),
        "avatar_url" => "https://example.com/a.png".to_owned(),
        name if name.ends_with("_id") => "0198b3f2-7d0c-7a51-8f0e-5b1d2c3e4f60".to_owned(),
        _ => "Mallory".to_owned(),
    }
}

/// A request that changes a resource: one field is set in it, and the mask names `path`.
fn change(input: &MessageDescriptor, resource: &MessageDescriptor, set: &str, path: &str) -> Vec<u8> {
    let mut inner = DynamicMessage::new(resource.clone());
    let field = resource.get_field_by_name(set).unwrap();
    inner.set_field(&field, value(&field, &|field| text(field.name())));
    let mut request = DynamicMessage::new(input.clone());
    for field in input.fields() {
        match field.kind() {
            Kind::Message(kind) if &kind == resource => request.set_field(&field, Value::Message(inner.clone())),
            Kind::Message(kind) if kind.full_name() == "google.protobuf.FieldMask" => {
                let mut mask = DynamicMessage::new(kind);
                mask.set_field_by_name("paths", Value::List(vec![Value::String(path.to_owned())]));
                request.set_field(&field, Value::Message(mask));
            }
            _ => {}
        }
    }
    request.encode_to_vec()
}

#[tokio::test]
async fn s33_s14_what_is_the_servers_is_refused_in_every_update_and_not_ignored() {
    let world = World::shared().await;
    let mallory = world.sign_up("mallory").await;
    let before = profile(&world, &mallory, &mallory).await;
    let mut tried = Vec::new();
    for rpc in rpcs().into_iter().filter(|rpc| rpc.context() == "identity" && rpc.is_public_api()) {
        let input = method(&rpc.path).input();
        let resources = input.fields().filter_map(|field| match field.kind() {
            Kind::Message(kind) if OWNERS.iter().any(|(name, _)| *name == kind.full_name()) => Some(kind),
            // A form of its own for this one rpc holds what the caller says, nothing of a row.
            Kind::Message(kind) if kind.full_name().ends_with("Token") => None,
            Kind::Message(kind) if kind.full_name().starts_with("quartet.") => {
                panic!("{}: say in OWNERS what of {} is not the server's", rpc.path, kind.full_name())
            }
            _ => None,
        });
        for resource in resources.collect::<Vec<_>>() {
            let (_, owners) = OWNERS.iter().find(|(name, _)| *name == resource.full_name()).unwrap();
            for field in resource.fields().filter(|field| !owners.contains(&field.name())) {
                for path in [field.name(), "info", "*"] {
                    let message = change(&input, &resource, field.name(), path);
                    let token = Some(mallory.access_token.as_str());
                    let refused = refusal(raw::call(world.channel(), &rpc.path, token, message).await);
                    assert_eq!(refused.is(), (Code::InvalidArgument, "FIELDS_INVALID"), "{} {path}", field.name());
                    tried.push(field.name().to_owned());
                }
            }
        }
    }
    tried.dedup();
    assert_eq!(tried, ["account_id", "avatar_url", "avatar_media_id", "update_time"]);
    assert_eq!(profile(&world, &mallory, &mallory).await, before);
}

#[tokio::test]
async fn s33_s14_fields_that_a_request_does_not_have_give_nothing() {
    let world = World::shared().await;
    let email = world.address("unknown");
    let mut message = RegisterRequest { email: email.clone(), password: PASSWORD.to_owned() }.encode_to_vec();
    // The bytes of an account that is active, confirmed and an administrator's.
    message.extend(
        Account { state: 2, roles: vec!["admin".to_owned()], email_verified: true, ..Default::default() }
            .encode_to_vec(),
    );
    let answer = raw::call(world.channel(), "/quartet.identity.v1.AccountService/Register", None, message).await;
    let account_id = RegisterResponse::decode(answer.unwrap()).unwrap().account_id;
    let admin = world.admin().await;
    let found = admin.roles(&world).get_account(GetAccountRequest { account_id }).await.unwrap().into_inner();
    let account = found.account.unwrap();
    assert_eq!((account.state(), account.email_verified), (AccountState::Pending, false));
    assert_eq!(account.roles, ["user"]);
}

#[tokio::test]
async fn s33_each_caller_sees_of_a_profile_what_is_theirs_to_see() {
    let world = World::own().await;
    let (ada, other) = (world.sign_up("ada").await, world.sign_up("other").await);
    let (admin, mut moderator) = (world.admin().await, world.sign_up("moderator").await);
    world.with_role(&mut moderator, "moderator").await;
    let asked = UpdateProfileRequest {
        profile: Some(Profile {
            first_name: "Ada".to_owned(),
            last_name: "Lovelace".to_owned(),
            gender: Gender::Female.into(),
            date_of_birth: "1990-05-17".to_owned(),
            info: "Counts.".to_owned(),
            ..Default::default()
        }),
        update_mask: Some(prost_types::FieldMask { paths: vec!["*".to_owned()] }),
    };
    profiles(&world, &ada).update_profile(asked).await.unwrap();

    let seen = async |person: &Person| {
        let mut seen = profile(&world, person, &ada).await;
        assert_eq!(std::mem::take(&mut seen.account_id), ada.account_id);
        let update_time = seen.update_time.take().is_some();
        format!("{seen:?} {update_time}")
    };
    let (whole, part) = (seen(&ada).await, seen(&other).await);
    insta::assert_snapshot!(whole, @r#"Profile { account_id: "", first_name: "Ada", last_name: "Lovelace", gender: Female, date_of_birth: "1990-05-17", info: "Counts.", avatar_url: "", avatar_media_id: "", update_time: None } true"#);
    insta::assert_snapshot!(part, @r#"Profile { account_id: "", first_name: "Ada", last_name: "Lovelace", gender: Unspecified, date_of_birth: "", info: "Counts.", avatar_url: "", avatar_media_id: "", update_time: None } false"#);
    assert_eq!(seen(&admin).await, whole);
    assert_eq!(seen(&moderator).await, part);
}
