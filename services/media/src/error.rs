//! What can fail, and as what it is answered.

use quartet_chassis::db::DbError;
use quartet_chassis::failure::{Failure, Fields};
use quartet_proto::r#type::v1::ErrorReason;
use tonic::{Code, Status};

use crate::objects::ObjectError;

/// A call that fails.
#[derive(Debug)]
pub enum Error {
    /// Fields of the request break a rule.
    Fields(Failure),
    ProjectNotFound(String),
    PersonNotFound(String),
    MemberNotFound(String),
    UploadNotFound(String),
    MediaNotFound(String),
    /// The caller sees the project and may not do this in it.
    ProjectRightMissing,
    ProjectLimit(i32),
    MemberLimit(i32),
    UploadLimit(i32),
    OwnerFixed,
    EtagStale,
    UploadBusy,
    /// The upload stands elsewhere.
    OffsetWrong(i64),
    /// The upload has ended, as the state says.
    UploadClosed(String),
    /// So much is there.
    UploadIncomplete(i64),
    DigestMismatch,
    /// There is no room left; how much there is and is taken is for the owner to know.
    QuotaExceeded(Option<Quota>),
    UploadInProgress,
    /// The file is so long.
    RangeUnsatisfiable(i64),
    MediaDamaged(String),
    /// The store has lost what it had of an upload.
    UploadDamaged(String),
    LinkInvalid,
    TranscriptUnreadable(&'static str),
    CursorTooOld,
    /// Nothing was taken for too long.
    ReaderTooSlow,
    Object(ObjectError),
    Db(DbError),
}

/// How much room there is, and how much of it is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    pub limit_bytes: i64,
    pub used_bytes: i64,
}

impl From<Error> for Status {
    fn from(error: Error) -> Status {
        failure(error).into()
    }
}

fn failure(error: Error) -> Failure {
    use ErrorReason as Reason;
    let of = |code, reason, message: &str| Failure::new(code, reason, message);
    match error {
        Error::Fields(failure) => failure,
        Error::ProjectNotFound(id) => {
            of(Code::NotFound, Reason::ProjectNotFound, "there is no such project").with("project_id", id)
        }
        Error::PersonNotFound(person) => {
            of(Code::NotFound, Reason::PersonNotFound, "there is no such person").with("person", person)
        }
        Error::MemberNotFound(id) => {
            of(Code::NotFound, Reason::MemberNotFound, "this account is no member of the project")
                .with("account_id", id)
        }
        Error::UploadNotFound(id) => {
            of(Code::NotFound, Reason::UploadNotFound, "there is no such upload").with("upload_id", id)
        }
        Error::MediaNotFound(id) => {
            of(Code::NotFound, Reason::MediaNotFound, "there is no such file").with("media_id", id)
        }
        Error::ProjectRightMissing => {
            of(Code::PermissionDenied, Reason::ProjectRightMissing, "this is for others in the project")
        }
        Error::ProjectLimit(limit) => limited(Reason::ProjectLimitReached, "projects an account owns", limit),
        Error::MemberLimit(limit) => limited(Reason::MemberLimitReached, "members a project has", limit),
        Error::UploadLimit(limit) => limited(Reason::UploadLimitReached, "uploads an account has open", limit),
        Error::OwnerFixed => {
            of(Code::FailedPrecondition, Reason::OwnerFixed, "the owner stays a member: hand the project over first")
        }
        Error::EtagStale => of(Code::Aborted, Reason::EtagStale, "it was changed since: get it again"),
        Error::UploadBusy => of(Code::Aborted, Reason::UploadBusy, "another call writes to the upload: try again"),
        Error::OffsetWrong(offset) => of(Code::FailedPrecondition, Reason::OffsetWrong, "the upload stands elsewhere")
            .with("offset_bytes", offset),
        Error::UploadClosed(state) => {
            of(Code::FailedPrecondition, Reason::UploadClosed, "the upload has ended").with("state", state)
        }
        Error::UploadIncomplete(offset) => {
            of(Code::FailedPrecondition, Reason::UploadIncomplete, "not all of the file is there")
                .with("offset_bytes", offset)
        }
        Error::DigestMismatch => {
            of(Code::InvalidArgument, Reason::DigestMismatch, "the bytes that came have another SHA-256 than was said")
        }
        Error::QuotaExceeded(quota) => {
            let failure = of(Code::ResourceExhausted, Reason::QuotaExceeded, "there is no room left for the project");
            match quota {
                Some(Quota { limit_bytes, used_bytes }) => {
                    failure.with("quota_bytes", limit_bytes).with("used_bytes", used_bytes)
                }
                None => failure,
            }
        }
        Error::UploadInProgress => {
            of(Code::FailedPrecondition, Reason::UploadInProgress, "something is being uploaded into the project")
        }
        Error::RangeUnsatisfiable(size) => {
            of(Code::OutOfRange, Reason::RangeUnsatisfiable, "the file ends before the range begins")
                .with("size_bytes", size)
        }
        Error::MediaDamaged(id) => {
            of(Code::DataLoss, Reason::MediaDamaged, "the stored file is not what was uploaded").with("media_id", id)
        }
        Error::UploadDamaged(id) => {
            of(Code::DataLoss, Reason::MediaDamaged, "what was stored of the upload is damaged: upload it again")
                .with("upload_id", id)
        }
        Error::LinkInvalid => of(Code::Unauthenticated, Reason::LinkInvalid, "the link is not good, or no longer"),
        Error::TranscriptUnreadable(why) => of(Code::FailedPrecondition, Reason::TranscriptUnreadable, why),
        Error::CursorTooOld => {
            let message = "what happened behind the cursor is not known any more: start anew without one";
            of(Code::FailedPrecondition, Reason::CursorTooOld, message)
        }
        Error::ReaderTooSlow => {
            of(Code::Aborted, Reason::ReaderTooSlow, "nothing was taken for too long: go on where it broke off")
        }
        Error::Object(error) => error.into(),
        Error::Db(error) => error.into(),
    }
}

fn limited(reason: ErrorReason, what: &str, limit: i32) -> Failure {
    let message = format!("there are at most {limit} {what}");
    Failure::new(Code::ResourceExhausted, reason, message).with("limit", limit)
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        Error::Fields(failure)
    }
}

impl From<Fields> for Error {
    fn from(fields: Fields) -> Error {
        Error::Fields(fields.into())
    }
}

impl From<ObjectError> for Error {
    fn from(error: ObjectError) -> Error {
        Error::Object(error)
    }
}

impl From<DbError> for Error {
    fn from(error: DbError) -> Error {
        Error::Db(error)
    }
}
