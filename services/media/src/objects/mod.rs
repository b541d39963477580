//! Where the bytes of files lie: in a folder or in a bucket. Objects are written once, under names that the server has made.

mod disk;
mod error;
mod key;
mod local;
mod s3;
mod s3_error;
mod s3_uploads;

use std::ops::Range;

use anyhow::Context as _;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use quartet_chassis::faults::Faults;
use quartet_chassis::parts::Parts;
use quartet_proto::control::v1::Fault;

pub use self::error::ObjectError;
pub use self::key::key;
use self::local::Directory;
use self::s3::S3;
use crate::config::{Config, StoreKind};

/// A store of objects.
#[derive(Clone)]
pub struct Objects {
    place: Place,
    faults: Faults,
}

#[derive(Clone)]
enum Place {
    Directory(Directory),
    S3(S3),
}

/// The bytes of an object, as they come. Nothing is read before it is asked for.
pub type Bytestream = BoxStream<'static, Result<Bytes, ObjectError>>;

impl Objects {
    /// Opens the store that the settings name. A bucket need not answer yet.
    pub async fn open(config: &Config, parts: &Parts) -> anyhow::Result<Objects> {
        let place = match config.store {
            StoreKind::Directory => {
                let folder = config.directory.as_ref().context("media needs `--media-directory`")?;
                Place::Directory(Directory::open(folder).await?)
            }
            StoreKind::S3 => Place::S3(S3::open(config)?),
        };
        Ok(Objects { place, faults: parts.faults.clone() })
    }

    /// Begins an object; the answer is the store's own name for what is begun, empty where it needs none. Asked again for the same key it
    /// may begin anew: what was begun before goes with [`remove`](Self::remove).
    pub async fn begin(&self, key: &str) -> Result<String, ObjectError> {
        self.can_grow()?;
        match &self.place {
            Place::Directory(directory) => directory.begin(key).await.map(|()| String::new()),
            Place::S3(s3) => s3.begin(key).await,
        }
    }

    /// Stores the part with this number, from 0, which begins at `offset`. It is durable when this answers; the answer is the store's own
    /// name for the part. The same part again replaces it. A bucket answers within 25 seconds. A folder answers once the write has ended,
    /// and where nobody waits for the answer any more, the next call for the same key waits for that end.
    pub async fn put_part(
        &self,
        key: &str,
        store_id: &str,
        number: usize,
        offset: u64,
        data: Vec<Bytes>,
    ) -> Result<String, ObjectError> {
        self.can_grow()?;
        match &self.place {
            Place::Directory(directory) => directory.put(key, offset, data).await.map(|()| String::new()),
            Place::S3(s3) => s3.put_part(key, store_id, number, data).await,
        }
    }

    /// Makes an object of its parts: afterwards all of it can be read. Again, it changes nothing.
    pub async fn finish(&self, key: &str, store_id: &str, parts: Vec<String>, size: u64) -> Result<(), ObjectError> {
        self.can_be_reached()?;
        match &self.place {
            Place::Directory(directory) => directory.finish(key, size).await,
            Place::S3(s3) => s3.finish(key, store_id, parts, size).await,
        }
    }

    /// Removes an object, finished or only begun, with all that was ever begun under its key. One that is not there is no error.
    pub async fn remove(&self, key: &str, store_id: &str) -> Result<(), ObjectError> {
        self.can_be_reached()?;
        match &self.place {
            Place::Directory(directory) => directory.remove(key).await,
            Place::S3(s3) => s3.remove(key, store_id).await,
        }
    }

    /// Streams a range of a finished object. An object that ends before the range does is [`ObjectError::Damaged`].
    pub async fn read(&self, key: &str, range: Range<u64>) -> Result<Bytestream, ObjectError> {
        self.can_be_reached()?;
        if range.is_empty() {
            return Ok(stream::empty().boxed());
        }
        match &self.place {
            Place::Directory(directory) => directory.read(key, range).await,
            Place::S3(s3) => s3.read(key, range).await,
        }
    }

    /// Whether the store answers.
    pub async fn is_ready(&self) -> Result<(), ObjectError> {
        self.can_be_reached()?;
        match &self.place {
            Place::Directory(directory) => directory.is_ready().await,
            Place::S3(s3) => s3.is_ready().await,
        }
    }

    fn can_be_reached(&self) -> Result<(), ObjectError> {
        if self.faults.is(Fault::Objects) {
            Err(ObjectError::Unavailable("as a test has asked".into()))
        } else {
            Ok(())
        }
    }

    fn can_grow(&self) -> Result<(), ObjectError> {
        self.can_be_reached()?;
        if self.faults.is(Fault::ObjectsFull) { Err(ObjectError::Full) } else { Ok(()) }
    }
}
