//! The power goes, and what the disk had at that moment is all there is.
//!
//! The data lie on a file system in a file. What is in that file has reached the block layer: a copy of it, made while the server is halted
//! in the middle of its work and nothing has been unmounted, is what a cut of the power would leave.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tonic::Status;

use super::{PART, downloaded, noise, part_at, project, put_all, sha256, video};
use crate::harness::prelude::*;
use crate::harness::{PATIENCE, left_out, rounds};

/// A file system in a file, where this process may have one.
struct Disk {
    image: PathBuf,
    place: PathBuf,
    reaper: Child,
}

impl Disk {
    fn make(folder: &Path) -> Option<Disk> {
        let image = folder.join("image");
        std::fs::File::create(&image).unwrap().set_len(256 << 20).unwrap();
        run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image))?;
        Disk::mount(image, folder.join("disk"))
    }

    /// What would be left if the power went now.
    fn cut(&self, folder: &Path) -> Disk {
        let image = folder.join("cut");
        run(Command::new("cp").arg("--sparse=always").arg(&self.image).arg(&image)).expect("no copy");
        Disk::mount(image, folder.join("left")).expect("what is left can't be mounted")
    }

    fn mount(image: PathBuf, place: PathBuf) -> Option<Disk> {
        std::fs::create_dir_all(&place).unwrap();
        // The journal is written when somebody syncs, and else by nobody while the file is copied.
        run(Command::new("mount").args(["-o", "loop,commit=600"]).arg(&image).arg(&place))?;
        // However these tests end, it is unmounted.
        let script = ["-c", "cat; umount -l -- \"$0\""];
        let reaper = Command::new("sh").args(script).arg(&place).stdin(Stdio::piped()).spawn().unwrap();
        Some(Disk { image, place, reaper })
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(self.reaper.stdin.take());
        let _ = self.reaper.wait();
        let _ = std::fs::remove_file(&self.image);
    }
}

fn run(command: &mut Command) -> Option<()> {
    command.output().ok()?.status.success().then_some(())
}

/// A file that the server has said is there.
#[derive(Clone)]
struct Uploaded {
    media_id: String,
    digest: bytes::Bytes,
    /// Whether it is not deleted again.
    stays: bool,
}

/// What the server has said.
#[derive(Default)]
struct Told {
    files: Vec<Uploaded>,
    /// The upload under way, which bytes it has, and how far it is.
    upload: Option<(UploadStatus, u64, usize)>,
}

/// Asks again where the server was halted for so long that it has not answered in time.
async fn again<T, F: Future<Output = Result<T, Status>>>(mut ask: impl FnMut() -> F) -> Result<T, Status> {
    let start = Instant::now();
    loop {
        match ask().await {
            Err(late) if matches!(late.code(), Code::DeadlineExceeded | Code::Unavailable | Code::Aborted) => {
                assert!(start.elapsed() < PATIENCE, "no answer: {late:?}");
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
            answered => return answered,
        }
    }
}

/// Starts an upload. By its key it is one however often it is asked for.
async fn begin(world: &World, ada: &Person, project: &str, seed: u64, bytes: &[u8]) -> UploadStatus {
    let asked = StartUploadRequest { idempotency_key: seed.to_string(), ..video(project, "film.mp4", bytes) };
    let started = again(|| {
        let (mut uploads, asked) = (ada.uploads(world), asked.clone());
        async move { uploads.start_upload(asked).await }
    });
    started.await.expect("not started").into_inner().upload.unwrap()
}

/// Puts the next part of a file.
async fn put(world: &World, ada: &Person, upload: &mut UploadStatus, bytes: &[u8]) {
    let asked = part_at(upload, bytes, upload.offset_bytes as usize);
    let end = asked.offset_bytes + asked.data.len() as i64;
    let stored = again(|| {
        let (mut uploads, asked) = (ada.uploads(world), asked.clone());
        async move { uploads.put_chunk(asked).await }
    });
    upload.offset_bytes = stored.await.expect("a part is refused").into_inner().offset_bytes;
    assert_eq!(upload.offset_bytes, end);
}

async fn complete(world: &World, ada: &Person, upload: &UploadStatus, bytes: &[u8]) -> Media {
    let asked = CompleteUploadRequest { upload_id: upload.upload_id.clone(), sha256: sha256(bytes) };
    let completed = again(|| {
        let (mut uploads, asked) = (ada.uploads(world), asked.clone());
        async move { uploads.complete_upload(asked).await }
    });
    completed.await.expect("not completed").into_inner().media.unwrap()
}

/// Uploads files one after the other for as long as it is let, and notes what it is told.
async fn upload(world: &World, email: &str, project: &str, told: &Mutex<Told>) {
    for seed in 1.. {
        // A long run outlives a token.
        let tokens = again(|| world.try_sign_in(email, PASSWORD)).await.expect("not signed in");
        let ada = &Person::new(email, PASSWORD, tokens);
        let small = noise(seed, 50_000 + seed as usize % 7 * 30_000);
        let mut upload = begin(world, ada, project, seed, &small).await;
        put(world, ada, &mut upload, &small).await;
        let media = complete(world, ada, &upload, &small).await;
        let file = Uploaded { media_id: media.media_id, digest: sha256(&small), stays: true };
        told.lock().unwrap().files.push(file);

        let long = noise(seed + 1_000_000, PART + 1000);
        let mut upload = begin(world, ada, project, seed + 1_000_000, &long).await;
        told.lock().unwrap().upload = Some((upload.clone(), seed + 1_000_000, 0));
        put(world, ada, &mut upload, &long).await;
        told.lock().unwrap().upload = Some((upload.clone(), seed + 1_000_000, PART));
        put(world, ada, &mut upload, &long).await;
        let media = complete(world, ada, &upload, &long).await;
        {
            let mut told = told.lock().unwrap();
            told.upload = None;
            told.files.push(Uploaded { media_id: media.media_id.clone(), digest: sha256(&long), stays: false });
        }
        // The disk is small.
        let asked = DeleteMediaRequest { media_id: media.media_id.clone() };
        let deleted = again(|| {
            let (mut media, asked) = (ada.media(world), asked.clone());
            async move { media.delete_media(asked).await }
        });
        // Asked again, it is gone by now.
        let refused = deleted.await.err().filter(|status| status.code() != Code::NotFound);
        assert!(refused.is_none(), "not deleted: {refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f03_what_was_told_is_there_when_the_power_has_gone() {
    let folder = tempfile::tempdir().unwrap();
    if std::env::var("QUARTET_TEST_MODE").as_deref() == Ok("fleet") {
        return left_out("the bytes of a fleet are the bucket's and its rows PostgreSQL's");
    }
    let Some(disk) = Disk::make(folder.path()) else {
        return left_out("only root may make a disk in a file");
    };
    let rounds = rounds(2, 100);
    let world = Arc::new(World::lone_in(&disk.place, &[]).await);
    let ada = world.sign_up("ada").await;
    let project = project(&world, &ada, "Films").await.project_id;
    let told = Arc::new(Mutex::new(Told::default()));
    let uploading = tokio::spawn({
        let (world, email, project, told) = (world.clone(), ada.email.clone(), project.clone(), told.clone());
        async move { upload(&world, &email, &project, &told).await }
    });
    for round in 0..rounds {
        let before = told.lock().unwrap().files.len();
        // Anywhere between two answers: the server is never waited for.
        let more = async || (told.lock().unwrap().files.len() > before + round % 3).then_some(());
        eventually("it goes on", more).await;
        world.process().halt().await;
        let (files, under_way) = {
            let told = told.lock().unwrap();
            (told.files.clone(), told.upload.clone())
        };
        let left = disk.cut(folder.path());
        check(&left, &ada.email, &files, under_way).await;
        world.process().go_on().await;
    }
    assert!(!uploading.is_finished(), "the uploads end too early");
    uploading.abort();
}

/// Starts a server on what is left, and asks it for what was told.
async fn check(left: &Disk, email: &str, files: &[Uploaded], under_way: Option<(UploadStatus, u64, usize)>) {
    let world = World::lone_in(&left.place, &[]).await;
    let ada = world.sign_in(email, PASSWORD).await;
    for Uploaded { media_id, digest, stays } in files.iter().rev().take(12) {
        let asked = GetMediaRequest { media_id: media_id.clone() };
        match ada.media(&world).get_media(asked).await {
            Ok(_) => assert_eq!(sha256(&downloaded(&world, &ada, media_id).await), *digest),
            Err(status) => {
                assert_eq!(Refusal::from(status).is(), (Code::NotFound, "MEDIA_NOT_FOUND"));
                assert!(!stays, "a file is lost");
            }
        }
    }
    if let Some((mut upload, seed, offset)) = under_way {
        let asked = GetUploadRequest { upload_id: upload.upload_id.clone() };
        let status = ada.uploads(&world).get_upload(asked).await.unwrap().into_inner().upload.unwrap();
        assert!(status.offset_bytes >= offset as i64, "{status:?}");
        upload.offset_bytes = status.offset_bytes;
        let bytes = noise(seed, PART + 1000);
        let media = put_all(&world, &ada, &upload, &bytes).await;
        assert_eq!(downloaded(&world, &ada, &media.media_id).await, bytes);
    }
}
