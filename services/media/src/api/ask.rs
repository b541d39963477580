//! What requests have in common: ids, which are opaque, so that what is none names nothing.

use quartet_chassis::id::Id;

use crate::error::Error;

pub fn project(id: &str) -> Result<Id, Error> {
    id.parse().map_err(|_| Error::ProjectNotFound(id.to_owned()))
}

pub fn upload(id: &str) -> Result<Id, Error> {
    id.parse().map_err(|_| Error::UploadNotFound(id.to_owned()))
}

pub fn media(id: &str) -> Result<Id, Error> {
    id.parse().map_err(|_| Error::MediaNotFound(id.to_owned()))
}

/// Somebody who is named. Rights come first, so what is no id is nobody's.
pub fn person(account_id: &str) -> Id {
    account_id.parse().unwrap_or(Id::NIL)
}
