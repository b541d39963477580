//! What can go wrong with an object, and as what it is answered.

use std::borrow::Cow;
use std::io;

use quartet_chassis::failure::Failure;
use quartet_proto::r#type::v1::ErrorReason;
use tonic::Code;

/// What can go wrong with an object. None of it holds what a store has said: that may repeat signatures and keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    #[error("there is no such object")]
    Missing,
    /// The object is not what was stored, or a part of it is not.
    #[error("the object is damaged: {0}")]
    Damaged(Cow<'static, str>),
    #[error("the store has no room left")]
    Full,
    /// It can't be reached, is too slow, or does not let us do it; later it may.
    #[error("the store can't be used: {0}")]
    Unavailable(Cow<'static, str>),
}

impl From<ObjectError> for Failure {
    fn from(error: ObjectError) -> Failure {
        match error {
            ObjectError::Full => {
                Failure::new(Code::ResourceExhausted, ErrorReason::StorageFull, "the store has no room left")
            }
            ObjectError::Unavailable(cause) => {
                tracing::warn!(%cause, "object store unavailable");
                Failure::unavailable("object store")
            }
            error => Failure::internal("an internal error occurred", error),
        }
    }
}

impl From<io::Error> for ObjectError {
    fn from(error: io::Error) -> ObjectError {
        match error.kind() {
            io::ErrorKind::NotFound => ObjectError::Missing,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                ObjectError::Full
            }
            _ => ObjectError::Unavailable(error.to_string().into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f07_a_full_disk_is_told_from_one_that_fails() {
        let of = |kind: io::ErrorKind| ObjectError::from(io::Error::from(kind));
        assert_eq!(of(io::ErrorKind::StorageFull), ObjectError::Full);
        assert_eq!(of(io::ErrorKind::QuotaExceeded), ObjectError::Full);
        assert_eq!(of(io::ErrorKind::NotFound), ObjectError::Missing);
        assert!(matches!(of(io::ErrorKind::PermissionDenied), ObjectError::Unavailable(_)));

        let failure = Failure::from(ObjectError::Full);
        assert_eq!((failure.code, failure.reason), (Code::ResourceExhausted, ErrorReason::StorageFull));
        let failure = Failure::from(of(io::ErrorKind::PermissionDenied));
        assert_eq!((failure.code, failure.reason), (Code::Unavailable, ErrorReason::DependencyUnavailable));
    }
}
