//! Media whose folder of objects goes away, as a disk does that is unmounted.

use super::{PART, downloaded, noise, project, put_all, started, uploaded, video};
use crate::harness::left_out;
use crate::harness::prelude::*;

#[tokio::test]
async fn f16_a_folder_that_is_away_is_told_as_that_and_nothing_counts_as_lost() {
    let world = World::own().await;
    let Some(data) = world.data() else {
        return left_out("a fleet has a bucket");
    };
    let (here, away) = (data.join("media"), data.join("away"));
    let ada = world.sign_up("ada").await;
    let project = project(&world, &ada, "Films").await;
    let (kept, going) = (noise(1, 1000), noise(2, PART + 1000));
    let media = uploaded(&world, &ada, video(&project.project_id, "kept.mp4", &kept), &kept).await;
    let gone = uploaded(&world, &ada, video(&project.project_id, "gone.mp4", &kept[1..]), &kept[1..]).await;
    let mut upload = started(&world, &ada, video(&project.project_id, "film.mp4", &going)).await;
    let chunk = |at: usize, end: usize| PutChunkRequest {
        upload_id: upload.upload_id.clone(),
        offset_bytes: at as i64,
        data: going[at..end].to_vec().into(),
        ..Default::default()
    };
    let (first, second) = (chunk(0, PART), chunk(PART, going.len()));
    ada.uploads(&world).put_chunk(first).await.unwrap();

    std::fs::rename(&here, &away).unwrap();
    let refused = refusal(ada.uploads(&world).put_chunk(second).await);
    assert_eq!(refused.is(), (Code::Unavailable, "DEPENDENCY_UNAVAILABLE"));
    let asked = DownloadRequest { media_id: media.media_id.clone(), ..Default::default() };
    let refused = match ada.media(&world).download(asked).await {
        Ok(answer) => broken(answer.into_inner()).await,
        Err(status) => status.into(),
    };
    assert_eq!(refused.is(), (Code::Unavailable, "DEPENDENCY_UNAVAILABLE"));
    // What is known without the bytes goes on.
    let asked = DeleteMediaRequest { media_id: gone.media_id.clone() };
    ada.media(&world).delete_media(asked).await.unwrap();

    std::fs::rename(&away, &here).unwrap();
    upload.offset_bytes = PART as i64;
    let film = put_all(&world, &ada, &upload, &going).await;
    assert_eq!(downloaded(&world, &ada, &film.media_id).await, going);
    assert_eq!(downloaded(&world, &ada, &media.media_id).await, kept);
    world.move_clock(Duration::from_secs(3600)).await;
    eventually("what was deleted meanwhile is removed", async || (objects(&here) == 2).then_some(())).await;
}

#[tokio::test]
async fn f24_an_upload_whose_file_is_gone_has_failed_and_another_one_can_be_begun() {
    let world = World::own().await;
    let Some(data) = world.data() else {
        return left_out("a fleet has a bucket");
    };
    let ada = world.sign_up("ada").await;
    let project_id = project(&world, &ada, "Films").await.project_id;
    let bytes = noise(3, PART + 1000);
    let upload = started(&world, &ada, video(&project_id, "film.mp4", &bytes)).await;
    let chunk = |at: usize, end: usize| PutChunkRequest {
        upload_id: upload.upload_id.clone(),
        offset_bytes: at as i64,
        data: bytes[at..end].to_vec().into(),
        ..Default::default()
    };
    ada.uploads(&world).put_chunk(chunk(0, PART)).await.unwrap();
    let growing = std::fs::read_dir(data.join("media/uploads")).unwrap().flatten();
    growing.for_each(|file| std::fs::remove_file(file.path()).unwrap());
    let refused = refusal(ada.uploads(&world).put_chunk(chunk(PART, bytes.len())).await);
    assert_eq!(refused.is(), (Code::DataLoss, "MEDIA_DAMAGED"));
    super::object_store::has_failed(&world, &ada, &upload).await;
    let film = uploaded(&world, &ada, video(&project_id, "film.mp4", &bytes), &bytes).await;
    assert_eq!(downloaded(&world, &ada, &film.media_id).await, bytes);
}

async fn broken(mut stream: tonic::Streaming<DownloadResponse>) -> Refusal {
    loop {
        match stream.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the download succeeds"),
            Err(status) => return status.into(),
        }
    }
}

fn objects(media: &std::path::Path) -> usize {
    let folders = std::fs::read_dir(media.join("objects")).unwrap().flatten();
    folders.map(|folder| std::fs::read_dir(folder.path()).unwrap().count()).sum()
}
