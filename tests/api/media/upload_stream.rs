//! Uploads that come as a stream.

use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Response, Status};

use super::{downloaded, noise, project, sha256, started, video};
use crate::harness::prelude::*;

const PART: usize = 8 << 20;

fn message(content: upload_request::Content) -> UploadRequest {
    UploadRequest { content: Some(content) }
}

fn header(upload: &UploadStatus, at: usize, complete: bool) -> UploadHeader {
    UploadHeader { upload_id: upload.upload_id.clone(), offset_bytes: at as i64, complete, ..Default::default() }
}

/// Sends a header, and these bytes in pieces.
async fn send(world: &World, person: &Person, header: UploadHeader, bytes: &[u8]) -> Result<UploadResponse, Refusal> {
    let mut messages = vec![message(upload_request::Content::Header(header))];
    let pieces = bytes.chunks(700_001).map(|piece| message(upload_request::Content::Data(piece.to_vec().into())));
    messages.extend(pieces);
    let answer = person.uploads(world).upload(tokio_stream::iter(messages)).await;
    answer.map(Response::into_inner).map_err(Refusal::from)
}

async fn offset(world: &World, person: &Person, upload: &UploadStatus) -> usize {
    let asked = GetUploadRequest { upload_id: upload.upload_id.clone() };
    let found = person.uploads(world).get_upload(asked).await.unwrap().into_inner().upload.unwrap();
    found.offset_bytes as usize
}

#[tokio::test]
async fn m6_a_stream_of_pieces_becomes_a_file() {
    let world = World::shared().await;
    let ada = world.sign_up("ada").await;
    let project = project(&world, &ada, "Stream").await;
    let file = noise(11, 2 * PART + 12_345);
    for size in [file.len(), 0] {
        let asked = StartUploadRequest { size_bytes: size as i64, ..video(&project.project_id, "a.mp4", b"") };
        let upload = started(&world, &ada, asked).await;
        let whole = UploadHeader { sha256: sha256(&file), ..header(&upload, 0, true) };
        let answer = send(&world, &ada, whole.clone(), &file).await.unwrap();
        let media = answer.media.unwrap();
        assert_eq!((answer.offset_bytes, &media.sha256), (file.len() as i64, &sha256(&file)));
        assert_eq!(downloaded(&world, &ada, &media.media_id).await, file);
        // Whoever has not heard the answer asks again.
        let again = send(&world, &ada, whole, &[]).await.unwrap();
        assert_eq!((again.offset_bytes, again.media.unwrap().media_id), (file.len() as i64, media.media_id));
    }
}

#[tokio::test]
async fn m6_a_stream_goes_on_where_the_one_before_has_ended() {
    let world = World::shared().await;
    let ada = world.sign_up("ada").await;
    let project = project(&world, &ada, "Pieces").await;
    let file = noise(12, 2 * PART + 500);
    let upload = started(&world, &ada, video(&project.project_id, "a.mp4", &file)).await;
    // What makes no whole part is not kept.
    let answer = send(&world, &ada, header(&upload, 0, false), &file[..PART + 1000]).await.unwrap();
    assert_eq!((answer.offset_bytes, answer.media), (PART as i64, None));
    let early = send(&world, &ada, header(&upload, PART, true), &file[PART..PART + 1000]).await.unwrap_err();
    assert_eq!((early.reason.as_str(), early.metadata["offset_bytes"].as_str()), ("UPLOAD_INCOMPLETE", "8388608"));
    for wrong in [1, 2 * PART] {
        let refused = send(&world, &ada, header(&upload, wrong, false), &file[..10]).await.unwrap_err();
        assert_eq!((refused.reason.as_str(), refused.metadata["offset_bytes"].as_str()), ("OFFSET_WRONG", "8388608"));
    }
    // From the beginning, too: what is there is answered, not stored again.
    let answer = send(&world, &ada, header(&upload, 0, true), &file).await.unwrap();
    assert_eq!(downloaded(&world, &ada, &answer.media.unwrap().media_id).await, file);
}

#[tokio::test]
async fn m6_what_was_stored_stays_when_the_client_goes_away() {
    let world = World::shared().await;
    let ada = world.sign_up("ada").await;
    let project = project(&world, &ada, "Gone").await;
    let file = noise(13, 3 * PART);
    let upload = started(&world, &ada, video(&project.project_id, "a.mp4", &file)).await;
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    let mut client = ada.uploads(&world);
    let call = tokio::spawn(async move { client.upload(ReceiverStream::new(receiver)).await });
    sender.send(message(upload_request::Content::Header(header(&upload, 0, true)))).await.unwrap();
    for piece in file[..PART + PART / 2].chunks(1 << 20) {
        sender.send(message(upload_request::Content::Data(piece.to_vec().into()))).await.unwrap();
    }
    // The first part is written while the stream waits for more; then the client is gone.
    eventually("the first part is there", async || (offset(&world, &ada, &upload).await == PART).then_some(())).await;
    call.abort();
    assert!(call.await.is_err());
    drop(sender);
    assert_eq!(offset(&world, &ada, &upload).await, PART);
    let answer = send(&world, &ada, header(&upload, PART, true), &file[PART..]).await.unwrap();
    assert_eq!(answer.media.unwrap().sha256, sha256(&file));
}

#[tokio::test]
async fn m6_a_stream_that_breaks_off_anywhere_leaves_whole_parts() {
    let world = World::shared().await;
    let ada = world.sign_up("ada").await;
    let project = project(&world, &ada, "Broken").await;
    let file = noise(14, PART + 3_000_000);
    let upload = started(&world, &ada, video(&project.project_id, "a.mp4", &file)).await;
    for cut in [0, 1, 8, 9, 11] {
        let pieces: Vec<UploadRequest> = file
            .chunks(1 << 20)
            .take(cut)
            .map(|piece| message(upload_request::Content::Data(piece.to_vec().into())))
            .collect();
        let begun = tokio_stream::iter([message(upload_request::Content::Header(header(&upload, 0, false)))]);
        // After these it says nothing more, and is given up a moment later or a little after that.
        let endless = begun.chain(tokio_stream::iter(pieces)).chain(tokio_stream::pending());
        let answer: Result<_, Status> = tokio::select! {
            answer = { let mut client = ada.uploads(&world); async move { client.upload(endless).await } } => answer.map(drop),
            () = async { for _ in 0..cut { tokio::task::yield_now().await } } => Ok(()),
        };
        assert!(answer.is_ok(), "{answer:?}");
        let at = offset(&world, &ada, &upload).await;
        assert!([0, PART, file.len()].contains(&at), "{at}");
    }
    // A part whose client went away may still be under way: who comes meanwhile is told so.
    let media =
        eventually("it is complete", async || match send(&world, &ada, header(&upload, 0, true), &file).await {
            Ok(answer) => answer.media,
            Err(refused) => {
                assert_eq!(refused.is(), (Code::Aborted, "UPLOAD_BUSY"));
                None
            }
        })
        .await;
    assert_eq!(downloaded(&world, &ada, &media.media_id).await, file);
}

#[tokio::test]
async fn m6_a_stream_has_a_form() {
    let world = World::shared().await;
    let ada = world.sign_up("ada").await;
    let project = project(&world, &ada, "Form").await;
    let file = noise(15, 100);
    let upload = started(&world, &ada, video(&project.project_id, "a.mp4", &file)).await;
    let data = |bytes: &[u8]| message(upload_request::Content::Data(bytes.to_vec().into()));
    let begun = || message(upload_request::Content::Header(header(&upload, 0, false)));
    let cases = [
        (vec![], "header"),
        (vec![data(&file)], "header"),
        (vec![UploadRequest { content: None }], "content"),
        (vec![begun(), begun()], "header"),
        (vec![begun(), data(&[])], "data"),
        (vec![begun(), data(&vec![0; (1 << 20) + 1])], "data"),
        (vec![begun(), data(&[0; 101])], "data"),
    ];
    for (messages, field) in cases {
        let refused = refusal(ada.uploads(&world).upload(tokio_stream::iter(messages)).await);
        assert_eq!((refused.code, refused.fields), (Code::InvalidArgument, vec![field.to_owned()]));
    }
    let wrong = UploadHeader { sha256: sha256(b""), ..header(&upload, 0, false) };
    assert_eq!(send(&world, &ada, wrong, &[]).await.unwrap_err().fields, ["header.sha256"]);
    assert_eq!(offset(&world, &ada, &upload).await, 0);
}
