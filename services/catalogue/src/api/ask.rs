//! What requests have in common: ids, which are opaque, so that what is none names nothing.

use quartet_chassis::caller::Caller;
use quartet_chassis::id::Id;

use crate::error::Error;

pub fn course(id: &str) -> Result<Id, Error> {
    id.parse().map_err(|_| Error::CourseNotFound(id.to_owned()))
}

pub fn section(id: &str) -> Result<Id, Error> {
    id.parse().map_err(|_| Error::SectionNotFound(id.to_owned()))
}

pub fn block(id: &str) -> Result<Id, Error> {
    id.parse().map_err(|_| Error::BlockNotFound(id.to_owned()))
}

/// The student whom a teacher names.
pub fn student(account_id: &str) -> Result<Id, Error> {
    account_id.parse().map_err(|_| Error::EnrolmentNotFound)
}

/// The student that a request asks about; nobody named is the caller.
pub fn whose(account_id: &str, caller: &Caller) -> Result<Id, Error> {
    if account_id.is_empty() { Ok(caller.account_id) } else { student(account_id) }
}
