//! S-55: the lease of a process that is no more.

use quartet_proto::control::v1::MoveClockRequest;

use super::{LEASE, MEDIA};
use crate::fault::stage::Stage;
use crate::harness::prelude::*;
use crate::media::{noise, put_all, started, video};

/// The upload of a file whose process has ended with the lease, before it wrote anything.
async fn leased(stage: &mut Stage, file: &[u8]) -> (Person, UploadStatus) {
    let (ada, project) = stage.owner().await;
    let upload = started(&stage.world, &ada, video(&project.project_id, "a.mp4", file)).await;
    (stage.fault, stage.skip) = (Fault::CrashAfterCommit, 0);
    let clients = stage.aim("UploadService/PutChunk", &ada).await;
    let refused = refusal(clients.uploads().put_chunk(chunk(&upload, file)).await);
    assert_eq!(refused.reason, "", "{refused:?}");
    stage.survive(&ada).await;
    (ada, upload)
}

fn chunk(upload: &UploadStatus, data: &[u8]) -> PutChunkRequest {
    let upload_id = upload.upload_id.clone();
    PutChunkRequest { upload_id, data: data.to_vec().into(), ..Default::default() }
}

#[tokio::test]
async fn s55_f01_a_lease_of_a_process_that_is_no_more_is_soon_nobody_s() {
    let mut stage = Stage::set(&MEDIA).await;
    let file = noise(41, 3000);
    let (ada, upload) = leased(&mut stage, &file).await;
    // By the watch of whoever waits: no clock is moved.
    let stored = eventually("the next one writes", async || {
        match ada.uploads(&stage.world).put_chunk(chunk(&upload, &file)).await {
            Ok(stored) => Some(stored.into_inner().offset_bytes),
            Err(status) => {
                assert_eq!(Refusal::from(status).is(), (Code::Aborted, "UPLOAD_BUSY"));
                assert!(stage.world.is_fleet(), "nobody waits for a process where there is only one");
                None
            }
        }
    })
    .await;
    assert_eq!(stored, 3000);
}

#[tokio::test]
async fn s55_a_lease_ends_by_the_clock_too() {
    let mut stage = Stage::set(&MEDIA).await;
    let (file, other) = (noise(42, 3000), noise(43, 3000));
    let mut rounds = 0;
    let (ada, upload) = loop {
        let (ada, upload) = leased(&mut stage, &file).await;
        if !stage.world.is_fleet() {
            break (ada, upload);
        }
        rounds += 1;
        // Who is told late that it is held finds that nobody holds it any more.
        let put = ada.uploads(&stage.world).put_chunk(chunk(&upload, &other)).await;
        if put.is_err() || rounds == 3 {
            assert_eq!(refusal(put).is(), (Code::Aborted, "UPLOAD_BUSY"));
            break (ada, upload);
        }
    };
    stage.world.move_clock(LEASE).await;
    let media = put_all(&stage.world, &ada, &upload, &other).await;
    assert_eq!(media.size_bytes, 3000);
}

#[tokio::test]
async fn s55_a_lease_of_a_clock_that_was_put_back_is_none() {
    let mut stage = Stage::set(&MEDIA).await;
    stage.world.move_clock(Duration::from_secs(4 * 60)).await;
    let (file, other) = (noise(44, 3000), noise(45, 3000));
    let (ada, upload) = leased(&mut stage, &file).await;
    let back = MoveClockRequest { offset_milliseconds: -4 * 60 * 1000 };
    stage.world.control().move_clock(back).await.unwrap();
    let mut ada = ada;
    // Tokens of a time that is yet to come are not taken for long.
    let signed_in = stage.world.sign_in(&ada.email, PASSWORD).await;
    ada.access_token = signed_in.access_token;
    let media = put_all(&stage.world, &ada, &upload, &other).await;
    assert_eq!(media.size_bytes, 3000);
}

#[tokio::test]
async fn s55_an_upload_is_given_up_whoever_holds_its_lease() {
    let mut stage = Stage::set(&MEDIA).await;
    let file = noise(46, 3000);
    let (ada, upload) = leased(&mut stage, &file).await;
    let abort = AbortUploadRequest { upload_id: upload.upload_id.clone() };
    let ended = ada.uploads(&stage.world).abort_upload(abort).await.unwrap().into_inner().upload.unwrap();
    assert_eq!(ended.state(), UploadState::Aborted);
    let late = refusal(ada.uploads(&stage.world).put_chunk(chunk(&upload, &file)).await);
    assert_eq!(late.reason, "UPLOAD_CLOSED");
}
