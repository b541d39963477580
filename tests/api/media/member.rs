//! X13: a project has an owner, editors and viewers.

use super::project::{get, used};
use super::{project, started, uploaded, video};
use crate::harness::prelude::*;

/// Makes somebody a member, as soon as it is known who they are.
pub async fn member(world: &World, owner: &Person, project_id: &str, person: &Person, role: ProjectRole) {
    eventually("the person is known", async || {
        let result = set(world, owner, project_id, by_id(person), role).await;
        match result {
            Ok(_) => Some(()),
            Err(status) => {
                let refused = Refusal::from(status);
                assert_eq!(refused.reason, "PERSON_NOT_FOUND", "{refused:?}");
                None
            }
        }
    })
    .await;
}

fn by_id(person: &Person) -> set_member_request::Person {
    set_member_request::Person::AccountId(person.account_id.clone())
}

pub async fn set(
    world: &World,
    caller: &Person,
    project_id: &str,
    person: set_member_request::Person,
    role: ProjectRole,
) -> Result<Member, tonic::Status> {
    let asked = SetMemberRequest { project_id: project_id.to_owned(), person: Some(person), role: role.into() };
    caller.members(world).set_member(asked).await.map(|answer| answer.into_inner().member.unwrap())
}

pub async fn remove(world: &World, caller: &Person, project_id: &str, account_id: &str) -> Result<(), tonic::Status> {
    let asked = RemoveMemberRequest { project_id: project_id.to_owned(), account_id: account_id.to_owned() };
    caller.members(world).remove_member(asked).await.map(drop)
}

async fn list(world: &World, caller: &Person, asked: ListMembersRequest) -> ListMembersResponse {
    caller.members(world).list_members(asked).await.expect("no members").into_inner()
}

pub async fn transfer(
    world: &World,
    caller: &Person,
    project_id: &str,
    account_id: &str,
) -> Result<Project, tonic::Status> {
    let asked = TransferProjectRequest { project_id: project_id.to_owned(), account_id: account_id.to_owned() };
    caller.members(world).transfer_project(asked).await.map(|answer| answer.into_inner().project.unwrap())
}

/// Hands a project over: its owner offers it, and the heir takes it.
pub async fn hand_over(world: &World, owner: &Person, project_id: &str, heir: &Person) -> Project {
    transfer(world, owner, project_id, &heir.account_id).await.expect("not offered");
    transfer(world, heir, project_id, &heir.account_id).await.expect("not taken")
}

/// To whom the project is offered.
async fn offered(world: &World, caller: &Person, project_id: &str) -> Vec<String> {
    let asked = ListMembersRequest { project_id: project_id.to_owned(), ..Default::default() };
    let members = list(world, caller, asked).await.members;
    members.into_iter().filter(|member| member.offered).map(|member| member.account_id).collect()
}

#[tokio::test]
async fn x13_members_are_listed_the_owner_first_and_addresses_are_for_the_owner() {
    let world = World::shared().await;
    let (ada, bob, eve) = (world.sign_up("ada").await, world.sign_up("bob").await, world.sign_up("eve").await);
    let id = project(&world, &ada, "Holiday").await.project_id;
    member(&world, &ada, &id, &bob, ProjectRole::Viewer).await;
    member(&world, &ada, &id, &eve, ProjectRole::Editor).await;
    let all = |page_size, page_token| ListMembersRequest { project_id: id.clone(), page_size, page_token };
    let listed = list(&world, &ada, all(0, String::new())).await.members;
    let seen: Vec<_> = listed.iter().map(|one| (one.account_id.as_str(), one.role(), one.email.as_str())).collect();
    assert_eq!(
        seen,
        [
            (ada.account_id.as_str(), ProjectRole::Owner, ada.email.as_str()),
            (bob.account_id.as_str(), ProjectRole::Viewer, bob.email.as_str()),
            (eve.account_id.as_str(), ProjectRole::Editor, eve.email.as_str()),
        ]
    );
    let mut token = String::new();
    let mut paged = Vec::new();
    loop {
        let page = list(&world, &bob, all(1, token)).await;
        assert_eq!(page.members.len(), 1);
        paged.extend(page.members);
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert!(paged.iter().all(|one| one.email.is_empty()), "{paged:?}");
    let ids = |members: &[Member]| members.iter().map(|one| one.account_id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&paged), ids(&listed));
    let wrong = ListMembersRequest { page_size: -1, page_token: "x".to_owned(), ..all(0, String::new()) };
    assert_eq!(refusal(ada.members(&world).list_members(wrong).await).fields, ["page_size", "page_token"]);
}

#[tokio::test]
async fn x13_somebody_is_made_a_member_by_the_address_that_is_theirs() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("Bob").await);
    let id = project(&world, &ada, "Holiday").await.project_id;
    let address = set_member_request::Person::Email(bob.email.to_uppercase());
    let made = eventually("the address is known", async || {
        set(&world, &ada, &id, address.clone(), ProjectRole::Viewer).await.ok()
    })
    .await;
    assert_eq!((made.account_id.as_str(), made.role()), (bob.account_id.as_str(), ProjectRole::Viewer));
    let changed = set(&world, &ada, &id, by_id(&bob), ProjectRole::Editor).await.unwrap();
    assert_eq!((changed.role(), changed.create_time), (ProjectRole::Editor, made.create_time));
    let pending = world.register("pending").await;
    for (person, field) in [
        (set_member_request::Person::Email("nobody@example.com".into()), None),
        (set_member_request::Person::Email(pending.email), None),
        (set_member_request::Person::AccountId(pending.account_id), None),
        (set_member_request::Person::AccountId("x".into()), None),
        (set_member_request::Person::Email("x".into()), Some("email")),
    ] {
        let refused = refusal(set(&world, &ada, &id, person.clone(), ProjectRole::Viewer).await);
        match field {
            None => assert_eq!(refused.is(), (Code::NotFound, "PERSON_NOT_FOUND"), "{person:?}"),
            Some(field) => assert_eq!(refused.fields, [field]),
        }
    }
    for role in [ProjectRole::Owner, ProjectRole::Unspecified] {
        let asked = SetMemberRequest { project_id: id.clone(), person: None, role: role.into() };
        assert_eq!(refusal(ada.members(&world).set_member(asked).await).fields, ["role", "account_id"]);
    }
    let refused = refusal(set(&world, &ada, &id, by_id(&ada), ProjectRole::Editor).await);
    assert_eq!(refused.is(), (Code::FailedPrecondition, "OWNER_FIXED"));
}

#[tokio::test]
async fn x13_s32_who_is_taken_out_sees_nothing_any_more_and_what_they_upload_is_given_up() {
    let world = World::shared().await;
    let (ada, bob, eve) = (world.sign_up("ada").await, world.sign_up("bob").await, world.sign_up("eve").await);
    let id = project(&world, &ada, "Holiday").await.project_id;
    for person in [&bob, &eve] {
        member(&world, &ada, &id, person, ProjectRole::Editor).await;
    }
    let begun = started(&world, &bob, video(&id, "one.mp4", b"one")).await;
    let refused = refusal(remove(&world, &eve, &id, &bob.account_id).await);
    assert_eq!(refused.is(), (Code::PermissionDenied, "PROJECT_RIGHT_MISSING"));
    assert_eq!(refusal(remove(&world, &ada, &id, &ada.account_id).await).reason, "OWNER_FIXED");
    remove(&world, &ada, &id, &bob.account_id).await.unwrap();
    assert_eq!(refusal(get(&world, &bob, &id).await).reason, "PROJECT_NOT_FOUND");
    assert_eq!(refusal(remove(&world, &ada, &id, &bob.account_id).await).reason, "MEMBER_NOT_FOUND");
    let asked = GetUploadRequest { upload_id: begun.upload_id };
    assert_eq!(refusal(bob.uploads(&world).get_upload(asked.clone()).await).reason, "UPLOAD_NOT_FOUND");
    let ended = ada.uploads(&world).get_upload(asked).await.unwrap().into_inner().upload.unwrap();
    assert_eq!(ended.state(), UploadState::Expired);
    remove(&world, &eve, &id, &eve.account_id).await.expect("one may leave");
    assert_eq!(refusal(get(&world, &eve, &id).await).reason, "PROJECT_NOT_FOUND");
    assert_eq!(refusal(remove(&world, &eve, &id, &eve.account_id).await).reason, "PROJECT_NOT_FOUND");
}

#[tokio::test]
async fn x13_s49_a_project_is_handed_over_with_what_it_takes() {
    let world = World::with(&["--media-account-quota-bytes", "10"]).await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = project(&world, &ada, "Holiday").await.project_id;
    let media = uploaded(&world, &ada, video(&id, "one.mp4", b"sixsix"), b"sixsix").await;
    let refused = refusal(transfer(&world, &ada, &id, &bob.account_id).await);
    assert_eq!(refused.is(), (Code::NotFound, "MEMBER_NOT_FOUND"));
    member(&world, &ada, &id, &bob, ProjectRole::Viewer).await;
    assert_eq!(refusal(transfer(&world, &bob, &id, &bob.account_id).await).reason, "PROJECT_RIGHT_MISSING");

    let his = project(&world, &bob, "His").await.project_id;
    let small = uploaded(&world, &bob, video(&his, "five.mp4", b"fives"), b"fives").await;
    let still_hers = transfer(&world, &ada, &id, &bob.account_id).await.unwrap();
    let seen = (still_hers.owner_account_id.as_str(), still_hers.role());
    assert_eq!(seen, (ada.account_id.as_str(), ProjectRole::Owner));
    assert_eq!(offered(&world, &bob, &id).await, std::slice::from_ref(&bob.account_id));
    let refused = refusal(transfer(&world, &bob, &id, &bob.account_id).await);
    assert_eq!(refused.is(), (Code::ResourceExhausted, "QUOTA_EXCEEDED"));
    assert_eq!(refused.metadata["used_bytes"], "5");
    assert_eq!((used(&world, &ada).await, used(&world, &bob).await), (6, 5));
    let asked = DeleteMediaRequest { media_id: small.media_id };
    bob.media(&world).delete_media(asked).await.unwrap();

    let open = started(&world, &ada, video(&id, "two.mp4", b"two")).await;
    let refused = refusal(transfer(&world, &bob, &id, &bob.account_id).await);
    assert_eq!(refused.is(), (Code::FailedPrecondition, "UPLOAD_IN_PROGRESS"));
    let asked = AbortUploadRequest { upload_id: open.upload_id };
    ada.uploads(&world).abort_upload(asked).await.unwrap();

    let handed = transfer(&world, &bob, &id, &bob.account_id).await.unwrap();
    assert_eq!((handed.owner_account_id.as_str(), handed.role()), (bob.account_id.as_str(), ProjectRole::Owner));
    assert_eq!(offered(&world, &ada, &id).await, [""; 0]);
    assert_eq!((used(&world, &ada).await, used(&world, &bob).await), (0, 6));
    assert_eq!(get(&world, &bob, &id).await.unwrap().role(), ProjectRole::Owner);
    assert_eq!(super::downloaded(&world, &bob, &media.media_id).await, b"sixsix");
    assert_eq!(refusal(super::project::delete(&world, &ada, &id).await).reason, "PROJECT_RIGHT_MISSING");
    assert_eq!(refusal(transfer(&world, &ada, &id, &bob.account_id).await).reason, "PROJECT_RIGHT_MISSING");

    // The same bytes are not shared with who had them before.
    let own = project(&world, &ada, "Own").await.project_id;
    let again = uploaded(&world, &ada, video(&own, "one.mp4", b"sixsix"), b"sixsix").await;
    let asked = DeleteMediaRequest { media_id: media.media_id };
    bob.media(&world).delete_media(asked).await.unwrap();
    assert_eq!(super::downloaded(&world, &ada, &again.media_id).await, b"sixsix");
}

#[tokio::test]
async fn x13_s34_a_project_becomes_nobodys_who_has_not_agreed() {
    let world = World::shared().await;
    let (ada, bob, eve) = (world.sign_up("ada").await, world.sign_up("bob").await, world.sign_up("eve").await);
    let id = project(&world, &ada, "Holiday").await.project_id;
    for person in [&bob, &eve] {
        member(&world, &ada, &id, person, ProjectRole::Editor).await;
    }
    let is_hers = async || get(&world, &eve, &id).await.unwrap().owner_account_id == ada.account_id;
    transfer(&world, &ada, &id, &bob.account_id).await.unwrap();
    // Nobody takes it for somebody else, or what is another's.
    for (caller, heir) in [(&eve, &bob), (&eve, &eve), (&bob, &eve), (&bob, &ada)] {
        let refused = refusal(transfer(&world, caller, &id, &heir.account_id).await);
        assert_eq!(refused.is(), (Code::PermissionDenied, "PROJECT_RIGHT_MISSING"));
    }
    // It is offered to one at a time, and an offer can be taken back, also with its member.
    transfer(&world, &ada, &id, &eve.account_id).await.unwrap();
    assert_eq!(offered(&world, &ada, &id).await, std::slice::from_ref(&eve.account_id));
    assert_eq!(refusal(transfer(&world, &bob, &id, &bob.account_id).await).reason, "PROJECT_RIGHT_MISSING");
    transfer(&world, &ada, &id, &ada.account_id).await.unwrap();
    assert_eq!(refusal(transfer(&world, &eve, &id, &eve.account_id).await).reason, "PROJECT_RIGHT_MISSING");
    transfer(&world, &ada, &id, &bob.account_id).await.unwrap();
    remove(&world, &ada, &id, &bob.account_id).await.unwrap();
    member(&world, &ada, &id, &bob, ProjectRole::Editor).await;
    assert_eq!(refusal(transfer(&world, &bob, &id, &bob.account_id).await).reason, "PROJECT_RIGHT_MISSING");
    assert!(is_hers().await);

    transfer(&world, &ada, &id, &bob.account_id).await.unwrap();
    for _ in 0..2 {
        let taken = transfer(&world, &bob, &id, &bob.account_id).await.unwrap();
        assert_eq!((taken.owner_account_id.as_str(), taken.role()), (bob.account_id.as_str(), ProjectRole::Owner));
    }
    assert!(!is_hers().await);
}

#[tokio::test]
async fn x13_s34_who_hands_a_project_over_does_not_delete_it_as_well() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    for _ in 0..20 {
        let id = project(&world, &ada, "Holiday").await.project_id;
        member(&world, &ada, &id, &bob, ProjectRole::Editor).await;
        transfer(&world, &ada, &id, &bob.account_id).await.unwrap();
        let (handed, deleted) =
            tokio::join!(transfer(&world, &bob, &id, &bob.account_id), super::project::delete(&world, &ada, &id));
        match (handed, deleted) {
            (Ok(_), Err(status)) => {
                assert_eq!(Refusal::from(status).reason, "PROJECT_RIGHT_MISSING");
                assert_eq!(get(&world, &bob, &id).await.unwrap().role(), ProjectRole::Owner);
            }
            (Err(status), Ok(_)) => {
                assert_eq!(Refusal::from(status).reason, "PROJECT_NOT_FOUND");
                assert_eq!(refusal(get(&world, &bob, &id).await).reason, "PROJECT_NOT_FOUND");
            }
            other => panic!("both, or none of them: {other:?}"),
        }
    }
}

#[tokio::test]
async fn x13_s34_who_is_taken_out_begins_no_upload_behind_it() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = project(&world, &ada, "Holiday").await.project_id;
    for _ in 0..20 {
        member(&world, &ada, &id, &bob, ProjectRole::Editor).await;
        let mut uploads = bob.uploads(&world);
        let begin = uploads.start_upload(video(&id, "one.mp4", b"one"));
        let (begun, removed) = tokio::join!(begin, remove(&world, &ada, &id, &bob.account_id));
        removed.unwrap();
        if let Err(status) = begun {
            assert_eq!(Refusal::from(status).reason, "PROJECT_NOT_FOUND");
        }
        let asked = ListUploadsRequest { project_id: id.clone(), ..Default::default() };
        let open = ada.uploads(&world).list_uploads(asked).await.unwrap().into_inner().uploads;
        assert_eq!(open, [], "whichever came first, nothing is left open");
    }
}
