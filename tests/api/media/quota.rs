//! How much there may be: bytes of a project and of an account, uploads that are open (S-49).

use std::sync::Arc;

use futures_util::future::join_all;
use tokio_stream::StreamExt as _;

use super::{noise, project, put_all, started, uploaded, video};
use crate::harness::prelude::*;

const MIB: usize = 1 << 20;

async fn used(world: &World, person: &Person) -> i64 {
    person.projects(world).get_usage(GetUsageRequest {}).await.unwrap().into_inner().used_bytes
}

fn chunk(upload: &UploadStatus, data: &[u8], last: bool) -> PutChunkRequest {
    let upload_id = upload.upload_id.clone();
    PutChunkRequest { upload_id, data: data.to_vec().into(), last, ..Default::default() }
}

#[tokio::test]
async fn s49_an_account_has_so_much_room_and_its_neighbour_has_its_own() {
    let world = World::with(&["--media-account-quota-bytes", "3145728"]).await;
    let (ada, eve) = (world.sign_up("ada").await, world.sign_up("eve").await);
    let (one, two) = (project(&world, &ada, "One").await, project(&world, &ada, "Two").await);
    let file = noise(21, 2 * MIB);
    uploaded(&world, &ada, video(&one.project_id, "a.mp4", &file), &file).await;
    let refused = refusal(ada.uploads(&world).start_upload(video(&two.project_id, "b.mp4", &file)).await);
    assert_eq!(refused.is(), (Code::ResourceExhausted, "QUOTA_EXCEEDED"));
    assert_eq!(
        (&refused.metadata["quota_bytes"], &refused.metadata["used_bytes"]),
        (&"3145728".into(), &"2097152".into())
    );

    // Of unknown length it is found when the part comes.
    let unknown = StartUploadRequest { size_bytes: 0, ..video(&two.project_id, "c.mp4", b"") };
    let upload = started(&world, &ada, unknown).await;
    let refused = refusal(ada.uploads(&world).put_chunk(chunk(&upload, &file, true)).await);
    assert_eq!(refused.is(), (Code::ResourceExhausted, "QUOTA_EXCEEDED"));
    assert_eq!(used(&world, &ada).await, 2 * MIB as i64);
    ada.uploads(&world).put_chunk(chunk(&upload, &file[..MIB], true)).await.unwrap();
    assert_eq!(used(&world, &ada).await, 3 * MIB as i64);

    let hers = project(&world, &eve, "Hers").await;
    uploaded(&world, &eve, video(&hers.project_id, "d.mp4", &file), &file).await;
    let abort = AbortUploadRequest { upload_id: upload.upload_id };
    ada.uploads(&world).abort_upload(abort).await.unwrap();
    uploaded(&world, &ada, video(&two.project_id, "e.mp4", &file[..MIB]), &file[..MIB]).await;
}

#[tokio::test]
async fn s49_a_project_has_so_much_room_and_only_its_owner_is_told_how_much() {
    let world = World::with(&["--media-project-quota-bytes", "1048576"]).await;
    let (ada, editor) = (world.sign_up("ada").await, world.sign_up("editor").await);
    let (one, two) = (project(&world, &ada, "One").await, project(&world, &ada, "Two").await);
    eventually("the editor is known", async || {
        let person = Some(set_member_request::Person::AccountId(editor.account_id.clone()));
        let role = ProjectRole::Editor.into();
        let asked = SetMemberRequest { project_id: one.project_id.clone(), person, role };
        ada.members(&world).set_member(asked).await.ok()
    })
    .await;
    let file = noise(22, MIB);
    let upload = started(&world, &editor, video(&one.project_id, "a.mp4", &file[1..])).await;
    put_all(&world, &editor, &upload, &file[1..]).await;
    let mut seen = Vec::new();
    for person in [&editor, &ada] {
        let refused = refusal(person.uploads(&world).start_upload(video(&one.project_id, "b.mp4", b"ab")).await);
        assert_eq!(refused.reason, "QUOTA_EXCEEDED");
        seen.push(refused.metadata.contains_key("quota_bytes"));
    }
    assert_eq!(seen, [false, true]);
    assert_eq!(
        (used(&world, &ada).await, used(&world, &editor).await),
        (MIB as i64 - 1, 0),
        "the owner's, not whose upload"
    );
    uploaded(&world, &ada, video(&two.project_id, "c.mp4", &file), &file).await;
}

#[tokio::test]
async fn s34_s49_uploads_at_once_take_no_more_room_than_there_is() {
    let world = World::with(&["--media-account-quota-bytes", "1000000"]).await;
    let ada = world.sign_up("ada").await;
    let project = project(&world, &ada, "Race").await;
    let world = Arc::new(world);
    for round in 0..3 {
        let file = noise(23, 300_000);
        let uploads = join_all((0..8).map(|_| started(&world, &ada, video(&project.project_id, "a.mp4", &file)))).await;
        let puts = uploads.iter().map(|upload| async {
            match ada.uploads(&world).put_chunk(chunk(upload, &file, false)).await {
                Ok(_) => true,
                Err(status) => {
                    assert_eq!(Refusal::from(status).reason, "QUOTA_EXCEEDED");
                    false
                }
            }
        });
        let stored = join_all(puts).await.into_iter().filter(|stored| *stored).count();
        assert_eq!((stored, used(&world, &ada).await), (3, 900_000), "round {round}");
        for upload in &uploads {
            let abort = AbortUploadRequest { upload_id: upload.upload_id.clone() };
            ada.uploads(&world).abort_upload(abort).await.unwrap();
        }
        assert_eq!(used(&world, &ada).await, 0);
    }
}

#[tokio::test]
async fn s49_an_account_has_so_many_uploads_open() {
    let world = World::shared().await;
    let (ada, eve) = (world.sign_up("ada").await, world.sign_up("eve").await);
    let project = project(&world, &ada, "Many").await;
    let asked = video(&project.project_id, "a.mp4", b"abc");
    // At once: no race makes room for one more.
    let starts = (0..40).map(async |_| ada.uploads(&world).start_upload(asked.clone()).await);
    let (mut open, mut refused) = (Vec::new(), Vec::new());
    for started in join_all(starts).await {
        match started {
            Ok(answer) => open.push(answer.into_inner().upload.unwrap()),
            Err(status) => refused.push(Refusal::from(status)),
        }
    }
    assert_eq!((open.len(), refused.len()), (32, 8));
    assert!(refused.iter().all(|it| it.is() == (Code::ResourceExhausted, "UPLOAD_LIMIT_REACHED")));
    let listed = async |size, token: String| {
        let asked = ListUploadsRequest { project_id: project.project_id.clone(), page_size: size, page_token: token };
        ada.uploads(&world).list_uploads(asked).await.unwrap().into_inner()
    };
    let first = listed(20, String::new()).await;
    let second = listed(20, first.next_page_token.clone()).await;
    assert_eq!((first.uploads.len(), second.uploads.len(), second.next_page_token.as_str()), (20, 12, ""));
    put_all(&world, &ada, &open[0], b"abc").await;
    let abort = AbortUploadRequest { upload_id: open[1].upload_id.clone() };
    ada.uploads(&world).abort_upload(abort).await.unwrap();
    for _ in 0..2 {
        started(&world, &ada, asked.clone()).await;
    }
    assert_eq!(refusal(ada.uploads(&world).start_upload(asked).await).reason, "UPLOAD_LIMIT_REACHED");
    let hers = self::project(&world, &eve, "Hers").await;
    started(&world, &eve, video(&hers.project_id, "a.mp4", b"abc")).await;
}

/// Sends a header and so many MiB, and then nothing more.
fn stalled(upload: &UploadStatus, mib: usize) -> impl tokio_stream::Stream<Item = UploadRequest> + Send + use<> {
    let header = UploadHeader { upload_id: upload.upload_id.clone(), ..Default::default() };
    let piece = bytes::Bytes::from(noise(24, MIB));
    let pieces = (0..mib).map(move |_| upload_request::Content::Data(piece.clone()));
    let contents = std::iter::once(upload_request::Content::Header(header)).chain(pieces);
    let messages: Vec<_> = contents.map(|content| UploadRequest { content: Some(content) }).collect();
    tokio_stream::iter(messages).chain(tokio_stream::pending())
}

#[tokio::test]
async fn s49_streams_of_one_account_collect_so_much_and_its_neighbour_s_go_on() {
    let world = World::own().await;
    let (ada, eve) = (world.sign_up("ada").await, world.sign_up("eve").await);
    let project = project(&world, &ada, "Stalled").await;
    // Twice as much as there is for one account, by two instances where there are two, in parts that never come to their end.
    let unknown = StartUploadRequest { size_bytes: 0, ..video(&project.project_id, "a.mp4", b"") };
    let uploads = join_all((0..10).map(|_| started(&world, &ada, unknown.clone()))).await;
    let mut streams = tokio::task::JoinSet::new();
    for upload in &uploads {
        let (mut client, messages) = (ada.uploads(&world), stalled(upload, 15));
        streams.spawn(async move { client.upload(messages).await });
    }
    let refused = refusal(streams.join_next().await.unwrap().unwrap());
    assert_eq!(refused.is(), (Code::ResourceExhausted, "OVERLOADED"));
    let hers = self::project(&world, &eve, "Hers").await;
    let file = noise(25, 20 * MIB);
    uploaded(&world, &eve, video(&hers.project_id, "b.mp4", &file), &file).await;
    streams.abort_all();
    while streams.join_next().await.is_some() {}
    // What they had is free again: as much goes up at once.
    let whole = uploads[..4].iter().map(|upload| {
        eventually("there is room", async || {
            let messages = stalled(upload, 16).take(17);
            match ada.uploads(&world).upload(messages).await {
                Ok(answer) => Some(answer.into_inner().offset_bytes),
                Err(status) => {
                    // The last of what was given up is still on its way out.
                    assert!(["OVERLOADED", "UPLOAD_BUSY"].contains(&Refusal::from(status).reason.as_str()));
                    None
                }
            }
        })
    });
    assert_eq!(join_all(whole).await, [16 * MIB as i64; 4]);
}
