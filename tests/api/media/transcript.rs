//! Transcripts in the form that is wanted, and what happens in a project.

use super::file::of_kind;
use super::member::{member, remove};
use super::{noise, project};
use crate::harness::prelude::*;

const SRT: &[u8] =
    b"1\n00:00:01,000 --> 00:00:02,500\nHello <b>there</b>,\nAda & Bob\n\n2\n00:01:00,000 --> 00:01:01,000\nBye.\n";

#[tokio::test]
async fn m7_a_transcript_is_read_as_webvtt_and_as_text() {
    let world = World::shared().await;
    let ada = world.sign_up("ada").await;
    let project = project(&world, &ada, "Talks").await;
    let media = of_kind(&world, &ada, &project, MediaKind::Transcript, SRT).await;
    let get =
        |format: TranscriptFormat| GetTranscriptRequest { media_id: media.media_id.clone(), format: format.into() };
    let vtt = ada.media(&world).get_transcript(get(TranscriptFormat::Webvtt)).await.unwrap().into_inner();
    assert_eq!(vtt.content_type, "text/vtt; charset=utf-8");
    let cues = "00:00:01.000 --> 00:00:02.500\nHello there,\nAda &amp; Bob\n\n00:01:00.000 --> 00:01:01.000\nBye.\n";
    assert_eq!(vtt.content, format!("WEBVTT\n\n{cues}"));
    for format in [TranscriptFormat::Text, TranscriptFormat::Unspecified] {
        let text = ada.media(&world).get_transcript(get(format)).await.unwrap().into_inner();
        assert_eq!(text.content, "Hello there, Ada & Bob\nBye.\n");
        assert_eq!(text.content_type, "text/plain; charset=utf-8");
    }

    let bare = of_kind(&world, &ada, &project, MediaKind::Transcript, b"Just words.").await;
    let video = of_kind(&world, &ada, &project, MediaKind::Video, &noise(6, 100)).await;
    for media_id in [bare.media_id, video.media_id] {
        let asked = GetTranscriptRequest { media_id, format: TranscriptFormat::Webvtt.into() };
        let error = refusal(ada.media(&world).get_transcript(asked).await);
        assert_eq!((error.code, error.reason.as_str()), (Code::FailedPrecondition, "TRANSCRIPT_UNREADABLE"));
    }
}

/// The next events of a stream; beats are passed over.
async fn events(stream: &mut tonic::Streaming<WatchMediaResponse>, count: usize) -> (Vec<MediaEvent>, i64) {
    let (mut events, mut cursor) = (Vec::new(), 0);
    while events.len() < count {
        let message = stream.message().await.expect("the stream breaks off").expect("the stream ends");
        events.extend(message.events);
        cursor = message.cursor;
    }
    (events, cursor)
}

#[tokio::test]
async fn m6_who_watches_a_project_hears_what_happens_to_its_files() {
    let world = World::shared().await;
    let ada = world.sign_up("ada").await;
    let project = project(&world, &ada, "Talks").await;
    let watch = |after: i64| WatchMediaRequest { project_id: project.project_id.clone(), after };
    let mut live = ada.media(&world).watch_media(watch(0)).await.unwrap().into_inner();
    let media = of_kind(&world, &ada, &project, MediaKind::Video, &noise(7, 100)).await;
    let delete = DeleteMediaRequest { media_id: media.media_id.clone() };
    ada.media(&world).delete_media(delete).await.unwrap();

    let (heard, cursor) = events(&mut live, 3).await;
    let kinds: Vec<MediaEventKind> = heard.iter().map(|event| event.kind()).collect();
    assert_eq!(kinds, [MediaEventKind::UploadStarted, MediaEventKind::Ready, MediaEventKind::Deleted]);
    let numbers: Vec<i64> = heard.iter().map(|event| event.number).collect();
    assert_eq!((numbers, cursor), (vec![1, 2, 3], 3));
    assert!(heard[1].media_id == media.media_id && heard[2].media_id == media.media_id);
    assert_eq!(heard[0].upload_id, heard[1].upload_id);

    // Later, from a place in between.
    let mut later = ada.media(&world).watch_media(watch(1)).await.unwrap().into_inner();
    assert_eq!(events(&mut later, 2).await.0, heard[1..]);
    let error = refusal(ada.media(&world).watch_media(watch(4)).await);
    assert_eq!(error.fields, ["after"]);
}

#[tokio::test]
async fn s54_a_watcher_who_is_removed_hears_no_more() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let project = project(&world, &ada, "Talks").await;
    member(&world, &ada, &project.project_id, &bob, ProjectRole::Viewer).await;
    let watch = WatchMediaRequest { project_id: project.project_id.clone(), after: 0 };
    let mut stream = bob.media(&world).watch_media(watch).await.unwrap().into_inner();
    remove(&world, &ada, &project.project_id, &bob.account_id).await.unwrap();
    let ended = loop {
        match stream.message().await {
            Ok(Some(message)) => assert!(message.events.is_empty()),
            Ok(None) => panic!("the stream ends without a reason"),
            Err(status) => break refusal::<()>(Err(status)),
        }
    };
    assert_eq!((ended.code, ended.reason.as_str()), (Code::NotFound, "PROJECT_NOT_FOUND"));
}

#[tokio::test]
async fn m6_a_cursor_of_what_is_not_kept_any_more_is_refused() {
    let world = World::own().await;
    let ada = world.sign_up("ada").await;
    let project = project(&world, &ada, "Talks").await;
    of_kind(&world, &ada, &project, MediaKind::Video, &noise(8, 100)).await;
    world.move_clock(Duration::from_secs(31 * 24 * 3600)).await;
    let ada = world.sign_in(&ada.email, &ada.password).await;
    let watch = |after: i64| WatchMediaRequest { project_id: project.project_id.clone(), after };
    let error = refused_at_last(async || ada.media(&world).watch_media(watch(1)).await).await;
    assert_eq!((error.code, error.reason.as_str()), (Code::FailedPrecondition, "CURSOR_TOO_OLD"));
    let mut stream = ada.media(&world).watch_media(watch(2)).await.unwrap().into_inner();
    let first = stream.message().await.unwrap().unwrap();
    assert_eq!((first.events.len(), first.cursor), (0, 2));
}
