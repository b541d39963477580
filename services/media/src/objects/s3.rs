//! Objects in a bucket of anything that speaks S3.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use object_store::aws::{AmazonS3, AmazonS3Builder, AwsCredential};
use object_store::multipart::{MultipartStore as _, PartId};
use object_store::path::Path;
use object_store::{
    BackoffConfig, ClientOptions, GetOptions, GetRange, ObjectStore as _, ObjectStoreExt as _, PutPayload, RetryConfig,
    StaticCredentialProvider,
};
use secrecy::ExposeSecret as _;

use super::s3_error::typed;
use super::s3_uploads::Uploads;
use super::{Bytestream, ObjectError, key};
use crate::config::Config;

/// How long one request may take; a part has 16 MiB at most.
const REQUEST: Duration = Duration::from_secs(20);
/// After this time nothing is tried again …
const TRIES: Duration = Duration::from_secs(10);
/// … and after this one nothing is waited for. Whoever waits renews its lease meanwhile.
const PATIENCE: Duration = Duration::from_secs(25);
/// How long the store may take to make one object of 10,000 parts.
const FINISHING: Duration = Duration::from_secs(50);
/// How often something is tried again.
const RETRIES: usize = 3;
/// How long a store that has taken a request may say nothing.
const SILENCE: Duration = Duration::from_secs(30);

/// A bucket.
#[derive(Clone)]
pub struct S3 {
    /// For what is soon done.
    calls: AmazonS3,
    /// For what takes as long as it takes, while something comes.
    streams: AmazonS3,
    uploads: Uploads,
}

impl S3 {
    pub fn open(config: &Config) -> anyhow::Result<S3> {
        let bucket = config.s3_bucket.as_ref().context("media needs `--media-s3-bucket`")?;
        let key_id = config.s3_access_key_id.as_ref().context("media needs `--media-s3-access-key-id`")?;
        let secret = config.s3_secret_access_key.as_ref().context("media needs `--media-s3-secret-access-key`")?;
        let endpoint = endpoint(config)?;
        // They are given, so nobody asks the machine's metadata for others.
        let credential = Arc::new(AwsCredential {
            key_id: key_id.expose_secret().to_owned(),
            secret_key: secret.expose_secret().to_owned(),
            token: None,
        });
        let options = ClientOptions::new()
            .with_allow_http(endpoint.starts_with("http://"))
            .with_connect_timeout(Duration::from_secs(5))
            .with_pool_idle_timeout(Duration::from_secs(20));
        let bounded = options.clone().with_timeout(REQUEST);
        let unbounded = options.with_timeout_disabled().with_read_timeout(SILENCE);
        let open = |options: ClientOptions| {
            AmazonS3Builder::new()
                .with_bucket_name(bucket)
                .with_region(&config.s3_region)
                .with_endpoint(&endpoint)
                .with_credentials(Arc::new(StaticCredentialProvider::new(AwsCredential {
                    key_id: credential.key_id.clone(),
                    secret_key: credential.secret_key.clone(),
                    token: None,
                })))
                .with_client_options(options)
                .with_retry(retries())
                .with_disable_bulk_delete(true)
                .build()
                .map_err(|error| anyhow::anyhow!("can't use the bucket: {}", typed(error)))
        };
        let uploads =
            Uploads::new(&bounded, format!("{endpoint}/{bucket}"), config.s3_region.clone(), credential.clone())?;
        Ok(S3 { calls: open(bounded)?, streams: open(unbounded)?, uploads })
    }

    pub async fn begin(&self, name: &str) -> Result<String, ObjectError> {
        within(self.calls.create_multipart(&path(name)?)).await
    }

    pub async fn put_part(
        &self,
        name: &str,
        store_id: &str,
        number: usize,
        data: Vec<Bytes>,
    ) -> Result<String, ObjectError> {
        let (path, store_id) = (path(name)?, store_id.to_owned());
        let part = self.calls.put_part(&path, &store_id, number, PutPayload::from_iter(data));
        Ok(within(part).await?.content_id)
    }

    pub async fn finish(&self, name: &str, store_id: &str, parts: Vec<String>, size: u64) -> Result<(), ObjectError> {
        let (path, store_id) = (path(name)?, store_id.to_owned());
        let parts = parts.into_iter().map(|content_id| PartId { content_id }).collect();
        let finished = within_time(FINISHING, self.streams.complete_multipart(&path, &store_id, parts)).await;
        // An answer can be lost, and then the upload is not there any more but the object is: only that counts.
        match within(self.calls.head(&path)).await {
            Ok(meta) if meta.size == size => Ok(()),
            Ok(_) => Err(ObjectError::Damaged("it was finished with another length".into())),
            Err(error) => Err(finished.err().unwrap_or(error)),
        }
    }

    pub async fn remove(&self, name: &str, store_id: &str) -> Result<(), ObjectError> {
        let path = path(name)?;
        let mut begun = self.uploads.of(name).await?;
        if !store_id.is_empty() && begun.iter().all(|id| id != store_id) {
            begun.push(store_id.to_owned());
        }
        for id in begun {
            gone(within(self.calls.abort_multipart(&path, &id)).await)?;
        }
        gone(within(self.calls.delete(&path)).await)
    }

    pub async fn read(&self, name: &str, range: Range<u64>) -> Result<Bytestream, ObjectError> {
        let path = path(name)?;
        let body = self.open_range(&path, range.clone()).await?;
        let reading = Reading { s3: self.clone(), path, range, body, failures: 0 };
        Ok(stream::try_unfold(reading, Reading::next).boxed())
    }

    pub async fn is_ready(&self) -> Result<(), ObjectError> {
        gone(within(self.calls.head(&path(&key(quartet_chassis::id::Id::NIL))?)).await.map(drop))
    }

    async fn open_range(&self, path: &Path, range: Range<u64>) -> Result<Body, ObjectError> {
        let options = GetOptions { range: Some(GetRange::Bounded(range.clone())), ..GetOptions::default() };
        let result = within(self.streams.get_opts(path, options)).await?;
        if result.range != range {
            return Err(ObjectError::Damaged("the object is too short".into()));
        }
        Ok(result.into_stream())
    }
}

type Body = BoxStream<'static, object_store::Result<Bytes>>;

/// An object that is read. Where the store breaks off it is asked again for the rest: objects never change.
struct Reading {
    s3: S3,
    path: Path,
    range: Range<u64>,
    body: Body,
    /// How often it has broken off since something came.
    failures: usize,
}

impl Reading {
    async fn next(mut self) -> Result<Option<(Bytes, Reading)>, ObjectError> {
        while !self.range.is_empty() {
            let error = match self.body.next().await {
                Some(Ok(piece)) => {
                    self.failures = 0;
                    self.range.start += piece.len() as u64;
                    return Ok(Some((piece, self)));
                }
                Some(Err(error)) => typed(error),
                None => ObjectError::Unavailable("the answer ends too early".into()),
            };
            self.failures += 1;
            if self.failures > RETRIES {
                return Err(error);
            }
            self.body = self.s3.open_range(&self.path, self.range.clone()).await?;
        }
        Ok(None)
    }
}

/// Where the store answers; not encrypted only where the settings say `http`.
fn endpoint(config: &Config) -> anyhow::Result<String> {
    let Some(endpoint) = &config.s3_endpoint else {
        return Ok(format!("https://s3.{}.amazonaws.com", config.s3_region));
    };
    if !endpoint.starts_with("https://") && !endpoint.starts_with("http://") {
        bail!("`--media-s3-endpoint` must begin with `https://` or `http://`");
    }
    Ok(endpoint.trim_end_matches('/').to_owned())
}

fn retries() -> RetryConfig {
    let backoff =
        BackoffConfig { init_backoff: Duration::from_millis(100), max_backoff: Duration::from_secs(2), base: 2.0 };
    RetryConfig { backoff, max_retries: RETRIES, retry_timeout: TRIES }
}

/// An object's name, which is one that the server has made.
fn path(name: &str) -> Result<Path, ObjectError> {
    super::key::id(name).map(|_| Path::from(name))
}

async fn within<T>(call: impl Future<Output = object_store::Result<T>>) -> Result<T, ObjectError> {
    within_time(PATIENCE, call).await
}

async fn within_time<T>(
    limit: Duration,
    call: impl Future<Output = object_store::Result<T>>,
) -> Result<T, ObjectError> {
    match tokio::time::timeout(limit, call).await {
        Ok(answer) => answer.map_err(typed),
        Err(_) => Err(ObjectError::Unavailable("no answer in time".into())),
    }
}

/// What is not there need not be removed.
fn gone(removed: Result<(), ObjectError>) -> Result<(), ObjectError> {
    match removed {
        Err(ObjectError::Missing) => Ok(()),
        other => other,
    }
}
