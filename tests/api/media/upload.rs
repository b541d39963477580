//! Uploads, part by part.

use super::{PART, downloaded, noise, project, put_all, sha256, started, uploaded, video};
use crate::harness::prelude::*;

/// How long a part is of most files.
/// Puts a part.
async fn put(world: &World, person: &Person, upload: &UploadStatus, at: usize, data: &[u8]) -> Result<i64, Refusal> {
    put_last(world, person, upload, at, data, false).await
}

async fn put_last(
    world: &World,
    person: &Person,
    upload: &UploadStatus,
    at: usize,
    data: &[u8],
    last: bool,
) -> Result<i64, Refusal> {
    let (upload_id, offset_bytes) = (upload.upload_id.clone(), at as i64);
    let asked = PutChunkRequest { upload_id, offset_bytes, data: data.to_vec().into(), last, ..Default::default() };
    let answer = person.uploads(world).put_chunk(asked).await.map_err(Refusal::from)?;
    Ok(answer.into_inner().offset_bytes)
}

async fn complete(
    world: &World,
    person: &Person,
    upload: &UploadStatus,
    sha256: bytes::Bytes,
) -> Result<Media, Refusal> {
    let asked = CompleteUploadRequest { upload_id: upload.upload_id.clone(), sha256 };
    let answer = person.uploads(world).complete_upload(asked).await.map_err(Refusal::from)?;
    Ok(answer.into_inner().media.unwrap())
}

async fn stands(world: &World, person: &Person, upload: &UploadStatus) -> UploadStatus {
    let asked = GetUploadRequest { upload_id: upload.upload_id.clone() };
    person.uploads(world).get_upload(asked).await.unwrap().into_inner().upload.unwrap()
}

async fn open_uploads(world: &World, person: &Person, project: &Project) -> Vec<String> {
    let asked = ListUploadsRequest { project_id: project.project_id.clone(), ..Default::default() };
    let listed = person.uploads(world).list_uploads(asked).await.unwrap().into_inner();
    listed.uploads.into_iter().map(|upload| upload.upload_id).collect()
}

async fn size(world: &World, person: &Person, project: &Project) -> i64 {
    let asked = GetProjectRequest { project_id: project.project_id.clone(), ..Default::default() };
    person.projects(world).get_project(asked).await.unwrap().into_inner().project.unwrap().size_bytes
}

async fn files(world: &World, person: &Person, project: &Project) -> usize {
    let asked = ListMediaRequest { project_id: project.project_id.clone(), ..Default::default() };
    person.media(world).list_media(asked).await.unwrap().into_inner().media.len()
}

async fn join(world: &World, owner: &Person, project: &Project, member: &Person, role: ProjectRole) {
    // The account comes by the feed.
    eventually("the member is known", async || {
        let person = Some(set_member_request::Person::AccountId(member.account_id.clone()));
        let asked = SetMemberRequest { project_id: project.project_id.clone(), person, role: role.into() };
        owner.members(world).set_member(asked).await.ok()
    })
    .await;
}

#[tokio::test]
async fn m6_a_file_goes_up_in_parts_and_can_be_read_when_it_is_complete() {
    let world = World::shared().await;
    let ada = world.sign_up("ada").await;
    let project = project(&world, &ada, "Beach").await;
    let file = noise(1, PART + 70_000);
    let upload = started(&world, &ada, video(&project.project_id, "../beach.mp4", &file)).await;
    assert_eq!(upload.part_size_bytes as usize, PART);
    assert_eq!((upload.state(), upload.offset_bytes, upload.size_bytes), (UploadState::Open, 0, file.len() as i64));
    assert_eq!(open_uploads(&world, &ada, &project).await, std::slice::from_ref(&upload.upload_id));

    assert_eq!(put(&world, &ada, &upload, 0, &file[..PART]).await.unwrap(), PART as i64);
    assert_eq!(stands(&world, &ada, &upload).await.offset_bytes, PART as i64);
    assert_eq!(size(&world, &ada, &project).await, PART as i64, "what is stored counts");
    let early = complete(&world, &ada, &upload, Default::default()).await.unwrap_err();
    assert_eq!(early.is(), (Code::FailedPrecondition, "UPLOAD_INCOMPLETE"));
    assert_eq!(early.metadata["offset_bytes"], PART.to_string());
    assert_eq!(files(&world, &ada, &project).await, 0, "nothing of it is seen before");

    assert_eq!(put(&world, &ada, &upload, PART, &file[PART..]).await.unwrap(), file.len() as i64);
    assert_eq!(files(&world, &ada, &project).await, 0);
    let media = complete(&world, &ada, &upload, sha256(&file)).await.unwrap();
    assert_eq!((media.size_bytes, &media.sha256, media.kind()), (file.len() as i64, &sha256(&file), MediaKind::Video));
    assert_eq!((media.name.as_str(), &media.uploader_account_id), ("../beach.mp4", &ada.account_id));
    assert_eq!(downloaded(&world, &ada, &media.media_id).await, file);

    let again = complete(&world, &ada, &upload, sha256(&file)).await.unwrap();
    assert_eq!(again.media_id, media.media_id, "again, it answers the same");
    let other = complete(&world, &ada, &upload, sha256(b"other")).await.unwrap_err();
    assert_eq!(other.reason, "DIGEST_MISMATCH");
    let stands = stands(&world, &ada, &upload).await;
    assert_eq!((stands.state(), &stands.media_id), (UploadState::Completed, &media.media_id));
    assert_eq!(open_uploads(&world, &ada, &project).await, Vec::<String>::new());
    assert_eq!((files(&world, &ada, &project).await, size(&world, &ada, &project).await), (1, file.len() as i64));
    let late = put(&world, &ada, &upload, PART, &file[PART..]).await.unwrap_err();
    assert_eq!((late.reason.as_str(), late.metadata["state"].as_str()), ("UPLOAD_CLOSED", "COMPLETED"));
}

#[tokio::test]
async fn m6_a_part_that_comes_again_is_answered_and_not_stored_twice() {
    let world = World::shared().await;
    let ada = world.sign_up("ada").await;
    let project = project(&world, &ada, "Again").await;
    let file = noise(2, PART + 5);
    let upload = started(&world, &ada, video(&project.project_id, "a.mp4", &file)).await;
    for _ in 0..3 {
        assert_eq!(put(&world, &ada, &upload, 0, &file[..PART]).await.unwrap(), PART as i64);
    }
    assert_eq!(size(&world, &ada, &project).await, PART as i64);
    let mut others = file[..PART].to_vec();
    others[77] ^= 1;
    let wrong = put(&world, &ada, &upload, 0, &others).await.unwrap_err();
    assert_eq!(wrong.is(), (Code::FailedPrecondition, "OFFSET_WRONG"));
    assert_eq!(wrong.metadata["offset_bytes"], PART.to_string());
    for (at, data) in [(1, &file[..5]), (2 * PART, &file[..5]), (PART - 5, &file[..5])] {
        assert_eq!(put(&world, &ada, &upload, at, data).await.unwrap_err().reason, "OFFSET_WRONG", "{at}");
    }
    assert_eq!(put(&world, &ada, &upload, PART, &file[PART..]).await.unwrap(), file.len() as i64);
    assert_eq!(put(&world, &ada, &upload, 0, &file[..PART]).await.unwrap(), file.len() as i64, "so far it is now");
    let media = complete(&world, &ada, &upload, sha256(&file)).await.unwrap();
    assert_eq!(downloaded(&world, &ada, &media.media_id).await, file);
}

#[tokio::test]
async fn m6_a_part_has_the_length_and_the_digest_that_it_must_have() {
    let world = World::shared().await;
    let ada = world.sign_up("ada").await;
    let project = project(&world, &ada, "Lengths").await;
    let file = noise(3, 1000);
    let upload = started(&world, &ada, video(&project.project_id, "a.mp4", &file)).await;
    for data in [&file[..999], &[&file[..], b"x"].concat()] {
        let wrong = put(&world, &ada, &upload, 0, data).await.unwrap_err();
        assert_eq!((wrong.code, wrong.fields), (Code::InvalidArgument, vec!["data".to_owned()]));
    }
    let (upload_id, data) = (upload.upload_id.clone(), bytes::Bytes::from(file.clone()));
    let asked = PutChunkRequest { upload_id, data, sha256: sha256(b"other"), ..Default::default() };
    let wrong = refusal(ada.uploads(&world).put_chunk(asked.clone()).await);
    assert_eq!(wrong.is(), (Code::InvalidArgument, "DIGEST_MISMATCH"));
    let asked = PutChunkRequest { sha256: vec![1, 2].into(), data: Default::default(), ..asked };
    let wrong = refusal(ada.uploads(&world).put_chunk(asked.clone()).await);
    assert_eq!(wrong.fields, ["sha256", "data"]);
    assert_eq!(stands(&world, &ada, &upload).await.offset_bytes, 0, "nothing of it counts");
    let asked = PutChunkRequest { sha256: sha256(&file), data: file.clone().into(), ..asked };
    ada.uploads(&world).put_chunk(asked).await.unwrap();
    let behind = put(&world, &ada, &upload, 1000, b"x").await.unwrap_err();
    assert!(["OFFSET_WRONG", "FIELDS_INVALID"].contains(&behind.reason.as_str()), "{behind:?}");
    complete(&world, &ada, &upload, sha256(&file)).await.unwrap();
}

#[tokio::test]
async fn m6_a_file_whose_length_is_not_known_ends_with_its_last_part() {
    let world = World::shared().await;
    let ada = world.sign_up("ada").await;
    let project = project(&world, &ada, "Unknown").await;
    let unknown = StartUploadRequest { size_bytes: 0, ..video(&project.project_id, "a.mp4", b"") };
    let upload = started(&world, &ada, unknown.clone()).await;
    let part = upload.part_size_bytes as usize;
    assert_eq!((upload.size_bytes, part), (0, 16 << 20));
    let empty = complete(&world, &ada, &upload, Default::default()).await.unwrap_err();
    assert_eq!(empty.reason, "UPLOAD_INCOMPLETE", "a file has bytes");
    let short = put(&world, &ada, &upload, 0, b"short").await.unwrap_err();
    assert_eq!(short.fields, ["data"], "only the last is short");
    let file = noise(4, part + 9);
    put(&world, &ada, &upload, 0, &file[..part]).await.unwrap();
    put_last(&world, &ada, &upload, part, &file[part..], true).await.unwrap();
    assert_eq!(stands(&world, &ada, &upload).await.size_bytes, file.len() as i64, "known from here on");
    let media = complete(&world, &ada, &upload, sha256(&file)).await.unwrap();
    assert_eq!(downloaded(&world, &ada, &media.media_id).await, file);

    // Where nobody has said which part is the last, the file ends where it stands when it is completed.
    let upload = started(&world, &ada, unknown).await;
    put(&world, &ada, &upload, 0, &file[..part]).await.unwrap();
    let media = complete(&world, &ada, &upload, sha256(&file[..part])).await.unwrap();
    assert_eq!(media.size_bytes, part as i64);
}

#[tokio::test]
async fn m6_a_file_that_is_not_what_was_said_has_failed() {
    let world = World::shared().await;
    let ada = world.sign_up("ada").await;
    let project = project(&world, &ada, "Failed").await;
    let file = noise(5, 1000);
    let said = StartUploadRequest { sha256: sha256(b"other"), ..video(&project.project_id, "a.mp4", &file) };
    let upload = started(&world, &ada, said).await;
    put(&world, &ada, &upload, 0, &file).await.unwrap();
    assert_eq!(size(&world, &ada, &project).await, 1000);
    for _ in 0..2 {
        let failed = complete(&world, &ada, &upload, sha256(&file)).await.unwrap_err();
        assert_eq!(failed.is(), (Code::InvalidArgument, "DIGEST_MISMATCH"));
    }
    let stands = stands(&world, &ada, &upload).await;
    assert_eq!((stands.state(), stands.failure.as_str()), (UploadState::Failed, "DIGEST_MISMATCH"));
    assert_eq!((size(&world, &ada, &project).await, files(&world, &ada, &project).await), (0, 0));
    let late = put(&world, &ada, &upload, 0, &file).await.unwrap_err();
    assert_eq!(late.metadata["state"], "FAILED");
}

#[tokio::test]
async fn m6_an_upload_that_is_given_up_gives_back_what_it_took() {
    let world = World::shared().await;
    let ada = world.sign_up("ada").await;
    let project = project(&world, &ada, "Aborted").await;
    let file = noise(6, 1000);
    let upload = started(&world, &ada, video(&project.project_id, "a.mp4", &file)).await;
    put(&world, &ada, &upload, 0, &file).await.unwrap();
    let asked = AbortUploadRequest { upload_id: upload.upload_id.clone() };
    for _ in 0..2 {
        let ended = ada.uploads(&world).abort_upload(asked.clone()).await.unwrap().into_inner().upload.unwrap();
        assert_eq!(ended.state(), UploadState::Aborted);
    }
    assert_eq!(size(&world, &ada, &project).await, 0);
    let late = complete(&world, &ada, &upload, sha256(&file)).await.unwrap_err();
    assert_eq!((late.reason.as_str(), late.metadata["state"].as_str()), ("UPLOAD_CLOSED", "ABORTED"));

    let done = uploaded(&world, &ada, video(&project.project_id, "b.mp4", &file), &file).await;
    assert_eq!(downloaded(&world, &ada, &done.media_id).await, file, "the same bytes, another time");
}

#[tokio::test]
async fn m6_all_that_is_wrong_with_a_start_is_told() {
    let world = World::shared().await;
    let ada = world.sign_up("ada").await;
    let wrong = StartUploadRequest {
        project_id: "none".into(),
        name: "a\nb".into(),
        content_type: "video".into(),
        size_bytes: -1,
        sha256: vec![0; 31].into(),
        idempotency_key: "k".repeat(65),
        ..Default::default()
    };
    let refused = refusal(ada.uploads(&world).start_upload(wrong).await);
    assert_eq!(refused.fields, ["name", "kind", "content_type", "size_bytes", "sha256", "idempotency_key"]);
    let nowhere = refusal(ada.uploads(&world).start_upload(video("none", "a.mp4", b"abc")).await);
    assert_eq!(nowhere.is(), (Code::NotFound, "PROJECT_NOT_FOUND"));
    let project = project(&world, &ada, "Rules").await;
    let transcript = StartUploadRequest {
        kind: MediaKind::Transcript.into(),
        size_bytes: (16 << 20) + 1,
        ..video(&project.project_id, "a.vtt", b"")
    };
    let long = refusal(ada.uploads(&world).start_upload(transcript).await);
    assert_eq!(long.fields, ["size_bytes"]);
}

#[tokio::test]
async fn m6_the_same_start_again_answers_the_same_upload() {
    let world = World::shared().await;
    let ada = world.sign_up("ada").await;
    let project = project(&world, &ada, "Keys").await;
    let asked = StartUploadRequest { idempotency_key: "one".into(), ..video(&project.project_id, "a.mp4", b"abc") };
    let first = started(&world, &ada, asked.clone()).await;
    put_all(&world, &ada, &first, b"abc").await;
    let again = started(&world, &ada, asked.clone()).await;
    assert_eq!((again.state(), again.upload_id), (UploadState::Completed, first.upload_id));
    let other = StartUploadRequest { size_bytes: 4, ..asked };
    let refused = refusal(ada.uploads(&world).start_upload(other).await);
    assert_eq!(refused.fields, ["idempotency_key"]);
}

#[tokio::test]
async fn m6_s32_uploads_are_for_who_may_upload_and_for_who_has_begun_them() {
    let world = World::shared().await;
    let (ada, eve) = (world.sign_up("ada").await, world.sign_up("eve").await);
    let (editor, viewer) = (world.sign_up("editor").await, world.sign_up("viewer").await);
    let project = project(&world, &ada, "Rights").await;
    join(&world, &ada, &project, &editor, ProjectRole::Editor).await;
    join(&world, &ada, &project, &viewer, ProjectRole::Viewer).await;
    let asked = video(&project.project_id, "a.mp4", b"abc");
    let refused = refusal(eve.uploads(&world).start_upload(asked.clone()).await);
    assert_eq!(refused.is(), (Code::NotFound, "PROJECT_NOT_FOUND"));
    let refused = refusal(viewer.uploads(&world).start_upload(asked.clone()).await);
    assert_eq!(refused.is(), (Code::PermissionDenied, "PROJECT_RIGHT_MISSING"));

    let upload = started(&world, &editor, asked).await;
    for other in [&ada, &viewer, &eve] {
        let refused = put(&world, other, &upload, 0, b"abc").await.unwrap_err();
        assert_eq!(refused.is(), (Code::NotFound, "UPLOAD_NOT_FOUND"));
        let refused = complete(&world, other, &upload, Default::default()).await.unwrap_err();
        assert_eq!(refused.is(), (Code::NotFound, "UPLOAD_NOT_FOUND"));
        let begun = UploadRequest { content: Some(upload_request::Content::Header(header(&upload, 0, false))) };
        let refused = refusal(other.uploads(&world).upload(tokio_stream::once(begun)).await);
        assert_eq!(refused.is(), (Code::NotFound, "UPLOAD_NOT_FOUND"));
    }
    let asked = GetUploadRequest { upload_id: upload.upload_id.clone() };
    assert_eq!(stands(&world, &ada, &upload).await.account_id, editor.account_id, "the owner sees it");
    for other in [&viewer, &eve] {
        assert_eq!(refusal(other.uploads(&world).get_upload(asked.clone()).await).reason, "UPLOAD_NOT_FOUND");
        let abort = AbortUploadRequest { upload_id: upload.upload_id.clone() };
        assert_eq!(refusal(other.uploads(&world).abort_upload(abort).await).reason, "UPLOAD_NOT_FOUND");
    }
    assert_eq!(open_uploads(&world, &ada, &project).await, std::slice::from_ref(&upload.upload_id));
    assert!(open_uploads(&world, &viewer, &project).await.is_empty());
    let list = ListUploadsRequest { project_id: project.project_id.clone(), ..Default::default() };
    assert_eq!(refusal(eve.uploads(&world).list_uploads(list).await).reason, "PROJECT_NOT_FOUND");

    // Whose right is taken while it goes up, goes no further.
    join(&world, &ada, &project, &editor, ProjectRole::Viewer).await;
    assert_eq!(put(&world, &editor, &upload, 0, b"abc").await.unwrap_err().reason, "PROJECT_RIGHT_MISSING");
    join(&world, &ada, &project, &editor, ProjectRole::Editor).await;
    put(&world, &editor, &upload, 0, b"abc").await.unwrap();
    let out = RemoveMemberRequest { project_id: project.project_id.clone(), account_id: editor.account_id.clone() };
    ada.members(&world).remove_member(out).await.unwrap();
    let gone = complete(&world, &editor, &upload, Default::default()).await.unwrap_err();
    assert_eq!(gone.is(), (Code::NotFound, "UPLOAD_NOT_FOUND"));
    assert_eq!(refusal(editor.uploads(&world).get_upload(asked).await).reason, "UPLOAD_NOT_FOUND");
}

fn header(upload: &UploadStatus, at: i64, complete: bool) -> UploadHeader {
    UploadHeader { upload_id: upload.upload_id.clone(), offset_bytes: at, complete, ..Default::default() }
}

#[tokio::test]
async fn m6_an_upload_to_which_nothing_comes_expires() {
    let world = World::own().await;
    let mut ada = world.sign_up("ada").await;
    let project = project(&world, &ada, "Expired").await;
    let file = noise(7, PART + 10);
    let upload = started(&world, &ada, video(&project.project_id, "a.mp4", &file)).await;
    put(&world, &ada, &upload, 0, &file[..PART]).await.unwrap();
    world.move_clock(Duration::from_secs(25 * 3600)).await;
    ada = world.sign_in(&ada.email, PASSWORD).await;
    assert_eq!(stands(&world, &ada, &upload).await.state(), UploadState::Expired);
    let late = put(&world, &ada, &upload, PART, &file[PART..]).await.unwrap_err();
    assert_eq!((late.reason.as_str(), late.metadata["state"].as_str()), ("UPLOAD_CLOSED", "EXPIRED"));
    assert!(open_uploads(&world, &ada, &project).await.is_empty());
    eventually("its room is free again", async || (size(&world, &ada, &project).await == 0).then_some(())).await;
    assert_eq!(stands(&world, &ada, &upload).await.state(), UploadState::Expired);
}

#[tokio::test]
async fn m6_an_upload_ends_with_its_project() {
    let world = World::shared().await;
    let ada = world.sign_up("ada").await;
    let project = project(&world, &ada, "Deleted").await;
    let upload = started(&world, &ada, video(&project.project_id, "a.mp4", b"abc")).await;
    let id = project.project_id.clone();
    ada.projects(&world).delete_project(DeleteProjectRequest { project_id: id.clone() }).await.unwrap();
    assert_eq!(put(&world, &ada, &upload, 0, b"abc").await.unwrap_err().reason, "UPLOAD_NOT_FOUND");
    ada.projects(&world).undelete_project(UndeleteProjectRequest { project_id: id }).await.unwrap();
    let late = put(&world, &ada, &upload, 0, b"abc").await.unwrap_err();
    assert_eq!((late.reason.as_str(), late.metadata["state"].as_str()), ("UPLOAD_CLOSED", "EXPIRED"));
}

#[tokio::test]
async fn m6_the_same_bytes_of_an_owner_are_stored_once() {
    let world = World::own().await;
    let ada = world.sign_up("ada").await;
    let (one, two) = (project(&world, &ada, "One").await, project(&world, &ada, "Two").await);
    let file = noise(8, 100_000);
    let first = uploaded(&world, &ada, video(&one.project_id, "a.mp4", &file), &file).await;
    let second = uploaded(&world, &ada, video(&two.project_id, "b.mp4", &file), &file).await;
    assert_ne!(first.media_id, second.media_id);
    eventually("one object is left", async || (objects(&world) == 1).then_some(())).await;
    let delete = DeleteMediaRequest { media_id: first.media_id.clone() };
    ada.media(&world).delete_media(delete).await.unwrap();
    assert_eq!(downloaded(&world, &ada, &second.media_id).await, file, "the other file has them still");
    let sum = ada.projects(&world).get_usage(GetUsageRequest {}).await.unwrap().into_inner().used_bytes;
    assert_eq!(sum, file.len() as i64, "each file counts");
    let eve = world.sign_up("eve").await;
    let hers = project(&world, &eve, "Hers").await;
    uploaded(&world, &eve, video(&hers.project_id, "c.mp4", &file), &file).await;
    eventually("each owner has one", async || (objects(&world) == 2).then_some(())).await;
    ada.media(&world).delete_media(DeleteMediaRequest { media_id: second.media_id }).await.unwrap();
    eventually("the last of hers takes it along", async || (objects(&world) == 1).then_some(())).await;
}

/// How many objects the store has, those that grow included.
fn objects(world: &World) -> usize {
    match world.data() {
        Some(data) => walk(&data.join("media").join("objects")) + walk(&data.join("media").join("uploads")),
        None => {
            let s3 = &world.grounds().unwrap().s3;
            s3.objects().len() + s3.unfinished().len()
        }
    }
}

fn walk(folder: &std::path::Path) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| if entry.path().is_dir() { walk(&entry.path()) } else { 1 }).sum()
}

#[tokio::test]
async fn s40_a_message_is_as_long_as_a_part_may_be_and_no_longer() {
    let world = World::shared().await;
    let ada = world.sign_up("ada").await;
    let project = project(&world, &ada, "Long").await;
    let unknown = StartUploadRequest { size_bytes: 0, ..video(&project.project_id, "a.mp4", b"") };
    let upload = started(&world, &ada, unknown).await;
    let long = noise(9, (16 << 20) + (64 << 10));
    let refused = put(&world, &ada, &upload, 0, &long).await.unwrap_err();
    assert_eq!(refused.is(), (Code::ResourceExhausted, "MESSAGE_TOO_LARGE"));
    put(&world, &ada, &upload, 0, &long[..16 << 20]).await.unwrap();
    let name = "n".repeat(5 << 20);
    let refused = refusal(ada.uploads(&world).start_upload(video(&project.project_id, &name, b"abc")).await);
    assert_eq!(refused.reason, "MESSAGE_TOO_LARGE", "other rpcs take what they took");
}
