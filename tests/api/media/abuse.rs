//! What somebody may try who means no good.

use quartet_proto::media::v1::media_service_client::MediaServiceClient;
use tokio::task::JoinHandle;

use super::file::of_kind;
use super::{downloaded, noise, project, put_all, started, uploaded, video};
use crate::harness::prelude::*;
use crate::harness::{channel, wire};

const HOUR: u64 = 3600;

#[tokio::test]
async fn s54_a_link_does_not_come_back_to_life_when_its_session_is_long_over() {
    // By one thread, which asks the instances of media in turn.
    let world = World::with(&["--gateway-threads", "1"]).await;
    let ada = world.sign_up("ada").await;
    let project = project(&world, &ada, "Films").await;
    let media = of_kind(&world, &ada, &project, MediaKind::Video, &noise(1, 100)).await;
    let asked = CreateDownloadUrlRequest { media_id: media.media_id, ttl_seconds: 43_200, ..Default::default() };
    let path = ada.media(&world).create_download_url(asked).await.unwrap().into_inner().path;
    let status = async || wire::send(world.gateway(), "GET", &path, &[], b"").await.status;
    assert_eq!(status().await, 200);
    ada.sessions(&world).sign_out(SignOutRequest {}).await.unwrap();
    eventually("the link is dead wherever it is asked for", async || {
        for _ in 0..4 {
            if status().await != 401 {
                return None;
            }
        }
        Some(())
    })
    .await;
    for _ in 0..3 {
        world.move_clock(Duration::from_secs(3 * HOUR + HOUR / 2)).await;
        for _ in 0..20 {
            assert_ne!(status().await, 200, "the revocation is forgotten");
        }
    }
}

/// Keeps an upload open that says nothing, however often it is refused before there is room for it.
fn silent(world: &World, person: &Person) -> JoinHandle<()> {
    let mut client = person.uploads(world);
    tokio::spawn(async move {
        while let Err(status) = client.upload(tokio_stream::pending::<UploadRequest>()).await {
            assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
}

#[tokio::test]
async fn s49_an_account_streams_eight_uploads_at_once_and_its_neighbour_too() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    // Wherever they arrive: in a fleet, each of its instances counts for itself.
    let silent: Vec<_> = (0..20).map(|_| silent(&world, &ada)).collect();
    let empty = async |person: &Person| {
        let answer = person.uploads(&world).upload(tokio_stream::empty::<UploadRequest>()).await;
        refusal(answer).reason
    };
    eventually("there are too many", async || (empty(&ada).await == "OVERLOADED").then_some(())).await;
    assert_eq!(empty(&bob).await, "FIELDS_INVALID");
    silent.iter().for_each(JoinHandle::abort);
    eventually("there is room again", async || (empty(&ada).await == "FIELDS_INVALID").then_some(())).await;
}

#[tokio::test]
async fn s42_an_upload_that_says_nothing_is_one_of_the_streams_of_its_address() {
    let world = World::with(&["--gateway-streams-per-address", "2"]).await;
    let ada = world.sign_up("ada").await;
    let silent: Vec<_> = (0..2).map(|_| silent(&world, &ada)).collect();
    let watch = async || world.movies().watch_movies(WatchMoviesRequest::default()).await.map(drop);
    eventually("both count", async || {
        let refused = watch().await.err().map(Refusal::from)?;
        assert_eq!(refused.metadata.get("limit").map(String::as_str), Some("streams"), "{refused:?}");
        Some(())
    })
    .await;
    silent.iter().for_each(JoinHandle::abort);
    eventually("there is room again", async || watch().await.ok()).await;
}

#[tokio::test]
async fn s49_slow_readers_of_transcripts_are_in_nobody_elses_way() {
    let world = World::with(&["--media-stall-seconds", "600"]).await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let (ours, theirs) = (project(&world, &ada, "Talks").await, project(&world, &bob, "Talks").await);
    let long = of_kind(&world, &ada, &ours, MediaKind::Transcript, &vec![b'a'; 3_400_000]).await;
    let short = of_kind(&world, &bob, &theirs, MediaKind::Transcript, b"Just words.").await;
    // A connection of its own, whose window is soon full: nothing is read of what comes.
    let mut client = MediaServiceClient::new(channel(world.gateway()));
    let mut slow = Vec::new();
    let refused = loop {
        let format = TranscriptFormat::Text.into();
        let asked = DownloadRequest { media_id: long.media_id.clone(), format, ..Default::default() };
        let mut request = tonic::Request::new(asked);
        let bearer = format!("Bearer {}", ada.access_token).parse().unwrap();
        request.metadata_mut().insert("authorization", bearer);
        match client.download(request).await {
            Ok(answer) => slow.push(answer.into_inner()),
            Err(status) => break Refusal::from(status),
        }
        assert!(slow.len() < 60, "there is no end to it");
    };
    assert_eq!(refused.is(), (Code::ResourceExhausted, "OVERLOADED"));
    let asked = GetTranscriptRequest { media_id: short.media_id, ..Default::default() };
    let read = bob.media(&world).get_transcript(asked).await.unwrap().into_inner();
    assert_eq!(read.content, "Just words.");
}

#[tokio::test]
async fn f16_a_file_that_the_store_has_lost_is_whole_again_when_it_is_uploaded_again() {
    let world = World::own().await;
    let place = match (world.data(), world.fleet()) {
        (Some(data), _) => data.join("media/objects"),
        (None, Some(fleet)) => fleet.grounds.s3.path("objects"),
        (None, None) => unreachable!("it is one of them"),
    };
    let ada = world.sign_up("ada").await;
    let project = project(&world, &ada, "Films").await;
    let bytes = noise(5, 70_000);
    let lost = uploaded(&world, &ada, video(&project.project_id, "lost.mp4", &bytes), &bytes).await;
    let objects = || {
        let folders = std::fs::read_dir(&place).unwrap().flatten();
        folders.flat_map(|folder| std::fs::read_dir(folder.path()).unwrap().flatten()).map(|object| object.path())
    };
    let there: Vec<_> = objects().collect();
    assert_eq!(there.len(), 1);
    std::fs::remove_file(&there[0]).unwrap();
    let again = uploaded(&world, &ada, video(&project.project_id, "again.mp4", &bytes), &bytes).await;
    for media in [&again, &lost] {
        assert!(downloaded(&world, &ada, &media.media_id).await == bytes, "{}", media.name);
    }
    // What was lost is swept, and what has taken its place goes with the last file.
    for media in [lost, again] {
        let asked = DeleteMediaRequest { media_id: media.media_id };
        ada.media(&world).delete_media(asked).await.unwrap();
    }
    world.move_clock(Duration::from_secs(HOUR)).await;
    eventually("nothing is left", async || (objects().count() == 0).then_some(())).await;
}

#[tokio::test]
async fn s55_a_stranger_takes_no_turn_of_an_upload_and_hears_nothing_of_it() {
    let world = World::shared().await;
    let (ada, eve) = (world.sign_up("ada").await, world.sign_up("eve").await);
    let project = project(&world, &ada, "Films").await;
    let bytes = noise(6, 20 << 20);
    let upload = started(&world, &ada, video(&project.project_id, "a.mp4", &bytes)).await;
    let strangers: Vec<_> = (0..3)
        .map(|_| {
            let (mut client, upload_id) = (eve.uploads(&world), upload.upload_id.clone());
            let data: bytes::Bytes = noise(7, 4 << 20).into();
            tokio::spawn(async move {
                for _ in 0..12 {
                    let asked =
                        PutChunkRequest { upload_id: upload_id.clone(), data: data.clone(), ..Default::default() };
                    let refused = refusal(client.put_chunk(asked).await);
                    assert_eq!(refused.is(), (Code::NotFound, "UPLOAD_NOT_FOUND"));
                    let asked = CompleteUploadRequest { upload_id: upload_id.clone(), ..Default::default() };
                    let refused = refusal(client.complete_upload(asked).await);
                    assert_eq!(refused.is(), (Code::NotFound, "UPLOAD_NOT_FOUND"));
                }
            })
        })
        .collect();
    // None of its parts is refused because somebody else is at it.
    let media = put_all(&world, &ada, &upload, &bytes).await;
    assert!(downloaded(&world, &ada, &media.media_id).await == bytes, "other bytes");
    for stranger in strangers {
        stranger.await.unwrap();
    }
}

#[tokio::test]
async fn s52_as_what_a_file_is_shown_has_nothing_to_do_with_the_owners_other_files() {
    let world = World::shared().await;
    let ada = world.sign_up("ada").await;
    let project = project(&world, &ada, "Talks").await;
    let bytes = b"WEBVTT\n\n00:01.000 --> 00:02.000\nHello\n";
    for (content_type, shown) in [
        ("text/vtt", Some("text/vtt; charset=utf-8")),
        ("text/plain", Some("text/plain; charset=utf-8")),
        ("text/html", None),
        ("text/vtt", Some("text/vtt; charset=utf-8")),
    ] {
        let kind = MediaKind::Transcript.into();
        let content_type = content_type.to_owned();
        let asked = StartUploadRequest { kind, content_type, ..video(&project.project_id, "talk", bytes) };
        let media = uploaded(&world, &ada, asked, bytes).await;
        let asked = DownloadRequest { media_id: media.media_id, header_only: true, ..Default::default() };
        let mut stream = ada.media(&world).download(asked).await.unwrap().into_inner();
        let first = stream.message().await.unwrap().unwrap().content.unwrap();
        let download_response::Content::Header(header) = first else { panic!("no header") };
        assert_eq!(header.inline, shown.is_some());
        assert_eq!(header.content_type, shown.unwrap_or("application/octet-stream"));
    }
}

/// Each begins the first upload of the other's first project, so the sums of both are made and held by both.
#[tokio::test]
async fn s55_who_uploads_into_each_others_projects_and_hands_them_over_waits_for_nobody_in_a_circle() {
    let world = World::shared().await;
    for round in 0..6 {
        let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
        let (hers, his) = (project(&world, &ada, "Hers").await, project(&world, &bob, "His").await);
        super::member::member(&world, &ada, &hers.project_id, &bob, ProjectRole::Editor).await;
        super::member::member(&world, &bob, &his.project_id, &ada, ProjectRole::Editor).await;
        let (one, other) = (video(&his.project_id, "a.mp4", b"a"), video(&hers.project_id, "b.mp4", b"b"));
        let (one, other) = tokio::join!(started(&world, &ada, one), started(&world, &bob, other));
        assert_ne!(one.upload_id, other.upload_id, "round {round}");

        // Two projects with the same files, which came in another order.
        let carol = world.sign_up("carol").await;
        let pair = [project(&world, &carol, "One").await, project(&world, &carol, "Two").await];
        for number in 0..8_u8 {
            for (project, byte) in [(&pair[0], number), (&pair[1], 7 - number)] {
                let bytes = [byte; 9];
                uploaded(&world, &carol, video(&project.project_id, "same.mp4", &bytes), &bytes).await;
            }
        }
        for project in &pair {
            super::member::member(&world, &carol, &project.project_id, &ada, ProjectRole::Viewer).await;
            super::member::transfer(&world, &carol, &project.project_id, &ada.account_id).await.unwrap();
        }
        let hand_over =
            async |project: &Project| super::member::transfer(&world, &ada, &project.project_id, &ada.account_id).await;
        let (one, two) = tokio::join!(hand_over(&pair[0]), hand_over(&pair[1]));
        assert!(one.is_ok() && two.is_ok(), "round {round}: {one:?} {two:?}");
    }
}
