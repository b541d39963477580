//! Stored objects that are not what was stored any more: found by reading them again, told, and mended by the same bytes.

use std::path::{Path, PathBuf};

use super::{downloaded, noise, project, uploaded, video};
use crate::harness::prelude::*;

/// The file of the object with these bytes, in the bucket or in the folder.
fn object(world: &World, bytes: &[u8]) -> Option<PathBuf> {
    let all: Vec<PathBuf> = match world.fleet() {
        Some(fleet) => {
            let s3 = &fleet.grounds.s3;
            s3.objects().into_iter().map(|(name, _)| s3.path(&name)).collect()
        }
        None => {
            let folders = std::fs::read_dir(world.data()?.join("media/objects")).unwrap().flatten();
            folders.flat_map(|folder| std::fs::read_dir(folder.path()).unwrap().flatten()).map(|it| it.path()).collect()
        }
    };
    all.into_iter().find(|path| std::fs::read(path).is_ok_and(|found| found == bytes))
}

/// Turns one bit around.
fn flip(path: &Path, at: usize) -> Vec<u8> {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 1;
    std::fs::write(path, &bytes).unwrap();
    bytes
}

/// As what a download fails, if it does.
async fn refused(world: &World, ada: &Person, asked: DownloadRequest) -> Option<Refusal> {
    let mut stream = match ada.media(world).download(asked).await {
        Ok(answer) => answer.into_inner(),
        Err(status) => return Some(status.into()),
    };
    loop {
        match stream.message().await {
            Ok(Some(_)) => {}
            Ok(None) => return None,
            Err(status) => return Some(status.into()),
        }
    }
}

fn whole(media: &Media) -> DownloadRequest {
    DownloadRequest { media_id: media.media_id.clone(), ..Default::default() }
}

/// Lets a day go by, in which all objects are read again, and waits until the damage is known, or known to be mended.
async fn a_day_later(world: &World, ada: &Person, media: &Media, damaged: bool) -> Person {
    world.move_clock(Duration::from_secs(25 * 3600)).await;
    let ada = world.sign_in(&ada.email, PASSWORD).await;
    eventually("the object is read again", async || {
        let refused = refused(world, &ada, whole(media)).await;
        if let Some(refused) = &refused {
            assert_eq!(refused.is(), (Code::DataLoss, "MEDIA_DAMAGED"));
        }
        (refused.is_some() == damaged).then_some(())
    })
    .await;
    ada
}

#[tokio::test]
async fn f24_a_bit_that_was_lost_is_found_and_told_until_the_same_bytes_come_again() {
    let world = World::with(&["--media-check-days", "1"]).await;
    let ada = world.sign_up("ada").await;
    let project_id = project(&world, &ada, "Films").await.project_id;
    let (one, other) = (noise(31, 200_000), noise(32, 300_000));
    let kept = uploaded(&world, &ada, video(&project_id, "kept.mp4", &one), &one).await;
    let spoilt = uploaded(&world, &ada, video(&project_id, "spoilt.mp4", &other), &other).await;
    let wrong = flip(&object(&world, &other).expect("no object"), 250_000);

    let ada = a_day_later(&world, &ada, &spoilt, true).await;
    // Nothing of it is told any more, right or wrong, by no way.
    let front = DownloadRequest { range: Some(ByteRange { length: 10, ..Default::default() }), ..whole(&spoilt) };
    let header = DownloadRequest { header_only: true, ..whole(&spoilt) };
    for asked in [front, header] {
        let refused = refused(&world, &ada, asked).await.expect("it is answered");
        assert_eq!(refused.is(), (Code::DataLoss, "MEDIA_DAMAGED"));
    }
    assert_eq!(downloaded(&world, &ada, &kept.media_id).await, one);

    let again = uploaded(&world, &ada, video(&project_id, "again.mp4", &other), &other).await;
    for media in [&spoilt, &again] {
        assert!(downloaded(&world, &ada, &media.media_id).await == other, "other bytes");
    }
    eventually("the damaged object is removed", async || object(&world, &wrong).is_none().then_some(())).await;
}

#[tokio::test]
async fn f24_an_object_that_is_put_back_is_a_file_again() {
    let world = World::with(&["--media-check-days", "1"]).await;
    let ada = world.sign_up("ada").await;
    let project_id = project(&world, &ada, "Films").await.project_id;
    let bytes = noise(33, 100_000);
    let media = uploaded(&world, &ada, video(&project_id, "film.mp4", &bytes), &bytes).await;
    let path = object(&world, &bytes).expect("no object");
    flip(&path, 99_999);
    let ada = a_day_later(&world, &ada, &media, true).await;
    flip(&path, 99_999);
    let ada = a_day_later(&world, &ada, &media, false).await;
    assert!(downloaded(&world, &ada, &media.media_id).await == bytes, "other bytes");
}
