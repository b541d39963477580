//! This binary as an S3 server: s3s with its folder, and what that leaves out of S3's promises.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use http::Request;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::crypto::{Checksum as _, Md5};
use s3s::dto::*;
use s3s::service::S3ServiceBuilder;
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};
use s3s_fs::FileSystem;
use tokio::net::TcpListener;

use super::process::BEGIN;
use super::s3::{FOLDER, KEY_ID, SECRET_KEY};

/// No test: the process that a test has started to be an S3 server. It ends with its standard input.
#[test]
fn a_process_that_speaks_s3() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(serve(PathBuf::from(folder)));
}

async fn serve(folder: PathBuf) {
    let mut builder = S3ServiceBuilder::new(Server { files: FileSystem::new(&folder).unwrap(), folder });
    builder.set_auth(SimpleAuth::from_single(KEY_ID, SECRET_KEY));
    let service = builder.build();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{BEGIN}{}", listener.local_addr().unwrap());
    std::io::stdout().flush().unwrap();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let _ = stream.set_nodelay(true);
        let service = service.clone();
        // What has been asked for is done as a whole, whether or not the asker still waits for it.
        let service = service_fn(move |request: Request<Incoming>| {
            let call = tokio::spawn(Service::call(&service, request));
            async move { call.await.unwrap() }
        });
        tokio::spawn(async move {
            let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

struct Server {
    files: FileSystem,
    folder: PathBuf,
}

impl Server {
    /// An upload that is not there is `NoSuchUpload`, where s3s-fs says `AccessDenied`.
    fn begun(&self, upload_id: &str) -> S3Result<()> {
        let known = upload_id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
            && self.folder.join(format!(".upload-{upload_id}.json")).exists();
        if known { Ok(()) } else { Err(s3_error!(NoSuchUpload)) }
    }

    /// A part is the one that was stored, which s3s-fs does not look at.
    fn stored(&self, upload_id: &str, part: &CompletedPart) -> S3Result<()> {
        let number = part.part_number.unwrap_or_default();
        let bytes = std::fs::read(self.folder.join(format!(".upload_id-{upload_id}.part-{number}")));
        let digest = bytes.ok().map(|bytes| hex::encode(Md5::checksum(&bytes)));
        let told = part.e_tag.as_ref().map(ETag::value);
        if digest.is_some() && digest.as_deref() == told { Ok(()) } else { Err(s3_error!(InvalidPart)) }
    }
}

type Answer<T> = S3Result<S3Response<T>>;

#[async_trait::async_trait]
impl S3 for Server {
    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> Answer<CreateMultipartUploadOutput> {
        self.files.create_multipart_upload(request).await
    }

    async fn upload_part(&self, request: S3Request<UploadPartInput>) -> Answer<UploadPartOutput> {
        self.begun(&request.input.upload_id)?;
        self.files.upload_part(request).await
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> Answer<CompleteMultipartUploadOutput> {
        let input = &request.input;
        self.begun(&input.upload_id)?;
        let parts = input.multipart_upload.iter().flat_map(|upload| upload.parts.iter().flatten());
        for part in parts {
            self.stored(&input.upload_id, part)?;
        }
        self.files.complete_multipart_upload(request).await
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> Answer<AbortMultipartUploadOutput> {
        self.begun(&request.input.upload_id)?;
        self.files.abort_multipart_upload(request).await
    }

    async fn list_multipart_uploads(
        &self,
        request: S3Request<ListMultipartUploadsInput>,
    ) -> Answer<ListMultipartUploadsOutput> {
        let ListMultipartUploadsInput { bucket, prefix, .. } = request.input;
        let prefix = prefix.unwrap_or_default();
        let uploads = unfinished(&self.folder, &bucket).into_iter().filter(|(key, _)| key.starts_with(&prefix));
        let upload = |(key, id)| MultipartUpload { key: Some(key), upload_id: Some(id), ..Default::default() };
        let uploads = uploads.map(upload).collect();
        let output = ListMultipartUploadsOutput { bucket: Some(bucket), uploads: Some(uploads), ..Default::default() };
        Ok(S3Response::new(output))
    }

    async fn head_object(&self, request: S3Request<HeadObjectInput>) -> Answer<HeadObjectOutput> {
        self.files.head_object(request).await
    }

    async fn get_object(&self, request: S3Request<GetObjectInput>) -> Answer<GetObjectOutput> {
        self.files.get_object(request).await
    }

    async fn delete_object(&self, request: S3Request<DeleteObjectInput>) -> Answer<DeleteObjectOutput> {
        self.files.delete_object(request).await
    }
}

/// The keys and ids of uploads that are not finished, as the names of s3s-fs's files tell them.
pub fn unfinished(folder: &Path, bucket: &str) -> Vec<(String, String)> {
    let prefix = format!(".bucket-{}.object-", BASE64.encode(bucket));
    let entries = std::fs::read_dir(folder).unwrap().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names
        .filter_map(|name| {
            let (key, id) = name.strip_prefix(&prefix)?.strip_suffix(".metadata.json")?.split_once(".upload-")?;
            let key = String::from_utf8(BASE64.decode(key).ok()?).ok()?;
            Some((key, id.to_owned()))
        })
        .collect()
}
