//! Uploads that come as a stream.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Response;

use super::{PART, downloaded, noise, project, sha256, started, video};
use crate::harness::prelude::*;

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

/// The same as soon as no other call writes to the upload: that of a client who went away may still be under way.
async fn send_next(world: &World, person: &Person, header: UploadHeader, bytes: &[u8]) -> UploadResponse {
    eventually("nobody else writes", async || match send(world, person, header.clone(), bytes).await {
        Ok(answer) => Some(answer),
        Err(refused) => {
            assert_eq!(refused.is(), (Code::Aborted, "UPLOAD_BUSY"));
            None
        }
    })
    .await
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
    let answer = send_next(&world, &ada, header(&upload, PART, true), &file[PART..]).await;
    assert_eq!(answer.media.unwrap().sha256, sha256(&file));
}

/// Sends so many pieces of a file, waits until they are taken and what is whole of them is there, and goes away without an end. Nothing
/// where the part of one who went away before is still under way.
async fn broken_off(world: &World, person: &Person, upload: &UploadStatus, file: &[u8], cut: usize) -> Option<()> {
    let pieces = file.chunks(1 << 20).take(cut).map(|piece| upload_request::Content::Data(piece.to_vec().into()));
    let begun = upload_request::Content::Header(header(upload, 0, false));
    let messages: Vec<UploadRequest> = [begun].into_iter().chain(pieces).map(message).collect();
    let taken = Arc::new(AtomicUsize::new(0));
    let counter = taken.clone();
    let counted = tokio_stream::iter(messages).map(move |message| {
        counter.fetch_add(1, Ordering::Relaxed);
        message
    });
    let mut client = person.uploads(world);
    tokio::select! {
        answer = client.upload(counted.chain(tokio_stream::pending())) => {
            assert_eq!(refusal(answer).is(), (Code::Aborted, "UPLOAD_BUSY"));
            None
        }
        () = eventually("the pieces are taken", async || {
            let whole = cut < 8 || offset(world, person, upload).await >= PART;
            (whole && taken.load(Ordering::Relaxed) == cut + 1).then_some(())
        }) => Some(()),
    }
}

#[tokio::test]
async fn m6_a_stream_that_breaks_off_anywhere_leaves_whole_parts() {
    let world = World::shared().await;
    let ada = world.sign_up("ada").await;
    let project = project(&world, &ada, "Broken").await;
    let file = noise(14, PART + 3_000_000);
    let upload = started(&world, &ada, video(&project.project_id, "a.mp4", &file)).await;
    for cut in [0, 1, 7, 8, 9, 11] {
        eventually("it breaks off", async || broken_off(&world, &ada, &upload, &file, cut).await).await;
        let at = offset(&world, &ada, &upload).await;
        assert!(if cut < 8 { at == 0 } else { [PART, file.len()].contains(&at) }, "{cut} pieces: {at}");
    }
    let media = send_next(&world, &ada, header(&upload, 0, true), &file).await.media.unwrap();
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
