//! Media while its bucket makes trouble.

use super::{PART, downloaded, noise, project, put_all, sha256, started, uploaded, video};
use crate::harness::prelude::*;
use crate::harness::s3::S3;
use crate::harness::s3_proxy::{Call, S3Proxy, Trouble};
use crate::harness::{is_long, left_out};

/// An installation whose bucket is behind a proxy.
struct Bucket {
    world: World,
    proxy: S3Proxy,
    s3: S3,
    ada: Person,
    project: Project,
}

impl Bucket {
    async fn new() -> Bucket {
        let s3 = S3::start().await;
        let proxy = S3Proxy::start(s3.address);
        let flags = proxy.flags();
        let world = World::with(&flags.iter().map(String::as_str).collect::<Vec<_>>()).await;
        let ada = world.sign_up("ada").await;
        let project = project(&world, &ada, "Films").await;
        Bucket { world, proxy, s3, ada, project }
    }

    async fn started(&self, bytes: &[u8]) -> UploadStatus {
        started(&self.world, &self.ada, video(&self.project.project_id, "film.mp4", bytes)).await
    }

    async fn uploaded(&self, name: &str, bytes: &[u8]) -> Media {
        uploaded(&self.world, &self.ada, video(&self.project.project_id, name, bytes), bytes).await
    }

    async fn put(&self, upload: &UploadStatus, at: usize, data: &[u8]) -> Result<i64, Refusal> {
        let (upload_id, offset_bytes) = (upload.upload_id.clone(), at as i64);
        let asked = PutChunkRequest { upload_id, offset_bytes, data: data.to_vec().into(), ..Default::default() };
        let answer = self.ada.uploads(&self.world).put_chunk(asked).await.map_err(Refusal::from)?;
        Ok(answer.into_inner().offset_bytes)
    }

    async fn complete(&self, upload: &UploadStatus, bytes: &[u8]) -> Result<Media, Refusal> {
        let asked = CompleteUploadRequest { upload_id: upload.upload_id.clone(), sha256: sha256(bytes) };
        let answer = self.ada.uploads(&self.world).complete_upload(asked).await.map_err(Refusal::from)?;
        Ok(answer.into_inner().media.unwrap())
    }

    async fn stands_at(&self, upload: &UploadStatus) -> i64 {
        let asked = GetUploadRequest { upload_id: upload.upload_id.clone() };
        let status = self.ada.uploads(&self.world).get_upload(asked).await.unwrap().into_inner().upload.unwrap();
        assert_eq!(status.state(), UploadState::Open);
        status.offset_bytes
    }

    async fn files(&self) -> Vec<Media> {
        let asked = ListMediaRequest { project_id: self.project.project_id.clone(), ..Default::default() };
        self.ada.media(&self.world).list_media(asked).await.unwrap().into_inner().media
    }

    async fn downloaded(&self, media: &Media) -> Vec<u8> {
        downloaded(&self.world, &self.ada, &media.media_id).await
    }

    /// What a download ends with that does not succeed.
    async fn broken_download(&self, media: &Media) -> Refusal {
        let asked = DownloadRequest { media_id: media.media_id.clone(), ..Default::default() };
        let mut stream = match self.ada.media(&self.world).download(asked).await {
            Ok(answer) => answer.into_inner(),
            Err(status) => return status.into(),
        };
        loop {
            match stream.message().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("the download succeeds"),
                Err(status) => return status.into(),
            }
        }
    }
}

/// What is told when a store can't be used.
const UNAVAILABLE: (Code, &str) = (Code::Unavailable, "DEPENDENCY_UNAVAILABLE");

#[tokio::test]
async fn f16_a_part_that_the_store_refuses_is_told_with_a_type_and_the_upload_goes_on_from_there() {
    let bucket = Bucket::new().await;
    let bytes = noise(1, PART + 1000);
    let upload = bucket.started(&bytes).await;
    assert_eq!(bucket.put(&upload, 0, &bytes[..PART]).await.unwrap(), PART as i64);
    let troubles = [
        (Trouble::Status(500, "InternalError"), UNAVAILABLE),
        (Trouble::Status(503, "SlowDown"), UNAVAILABLE),
        (Trouble::Status(403, "AccessDenied"), UNAVAILABLE),
        (Trouble::Cut, UNAVAILABLE),
        (Trouble::Lost, UNAVAILABLE),
        (Trouble::Status(507, "XMinioStorageFull"), (Code::ResourceExhausted, "STORAGE_FULL")),
    ];
    for (trouble, told) in troubles {
        bucket.proxy.always(Call::Part, trouble);
        let refused = bucket.put(&upload, PART, &bytes[PART..]).await.unwrap_err();
        assert_eq!(refused.is(), told, "{trouble:?}");
        assert_eq!(bucket.stands_at(&upload).await, PART as i64, "{trouble:?}");
        bucket.proxy.calm();
    }
    let media = put_all(&bucket.world, &bucket.ada, &at(&upload, PART), &bytes).await;
    assert_eq!(bucket.downloaded(&media).await, bytes);
}

/// An upload that is so far.
fn at(upload: &UploadStatus, offset: usize) -> UploadStatus {
    UploadStatus { offset_bytes: offset as i64, ..upload.clone() }
}

#[tokio::test]
async fn f16_trouble_that_passes_is_noticed_by_nobody() {
    let bucket = Bucket::new().await;
    let bytes = noise(2, PART + 1000);
    for trouble in [
        Trouble::Status(500, "InternalError"),
        Trouble::Status(503, "SlowDown"),
        Trouble::Cut,
        Trouble::Lost,
        Trouble::Torn,
    ] {
        for call in [Call::Begin, Call::Part, Call::Finish, Call::Head, Call::Read] {
            // What an answer without a body has is torn off only with all of it.
            if !matches!((trouble, call), (Trouble::Torn, Call::Part | Call::Head)) {
                bucket.proxy.trouble(call, trouble, 1);
            }
        }
        let media = bucket.uploaded("film.mp4", &bytes).await;
        assert_eq!(bucket.downloaded(&media).await, bytes, "{trouble:?}");
        bucket.proxy.calm();
    }
    // A download that breaks off again and again, and gets on each time.
    let media = bucket.files().await.remove(0);
    bucket.proxy.trouble(Call::Read, Trouble::Torn, 6);
    assert_eq!(bucket.downloaded(&media).await, bytes);
}

#[tokio::test]
async fn f16_a_file_is_there_when_the_store_has_it_and_not_before() {
    let bucket = Bucket::new().await;
    let bytes = noise(3, 5000);
    let upload = bucket.started(&bytes).await;
    bucket.put(&upload, 0, &bytes).await.unwrap();
    for trouble in [Trouble::Status(500, "InternalError"), Trouble::Status(403, "AccessDenied"), Trouble::Cut] {
        bucket.proxy.always(Call::Finish, trouble);
        assert_eq!(bucket.complete(&upload, &bytes).await.unwrap_err().is(), UNAVAILABLE, "{trouble:?}");
        assert_eq!(bucket.stands_at(&upload).await, 5000);
        assert!(bucket.files().await.is_empty(), "{trouble:?}");
        bucket.proxy.calm();
    }
    // The store makes the object, and no answer of it ever comes.
    bucket.proxy.always(Call::Finish, Trouble::Lost);
    let media = bucket.complete(&upload, &bytes).await.unwrap();
    bucket.proxy.calm();
    assert_eq!(bucket.complete(&upload, &bytes).await.unwrap().media_id, media.media_id);
    assert_eq!(bucket.downloaded(&media).await, bytes);
    assert_eq!(bucket.files().await.len(), 1);
}

#[tokio::test]
async fn f16_what_nobody_refers_to_is_gone_within_the_hour() {
    let bucket = Bucket::new().await;
    let kept = bucket.uploaded("kept.mp4", &noise(4, 1000)).await;
    let lost = bucket.uploaded("lost.mp4", &noise(5, 1000)).await;

    // Begun at the store, which nobody hears of, and given up.
    let bytes = noise(6, 1000);
    let upload = bucket.started(&bytes).await;
    bucket.proxy.always(Call::Begin, Trouble::Lost);
    assert_eq!(bucket.put(&upload, 0, &bytes).await.unwrap_err().is(), UNAVAILABLE);
    assert!(!bucket.s3.unfinished().is_empty(), "the store has begun it");
    let asked = AbortUploadRequest { upload_id: upload.upload_id.clone() };
    bucket.ada.uploads(&bucket.world).abort_upload(asked).await.unwrap();

    // Removals that the store refuses, for now.
    bucket.proxy.always(Call::Remove, Trouble::Status(503, "SlowDown"));
    bucket.proxy.always(Call::Abort, Trouble::Status(403, "AccessDenied"));
    let asked = DeleteMediaRequest { media_id: lost.media_id.clone() };
    bucket.ada.media(&bucket.world).delete_media(asked).await.unwrap();
    bucket.world.move_clock(Duration::from_secs(120)).await;
    let tried = async || (bucket.proxy.count(Call::Remove) > 0 && bucket.proxy.count(Call::Abort) > 0).then_some(());
    eventually("removals are tried", tried).await;
    assert_eq!(bucket.s3.objects().len(), 2);
    assert_eq!(bucket.downloaded(&kept).await, noise(4, 1000));

    bucket.proxy.calm();
    bucket.world.move_clock(Duration::from_secs(3600)).await;
    let gone = async || (bucket.s3.objects().len() == 1 && bucket.s3.unfinished().is_empty()).then_some(());
    eventually("orphans are gone", gone).await;
    let ada = bucket.world.sign_in(&bucket.ada.email, PASSWORD).await;
    assert_eq!(downloaded(&bucket.world, &ada, &kept.media_id).await, noise(4, 1000));
}

#[tokio::test]
async fn f16_an_upload_to_which_nothing_comes_leaves_nothing_in_the_store() {
    let bucket = Bucket::new().await;
    let bytes = noise(7, PART + 1);
    let upload = bucket.started(&bytes).await;
    bucket.put(&upload, 0, &bytes[..PART]).await.unwrap();
    assert_eq!(bucket.s3.unfinished().len(), 1);
    bucket.world.move_clock(Duration::from_secs(25 * 3600)).await;
    eventually("it is swept", async || bucket.s3.unfinished().is_empty().then_some(())).await;
    let ada = bucket.world.sign_in(&bucket.ada.email, PASSWORD).await;
    let asked = GetUploadRequest { upload_id: upload.upload_id.clone() };
    let status = ada.uploads(&bucket.world).get_upload(asked).await.unwrap().into_inner().upload.unwrap();
    assert_eq!(status.state(), UploadState::Expired);
}

#[tokio::test]
async fn f16_an_object_that_the_store_has_lost_or_cut_is_data_loss() {
    let bucket = Bucket::new().await;
    let cut = bucket.uploaded("cut.mp4", &noise(8, 5000)).await;
    let (name, _) = bucket.s3.objects().remove(0);
    let path = bucket.s3.path(&name);
    std::fs::File::options().write(true).open(&path).unwrap().set_len(4000).unwrap();
    assert_eq!(bucket.broken_download(&cut).await.is(), (Code::DataLoss, "MEDIA_DAMAGED"));
    std::fs::remove_file(&path).unwrap();
    assert_eq!(bucket.broken_download(&cut).await.is(), (Code::DataLoss, "MEDIA_DAMAGED"));
}

#[tokio::test]
async fn f24_an_upload_that_the_store_has_lost_has_failed_and_the_file_can_be_uploaded_anew() {
    let bucket = Bucket::new().await;
    let bytes = noise(12, PART + 1000);
    let upload = bucket.started(&bytes).await;
    bucket.put(&upload, 0, &bytes[..PART]).await.unwrap();
    bucket.proxy.always(Call::Part, Trouble::Status(404, "NoSuchUpload"));
    let refused = bucket.put(&upload, PART, &bytes[PART..]).await.unwrap_err();
    assert_eq!(refused.is(), (Code::DataLoss, "MEDIA_DAMAGED"));
    bucket.proxy.calm();
    has_failed(&bucket.world, &bucket.ada, &upload).await;
    let media = bucket.uploaded("film.mp4", &bytes).await;
    assert_eq!(bucket.downloaded(&media).await, bytes);
}

/// The upload has ended, says why, and takes nothing any more.
pub async fn has_failed(world: &World, ada: &Person, upload: &UploadStatus) {
    let asked = GetUploadRequest { upload_id: upload.upload_id.clone() };
    let ended = ada.uploads(world).get_upload(asked).await.unwrap().into_inner().upload.unwrap();
    assert_eq!((ended.state(), ended.failure.as_str()), (UploadState::Failed, "MEDIA_DAMAGED"));
    let asked = PutChunkRequest { upload_id: upload.upload_id.clone(), data: vec![1].into(), ..Default::default() };
    let refused = refusal(ada.uploads(world).put_chunk(asked).await);
    assert_eq!(refused.is(), (Code::FailedPrecondition, "UPLOAD_CLOSED"));
    let asked = CompleteUploadRequest { upload_id: upload.upload_id.clone(), ..Default::default() };
    let refused = refusal(ada.uploads(world).complete_upload(asked).await);
    assert_eq!(refused.is(), (Code::DataLoss, "MEDIA_DAMAGED"));
    assert_eq!(super::project::used(world, ada).await, 0);
}

#[tokio::test]
async fn f16_a_store_that_can_not_be_read_is_no_data_loss() {
    let bucket = Bucket::new().await;
    let media = bucket.uploaded("film.mp4", &noise(9, 5000)).await;
    for trouble in [Trouble::Status(500, "InternalError"), Trouble::Status(403, "AccessDenied"), Trouble::Cut] {
        bucket.proxy.always(Call::Read, trouble);
        assert_eq!(bucket.broken_download(&media).await.is(), UNAVAILABLE, "{trouble:?}");
        bucket.proxy.calm();
    }
    assert_eq!(bucket.downloaded(&media).await, noise(9, 5000));
}

#[tokio::test]
async fn i33_what_a_store_says_of_keys_and_signatures_reaches_nobody() {
    let bucket = Bucket::new().await;
    let bytes = noise(10, 1000);
    let upload = bucket.started(&bytes).await;
    bucket.proxy.always(Call::Part, Trouble::Status(403, "SignatureDoesNotMatch"));
    let refused = bucket.put(&upload, 0, &bytes).await.unwrap_err();
    assert_eq!(refused.is(), UNAVAILABLE);
    let mut told = format!("{refused:?}");
    for process in bucket.world.fleet().iter().flat_map(|fleet| fleet.processes()) {
        told.push_str(&process.log.text());
        told.push_str(&process.output.text());
    }
    for secret in
        [crate::harness::s3::KEY_ID, crate::harness::s3::SECRET_KEY, "a-string-to-sign", "a word of the store"]
    {
        assert!(!told.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn f16_a_store_that_hangs_holds_a_call_for_less_than_its_lease() {
    if !is_long() {
        return left_out("it takes a minute: `tests/run long`");
    }
    let bucket = Bucket::new().await;
    let bytes = noise(11, 1000);
    let upload = bucket.started(&bytes).await;
    bucket.proxy.always(Call::Part, Trouble::Hang);
    assert_eq!(bucket.put(&upload, 0, &bytes).await.unwrap_err().is(), UNAVAILABLE);
    bucket.proxy.calm();
    let media = put_all(&bucket.world, &bucket.ada, &upload, &bytes).await;
    assert_eq!(bucket.downloaded(&media).await, bytes);
}
