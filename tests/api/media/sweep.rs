//! What media does unasked, when it dies in the middle.

use super::{noise, project, uploaded, video};
use crate::harness::left_out;
use crate::harness::prelude::*;

#[tokio::test]
async fn f02_a_sweeper_that_dies_leaves_neither_an_object_nor_a_row_that_names_none() {
    let world = World::lone(&[]).await;
    let Some(data) = world.data() else {
        return left_out("the one process of a fleet that may crash here is identity's");
    };
    let objects = || {
        let folders = std::fs::read_dir(data.join("media/objects")).unwrap().flatten();
        folders.map(|folder| std::fs::read_dir(folder.path()).unwrap().count()).sum::<usize>()
    };
    let ada = world.sign_up("ada").await;
    let project = project(&world, &ada, "Films").await;
    let kept = noise(1, 1000);
    let kept = uploaded(&world, &ada, video(&project.project_id, "kept.mp4", &kept), &kept).await;
    // It takes what is due, removes the objects, and forgets them.
    let points = [
        (Fault::CrashBeforeCommit, 0),
        (Fault::CrashAfterCommit, 0),
        (Fault::CrashBeforeCommit, 1),
        (Fault::CrashAfterCommit, 1),
    ];
    for (number, (fault, skip)) in points.into_iter().enumerate() {
        let ada = world.sign_in(&ada.email, PASSWORD).await;
        let bytes = noise(2 + number as u64, 1000);
        let media = uploaded(&world, &ada, video(&project.project_id, "film.mp4", &bytes), &bytes).await;
        assert_eq!(objects(), 2);
        world.process().aim(fault, "media garbage", skip).await;
        let asked = DeleteMediaRequest { media_id: media.media_id };
        // It may be swept as soon as it is deleted, and the answer be lost with the process.
        ada.media(&world).delete_media(asked).await.ok();
        world.process().revive().await;
        world.move_clock(Duration::from_secs(3600)).await;
        eventually("the object is gone", async || (objects() == 1).then_some(())).await;
        let forgotten = async || (world.number("media", "select count(*) from garbage").await == 0).then_some(());
        eventually("it is forgotten", forgotten).await;
    }
    let ada = world.sign_in(&ada.email, PASSWORD).await;
    assert_eq!(super::downloaded(&world, &ada, &kept.media_id).await, noise(1, 1000));
}
