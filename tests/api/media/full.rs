//! Media when there is no room left for bytes or rows.

use std::path::PathBuf;
use std::process::Command;

use super::{PART, downloaded, noise, project, put_all, started, uploaded, video};
use crate::harness::prelude::*;
use crate::harness::{left_out, wire};

async fn put(world: &World, ada: &Person, upload: &UploadStatus, at: usize, data: &[u8]) -> Result<i64, Refusal> {
    let (upload_id, offset_bytes) = (upload.upload_id.clone(), at as i64);
    let asked = PutChunkRequest { upload_id, offset_bytes, data: data.to_vec().into(), ..Default::default() };
    Ok(ada.uploads(world).put_chunk(asked).await.map_err(Refusal::from)?.into_inner().offset_bytes)
}

async fn stands_at(world: &World, ada: &Person, upload: &UploadStatus) -> i64 {
    let asked = GetUploadRequest { upload_id: upload.upload_id.clone() };
    ada.uploads(world).get_upload(asked).await.unwrap().into_inner().upload.unwrap().offset_bytes
}

async fn all_are_ready(world: &World) {
    for port in world.admin_ports() {
        // Where the last look at the database took too long, the next one shows it.
        eventually("it is ready", async || {
            (wire::send(port, "GET", "/readyz", &[], b"").await.status == 200).then_some(())
        })
        .await;
    }
}

const FULL: (Code, &str) = (Code::ResourceExhausted, "STORAGE_FULL");

#[tokio::test]
async fn f07_without_room_new_bytes_are_refused_and_all_else_goes_on() {
    let world = World::own().await;
    let ada = world.sign_up("ada").await;
    let project = project(&world, &ada, "Films").await;
    let film = |name: &str, bytes: &[u8]| video(&project.project_id, name, bytes);
    let (one, two, three) = (noise(1, 1000), noise(2, 1000), noise(3, PART + 1000));
    let kept = uploaded(&world, &ada, film("one.mp4", &one), &one).await;
    let gone = uploaded(&world, &ada, film("two.mp4", &two), &two).await;
    let mut upload = started(&world, &ada, film("three.mp4", &three)).await;
    put(&world, &ada, &upload, 0, &three[..PART]).await.unwrap();

    for fault in [Fault::ObjectsFull, Fault::StoreFull] {
        world.fault(fault, true).await;
        let refused = put(&world, &ada, &upload, PART, &three[PART..]).await.unwrap_err();
        assert_eq!(refused.is(), FULL, "{fault:?}");
        assert_eq!(stands_at(&world, &ada, &upload).await, PART as i64, "{fault:?}");
        assert_eq!(downloaded(&world, &ada, &kept.media_id).await, one, "{fault:?}");
        all_are_ready(&world).await;
        if fault == Fault::ObjectsFull {
            let asked = DeleteMediaRequest { media_id: gone.media_id.clone() };
            ada.media(&world).delete_media(asked).await.expect("what makes room is done");
        }
        world.fault(fault, false).await;
    }
    upload.offset_bytes = PART as i64;
    let media = put_all(&world, &ada, &upload, &three).await;
    assert_eq!(downloaded(&world, &ada, &media.media_id).await, three);
}

/// A file system of so many bytes, where this process may make one.
struct Disk(PathBuf, #[expect(dead_code, reason = "the folder goes with it")] tempfile::TempDir);

impl Disk {
    fn of(bytes: usize) -> Option<Disk> {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("disk");
        std::fs::create_dir(&place).unwrap();
        let size = format!("size={bytes}");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&place).output().ok()?;
        mount.status.success().then(|| Disk(place, folder))
    }
}

impl Drop for Disk {
    /// Lazily: an installation that ends may still have files open.
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test]
async fn f07_a_disk_that_runs_full_shows_no_part_of_a_file_and_takes_more_once_there_is_room() {
    if std::env::var("QUARTET_TEST_MODE").as_deref() == Ok("fleet") {
        return left_out("a folder is for one process alone, and a fleet has a bucket");
    }
    let Some(disk) = Disk::of(2 * PART + PART / 2) else {
        return left_out("only root may make a small disk");
    };
    let folder = disk.0.join("media").to_str().unwrap().to_owned();
    let world = World::with(&["--media-store", "directory", "--media-directory", &folder]).await;
    let ada = world.sign_up("ada").await;
    let project = project(&world, &ada, "Films").await;
    let (small, big) = (noise(1, 1000), noise(2, 3 * PART));
    let kept = uploaded(&world, &ada, video(&project.project_id, "small.mp4", &small), &small).await;
    let upload = started(&world, &ada, video(&project.project_id, "big.mp4", &big)).await;
    for at in [0, PART] {
        put(&world, &ada, &upload, at, &big[at..at + PART]).await.unwrap();
    }
    let refused = put(&world, &ada, &upload, 2 * PART, &big[2 * PART..]).await.unwrap_err();
    assert_eq!(refused.is(), FULL);
    assert_eq!(stands_at(&world, &ada, &upload).await, 2 * PART as i64);
    assert_eq!(downloaded(&world, &ada, &kept.media_id).await, small);
    all_are_ready(&world).await;
    let objects = files_below(&disk.0.join("media/objects"));
    assert_eq!(objects.len(), 1, "{objects:?}");

    let asked = AbortUploadRequest { upload_id: upload.upload_id.clone() };
    ada.uploads(&world).abort_upload(asked).await.unwrap();
    let swept = async || files_below(&disk.0.join("media/uploads")).is_empty().then_some(());
    eventually("what was given up makes room", swept).await;
    let fits = noise(3, 2 * PART);
    let media = uploaded(&world, &ada, video(&project.project_id, "fits.mp4", &fits), &fits).await;
    assert_eq!(downloaded(&world, &ada, &media.media_id).await, fits);
}

fn files_below(folder: &std::path::Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        if entry.path().is_dir() { found.extend(files_below(&entry.path())) } else { found.push(entry.path()) }
    }
    found
}
