//! Projects and their files.

use aws_lc_rs::digest;

use crate::harness::prelude::*;

mod abuse;
mod browser;
mod damage;
mod erasure;
mod file;
mod folder;
mod full;
mod hostile_name;
mod http;
mod member;
mod memory;
mod moment;
mod object_store;
mod page;
mod power_cut;
mod project;
mod quota;
mod race;
mod rights;
mod route;
mod slow;
mod sweep;
mod transcript;
mod upload;
mod upload_stream;

/// As long as a part of an upload is.
pub const PART: usize = 8 << 20;

/// A project of this person's.
pub async fn project(world: &World, owner: &Person, name: &str) -> Project {
    let asked = CreateProjectRequest { name: name.to_owned(), ..Default::default() };
    owner.projects(world).create_project(asked).await.expect("no project").into_inner().project.unwrap()
}

/// A started upload.
pub async fn started(world: &World, person: &Person, asked: StartUploadRequest) -> UploadStatus {
    person.uploads(world).start_upload(asked).await.expect("not started").into_inner().upload.unwrap()
}

/// What begins the upload of a video into a project.
pub fn video(project_id: &str, name: &str, bytes: &[u8]) -> StartUploadRequest {
    StartUploadRequest {
        project_id: project_id.to_owned(),
        name: name.to_owned(),
        kind: MediaKind::Video.into(),
        content_type: "video/mp4".to_owned(),
        size_bytes: bytes.len() as i64,
        ..Default::default()
    }
}

/// What puts the part of a file that begins there.
pub fn part_at(upload: &UploadStatus, bytes: &[u8], at: usize) -> PutChunkRequest {
    let end = bytes.len().min(at + upload.part_size_bytes as usize);
    PutChunkRequest {
        upload_id: upload.upload_id.clone(),
        offset_bytes: at as i64,
        data: bytes[at..end].to_vec().into(),
        last: end == bytes.len(),
        ..Default::default()
    }
}

/// Puts all the parts of a file that are still to come, one after the other, and completes it.
pub async fn put_all(world: &World, person: &Person, upload: &UploadStatus, bytes: &[u8]) -> Media {
    let mut at = upload.offset_bytes as usize;
    while at < bytes.len() {
        let asked = part_at(upload, bytes, at);
        let end = at + asked.data.len();
        let stored = person.uploads(world).put_chunk(asked).await.expect("a part is refused").into_inner();
        assert_eq!(stored.offset_bytes, end as i64);
        at = end;
    }
    let asked = CompleteUploadRequest { upload_id: upload.upload_id.clone(), sha256: sha256(bytes) };
    person.uploads(world).complete_upload(asked).await.expect("not completed").into_inner().media.unwrap()
}

/// A file that is there.
pub async fn uploaded(world: &World, person: &Person, asked: StartUploadRequest, bytes: &[u8]) -> Media {
    let upload = started(world, person, asked).await;
    put_all(world, person, &upload, bytes).await
}

/// All bytes that a download of the file gives.
pub async fn downloaded(world: &World, person: &Person, media_id: &str) -> Vec<u8> {
    let asked = DownloadRequest { media_id: media_id.to_owned(), ..Default::default() };
    let mut stream = person.media(world).download(asked).await.expect("no download").into_inner();
    let mut bytes = Vec::new();
    while let Some(message) = stream.message().await.expect("the download breaks off") {
        if let Some(download_response::Content::Data(data)) = message.content {
            bytes.extend_from_slice(&data);
        }
    }
    bytes
}

pub fn sha256(bytes: &[u8]) -> bytes::Bytes {
    digest::digest(&digest::SHA256, bytes).as_ref().to_vec().into()
}

/// Bytes that look like nothing in particular, others for each seed.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
