//! I16: an account is erased, and what it had in projects goes with it: objects, too.

use super::member::{hand_over, member};
use super::project::get;
use super::{downloaded, project, put_all, started, uploaded, video};
use crate::harness::left_out;
use crate::harness::prelude::*;
use crate::identity::erasure::{completed, copied, delete, removed};

/// Two people who have a project each, in which both have left something.
struct Scene {
    ada: Person,
    bob: Person,
    his: Project,
    /// What she has put into his.
    given: Media,
}

impl Scene {
    async fn set(world: &World) -> Scene {
        let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
        copied(world).await;
        let (hers, his) = (project(world, &ada, "Hers").await, project(world, &bob, "His").await);
        member(world, &ada, &hers.project_id, &bob, ProjectRole::Editor).await;
        member(world, &bob, &his.project_id, &ada, ProjectRole::Editor).await;
        let secret = format!("of {}", ada.email);
        uploaded(world, &ada, video(&hers.project_id, "one.mp4", secret.as_bytes()), secret.as_bytes()).await;
        uploaded(world, &ada, video(&hers.project_id, "again.mp4", secret.as_bytes()), secret.as_bytes()).await;
        uploaded(world, &bob, video(&hers.project_id, "two.mp4", b"his in hers"), b"his in hers").await;
        let given = uploaded(world, &ada, video(&his.project_id, "three.mp4", b"hers in his"), b"hers in his").await;
        // Half of a file that is never completed, in each.
        for project_id in [&hers.project_id, &his.project_id] {
            begun(world, &ada, project_id, &format!("half of {}", ada.email)).await;
        }
        Scene { ada, bob, his, given }
    }

    /// What is left when she is gone.
    async fn assert_gone(&self, world: &World) {
        let stored = world.stored().await;
        assert_eq!(stored.traces(&self.ada.email, &self.ada.account_id), [""; 0]);
        assert!(!stored.holds(b"his in hers"), "a project goes with all that others have put into it");
        let his = get(world, &self.bob, &self.his.project_id).await.unwrap();
        assert_eq!((his.media_count, his.size_bytes), (1, 11), "what she had begun there is given back");
        let asked = GetMediaRequest { media_id: self.given.media_id.clone() };
        let given = self.bob.media(world).get_media(asked).await.unwrap().into_inner().media.unwrap();
        assert_eq!(given.uploader_account_id, "");
        assert_eq!(downloaded(world, &self.bob, &given.media_id).await, b"hers in his");
        let asked = ListMembersRequest { project_id: self.his.project_id.clone(), ..Default::default() };
        let members = self.bob.members(world).list_members(asked).await.unwrap().into_inner().members;
        assert_eq!(members.len(), 1, "{members:?}");
        let left = self.bob.projects(world).list_projects(ListProjectsRequest::default()).await.unwrap().into_inner();
        assert_eq!(left.total_size, 1);
    }
}

/// An upload of which one part is there.
async fn begun(world: &World, person: &Person, project_id: &str, text: &str) {
    let upload = started(world, person, StartUploadRequest { size_bytes: 0, ..video(project_id, text, b"") }).await;
    let mut data = text.as_bytes().to_vec();
    data.resize(upload.part_size_bytes as usize, 7);
    let asked = PutChunkRequest { upload_id: upload.upload_id, data: data.into(), ..Default::default() };
    person.uploads(world).put_chunk(asked).await.expect("the part is refused");
}

#[tokio::test]
async fn i16_m4_an_erased_accounts_projects_and_objects_are_gone_and_what_others_own_stays_without_the_name() {
    let world = World::own().await;
    let scene = Scene::set(&world).await;
    let begun = delete(&world, &scene.ada).await;
    // Its leases end by the clock.
    world.move_clock(Duration::from_secs(120)).await;
    let told = completed(&world, &begun).await;
    let counts = ["account", "project", "media", "member", "uploader"].map(|kind| removed(&told, "media", kind));
    assert_eq!(counts, [1, 1, 3, 1, 1], "{told:?}");
    assert_eq!(removed(&told, "media", "object"), 4, "the same bytes are stored once: {told:?}");
    scene.assert_gone(&world).await;
}

#[tokio::test]
async fn i16_a_project_that_was_handed_over_stays() {
    let world = World::own().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = project(&world, &ada, "Ours").await.project_id;
    let upload = started(&world, &ada, video(&id, "one.mp4", b"ours")).await;
    let media = put_all(&world, &ada, &upload, b"ours").await;
    member(&world, &ada, &id, &bob, ProjectRole::Viewer).await;
    hand_over(&world, &ada, &id, &bob).await;
    let begun = delete(&world, &ada).await;
    let told = completed(&world, &begun).await;
    assert_eq!(removed(&told, "media", "project"), 0);
    assert_eq!(world.stored().await.traces(&ada.email, &ada.account_id), [""; 0]);
    assert_eq!(downloaded(&world, &bob, &media.media_id).await, b"ours");
    assert_eq!(get(&world, &bob, &id).await.unwrap().media_count, 1);
}

#[tokio::test]
async fn i16_f02_media_that_was_down_when_it_was_asked_carries_an_erasure_out_afterwards() {
    let mut world = World::own().await;
    if world.is_embedded() {
        return left_out("media goes down alone in a fleet only");
    }
    let scene = Scene::set(&world).await;
    for media in &mut world.fleet_mut().medias {
        media.kill().await;
    }
    let begun = delete(&world, &scene.ada).await;
    world.move_clock(Duration::from_secs(120)).await;
    for media in &mut world.fleet_mut().medias {
        media.restart().await;
    }
    let told = completed(&world, &begun).await;
    assert_eq!(removed(&told, "media", "project"), 1);
    scene.assert_gone(&world).await;
}

#[tokio::test]
async fn i16_f07_an_erasure_waits_until_the_store_has_let_go_of_the_last_object() {
    let world = World::own().await;
    let ada = world.sign_up("ada").await;
    copied(&world).await;
    let id = project(&world, &ada, "Hers").await.project_id;
    let secret = format!("of {}", ada.email);
    uploaded(&world, &ada, video(&id, "one.mp4", secret.as_bytes()), secret.as_bytes()).await;
    world.fault(Fault::Objects, true).await;
    let begun = delete(&world, &ada).await;
    eventually("the catalogue has told, and media is at it", async || {
        let told = crate::identity::erasure::look(&world, &begun).await.ok()?;
        let known = world.stored().await;
        let catalogue = told.contexts.iter().find(|one| one.context == "catalogue").unwrap();
        let used = ada.projects(&world).get_usage(GetUsageRequest {}).await;
        let gone = used.err().is_some_and(|status| Refusal::from(status).reason == "SESSION_REVOKED");
        (gone && catalogue.done && known.holds(secret.as_bytes())).then_some(())
    })
    .await;
    let told = crate::identity::erasure::look(&world, &begun).await.unwrap();
    let media = told.contexts.iter().find(|one| one.context == "media").unwrap();
    assert!(!media.done, "the object is still there");
    world.fault(Fault::Objects, false).await;
    world.move_clock(Duration::from_secs(3600)).await;
    completed(&world, &begun).await;
    assert_eq!(world.stored().await.traces(&ada.email, &ada.account_id), [""; 0]);
}
