//! X13, S-32: who may do what in a project, rpc by rpc. Calls are made so that they change nothing where they are allowed: with an etag of
//! another state, to a person whom nobody knows, with a part that does not fit.

use prost_types::FieldMask;

use super::member::{member, remove};
use super::project::{delete, renaming};
use super::{project, started, uploaded, video};
use crate::harness::prelude::*;

/// A project with a file and an upload of an editor's, and who calls.
struct Scene {
    world: World,
    owner: Person,
    project_id: String,
    media_id: String,
    upload_id: String,
    callers: Vec<Person>,
}

impl Scene {
    async fn set() -> Scene {
        let world = World::shared().await;
        let owner = world.sign_up("owner").await;
        let project_id = project(&world, &owner, "Holiday").await.project_id;
        let stranger = world.sign_up("stranger").await;
        let (former, viewer) = (world.sign_up("former").await, world.sign_up("viewer").await);
        let (editor, other) = (world.sign_up("editor").await, world.sign_up("other").await);
        for (person, role) in [
            (&former, ProjectRole::Editor),
            (&viewer, ProjectRole::Viewer),
            (&editor, ProjectRole::Editor),
            (&other, ProjectRole::Editor),
        ] {
            member(&world, &owner, &project_id, person, role).await;
        }
        let media_id = uploaded(&world, &former, video(&project_id, "one.mp4", b"one"), b"one").await.media_id;
        remove(&world, &owner, &project_id, &former.account_id).await.unwrap();
        let upload_id = started(&world, &editor, video(&project_id, "two.mp4", b"two")).await.upload_id;
        let admin = world.admin().await;
        let callers = vec![stranger, former, admin, viewer, other, editor];
        Scene { world, owner, project_id, media_id, upload_id, callers }
    }

    /// What comes of each call, a line an rpc and a column a caller, the owner last.
    async fn table(&self) -> String {
        let mut columns = Vec::new();
        for caller in self.callers.iter().chain([&self.owner]) {
            columns.push(self.outcomes(caller).await);
        }
        let line = |row: usize| {
            let cells: Vec<&str> = columns.iter().map(|column| column[row].1.as_str()).collect();
            format!("{}: {}", columns[0][row].0, cells.join(" "))
        };
        (0..columns[0].len()).map(line).collect::<Vec<_>>().join("\n")
    }

    async fn outcomes(&self, caller: &Person) -> Vec<(&'static str, String)> {
        let world = &self.world;
        let (projects, members) = (caller.projects(world), caller.members(world));
        let (uploads, media) = (caller.uploads(world), caller.media(world));
        let (project_id, media_id) = (self.project_id.clone(), self.media_id.clone());
        let (upload_id, nobody) = (self.upload_id.clone(), self.project_id.clone());
        let person = Some(set_member_request::Person::AccountId(nobody.clone()));
        let file = Media { media_id: media_id.clone(), name: "x".into(), etag: "ffff".into(), ..Default::default() };
        let update_mask = Some(FieldMask { paths: vec!["name".to_owned()] });
        let huge = StartUploadRequest { size_bytes: 90 << 30, ..video(&project_id, "x", b"") };
        macro_rules! calls {
            ($($client:ident.$rpc:ident($request:expr)),* $(,)?) => {
                vec![$((stringify!($rpc), outcome($client.clone().$rpc($request).await))),*]
            };
        }
        calls![
            projects.get_project(GetProjectRequest { project_id: project_id.clone(), ..Default::default() }),
            projects.update_project(renaming(&project_id, "New", "ffff")),
            members.list_members(ListMembersRequest { project_id: project_id.clone(), ..Default::default() }),
            members.set_member(SetMemberRequest { project_id: project_id.clone(), person, role: 3 }),
            members.remove_member(RemoveMemberRequest { project_id: project_id.clone(), account_id: nobody.clone() }),
            members.transfer_project(TransferProjectRequest { project_id: project_id.clone(), account_id: nobody }),
            media.list_media(ListMediaRequest { project_id: project_id.clone(), ..Default::default() }),
            media.get_by_kind(GetByKindRequest { project_id: project_id.clone(), kind: MediaKind::Video.into() }),
            media.watch_media(WatchMediaRequest { project_id: project_id.clone(), after: 0 }),
            media.get_media(GetMediaRequest { media_id: media_id.clone() }),
            media.download(DownloadRequest { media_id: media_id.clone(), ..Default::default() }),
            media.create_download_url(CreateDownloadUrlRequest { media_id: media_id.clone(), ..Default::default() }),
            media.update_media(UpdateMediaRequest { media: Some(file), update_mask }),
            uploads.start_upload(huge),
            uploads.list_uploads(ListUploadsRequest { project_id, ..Default::default() }),
            uploads.get_upload(GetUploadRequest { upload_id: upload_id.clone() }),
            uploads.put_chunk(PutChunkRequest {
                upload_id: upload_id.clone(),
                offset_bytes: 0,
                data: b"longer than said".to_vec().into(),
                ..Default::default()
            }),
            uploads.complete_upload(CompleteUploadRequest { upload_id, ..Default::default() }),
        ]
    }
}

/// A dot for what went well, else the reason.
fn outcome<T>(result: Result<tonic::Response<T>, tonic::Status>) -> String {
    match result {
        Ok(_) => ".".to_owned(),
        Err(status) => Refusal::from(status).reason,
    }
}

#[tokio::test]
async fn x13_s32_in_a_project_each_may_what_is_theirs() {
    let scene = Scene::set().await;
    // stranger, former editor, administrator, viewer, another editor, the upload's editor, owner
    insta::assert_snapshot!(scene.table().await, @"
    get_project: PROJECT_NOT_FOUND PROJECT_NOT_FOUND PROJECT_NOT_FOUND . . . .
    update_project: PROJECT_NOT_FOUND PROJECT_NOT_FOUND PROJECT_NOT_FOUND PROJECT_RIGHT_MISSING PROJECT_RIGHT_MISSING PROJECT_RIGHT_MISSING ETAG_STALE
    list_members: PROJECT_NOT_FOUND PROJECT_NOT_FOUND PROJECT_NOT_FOUND . . . .
    set_member: PROJECT_NOT_FOUND PROJECT_NOT_FOUND PROJECT_NOT_FOUND PROJECT_RIGHT_MISSING PROJECT_RIGHT_MISSING PROJECT_RIGHT_MISSING PERSON_NOT_FOUND
    remove_member: PROJECT_NOT_FOUND PROJECT_NOT_FOUND PROJECT_NOT_FOUND PROJECT_RIGHT_MISSING PROJECT_RIGHT_MISSING PROJECT_RIGHT_MISSING MEMBER_NOT_FOUND
    transfer_project: PROJECT_NOT_FOUND PROJECT_NOT_FOUND PROJECT_NOT_FOUND PROJECT_RIGHT_MISSING PROJECT_RIGHT_MISSING PROJECT_RIGHT_MISSING MEMBER_NOT_FOUND
    list_media: PROJECT_NOT_FOUND PROJECT_NOT_FOUND PROJECT_NOT_FOUND . . . .
    get_by_kind: PROJECT_NOT_FOUND PROJECT_NOT_FOUND PROJECT_NOT_FOUND . . . .
    watch_media: PROJECT_NOT_FOUND PROJECT_NOT_FOUND PROJECT_NOT_FOUND . . . .
    get_media: MEDIA_NOT_FOUND MEDIA_NOT_FOUND MEDIA_NOT_FOUND . . . .
    download: MEDIA_NOT_FOUND MEDIA_NOT_FOUND MEDIA_NOT_FOUND . . . .
    create_download_url: MEDIA_NOT_FOUND MEDIA_NOT_FOUND MEDIA_NOT_FOUND . . . .
    update_media: MEDIA_NOT_FOUND MEDIA_NOT_FOUND MEDIA_NOT_FOUND PROJECT_RIGHT_MISSING ETAG_STALE ETAG_STALE ETAG_STALE
    start_upload: PROJECT_NOT_FOUND PROJECT_NOT_FOUND PROJECT_NOT_FOUND PROJECT_RIGHT_MISSING QUOTA_EXCEEDED QUOTA_EXCEEDED QUOTA_EXCEEDED
    list_uploads: PROJECT_NOT_FOUND PROJECT_NOT_FOUND PROJECT_NOT_FOUND . . . .
    get_upload: UPLOAD_NOT_FOUND UPLOAD_NOT_FOUND UPLOAD_NOT_FOUND UPLOAD_NOT_FOUND UPLOAD_NOT_FOUND . .
    put_chunk: UPLOAD_NOT_FOUND UPLOAD_NOT_FOUND UPLOAD_NOT_FOUND UPLOAD_NOT_FOUND UPLOAD_NOT_FOUND FIELDS_INVALID UPLOAD_NOT_FOUND
    complete_upload: UPLOAD_NOT_FOUND UPLOAD_NOT_FOUND UPLOAD_NOT_FOUND UPLOAD_NOT_FOUND UPLOAD_NOT_FOUND UPLOAD_INCOMPLETE UPLOAD_NOT_FOUND
    ");
}

#[tokio::test]
async fn m4_s32_in_a_deleted_project_nobody_may_anything() {
    let scene = Scene::set().await;
    delete(&scene.world, &scene.owner, &scene.project_id).await.unwrap();
    for line in scene.table().await.lines() {
        let (_, cells) = line.split_once(": ").unwrap();
        assert!(cells.split(' ').all(|cell| cell.ends_with("_NOT_FOUND")), "{line}");
    }
}

#[tokio::test]
async fn m9_x13_only_the_owner_deletes_projects_and_files() {
    let scene = Scene::set().await;
    let mut wrong = Vec::new();
    for (at, caller) in scene.callers.iter().enumerate() {
        let reason = |known: &str| if at < 3 { known.to_owned() } else { "PROJECT_RIGHT_MISSING".to_owned() };
        let asked = DeleteMediaRequest { media_id: scene.media_id.clone() };
        let media = refusal(caller.media(&scene.world).delete_media(asked).await).reason;
        let project = refusal(delete(&scene.world, caller, &scene.project_id).await).reason;
        if (media.clone(), project.clone()) != (reason("MEDIA_NOT_FOUND"), reason("PROJECT_NOT_FOUND")) {
            wrong.push((at, media, project));
        }
    }
    assert_eq!(wrong, []);
    let asked = DeleteMediaRequest { media_id: scene.media_id.clone() };
    scene.owner.media(&scene.world).delete_media(asked).await.unwrap();
    delete(&scene.world, &scene.owner, &scene.project_id).await.unwrap();
}
