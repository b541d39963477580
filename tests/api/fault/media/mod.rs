//! F-02: a process of media that ends in the middle of a commit. Every rpc of media that writes, at each of its commits, right before and
//! right after: who gets no answer asks again, another instance where there is one, and what was meant to happen has happened once.

mod lease;
mod project;

use super::stage::{Case, Context, Stage, check_every_rpc, play};
use crate::harness::prelude::*;
use crate::media::{downloaded, noise, project, put_all, sha256, started, uploaded, video};

/// The rpcs of media that commit nothing.
const READS: [&str; 14] = [
    "MediaService/CreateDownloadUrl",
    "MediaService/Download",
    "MediaService/DownloadByLink",
    "MediaService/GetByKind",
    "MediaService/GetMedia",
    "MediaService/GetTranscript",
    "MediaService/ListMedia",
    "MediaService/WatchMedia",
    "ProjectMemberService/ListMembers",
    "ProjectService/GetProject",
    "ProjectService/GetUsage",
    "ProjectService/ListProjects",
    "UploadService/GetUpload",
    "UploadService/ListUploads",
];

/// A little longer than a lease on an upload holds that nobody gives back.
const LEASE: Duration = Duration::from_secs(61);

static MEDIA: Context = Context {
    name: "media",
    flags: &[],
    lease: LEASE,
    probe: |clients| Box::pin(async { clients.projects().get_usage(GetUsageRequest {}).await.is_ok() }),
};

impl Stage {
    /// Somebody with a project.
    async fn owner(&self) -> (Person, Project) {
        let ada = self.world.sign_up("ada").await;
        let project = project(&self.world, &ada, "Project").await;
        (ada, project)
    }

    /// Somebody whom media knows, an editor of the project.
    async fn editor(&self, owner: &Person, project: &Project) -> Person {
        let editor = self.world.sign_up("editor").await;
        let asked = membership(project, &editor, ProjectRole::Editor);
        eventually("the editor is known", async || owner.members(&self.world).set_member(asked.clone()).await.ok())
            .await;
        editor
    }

    async fn is_now(&self, person: &Person, project: &Project) -> Project {
        let asked = GetProjectRequest { project_id: project.project_id.clone(), ..Default::default() };
        person.projects(&self.world).get_project(asked).await.unwrap().into_inner().project.unwrap()
    }

    async fn used(&self, person: &Person) -> i64 {
        person.projects(&self.world).get_usage(GetUsageRequest {}).await.unwrap().into_inner().used_bytes
    }

    async fn files(&self, person: &Person, project: &Project) -> Vec<Media> {
        let asked = ListMediaRequest { project_id: project.project_id.clone(), ..Default::default() };
        person.media(&self.world).list_media(asked).await.unwrap().into_inner().media
    }

    /// Nothing but this file is in the project, and it is whole.
    async fn has_one(&self, person: &Person, project: &Project, media_id: &str, file: &[u8]) {
        let files = self.files(person, project).await;
        assert_eq!(files.iter().map(|media| media.media_id.as_str()).collect::<Vec<_>>(), [media_id]);
        assert_eq!(downloaded(&self.world, person, media_id).await, file);
        let now = self.is_now(person, project).await;
        assert_eq!((now.media_count, now.size_bytes), (1, file.len() as i64));
        assert_eq!(self.used(person).await, file.len() as i64);
    }
}

fn membership(project: &Project, person: &Person, role: ProjectRole) -> SetMemberRequest {
    let person = Some(set_member_request::Person::AccountId(person.account_id.clone()));
    SetMemberRequest { project_id: project.project_id.clone(), person, role: role.into() }
}

fn upload_cases() -> Vec<Case> {
    vec![
        Case { name: "UploadService/StartUpload", run: |stage| Box::pin(start(stage)) },
        Case { name: "UploadService/PutChunk", run: |stage| Box::pin(put(stage)) },
        Case { name: "UploadService/Upload", run: |stage| Box::pin(stream(stage)) },
        Case { name: "UploadService/CompleteUpload", run: |stage| Box::pin(complete(stage)) },
        Case { name: "UploadService/CompleteUpload (the same bytes)", run: |stage| Box::pin(complete_same(stage)) },
        Case { name: "UploadService/CompleteUpload (other bytes)", run: |stage| Box::pin(complete_wrong(stage)) },
        Case { name: "UploadService/AbortUpload", run: |stage| Box::pin(abort(stage)) },
        Case { name: "MediaService/UpdateMedia", run: |stage| Box::pin(rename(stage)) },
        Case { name: "MediaService/DeleteMedia", run: |stage| Box::pin(delete(stage)) },
    ]
}

async fn start(stage: &mut Stage) {
    let (ada, project) = stage.owner().await;
    let asked = StartUploadRequest { idempotency_key: "k".into(), ..video(&project.project_id, "a.mp4", b"abc") };
    let outcome = stage
        .call("UploadService/StartUpload", &ada, async |clients| clients.uploads().start_upload(asked.clone()).await)
        .await;
    let begun = outcome.unwrap().upload.unwrap();
    let list = ListUploadsRequest { project_id: project.project_id.clone(), ..Default::default() };
    let open = ada.uploads(&stage.world).list_uploads(list).await.unwrap().into_inner().uploads;
    assert_eq!(open.iter().map(|upload| &upload.upload_id).collect::<Vec<_>>(), [&begun.upload_id]);
    let media = put_all(&stage.world, &ada, &begun, b"abc").await;
    stage.has_one(&ada, &project, &media.media_id, b"abc").await;
}

async fn put(stage: &mut Stage) {
    let (ada, project) = stage.owner().await;
    let file = noise(31, 5000);
    let upload = started(&stage.world, &ada, video(&project.project_id, "a.mp4", &file)).await;
    let (upload_id, data) = (upload.upload_id.clone(), bytes::Bytes::from(file.clone()));
    let asked = PutChunkRequest { upload_id, data, ..Default::default() };
    let outcome = stage
        .call("UploadService/PutChunk", &ada, async |clients| clients.uploads().put_chunk(asked.clone()).await)
        .await;
    assert_eq!(outcome.unwrap().offset_bytes, 5000);
    assert_eq!(stage.used(&ada).await, 5000, "counted once");
    let stored = UploadStatus { offset_bytes: 5000, ..upload };
    let media = put_all(&stage.world, &ada, &stored, &file).await;
    stage.has_one(&ada, &project, &media.media_id, &file).await;
}

async fn stream(stage: &mut Stage) {
    let (ada, project) = stage.owner().await;
    let file = noise(32, (8 << 20) + 5000);
    let upload = started(&stage.world, &ada, video(&project.project_id, "a.mp4", &file)).await;
    let header =
        UploadHeader { upload_id: upload.upload_id, complete: true, sha256: sha256(&file), ..Default::default() };
    let pieces = file.chunks(1 << 20).map(|piece| upload_request::Content::Data(piece.to_vec().into()));
    let contents = [upload_request::Content::Header(header)].into_iter().chain(pieces);
    let messages: Vec<_> = contents.map(|content| UploadRequest { content: Some(content) }).collect();
    let outcome = stage
        .call("UploadService/Upload", &ada, async |clients| {
            clients.uploads().upload(tokio_stream::iter(messages.clone())).await
        })
        .await;
    stage.has_one(&ada, &project, &outcome.unwrap().media.unwrap().media_id, &file).await;
}

/// An upload all of whose parts are there.
async fn stored(stage: &Stage, ada: &Person, project: &Project, file: &[u8]) -> CompleteUploadRequest {
    let upload = started(&stage.world, ada, video(&project.project_id, "a.mp4", file)).await;
    let (upload_id, data) = (upload.upload_id.clone(), file.to_vec().into());
    let asked = PutChunkRequest { upload_id, data, ..Default::default() };
    ada.uploads(&stage.world).put_chunk(asked).await.unwrap();
    CompleteUploadRequest { upload_id: upload.upload_id, sha256: sha256(file) }
}

async fn completed(stage: &mut Stage, ada: &Person, asked: CompleteUploadRequest) -> Result<Media, Refusal> {
    let outcome = stage
        .call("UploadService/CompleteUpload", ada, async |clients| {
            clients.uploads().complete_upload(asked.clone()).await
        })
        .await;
    outcome.map(|answer| answer.media.unwrap())
}

async fn complete(stage: &mut Stage) {
    let (ada, project) = stage.owner().await;
    let file = noise(33, 5000);
    let asked = stored(stage, &ada, &project, &file).await;
    let media = completed(stage, &ada, asked).await.unwrap();
    stage.has_one(&ada, &project, &media.media_id, &file).await;
}

async fn complete_same(stage: &mut Stage) {
    let (ada, project) = stage.owner().await;
    let file = noise(34, 5000);
    let first = uploaded(&stage.world, &ada, video(&project.project_id, "a.mp4", &file), &file).await;
    let asked = stored(stage, &ada, &project, &file).await;
    let second = completed(stage, &ada, asked).await.unwrap();
    assert_eq!((stage.files(&ada, &project).await.len(), stage.used(&ada).await), (2, 10_000));
    let deleted = DeleteMediaRequest { media_id: first.media_id };
    ada.media(&stage.world).delete_media(deleted).await.unwrap();
    stage.has_one(&ada, &project, &second.media_id, &file).await;
}

async fn complete_wrong(stage: &mut Stage) {
    let (ada, project) = stage.owner().await;
    let asked = stored(stage, &ada, &project, &noise(35, 5000)).await;
    let asked = CompleteUploadRequest { sha256: sha256(b"other"), ..asked };
    assert_eq!(completed(stage, &ada, asked).await.unwrap_err().reason, "DIGEST_MISMATCH");
    assert_eq!((stage.files(&ada, &project).await.len(), stage.used(&ada).await), (0, 0));
}

async fn abort(stage: &mut Stage) {
    let (ada, project) = stage.owner().await;
    let CompleteUploadRequest { upload_id, .. } = stored(stage, &ada, &project, &noise(36, 5000)).await;
    let asked = AbortUploadRequest { upload_id };
    let outcome = stage
        .call("UploadService/AbortUpload", &ada, async |clients| clients.uploads().abort_upload(asked.clone()).await)
        .await;
    assert_eq!(outcome.unwrap().upload.unwrap().state(), UploadState::Aborted);
    assert_eq!((stage.used(&ada).await, stage.is_now(&ada, &project).await.size_bytes), (0, 0));
}

async fn rename(stage: &mut Stage) {
    let (ada, project) = stage.owner().await;
    let media = uploaded(&stage.world, &ada, video(&project.project_id, "a.mp4", b"abc"), b"abc").await;
    let media_id = media.media_id.clone();
    let update_mask = Some(prost_types::FieldMask { paths: vec!["name".into()] });
    let media = Some(Media { media_id: media_id.clone(), name: "b.mp4".into(), ..Default::default() });
    let asked = UpdateMediaRequest { media, update_mask };
    let outcome = stage
        .call("MediaService/UpdateMedia", &ada, async |clients| clients.media().update_media(asked.clone()).await)
        .await;
    assert_eq!(outcome.unwrap().media.unwrap().name, "b.mp4");
    stage.has_one(&ada, &project, &media_id, b"abc").await;
}

async fn delete(stage: &mut Stage) {
    let (ada, project) = stage.owner().await;
    let media = uploaded(&stage.world, &ada, video(&project.project_id, "a.mp4", b"abc"), b"abc").await;
    let asked = DeleteMediaRequest { media_id: media.media_id };
    let outcome = stage
        .call("MediaService/DeleteMedia", &ada, async |clients| clients.media().delete_media(asked.clone()).await)
        .await;
    stage.done(outcome, "MEDIA_NOT_FOUND");
    assert_eq!((stage.files(&ada, &project).await.len(), stage.used(&ada).await), (0, 0));
}

#[tokio::test]
async fn f01_f02_each_commit_of_an_upload_may_be_the_process_s_last() {
    play(&MEDIA, upload_cases()).await;
}

#[tokio::test]
async fn f02_each_commit_of_a_project_may_be_the_process_s_last() {
    play(&MEDIA, project::cases()).await;
}

#[test]
fn f02_every_rpc_of_media_has_its_case() {
    check_every_rpc(&MEDIA, [upload_cases(), project::cases()].into_iter().flatten(), &READS);
}
