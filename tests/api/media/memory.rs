//! How much memory files take on their way, however long they are.

use std::path::PathBuf;

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::{noise, project, video};
use crate::harness::is_long;
use crate::harness::prelude::*;

/// What a process may grow by, in KiB, whatever the length of the files.
const GROWTH: u64 = 64 << 10;
/// A message of a stream.
const PIECE: usize = 512 << 10;

/// A file that nobody has as a whole: `seed` and then one block again and again.
#[derive(Clone)]
struct Long {
    first: Bytes,
    block: Bytes,
    blocks: usize,
}

impl Long {
    fn new(seed: u64, size: usize) -> Long {
        Long { first: noise(seed, 16).into(), block: noise(77, PIECE).into(), blocks: size / PIECE }
    }

    fn size(&self) -> usize {
        self.first.len() + self.blocks * PIECE
    }

    fn pieces(&self) -> impl Iterator<Item = Bytes> + Send + 'static {
        let block = self.block.clone();
        std::iter::once(self.first.clone()).chain((0..self.blocks).map(move |_| block.clone()))
    }

    fn sha256(&self) -> Bytes {
        let mut digest = Context::new(&SHA256);
        self.pieces().for_each(|piece| digest.update(&piece));
        digest.finish().as_ref().to_vec().into()
    }

    fn asked(&self, project_id: &str) -> StartUploadRequest {
        StartUploadRequest { size_bytes: self.size() as i64, ..video(project_id, "long.mp4", b"x") }
    }
}

async fn start(world: &World, ada: &Person, project_id: &str, file: &Long) -> UploadStatus {
    super::started(world, ada, file.asked(project_id)).await
}

async fn by_stream(world: &World, ada: &Person, project_id: &str, file: &Long) -> Media {
    let upload_id = start(world, ada, project_id, file).await.upload_id;
    let sha256 = file.sha256();
    let header = UploadHeader { upload_id, complete: true, sha256, ..Default::default() };
    let contents = std::iter::once(upload_request::Content::Header(header))
        .chain(file.pieces().map(upload_request::Content::Data))
        .map(|content| UploadRequest { content: Some(content) });
    let answer = ada.uploads(world).upload(tokio_stream::iter(contents)).await.expect("not uploaded").into_inner();
    answer.media.unwrap()
}

async fn by_chunks(world: &World, ada: &Person, project_id: &str, file: &Long) -> Media {
    let upload = start(world, ada, project_id, file).await;
    let part = upload.part_size_bytes as usize;
    let (mut pieces, mut buffer, mut offset) = (file.pieces(), Vec::new(), 0);
    while offset < file.size() {
        while buffer.len() < part
            && let Some(piece) = pieces.next()
        {
            buffer.extend_from_slice(&piece);
        }
        let rest = buffer.split_off(part.min(buffer.len()));
        let data = std::mem::replace(&mut buffer, rest);
        let asked = PutChunkRequest {
            upload_id: upload.upload_id.clone(),
            offset_bytes: offset as i64,
            data: data.into(),
            ..Default::default()
        };
        let stored = ada.uploads(world).put_chunk(asked).await.expect("a part is refused").into_inner();
        offset = stored.offset_bytes as usize;
    }
    let asked = CompleteUploadRequest { upload_id: upload.upload_id, sha256: file.sha256() };
    ada.uploads(world).complete_upload(asked).await.expect("not completed").into_inner().media.unwrap()
}

/// The digest of what `GET /media/…` gives.
async fn by_http(world: &World, ada: &Person, media_id: &str) -> Bytes {
    let stream = TcpStream::connect(world.gateway()).await.unwrap();
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::builder()
        .uri(format!("/media/{media_id}"))
        .header("host", "localhost")
        .header("authorization", format!("Bearer {}", ada.access_token))
        .body(Full::<Bytes>::default())
        .unwrap();
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    let (mut body, mut digest) = (answer.into_body(), Context::new(&SHA256));
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.expect("the download breaks off").into_data() {
            digest.update(&data);
        }
    }
    digest.finish().as_ref().to_vec().into()
}

/// The processes that carry files, by name.
async fn carriers(world: &World) -> Vec<(String, PathBuf)> {
    let of = |name: &str, id: u32| (name.to_owned(), PathBuf::from(format!("/proc/{id}")));
    match world.fleet() {
        Some(fleet) => {
            let medias = fleet.medias.iter().map(|media| of("media", media.id()));
            medias.chain([of("gateway", fleet.gateway.id())]).collect()
        }
        None => vec![of("everything", world.process().id().await)],
    }
}

/// A line of what the kernel knows of a process's memory, in KiB.
fn memory(process: &std::path::Path, line: &str) -> u64 {
    let status = std::fs::read_to_string(process.join("status")).unwrap();
    let line = status.lines().find_map(|found| found.strip_prefix(line)).unwrap();
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap()
}

/// Up by a stream, up part by part, and down by HTTP, all at once. In the long form 1 GiB each.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn m6_m7_files_of_any_length_take_no_more_memory_than_short_ones() {
    let size = if is_long() { 1 << 30 } else { 192 << 20 };
    let world = World::apart(&[]).await;
    let ada = world.sign_up("ada").await;
    let project_id = project(&world, &ada, "Long").await.project_id;
    // Everything has been done once, and at once, before memory is looked at, and the file to fetch is there.
    let there = Long::new(1, size);
    let media_id = by_stream(&world, &ada, &project_id, &there).await.media_id;
    let (one, two) = (Long::new(5, 20 << 20), Long::new(6, 20 << 20));
    tokio::join!(
        by_stream(&world, &ada, &project_id, &one),
        by_chunks(&world, &ada, &project_id, &two),
        by_http(&world, &ada, &media_id),
    );

    let carriers = carriers(&world).await;
    let before: Vec<u64> = carriers.iter().map(|(_, process)| memory(process, "VmRSS")).collect();
    for (_, process) in &carriers {
        // From here on the kernel notes the most that a process holds.
        std::fs::write(process.join("clear_refs"), "5").unwrap();
    }
    let (one, two) = (Long::new(3, size), Long::new(4, size));
    let (streamed, put, fetched) = tokio::join!(
        by_stream(&world, &ada, &project_id, &one),
        by_chunks(&world, &ada, &project_id, &two),
        by_http(&world, &ada, &media_id),
    );
    let most = carriers.iter().map(|(_, process)| memory(process, "VmHWM"));
    for (((name, _), before), most) in carriers.iter().zip(before).zip(most) {
        eprintln!("{name}: {} MiB, at most {} MiB", before >> 10, most >> 10);
        assert!(most.saturating_sub(before) <= GROWTH, "{name} grew from {before} KiB to {most} KiB");
    }
    assert_eq!(streamed.sha256, one.sha256());
    assert_eq!(put.sha256, two.sha256());
    assert_eq!(fetched, there.sha256());
}
