//! S-34: what an answer needs several reads for is that of one moment.

use tonic::Status;

use super::member::member;
use super::{project, uploaded, video};
use crate::harness::prelude::*;
use crate::harness::{Fleet, bytes, left_out, told_amid};

/// How the file is called when somebody has been removed.
const BEHIND: &str = "behind.mp4";

/// Asks for the files of a project again and again while the caller is removed from it and its file gets another name.
async fn hears_nothing_from_behind(
    world: &World,
    fleet: &Fleet,
    (owner, viewer): (&Person, &Person),
    ask: impl AsyncFn(&str) -> Result<Vec<Media>, Status>,
) {
    let id = project(world, owner, "Films").await.project_id;
    let file = uploaded(world, owner, video(&id, "before.mp4", b"film"), b"film").await;
    member(world, owner, &id, viewer, ProjectRole::Viewer).await;
    let remove = format!(
        "delete from member where project_id = {} and account_id = {};
        update media set name = '{BEHIND}' where id = {};",
        bytes(&id),
        bytes(&viewer.account_id),
        bytes(&file.media_id),
    );
    let told = told_amid(&fleet.grounds, "media", "media", &remove, async || ask(&id).await).await;
    for files in told {
        match files {
            Ok(files) => assert!(files.iter().all(|file| file.name == "before.mp4"), "{files:?}"),
            Err(refused) => assert_eq!(refused.reason, "PROJECT_NOT_FOUND"),
        }
    }
    let asked = GetMediaRequest { media_id: file.media_id };
    let renamed = owner.media(world).get_media(asked.clone()).await.unwrap().into_inner().media.unwrap();
    assert_eq!(renamed.name, BEHIND);
    assert_eq!(refusal(viewer.media(world).get_media(asked).await).reason, "MEDIA_NOT_FOUND");
}

#[tokio::test]
async fn s34_m5_m8_who_is_removed_while_they_ask_is_told_no_file_from_behind_that() {
    let world = World::own().await;
    let Some(fleet) = world.fleet() else { return left_out("nothing can be put between two reads of SQLite") };
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    hears_nothing_from_behind(&world, fleet, (&ada, &bob), async |id: &str| {
        let asked = GetByKindRequest { project_id: id.to_owned(), kind: MediaKind::Video.into() };
        let answer = bob.media(&world).get_by_kind(asked).await?;
        Ok(answer.into_inner().media.into_iter().collect())
    })
    .await;
    hears_nothing_from_behind(&world, fleet, (&ada, &bob), async |id: &str| {
        let asked = GetProjectRequest { project_id: id.to_owned(), view: ProjectView::WithMedia.into() };
        let answer = bob.projects(&world).get_project(asked).await?;
        Ok(answer.into_inner().project.unwrap().media)
    })
    .await;
    hears_nothing_from_behind(&world, fleet, (&ada, &bob), async |_: &str| {
        let asked = ListProjectsRequest { view: ProjectView::WithMedia.into(), ..Default::default() };
        let answer = bob.projects(&world).list_projects(asked).await?;
        Ok(answer.into_inner().projects.into_iter().flat_map(|project| project.media).collect())
    })
    .await;
}
