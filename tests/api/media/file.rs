//! Files: what is known of them, ranges of their bytes, kinds, names, and their end.

use super::member::member;
use super::{downloaded, noise, project, sha256, uploaded, video};
use crate::harness::prelude::*;

/// A file of this kind in a project.
pub async fn of_kind(world: &World, who: &Person, project: &Project, kind: MediaKind, bytes: &[u8]) -> Media {
    let content_type = match kind {
        MediaKind::Transcript => "text/vtt",
        MediaKind::AiSummary => "text/plain",
        MediaKind::AiAudio => "audio/mpeg",
        _ => "video/mp4",
    };
    let name = format!("{}.{}", kind.as_str_name().to_lowercase(), bytes.len());
    let asked = StartUploadRequest {
        kind: kind.into(),
        content_type: content_type.to_owned(),
        ..video(&project.project_id, &name, bytes)
    };
    uploaded(world, who, asked, bytes).await
}

async fn range(
    world: &World,
    who: &Person,
    media: &Media,
    range: ByteRange,
) -> Result<(DownloadHeader, Vec<u8>), Refusal> {
    let asked = DownloadRequest { media_id: media.media_id.clone(), range: Some(range), ..Default::default() };
    let mut stream = match who.media(world).download(asked).await {
        Ok(answer) => answer.into_inner(),
        Err(status) => return Err(refusal::<()>(Err(status))),
    };
    let (mut header, mut bytes) = (None, Vec::new());
    while let Some(message) = stream.message().await.expect("the download breaks off") {
        match message.content.expect("an empty message") {
            download_response::Content::Header(first) => assert!(header.replace(first).is_none(), "two headers"),
            download_response::Content::Data(data) => bytes.extend_from_slice(&data),
        }
    }
    Ok((header.expect("no header"), bytes))
}

#[tokio::test]
async fn m7_a_file_comes_back_byte_for_byte_and_by_ranges() {
    let world = World::shared().await;
    let ada = world.sign_up("ada").await;
    let project = project(&world, &ada, "Films").await;
    let bytes = noise(1, 9 << 20);
    let media = uploaded(&world, &ada, video(&project.project_id, "a.mp4", &bytes), &bytes).await;
    assert_eq!(media.sha256, sha256(&bytes));
    assert!(downloaded(&world, &ada, &media.media_id).await == bytes, "other bytes");

    let size = bytes.len() as i64;
    for (offset, length, suffix_length, start, end) in [
        (0, 1, 0, 0, 1),
        (5, 0, 0, 5, size),
        (8 << 20, 4, 0, 8 << 20, (8 << 20) + 4),
        ((8 << 20) - 2, 4, 0, (8 << 20) - 2, (8 << 20) + 2),
        (size - 1, 0, 0, size - 1, size),
        (size - 1, i64::MAX, 0, size - 1, size),
        (0, 0, 3, size - 3, size),
        (0, 0, i64::MAX, 0, size),
    ] {
        let asked = ByteRange { offset, length, suffix_length };
        let (header, got) = range(&world, &ada, &media, asked).await.expect("refused");
        assert_eq!((header.offset, header.length, header.size_bytes), (start, end - start, size), "{asked:?}");
        assert!(got == bytes[start as usize..end as usize], "other bytes of {asked:?}");
    }
    for offset in [size, i64::MAX] {
        let error = range(&world, &ada, &media, ByteRange { offset, ..Default::default() }).await.unwrap_err();
        assert_eq!((error.code, error.reason.as_str()), (Code::OutOfRange, "RANGE_UNSATISFIABLE"));
        assert_eq!(error.metadata["size_bytes"], size.to_string());
    }
    let foolish = ByteRange { offset: -1, length: -1, suffix_length: -1 };
    let error = range(&world, &ada, &media, foolish).await.unwrap_err();
    assert_eq!(error.fields, ["range.offset", "range.length", "range.suffix_length"]);
}

#[tokio::test]
async fn m7_a_header_comes_without_the_bytes() {
    let world = World::shared().await;
    let ada = world.sign_up("ada").await;
    let project = project(&world, &ada, "Films").await;
    let media = of_kind(&world, &ada, &project, MediaKind::Video, &noise(2, 1000)).await;
    let asked = DownloadRequest { media_id: media.media_id.clone(), header_only: true, ..Default::default() };
    let mut stream = ada.media(&world).download(asked).await.unwrap().into_inner();
    let header = match stream.message().await.unwrap().unwrap().content.unwrap() {
        download_response::Content::Header(header) => header,
        download_response::Content::Data(_) => panic!("bytes first"),
    };
    assert_eq!((header.size_bytes, header.media), (1000, Some(media)));
    assert!(stream.message().await.unwrap().is_none());
}

#[tokio::test]
async fn m7_a_file_is_there_for_the_members_of_its_project_alone() {
    let world = World::shared().await;
    let (ada, bob, eve) = (world.sign_up("ada").await, world.sign_up("bob").await, world.sign_up("eve").await);
    let project = project(&world, &ada, "Films").await;
    let media = of_kind(&world, &ada, &project, MediaKind::Video, &noise(3, 1000)).await;
    member(&world, &ada, &project.project_id, &bob, ProjectRole::Viewer).await;

    let get = |media_id: &str| GetMediaRequest { media_id: media_id.to_owned() };
    let seen = bob.media(&world).get_media(get(&media.media_id)).await.unwrap().into_inner();
    assert_eq!(seen.media.as_ref(), Some(&media));
    for id in [media.media_id.as_str(), "00000000-0000-7000-8000-000000000000", "x", ""] {
        let error = refusal(eve.media(&world).get_media(get(id)).await);
        assert_eq!((error.code, error.reason.as_str()), (Code::NotFound, "MEDIA_NOT_FOUND"), "{id}");
    }
    let mut eves = eve.media(&world);
    let media_id = media.media_id.clone();
    let found = [
        refusal(eves.download(DownloadRequest { media_id: media_id.clone(), ..Default::default() }).await),
        refusal(
            eves.create_download_url(CreateDownloadUrlRequest { media_id: media_id.clone(), ..Default::default() })
                .await,
        ),
        refusal(eves.delete_media(DeleteMediaRequest { media_id: media_id.clone() }).await),
        refusal(eves.get_transcript(GetTranscriptRequest { media_id, ..Default::default() }).await),
        refusal(eves.update_media(renamed(&media, "x")).await),
    ];
    assert!(found.iter().all(|error| error.reason == "MEDIA_NOT_FOUND"), "{found:?}");
    let project_id = project.project_id;
    let kind = MediaKind::Video.into();
    let found = [
        refusal(eves.list_media(ListMediaRequest { project_id: project_id.clone(), ..Default::default() }).await),
        refusal(eves.get_by_kind(GetByKindRequest { project_id: project_id.clone(), kind }).await),
        refusal(eves.watch_media(WatchMediaRequest { project_id, after: 0 }).await),
    ];
    assert!(found.iter().all(|error| error.reason == "PROJECT_NOT_FOUND"), "{found:?}");
}

#[tokio::test]
async fn m8_of_each_kind_the_newest_is_read_and_all_are_listed() {
    let world = World::shared().await;
    let ada = world.sign_up("ada").await;
    let project = project(&world, &ada, "Films").await;
    let by_kind = |kind: i32| GetByKindRequest { project_id: project.project_id.clone(), kind };
    let kinds = [
        MediaKind::Video,
        MediaKind::Transcript,
        MediaKind::AiSummary,
        MediaKind::AiAudio,
        MediaKind::AiVideo,
        MediaKind::Video,
    ];
    let mut made: Vec<Media> = Vec::new();
    for (seed, kind) in kinds.into_iter().enumerate() {
        if made.iter().all(|media| media.kind() != kind) {
            let error = refusal(ada.media(&world).get_by_kind(by_kind(kind.into())).await);
            assert_eq!((error.code, error.reason.as_str()), (Code::NotFound, "MEDIA_NOT_FOUND"));
        }
        let media =
            of_kind(&world, &ada, &project, kind, format!("these are the bytes number {seed}").as_bytes()).await;
        let newest = ada.media(&world).get_by_kind(by_kind(kind.into())).await.unwrap().into_inner().media;
        assert_eq!(newest.as_ref(), Some(&media));
        made.push(media);
    }
    let error = refusal(ada.media(&world).get_by_kind(by_kind(0)).await);
    assert_eq!((error.code, error.fields), (Code::InvalidArgument, vec!["kind".to_owned()]));

    made.reverse();
    let mut list = ListMediaRequest { project_id: project.project_id.clone(), page_size: 4, ..Default::default() };
    let first = ada.media(&world).list_media(list.clone()).await.unwrap().into_inner();
    assert_eq!((first.media.as_slice(), first.total_size), (&made[..4], 6));
    list.page_token = first.next_page_token.clone();
    let second = ada.media(&world).list_media(list.clone()).await.unwrap().into_inner();
    assert_eq!((second.media.as_slice(), second.next_page_token.as_str()), (&made[4..], ""));
    let videos = ListMediaRequest { kind: MediaKind::Video.into(), page_token: String::new(), ..list.clone() };
    let videos = ada.media(&world).list_media(videos).await.unwrap().into_inner();
    assert_eq!((videos.media, videos.total_size), (vec![made[0].clone(), made[5].clone()], 2));

    let foolish = ListMediaRequest { kind: 9, page_size: -1, page_token: "x".into(), ..list.clone() };
    let error = refusal(ada.media(&world).list_media(foolish).await);
    assert_eq!(error.fields, ["kind", "page_size", "page_token"]);
    let others = ListMediaRequest { kind: 1, ..list };
    let error = refusal(ada.media(&world).list_media(others).await);
    assert_eq!(error.fields, ["page_token"], "a token of another list");
}

fn renamed(media: &Media, name: &str) -> UpdateMediaRequest {
    let media = Media { name: name.to_owned(), ..media.clone() };
    let update_mask = Some(prost_types::FieldMask { paths: vec!["name".to_owned()] });
    UpdateMediaRequest { media: Some(media), update_mask }
}

#[tokio::test]
async fn m7_an_editor_names_a_file_and_a_viewer_does_not() {
    let world = World::shared().await;
    let (ada, bob, cleo) = (world.sign_up("ada").await, world.sign_up("bob").await, world.sign_up("cleo").await);
    let project = project(&world, &ada, "Films").await;
    let media = of_kind(&world, &ada, &project, MediaKind::Video, &noise(4, 1000)).await;
    member(&world, &ada, &project.project_id, &bob, ProjectRole::Editor).await;
    member(&world, &ada, &project.project_id, &cleo, ProjectRole::Viewer).await;

    let changed = bob.media(&world).update_media(renamed(&media, " Beach ")).await.unwrap().into_inner().media.unwrap();
    assert_eq!(changed.name, "Beach");
    assert_ne!(changed.etag, media.etag);
    let stale = refusal(bob.media(&world).update_media(renamed(&media, "Sea")).await);
    assert_eq!((stale.code, stale.reason.as_str()), (Code::Aborted, "ETAG_STALE"));
    let error = refusal(cleo.media(&world).update_media(renamed(&changed, "Sea")).await);
    assert_eq!((error.code, error.reason.as_str()), (Code::PermissionDenied, "PROJECT_RIGHT_MISSING"));
    let mut foolish = renamed(&changed, &"x".repeat(256));
    foolish.update_mask = Some(prost_types::FieldMask { paths: vec!["kind".to_owned()] });
    let error = refusal(bob.media(&world).update_media(foolish).await);
    assert_eq!(error.fields, ["update_mask", "media.name"]);
}

#[tokio::test]
async fn m9_the_owner_deletes_a_file_and_gets_its_room_back() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let project = project(&world, &ada, "Films").await;
    member(&world, &ada, &project.project_id, &bob, ProjectRole::Editor).await;
    let bytes = noise(5, 5000);
    let media = of_kind(&world, &ada, &project, MediaKind::Video, &bytes).await;
    let twin = of_kind(&world, &ada, &project, MediaKind::AiVideo, &bytes).await;
    let used = async || ada.projects(&world).get_usage(GetUsageRequest {}).await.unwrap().into_inner().used_bytes;
    assert_eq!(used().await, 10_000);

    let delete = DeleteMediaRequest { media_id: media.media_id.clone() };
    let error = refusal(bob.media(&world).delete_media(delete.clone()).await);
    assert_eq!((error.code, error.reason.as_str()), (Code::PermissionDenied, "PROJECT_RIGHT_MISSING"));
    ada.media(&world).delete_media(delete.clone()).await.unwrap();
    assert_eq!(used().await, 5000);
    let error = refusal(ada.media(&world).delete_media(delete).await);
    assert_eq!(error.reason, "MEDIA_NOT_FOUND");
    // The same bytes are stored once; they stay as long as a file has them.
    assert!(downloaded(&world, &ada, &twin.media_id).await == bytes, "other bytes");
    let got = GetProjectRequest { project_id: project.project_id, ..Default::default() };
    let got = ada.projects(&world).get_project(got).await.unwrap().into_inner().project.unwrap();
    assert_eq!((got.media_count, got.size_bytes), (1, 5000));
}
