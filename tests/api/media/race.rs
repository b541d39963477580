//! S-55: many who write to one upload at once, who repeat themselves, with processes that are killed: what is complete is whole, and nothing
//! else is ever seen.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;

use super::{PART, downloaded, noise, project, sha256, started, video};
use crate::harness::prelude::*;
use crate::harness::{Clients, rounds};

/// Why a writer only has to try again.
const AGAIN: [&str; 4] = ["UPLOAD_BUSY", "OFFSET_WRONG", "OVERLOADED", "DEPENDENCY_UNAVAILABLE"];

/// The pause of who is busy trying.
const AWHILE: Duration = Duration::from_millis(25);

/// One who writes a file to an upload, with others. Whatever fails is tried again from where the upload stands.
struct Writer {
    clients: Clients,
    upload: UploadStatus,
    file: Arc<Vec<u8>>,
    /// Whether calls may get no answer: something is killed meanwhile.
    killed: bool,
}

impl Writer {
    /// Writes until the upload is complete, or has ended otherwise. Answers what it was completed to, or how it ended.
    async fn write(self) -> Result<Media, Refusal> {
        loop {
            match self.step().await {
                Ok(Some(media)) => return Ok(media),
                Ok(None) => {}
                // It may be a while until it is seen that a lease is nobody's.
                Err(refused) if self.again(&refused) && self.killed => tokio::time::sleep(AWHILE).await,
                Err(refused) if self.again(&refused) => tokio::task::yield_now().await,
                Err(refused) => return Err(refused),
            }
        }
    }

    fn again(&self, refused: &Refusal) -> bool {
        let unheard = self.killed && (refused.reason.is_empty() || refused.code == Code::Unavailable);
        // Another one has completed it meanwhile: it answers the same to all.
        let completed = refused.metadata.get("state").is_some_and(|state| state == "COMPLETED");
        AGAIN.contains(&refused.reason.as_str()) || completed || unheard
    }

    async fn step(&self) -> Result<Option<Media>, Refusal> {
        let mut uploads = self.clients.uploads();
        let upload_id = self.upload.upload_id.clone();
        let asked = GetUploadRequest { upload_id: upload_id.clone() };
        let at = uploads.get_upload(asked).await?.into_inner().upload.unwrap().offset_bytes as usize;
        if at == self.file.len() {
            let asked = CompleteUploadRequest { upload_id, ..Default::default() };
            return Ok(uploads.complete_upload(asked).await?.into_inner().media);
        }
        let data = self.file[at..self.file.len().min(at + PART)].to_vec().into();
        let asked = PutChunkRequest { upload_id, offset_bytes: at as i64, data, ..Default::default() };
        uploads.put_chunk(asked).await?;
        Ok(None)
    }
}

/// Looks all the time at what the project has: each file that is there is whole.
async fn watch(world: &World, ada: &Person, project: &Project, file: &[u8], done: &AtomicBool) {
    loop {
        // Once more when all are done: the last look sees the file.
        let last = done.load(Ordering::Relaxed);
        let asked = ListMediaRequest { project_id: project.project_id.clone(), ..Default::default() };
        let listed = ada.media(world).list_media(asked).await.expect("no list").into_inner().media;
        assert!(!last || listed.len() == 1, "{listed:?}");
        for media in listed {
            assert_eq!(downloaded(world, ada, &media.media_id).await, file, "half a file is seen");
        }
        if last {
            return;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn s55_m6_many_writers_of_one_file_make_one_whole_file() {
    let world = World::shared().await;
    let mut ada = world.sign_up("ada").await;
    for round in 0..rounds(3, 500) as u64 {
        // A long run outlives a token.
        ada = world.sign_in(&ada.email, PASSWORD).await;
        let writers = [2, 16, 5, 9][round as usize % 4];
        let project = project(&world, &ada, "Race").await;
        let length = if round % 2 == 0 { PART + 50_000 } else { 60_000 };
        let file = Arc::new(noise(100 + round, length));
        let upload = started(&world, &ada, video(&project.project_id, "a.mp4", &file)).await;
        let done = AtomicBool::new(false);
        let writing = async {
            let writers = (0..writers).map(|_| {
                let clients = world.as_token(&ada.access_token);
                Writer { clients, upload: upload.clone(), file: file.clone(), killed: false }.write()
            });
            let ended = join_all(writers).await;
            done.store(true, Ordering::Relaxed);
            ended
        };
        let (ended, ()) = tokio::join!(writing, watch(&world, &ada, &project, &file, &done));
        let media: Vec<Media> = ended.into_iter().map(|ended| ended.expect("an upload that fails")).collect();
        assert!(media.windows(2).all(|pair| pair[0].media_id == pair[1].media_id), "one file, round {round}");
        assert_eq!(media[0].sha256, sha256(&file));
        assert_eq!(downloaded(&world, &ada, &media[0].media_id).await, *file);
        let delete = DeleteProjectRequest { project_id: project.project_id };
        ada.projects(&world).delete_project(delete).await.unwrap();
    }
}

#[tokio::test]
async fn s55_m6_writers_of_different_files_never_mix_a_part() {
    let world = World::shared().await;
    let mut ada = world.sign_up("ada").await;
    let project = project(&world, &ada, "Mixed").await;
    for round in 0..rounds(2, 200) as u64 {
        ada = world.sign_in(&ada.email, PASSWORD).await;
        let files: Vec<_> = (0..4).map(|file| Arc::new(noise(1000 + 4 * round + file, PART + 40_000))).collect();
        let upload = started(&world, &ada, video(&project.project_id, "a.mp4", &files[0])).await;
        let writers = files.iter().flat_map(|file| [file, file]).map(|file| {
            let clients = world.as_token(&ada.access_token);
            Writer { clients, upload: upload.clone(), file: file.clone(), killed: false }.write()
        });
        let media: Vec<Media> = join_all(writers).await.into_iter().map(|ended| ended.unwrap()).collect();
        assert!(media.windows(2).all(|pair| pair[0].media_id == pair[1].media_id));
        let bytes = downloaded(&world, &ada, &media[0].media_id).await;
        assert_eq!(media[0].sha256, sha256(&bytes), "what is told is what is stored");
        for range in [0..PART, PART..bytes.len()] {
            assert!(files.iter().any(|file| file[range.clone()] == bytes[range.clone()]), "a part of two files");
        }
    }
}

#[tokio::test]
async fn s55_m6_an_upload_that_is_given_up_while_many_write_leaves_nothing() {
    let world = World::shared().await;
    let mut ada = world.sign_up("ada").await;
    let project = project(&world, &ada, "Given up").await;
    for round in 0..rounds(4, 200) as u64 {
        ada = world.sign_in(&ada.email, PASSWORD).await;
        let file = Arc::new(noise(2000 + round, if round % 2 == 0 { PART + 1000 } else { 20_000 }));
        let upload = started(&world, &ada, video(&project.project_id, "a.mp4", &file)).await;
        let writers = (0..4).map(|_| {
            let clients = world.as_token(&ada.access_token);
            Writer { clients, upload: upload.clone(), file: file.clone(), killed: false }.write()
        });
        let abort = async {
            for _ in 0..round * 7 % 40 {
                tokio::task::yield_now().await;
            }
            let asked = AbortUploadRequest { upload_id: upload.upload_id.clone() };
            ada.uploads(&world).abort_upload(asked).await.unwrap().into_inner().upload.unwrap()
        };
        let (ended, aborted) = tokio::join!(join_all(writers), abort);
        // Either all of it, or nothing.
        let completed = aborted.state() == UploadState::Completed;
        for ended in ended {
            match ended {
                Ok(media) => assert!(completed && media.media_id == aborted.media_id, "{aborted:?}"),
                Err(refused) => {
                    assert!(!completed, "{refused:?}");
                    assert_eq!(
                        (refused.reason.as_str(), refused.metadata["state"].as_str()),
                        ("UPLOAD_CLOSED", "ABORTED")
                    );
                }
            }
        }
        if completed {
            let delete = DeleteMediaRequest { media_id: aborted.media_id };
            ada.media(&world).delete_media(delete).await.unwrap();
        }
        let asked = GetProjectRequest { project_id: project.project_id.clone(), ..Default::default() };
        let left = ada.projects(&world).get_project(asked).await.unwrap().into_inner().project.unwrap();
        assert_eq!((left.size_bytes, left.media_count), (0, 0), "round {round}");
    }
}

/// What kills media: the one process, or one instance after the other, each of which comes back at its place.
async fn kill(world: &mut World, round: u64) {
    if world.is_fleet() {
        let victim = &mut world.fleet_mut().medias[round as usize % 2];
        victim.kill().await;
        // The others see by themselves that nobody has its leases. By the clock those of the living would end, too.
        victim.restart().await;
    } else {
        world.process().kill().await;
    }
}

#[tokio::test]
async fn s55_f01_m6_writers_and_kills_make_a_whole_file() {
    let mut world = World::apart(&[]).await;
    let mut ada = world.sign_up("ada").await;
    let project = project(&world, &ada, "Kills").await;
    for round in 0..rounds(2, 200) as u64 {
        ada = world.sign_in(&ada.email, PASSWORD).await;
        let file = Arc::new(noise(3000 + round, 2 * PART + 30_000));
        let upload = started(&world, &ada, video(&project.project_id, "a.mp4", &file)).await;
        let writers = (0..4).map(|_| {
            let clients = world.as_token(&ada.access_token);
            tokio::spawn(Writer { clients, upload: upload.clone(), file: file.clone(), killed: true }.write())
        });
        let writers: Vec<_> = writers.collect();
        // At another moment each time: when so much is there.
        let moment = [0, PART as i64][round as usize % 2];
        let asked = GetUploadRequest { upload_id: upload.upload_id.clone() };
        eventually("the moment", async || {
            let stands = ada.uploads(&world).get_upload(asked.clone()).await.ok()?.into_inner().upload?;
            (stands.offset_bytes >= moment).then_some(())
        })
        .await;
        kill(&mut world, round).await;
        let mut made = Vec::new();
        for writer in writers {
            made.push(writer.await.unwrap().expect("an upload that fails"));
        }
        assert!(made.windows(2).all(|pair| pair[0].media_id == pair[1].media_id), "one file, round {round}");
        assert_eq!(made[0].sha256, sha256(&file));
        let bytes = eventually("it can be read", async || {
            let asked = GetMediaRequest { media_id: made[0].media_id.clone() };
            ada.media(&world).get_media(asked).await.ok()?;
            Some(downloaded(&world, &ada, &made[0].media_id).await)
        })
        .await;
        assert_eq!(bytes, *file);
        let delete = DeleteMediaRequest { media_id: made[0].media_id.clone() };
        ada.media(&world).delete_media(delete).await.unwrap();
    }
}
