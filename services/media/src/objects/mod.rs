//! Where the bytes of files lie: in a folder or in a bucket. Objects are written once, under names that the server has made.

use std::ops::Range;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use quartet_chassis::failure::Failure;

/// A store of objects.
#[derive(Clone)]
pub enum Objects {}

/// What can go wrong with an object.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    #[error("there is no such object")]
    Missing,
    #[error("the store has no room left")]
    Full,
    #[error("the store can't be reached: {0}")]
    Unavailable(String),
}

impl From<ObjectError> for Failure {
    fn from(error: ObjectError) -> Failure {
        Failure::internal("an internal error occurred", error)
    }
}

/// The bytes of an object, as they come.
pub type Bytestream = BoxStream<'static, Result<Bytes, ObjectError>>;

impl Objects {
    /// Begins an object; the answer is the store's own name for what is begun, empty where it needs none.
    pub async fn begin(&self, _key: &str) -> Result<String, ObjectError> {
        match *self {}
    }

    /// Stores the part with this number, from 0, which begins at `offset`. It is durable when this answers; the answer is the store's own
    /// name for the part. The same part again replaces it.
    pub async fn put_part(
        &self,
        _key: &str,
        _store_id: &str,
        _number: usize,
        _offset: u64,
        _data: Vec<Bytes>,
    ) -> Result<String, ObjectError> {
        match *self {}
    }

    /// Makes an object of its parts: afterwards all of it can be read. Again, it changes nothing.
    pub async fn finish(
        &self,
        _key: &str,
        _store_id: &str,
        _parts: Vec<String>,
        _size: u64,
    ) -> Result<(), ObjectError> {
        match *self {}
    }

    /// Removes an object, finished or only begun. One that is not there is no error.
    pub async fn remove(&self, _key: &str, _store_id: &str) -> Result<(), ObjectError> {
        match *self {}
    }

    /// Streams a range of an object.
    pub async fn read(&self, _key: &str, _range: Range<u64>) -> Result<Bytestream, ObjectError> {
        match *self {}
    }

    /// Whether the store answers.
    pub async fn is_ready(&self) -> bool {
        match *self {}
    }
}
