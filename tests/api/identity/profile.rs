//! I19: profiles, who changes them and who sees how much of them.

use prost_reflect::DescriptorPool;
use quartet_proto::identity::v1::profile_service_client::ProfileServiceClient;
use quartet_proto::identity::v1::set_avatar_request::Avatar;

use super::HOSTILE;
use crate::harness::Bearer;
use crate::harness::prelude::*;

const OWNERS: [&str; 5] = ["first_name", "last_name", "gender", "date_of_birth", "info"];

pub fn profiles(world: &World, person: &Person) -> ProfileServiceClient<Bearer> {
    ProfileServiceClient::new(Bearer::new(world.channel(), Some(&person.access_token)))
}

fn update(profile: Profile, paths: &[&str]) -> UpdateProfileRequest {
    let paths = paths.iter().map(|path| (*path).to_owned()).collect();
    UpdateProfileRequest { profile: Some(profile), update_mask: Some(prost_types::FieldMask { paths }) }
}

/// Gives somebody a name.
pub async fn name(world: &World, person: &Person, first_name: &str, last_name: &str) {
    let profile = Profile { first_name: first_name.into(), last_name: last_name.into(), ..Default::default() };
    profiles(world, person).update_profile(update(profile, &["first_name", "last_name"])).await.expect("not changed");
}

async fn changed(world: &World, person: &Person, profile: Profile, paths: &[&str]) -> Profile {
    let answer = profiles(world, person).update_profile(update(profile, paths)).await.expect("not changed");
    answer.into_inner().profile.expect("no profile")
}

async fn get(world: &World, reader: &Person, of: &str) -> Profile {
    let request = GetProfileRequest { account_id: of.to_owned() };
    profiles(world, reader).get_profile(request).await.expect("no profile").into_inner().profile.expect("no profile")
}

async fn refused(world: &World, reader: &Person, of: &str) -> Refusal {
    let request = GetProfileRequest { account_id: of.to_owned() };
    refusal(profiles(world, reader).get_profile(request).await)
}

fn whole() -> Profile {
    Profile {
        first_name: "  Ada ".into(),
        last_name: "Love\u{301}lace".into(),
        gender: Gender::Female.into(),
        date_of_birth: "1990-12-10".into(),
        info: "Engines,\nand poetry.".into(),
        ..Default::default()
    }
}

#[tokio::test]
async fn i19_a_profile_is_there_with_its_account_and_changed_field_by_field() {
    let world = World::shared().await;
    let ada = world.sign_up("ada").await;
    let empty = get(&world, &ada, "").await;
    let (account_id, update_time) = (ada.account_id.clone(), empty.update_time);
    assert_eq!(empty, Profile { account_id: account_id.clone(), update_time, ..Default::default() });
    assert!(update_time.is_some());

    let first = changed(&world, &ada, whole(), &["first_name", "gender"]).await;
    assert_eq!((first.first_name.as_str(), first.last_name.as_str(), first.gender()), ("Ada", "", Gender::Female));
    let all = changed(&world, &ada, whole(), &OWNERS).await;
    assert_eq!(all.last_name, "Lov\u{e9}lace", "composed");
    assert_eq!((all.date_of_birth.as_str(), all.info.as_str()), ("1990-12-10", "Engines,\nand poetry."));
    assert_eq!(get(&world, &ada, &account_id).await, all, "by its id, too");

    let other = Profile { info: "Other".into(), first_name: "not named, not changed".into(), ..Default::default() };
    let one = changed(&world, &ada, other, &["info"]).await;
    assert_eq!(Profile { update_time: all.update_time, ..one }, Profile { info: "Other".into(), ..all });
    let none = changed(&world, &ada, Profile { account_id: account_id.clone(), ..Default::default() }, &["*"]).await;
    assert_eq!(Profile { update_time: None, ..none }, Profile { account_id, ..Default::default() });
}

#[tokio::test]
async fn i19_every_broken_rule_is_named_at_once() {
    let world = World::shared().await;
    let ada = world.sign_up("ada").await;
    let wrong = Profile {
        first_name: "a".repeat(101),
        last_name: "a\0b".into(),
        gender: 7,
        date_of_birth: "2999-01-01".into(),
        info: "i".repeat(2_001),
        ..Default::default()
    };
    let error = refusal(profiles(&world, &ada).update_profile(update(wrong, &["*"])).await);
    assert_eq!(error.is(), (Code::InvalidArgument, "FIELDS_INVALID"));
    let mut fields = error.fields.clone();
    fields.sort();
    assert_eq!(
        fields.join(" "),
        "profile.date_of_birth profile.first_name profile.gender profile.info profile.last_name"
    );

    for day in ["1899-12-31", "1990-02-30", "10.12.1990", "1990-12-10T00:00:00Z"] {
        let profile = Profile { date_of_birth: day.into(), ..Default::default() };
        let error = refusal(profiles(&world, &ada).update_profile(update(profile, &["date_of_birth"])).await);
        assert_eq!(error.fields, ["profile.date_of_birth"], "{day}");
    }
    for request in [UpdateProfileRequest::default(), update(whole(), &[])] {
        let error = refusal(profiles(&world, &ada).update_profile(request).await);
        assert_eq!(
            (error.is(), error.fields.join(" ").as_str()),
            ((Code::InvalidArgument, "FIELDS_INVALID"), "update_mask")
        );
    }
    assert_eq!(get(&world, &ada, "").await.first_name, "");
}

#[tokio::test]
async fn i19_who_is_born_later_waits_until_then() {
    let world = World::own().await;
    let ada = world.sign_up("ada").await;
    let seconds = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
    let later = chrono::DateTime::from_timestamp(seconds + 2 * 86_400, 0).unwrap().format("%Y-%m-%d").to_string();
    let profile = Profile { date_of_birth: later, ..Default::default() };
    let request = update(profile, &["date_of_birth"]);
    let error = refusal(profiles(&world, &ada).update_profile(request.clone()).await);
    assert_eq!(error.fields, ["profile.date_of_birth"]);
    world.move_clock(Duration::from_secs(2 * 86_400)).await;
    let ada = world.sign_in(&ada.email, &ada.password).await;
    profiles(&world, &ada).update_profile(request).await.expect("the clock has moved");
}

/// The mask's paths are made from the contract: a field that nobody thought of is refused.
#[tokio::test]
async fn s33_what_is_not_its_owners_is_refused_by_the_mask_and_in_the_message() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let before = get(&world, &ada, "").await;
    let pool = DescriptorPool::decode(quartet_proto::DESCRIPTORS).unwrap();
    let message = pool.get_message_by_name("quartet.identity.v1.Profile").unwrap();
    let servers: Vec<String> = message.fields().map(|field| field.name().to_owned()).collect();
    let servers: Vec<&String> = servers.iter().filter(|name| !OWNERS.contains(&name.as_str())).collect();
    assert_eq!(servers.len(), 4, "{servers:?}");
    let others =
        ["roles", "email", "state", "listed", "sort_key", "profile.info", "First_Name", "", "info,gender", "**"];
    for path in servers.iter().map(|name| name.as_str()).chain(others) {
        let error = refusal(profiles(&world, &ada).update_profile(update(whole(), &["info", path])).await);
        assert_eq!(
            (error.is(), error.fields.join(" ").as_str()),
            ((Code::InvalidArgument, "FIELDS_INVALID"), "update_mask"),
            "{path}"
        );
    }

    let set: [(&str, Profile); 5] = [
        ("account_id", Profile { account_id: bob.account_id.clone(), ..whole() }),
        ("account_id", Profile { account_id: "x".into(), ..whole() }),
        ("avatar_url", Profile { avatar_url: "https://example.com/a.png".into(), ..whole() }),
        ("avatar_media_id", Profile { avatar_media_id: bob.account_id.clone(), ..whole() }),
        ("update_time", Profile { update_time: before.update_time, ..whole() }),
    ];
    for (field, profile) in set {
        let error = refusal(profiles(&world, &ada).update_profile(update(profile, &["info"])).await);
        assert_eq!(
            (error.is(), error.fields.clone()),
            ((Code::InvalidArgument, "FIELDS_INVALID"), vec![format!("profile.{field}")])
        );
    }
    assert_eq!(get(&world, &ada, "").await, before);
    assert_eq!(get(&world, &bob, "").await.info, "");
}

#[tokio::test]
async fn s33_everybody_reads_what_they_may_and_no_more() {
    let world = World::shared().await;
    let ada = world.sign_up("ada").await;
    changed(&world, &ada, whole(), &["*"]).await;
    let avatar = SetAvatarRequest { avatar: Some(Avatar::Url("https://example.com/ada.png".into())) };
    let own = profiles(&world, &ada).set_avatar(avatar).await.unwrap().into_inner().profile.unwrap();
    let (bob, admin) = (world.sign_up("bob").await, world.admin().await);
    assert_eq!(get(&world, &admin, &ada.account_id).await, own);
    let public = Profile { gender: 0, date_of_birth: String::new(), update_time: None, ..own };
    assert_eq!(get(&world, &bob, &ada.account_id).await, public);
}

#[tokio::test]
async fn s33_an_account_that_is_not_in_use_looks_like_none() {
    let world = World::shared().await;
    let (bob, admin) = (world.sign_up("bob").await, world.admin().await);
    let pending = world.register("pending").await;
    let nobody = "0198b3f2-7d0c-7a51-8f0e-5b1d2c3e4f60";
    let none = refused(&world, &bob, nobody).await;
    for id in [&pending.account_id, "x", &format!("{nobody}0"), "' or '1'='1"] {
        let error = refused(&world, &bob, id).await;
        assert_eq!((error.is(), &error.message), ((Code::NotFound, "ACCOUNT_NOT_FOUND"), &none.message), "{id}");
    }
    assert_eq!(get(&world, &admin, &pending.account_id).await.account_id, pending.account_id);
    assert_eq!(refused(&world, &admin, nobody).await.is(), (Code::NotFound, "ACCOUNT_NOT_FOUND"));
}

#[tokio::test]
async fn s33_where_the_directory_is_the_administrators_others_see_nobody() {
    let world = World::with(&["--identity-directory", "admin"]).await;
    let (ada, bob, admin) = (world.sign_up("ada").await, world.sign_up("bob").await, world.admin().await);
    name(&world, &ada, "Ada", "Lovelace").await;
    assert_eq!(refused(&world, &bob, &ada.account_id).await.is(), (Code::NotFound, "ACCOUNT_NOT_FOUND"));
    assert_eq!(get(&world, &ada, &ada.account_id).await.first_name, "Ada");
    assert_eq!(get(&world, &admin, &ada.account_id).await.first_name, "Ada");
}

#[tokio::test]
async fn i19_a_picture_is_an_address_or_a_media_and_never_fetched() {
    let world = World::shared().await;
    let ada = world.sign_up("ada").await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("https://{}/ada.png?size=2", listener.local_addr().unwrap());
    let set = async |avatar| profiles(&world, &ada).set_avatar(SetAvatarRequest { avatar }).await;

    let profile = set(Some(Avatar::Url(url.clone()))).await.unwrap().into_inner().profile.unwrap();
    assert_eq!((profile.avatar_url.as_str(), profile.avatar_media_id.as_str()), (url.as_str(), ""));
    let media = "0198b3f2-7d0c-7a51-8f0e-5b1d2c3e4f60";
    let profile = set(Some(Avatar::MediaId(media.into()))).await.unwrap().into_inner().profile.unwrap();
    assert_eq!((profile.avatar_url.as_str(), profile.avatar_media_id.as_str()), ("", media), "one of the two");
    assert_eq!(get(&world, &ada, "").await, profile);
    for wrong in [
        "",
        "http://example.com/a.png",
        "ftp://example.com/a.png",
        "javascript:alert(1)",
        "https://ada:secret@example.com/a.png",
        "https://example.com/a b.png",
        "https://example.com/a\0.png",
        "https://example.com/a\r\nX: y",
        &format!("https://example.com/{}", "a".repeat(2_000)),
    ] {
        let error = refusal(set(Some(Avatar::Url(wrong.into()))).await);
        assert_eq!(
            (error.is(), error.fields.join(" ").as_str()),
            ((Code::InvalidArgument, "FIELDS_INVALID"), "url"),
            "{wrong}"
        );
    }
    for wrong in ["", "x", "0198b3f27d0c7a518f0e5b1d2c3e4f60", "../../etc/passwd", "a\0"] {
        let error = refusal(set(Some(Avatar::MediaId(wrong.into()))).await);
        assert_eq!(
            (error.is(), error.fields.join(" ").as_str()),
            ((Code::InvalidArgument, "FIELDS_INVALID"), "media_id"),
            "{wrong}"
        );
    }
    assert_eq!(get(&world, &ada, "").await, profile);
    let profile = set(None).await.unwrap().into_inner().profile.unwrap();
    assert_eq!((profile.avatar_url.as_str(), profile.avatar_media_id.as_str()), ("", ""));
    assert!(listener.accept().is_err(), "nobody has come to fetch it");
}

#[tokio::test]
async fn s36_hostile_texts_are_stored_as_they_are_or_refused() {
    let world = World::shared().await;
    let ada = world.sign_up("ada").await;
    for text in HOSTILE {
        for field in ["first_name", "last_name", "info"] {
            let mut profile = Profile::default();
            match field {
                "first_name" => profile.first_name = text.to_owned(),
                "last_name" => profile.last_name = text.to_owned(),
                _ => profile.info = text.to_owned(),
            }
            match profiles(&world, &ada).update_profile(update(profile, &[field])).await {
                Ok(answer) => {
                    let stored = answer.into_inner().profile.unwrap();
                    let stored = [stored.first_name, stored.last_name, stored.info].concat();
                    assert!(stored.contains(text.trim()), "{field}: {text:?} became {stored:?}");
                    changed(&world, &ada, Profile::default(), &["*"]).await;
                }
                Err(status) => {
                    let error = Refusal::from(status);
                    assert_eq!(
                        (error.is(), error.fields.clone()),
                        ((Code::InvalidArgument, "FIELDS_INVALID"), vec![format!("profile.{field}")]),
                        "{text:?}"
                    );
                    assert!(
                        text.chars().any(|c| c.is_control() || "\u{202e}\u{10ffff}".contains(c)),
                        "{field}: {text:?}"
                    );
                }
            }
        }
        let birth = Profile { date_of_birth: text.to_owned(), ..Default::default() };
        let error = refusal(profiles(&world, &ada).update_profile(update(birth, &["date_of_birth"])).await);
        assert_eq!(error.is(), (Code::InvalidArgument, "FIELDS_INVALID"), "{text:?}");
        let error = refusal(profiles(&world, &ada).update_profile(update(Profile::default(), &[text])).await);
        assert_eq!(error.is(), (Code::InvalidArgument, "FIELDS_INVALID"), "{text:?}");
        assert_eq!(refused(&world, &ada, text).await.is(), (Code::NotFound, "ACCOUNT_NOT_FOUND"), "{text:?}");
        for avatar in [Avatar::Url(text.to_owned()), Avatar::MediaId(text.to_owned())] {
            let error = refusal(profiles(&world, &ada).set_avatar(SetAvatarRequest { avatar: Some(avatar) }).await);
            assert_eq!(error.is(), (Code::InvalidArgument, "FIELDS_INVALID"), "{text:?}");
        }
    }
}

#[tokio::test]
async fn i19_of_two_changes_at_once_both_names_order_the_directory() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let marker = format!("Marker{}", ada.account_id.replace('-', ""));
    for round in 0..10 {
        let (first, last) = (format!("{marker}{round}"), format!("Last{round}"));
        let one = update(Profile { first_name: first.clone(), ..Default::default() }, &["first_name"]);
        let other = update(Profile { last_name: last.clone(), ..Default::default() }, &["last_name"]);
        let (mut left, mut right) = (profiles(&world, &ada), profiles(&world, &ada));
        let (one, other) = tokio::join!(left.update_profile(one), right.update_profile(other));
        assert!(one.is_ok() && other.is_ok(), "{one:?} {other:?}");
        let found = super::directory::list(
            &world,
            &bob,
            ListUsersRequest { name_prefix: format!("{first} {last}"), ..Default::default() },
        )
        .await;
        assert_eq!(found.users.len(), 1, "round {round}");
    }
}
