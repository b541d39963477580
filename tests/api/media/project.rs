//! Projects: made, read, renamed, deleted and taken back, listed.

use futures_util::future::join_all;
use prost_types::FieldMask;

use super::member::member;
use super::{project, sha256, uploaded, video};
use crate::harness::prelude::*;

pub async fn get(world: &World, person: &Person, project_id: &str) -> Result<Project, tonic::Status> {
    let asked = GetProjectRequest { project_id: project_id.to_owned(), ..Default::default() };
    person.projects(world).get_project(asked).await.map(|answer| answer.into_inner().project.unwrap())
}

async fn list(world: &World, person: &Person, asked: ListProjectsRequest) -> ListProjectsResponse {
    person.projects(world).list_projects(asked).await.expect("no list").into_inner()
}

async fn names(world: &World, person: &Person, asked: ListProjectsRequest) -> Vec<String> {
    list(world, person, asked).await.projects.into_iter().map(|project| project.name).collect()
}

pub async fn delete(world: &World, person: &Person, project_id: &str) -> Result<DeleteProjectResponse, tonic::Status> {
    let asked = DeleteProjectRequest { project_id: project_id.to_owned() };
    person.projects(world).delete_project(asked).await.map(tonic::Response::into_inner)
}

async fn undelete(world: &World, person: &Person, project_id: &str) -> Result<Project, tonic::Status> {
    let asked = UndeleteProjectRequest { project_id: project_id.to_owned() };
    person.projects(world).undelete_project(asked).await.map(|answer| answer.into_inner().project.unwrap())
}

pub fn renaming(project_id: &str, name: &str, etag: &str) -> UpdateProjectRequest {
    let (project_id, name, etag) = (project_id.to_owned(), name.to_owned(), etag.to_owned());
    let project = Project { project_id, name, etag, ..Default::default() };
    let update_mask = Some(FieldMask { paths: vec!["name".to_owned()] });
    UpdateProjectRequest { project: Some(project), update_mask }
}

pub async fn used(world: &World, person: &Person) -> i64 {
    person.projects(world).get_usage(GetUsageRequest {}).await.expect("no usage").into_inner().used_bytes
}

#[tokio::test]
async fn m1_a_project_belongs_to_who_makes_it() {
    let world = World::shared().await;
    let ada = world.sign_up("ada").await;
    let made = project(&world, &ada, "  Holiday\u{301} ").await;
    assert_eq!(made.name, "Holida\u{fd}", "trimmed and composed");
    assert_eq!((made.owner_account_id.as_str(), made.role()), (ada.account_id.as_str(), ProjectRole::Owner));
    assert_eq!((made.media_count, made.size_bytes, made.delete_time), (0, 0, None));
    assert_eq!(get(&world, &ada, &made.project_id).await.unwrap(), made);
}

#[tokio::test]
async fn m1_a_project_needs_a_name_and_all_that_is_wrong_is_said_at_once() {
    let world = World::shared().await;
    let ada = world.sign_up("ada").await;
    for wrong in ["", " \t ", "two\nlines", "a\0b", &"a".repeat(201)] {
        let asked = CreateProjectRequest { name: wrong.to_owned(), idempotency_key: "k".repeat(65) };
        let refused = refusal(ada.projects(&world).create_project(asked).await);
        assert_eq!(refused.is(), (Code::InvalidArgument, "FIELDS_INVALID"), "{wrong:?}");
        assert_eq!(refused.fields, ["name", "idempotency_key"], "{wrong:?}");
    }
    assert_eq!(project(&world, &ada, &"é".repeat(200)).await.name.chars().count(), 200);
    let none = list(&world, &ada, ListProjectsRequest::default()).await;
    assert_eq!(none.total_size, 1, "nothing came of the others");
}

#[tokio::test]
async fn m1_the_same_key_makes_one_project() {
    let world = World::own().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let asked = |name: &str| CreateProjectRequest { name: name.to_owned(), idempotency_key: "once".to_owned() };
    let mut clients = ada.projects(&world);
    let mut others = clients.clone();
    let (one, two) = tokio::join!(clients.create_project(asked("One")), others.create_project(asked("One")));
    let [one, two] = [one, two].map(|made| made.unwrap().into_inner().project.unwrap());
    assert_eq!(one, two);
    let refused = refusal(clients.create_project(asked("Two")).await);
    assert_eq!((refused.reason.as_str(), &refused.fields[..]), ("FIELDS_INVALID", &["idempotency_key".to_owned()][..]));
    let his = bob.projects(&world).create_project(asked("One")).await.unwrap().into_inner().project.unwrap();
    assert_ne!(his.project_id, one.project_id, "keys are each account's own");
    world.move_clock(Duration::from_secs(25 * 3600)).await;
    let ada = world.sign_in(&ada.email, PASSWORD).await;
    let later = ada.projects(&world).create_project(asked("Two")).await.unwrap().into_inner().project.unwrap();
    assert_ne!(later.project_id, one.project_id, "it is known for a day");
}

#[tokio::test]
async fn m2_s32_a_project_is_read_by_its_members_and_unknown_to_everybody_else() {
    let world = World::shared().await;
    let (ada, bob, eve) = (world.sign_up("ada").await, world.sign_up("bob").await, world.sign_up("eve").await);
    let made = project(&world, &ada, "Holiday").await;
    member(&world, &ada, &made.project_id, &bob, ProjectRole::Viewer).await;
    assert_eq!(get(&world, &bob, &made.project_id).await.unwrap().role(), ProjectRole::Viewer);
    let unknown = refusal(get(&world, &eve, &made.project_id).await);
    let nothing = refusal(get(&world, &eve, "0198b3f2-7d0c-7a51-8f0e-5b1d2c3e4f60").await);
    assert_eq!(unknown.is(), (Code::NotFound, "PROJECT_NOT_FOUND"));
    assert_eq!(nothing.is(), unknown.is(), "nothing tells that there is one");
    assert_eq!(nothing.message, unknown.message);
    for odd in ["", "7", "' or 1=1 --", &"a".repeat(10_000)] {
        assert_eq!(refusal(get(&world, &ada, odd).await).is(), (Code::NotFound, "PROJECT_NOT_FOUND"), "{odd}");
    }
    let asked = GetProjectRequest { project_id: made.project_id, view: 9 };
    assert_eq!(refusal(ada.projects(&world).get_project(asked).await).fields, ["view"]);
}

#[tokio::test]
async fn m2_m5_a_project_is_read_with_its_newest_media() {
    let world = World::shared().await;
    let ada = world.sign_up("ada").await;
    let made = project(&world, &ada, "Holiday").await;
    let bytes = [b"one".as_slice(), b"another"];
    let mut media = Vec::new();
    for (bytes, name) in bytes.into_iter().zip(["one.mp4", "two.mp4"]) {
        media.push(uploaded(&world, &ada, video(&made.project_id, name, bytes), bytes).await);
    }
    let asked = |view: ProjectView| GetProjectRequest { project_id: made.project_id.clone(), view: view.into() };
    let mut projects = ada.projects(&world);
    let basic = projects.get_project(asked(ProjectView::Basic)).await.unwrap().into_inner().project.unwrap();
    assert_eq!((basic.media_count, basic.size_bytes, basic.media.len()), (2, 10, 0));
    let whole = projects.get_project(asked(ProjectView::WithMedia)).await.unwrap().into_inner().project.unwrap();
    media.reverse();
    assert_eq!(whole.media, media, "the newest first");
    assert_eq!(whole.media[0].sha256, sha256(bytes[1]));
    let all = ListProjectsRequest { view: ProjectView::WithMedia.into(), ..Default::default() };
    assert_eq!(list(&world, &ada, all).await.projects, [whole]);
    assert_eq!(used(&world, &ada).await, 10);
}

#[tokio::test]
async fn m3_the_owner_renames_a_project() {
    let world = World::shared().await;
    let ada = world.sign_up("ada").await;
    let made = project(&world, &ada, "Holiday").await;
    let mut projects = ada.projects(&world);
    let asked = renaming(&made.project_id, " Work ", &made.etag);
    let renamed = projects.update_project(asked.clone()).await.unwrap().into_inner().project.unwrap();
    assert_eq!(renamed.name, "Work");
    assert_ne!(renamed.etag, made.etag);
    assert_eq!(get(&world, &ada, &made.project_id).await.unwrap(), renamed);
    let stale = refusal(projects.update_project(asked).await);
    assert_eq!(stale.is(), (Code::Aborted, "ETAG_STALE"));
    let same = projects.update_project(renaming(&made.project_id, "Work", "")).await.unwrap().into_inner();
    assert_eq!(same.project.unwrap(), renamed, "nothing has changed");
    let all = Some(FieldMask { paths: vec!["*".to_owned()] });
    let whole = UpdateProjectRequest { update_mask: all, ..renaming(&made.project_id, "Work", "") };
    assert_eq!(projects.update_project(whole).await.unwrap().into_inner().project.unwrap(), renamed);
    let wrong = UpdateProjectRequest {
        update_mask: Some(FieldMask { paths: vec!["owner_account_id".to_owned()] }),
        ..renaming(&made.project_id, "", "")
    };
    assert_eq!(refusal(projects.update_project(wrong).await).fields, ["update_mask", "project.name"]);
}

#[tokio::test]
async fn m4_a_deleted_project_is_gone_at_once_and_its_owner_takes_it_back() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let made = project(&world, &ada, "Holiday").await;
    member(&world, &ada, &made.project_id, &bob, ProjectRole::Editor).await;
    let media = uploaded(&world, &ada, video(&made.project_id, "one.mp4", b"one"), b"one").await;
    let deleted = delete(&world, &ada, &made.project_id).await.unwrap();
    assert!(deleted.purge_time.is_some());
    for person in [&ada, &bob] {
        assert_eq!(refusal(get(&world, person, &made.project_id).await).reason, "PROJECT_NOT_FOUND");
        assert_eq!(names(&world, person, ListProjectsRequest::default()).await, [""; 0]);
        let asked = GetMediaRequest { media_id: media.media_id.clone() };
        assert_eq!(refusal(person.media(&world).get_media(asked).await).reason, "MEDIA_NOT_FOUND");
    }
    assert_eq!(refusal(delete(&world, &ada, &made.project_id).await).reason, "PROJECT_NOT_FOUND");
    assert_eq!(used(&world, &ada).await, 3, "it counts until it is purged");
    let asked = ListProjectsRequest { deleted: true, ..Default::default() };
    let gone = list(&world, &ada, asked.clone()).await.projects;
    assert_eq!((gone.len(), gone[0].purge_time), (1, deleted.purge_time));
    assert!(gone[0].delete_time.is_some());
    assert_eq!(names(&world, &bob, asked).await, [""; 0], "that is for its owner alone");
    assert_eq!(refusal(undelete(&world, &bob, &made.project_id).await).reason, "PROJECT_NOT_FOUND");

    let back = undelete(&world, &ada, &made.project_id).await.unwrap();
    assert_eq!((back.delete_time, back.media_count, back.size_bytes), (None, 1, 3));
    assert_eq!(undelete(&world, &ada, &made.project_id).await.unwrap(), back, "again, it is as it is");
    assert_eq!(get(&world, &bob, &made.project_id).await.unwrap().role(), ProjectRole::Editor);
    assert_eq!(super::downloaded(&world, &bob, &media.media_id).await, b"one");
}

#[tokio::test]
async fn m4_a_project_whose_time_is_over_goes_with_all_that_is_in_it() {
    let world = World::own().await;
    let ada = world.sign_up("ada").await;
    let (kept, made) = (project(&world, &ada, "Kept").await, project(&world, &ada, "Holiday").await);
    let both = b"bytes of both";
    let still = uploaded(&world, &ada, video(&kept.project_id, "one.mp4", both), both).await;
    uploaded(&world, &ada, video(&made.project_id, "one.mp4", both), both).await;
    // A whole block of SHA-256, so that no running digest in the database holds any of it.
    let alone = [b"alone 7f3a".as_slice(), &[7; 54]].concat();
    uploaded(&world, &ada, video(&made.project_id, "two.mp4", &alone), &alone).await;
    super::started(&world, &ada, video(&made.project_id, "three.mp4", b"begun")).await;
    assert_eq!(used(&world, &ada).await, 90);
    assert!(world.stored().await.holds(&alone));
    delete(&world, &ada, &made.project_id).await.unwrap();
    world.move_clock(Duration::from_secs(169 * 3600)).await;
    let ada = world.sign_in(&ada.email, PASSWORD).await;
    assert_eq!(refusal(undelete(&world, &ada, &made.project_id).await).reason, "PROJECT_NOT_FOUND");
    let asked = ListProjectsRequest { deleted: true, ..Default::default() };
    assert_eq!(names(&world, &ada, asked).await, [""; 0]);
    eventually("its room is given back", async || (used(&world, &ada).await == 13).then_some(())).await;
    assert_eq!(super::downloaded(&world, &ada, &still.media_id).await, both, "what another project has, too, stays");
    eventually("what was its own alone is gone from the store", async || {
        let stored = world.stored().await;
        (!stored.holds(&alone)).then_some(())
    })
    .await;
    assert!(world.stored().await.holds(both));
}

#[tokio::test]
async fn m5_an_account_lists_its_projects_the_newest_first_page_by_page() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    for number in 0..5 {
        project(&world, &ada, &number.to_string()).await;
    }
    let his = project(&world, &bob, "his").await;
    member(&world, &bob, &his.project_id, &ada, ProjectRole::Viewer).await;
    let mut asked = ListProjectsRequest { page_size: 4, ..Default::default() };
    let first = list(&world, &ada, asked.clone()).await;
    assert_eq!(first.total_size, 6);
    asked.page_token = first.next_page_token.clone();
    let second = list(&world, &ada, asked.clone()).await;
    assert_eq!(second.next_page_token, "");
    let all: Vec<String> = first.projects.into_iter().chain(second.projects).map(|project| project.name).collect();
    assert_eq!(all, ["his", "4", "3", "2", "1", "0"]);
    let owned = ListProjectsRequest { owned_only: true, ..Default::default() };
    assert_eq!(names(&world, &ada, owned.clone()).await, ["4", "3", "2", "1", "0"]);
    let of_others = ListProjectsRequest { page_token: first.next_page_token, ..owned };
    assert_eq!(refusal(ada.projects(&world).list_projects(of_others).await).fields, ["page_token"]);
    let wrong =
        ListProjectsRequest { page_size: -1, page_token: "x".to_owned(), view: 7, owned_only: true, deleted: true };
    let refused = refusal(ada.projects(&world).list_projects(wrong).await);
    assert_eq!(refused.fields, ["owned_only", "view", "page_size", "page_token"]);
}

#[tokio::test]
async fn s49_an_account_owns_a_thousand_projects_and_its_neighbour_is_not_concerned() {
    let world = World::own().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let made = project(&world, &ada, "first").await;
    let parts = (0..20).map(async |part| {
        let count = if part == 0 { 49 } else { 50 };
        for number in 0..count {
            project(&world, &ada, &format!("{part} {number}")).await;
        }
    });
    join_all(parts).await;
    let asked = CreateProjectRequest { name: "one more".to_owned(), ..Default::default() };
    let refused = refusal(ada.projects(&world).create_project(asked.clone()).await);
    assert_eq!(refused.is(), (Code::ResourceExhausted, "PROJECT_LIMIT_REACHED"));
    assert_eq!(refused.metadata["limit"], "1000");
    project(&world, &bob, "his").await;
    delete(&world, &ada, &made.project_id).await.unwrap();
    let refused = refusal(ada.projects(&world).create_project(asked).await);
    assert_eq!(refused.reason, "PROJECT_LIMIT_REACHED", "a deleted one counts until it is purged");
}
