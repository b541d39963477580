//! What can fail, and as what it is answered.

use std::time::Duration;

use quartet_chassis::db::DbError;
use quartet_chassis::failure::{Failure, Fields};
use quartet_proto::r#type::v1::ErrorReason;
use tonic::{Code, Status};

use crate::import_file::HeaderInvalid;

/// A call that fails.
#[derive(Debug)]
pub enum Error {
    /// Fields of the request break a rule.
    Fields(Failure),
    MovieNotFound(String),
    /// A movie, which has the id, has the name and the date.
    MovieExists {
        id: String,
        name: String,
        release_date: String,
    },
    /// What is to be changed is not in the state that the caller has seen.
    EtagStale,
    TermNotFound(String),
    TermExists(String),
    /// So many movies have it.
    TermInUse(i64),
    /// What happened behind a cursor is not known any more.
    CursorTooOld,
    Header(HeaderInvalid),
    CourseNotFound(String),
    SectionNotFound(String),
    BlockNotFound(String),
    PersonNotFound(String),
    /// The caller sees the course and may not do this in it.
    CourseRightMissing,
    CourseArchived,
    QuizInUse,
    /// The course fits into no message.
    CourseFileTooLarge,
    EnrolmentNotFound,
    SubmissionNotFound,
    AlreadyEnrolled,
    InvitationMissing,
    EnrolmentCodeWrong,
    /// Too many codes were wrong: so long until the next.
    CodesRateLimited(Duration),
    TeachesCourse,
    BlockIsQuiz,
    BlockIsNoQuiz,
    /// A student may try so often.
    AttemptsExhausted(i32),
    NothingSubmitted,
    Db(DbError),
}

impl From<Error> for Status {
    fn from(error: Error) -> Status {
        let failure = match error {
            Error::Fields(failure) => failure,
            Error::MovieNotFound(id) => {
                Failure::new(Code::NotFound, ErrorReason::MovieNotFound, "Movie with the given ID was not found.")
                    .with("movie_id", id)
            }
            Error::MovieExists { id, name, release_date } => {
                let message =
                    format!("A movie with the name '{name}' and release date '{release_date}' already exists.");
                let failure = Failure::new(Code::AlreadyExists, ErrorReason::MovieExists, message);
                failure.with("movie_id", id).with("name", name).with("release_date", release_date)
            }
            Error::EtagStale => {
                let message = "it was changed since: get it again";
                Failure::new(Code::Aborted, ErrorReason::EtagStale, message)
            }
            Error::TermNotFound(id) => {
                Failure::new(Code::NotFound, ErrorReason::TermNotFound, "there is no such term").with("term_id", id)
            }
            Error::TermExists(name) => {
                let message = format!("there is a term of this kind with the name `{name}`");
                Failure::new(Code::AlreadyExists, ErrorReason::TermExists, message).with("name", name)
            }
            Error::TermInUse(movies) => {
                let message = format!("{movies} movies have the term");
                Failure::new(Code::FailedPrecondition, ErrorReason::TermInUse, message).with("movies", movies)
            }
            Error::CursorTooOld => {
                let message = "what happened behind the cursor is not known any more: start anew without one";
                Failure::new(Code::FailedPrecondition, ErrorReason::CursorTooOld, message)
            }
            Error::Header(HeaderInvalid { missing }) => {
                let names: Vec<String> = missing.iter().map(|column| format!("`{column}`")).collect();
                let message = format!("the file's first line lacks the columns {}", names.join(", "));
                Failure::new(Code::InvalidArgument, ErrorReason::ImportHeaderInvalid, message)
                    .with("missing", missing.join(","))
            }
            Error::CourseNotFound(id) => {
                Failure::new(Code::NotFound, ErrorReason::CourseNotFound, "there is no such course")
                    .with("course_id", id)
            }
            Error::SectionNotFound(id) => {
                let failure = Failure::new(Code::NotFound, ErrorReason::SectionNotFound, "there is no such section");
                failure.with("section_id", id)
            }
            Error::BlockNotFound(id) => {
                Failure::new(Code::NotFound, ErrorReason::BlockNotFound, "there is no such block").with("block_id", id)
            }
            Error::PersonNotFound(id) => {
                Failure::new(Code::NotFound, ErrorReason::PersonNotFound, "there is no such person").with("person", id)
            }
            Error::CourseRightMissing => {
                let message = "this is for others in the course";
                Failure::new(Code::PermissionDenied, ErrorReason::CourseRightMissing, message)
            }
            Error::CourseArchived => {
                let message = "the course is archived: nothing changes in it";
                Failure::new(Code::FailedPrecondition, ErrorReason::CourseArchived, message)
            }
            Error::QuizInUse => {
                let message = "somebody has tried the quiz: make another block for another quiz";
                Failure::new(Code::FailedPrecondition, ErrorReason::QuizInUse, message)
            }
            Error::CourseFileTooLarge => {
                let message = "the course is too large for a file";
                Failure::new(Code::ResourceExhausted, ErrorReason::MessageTooLarge, message)
                    .with("limit_bytes", crate::course_file::SIZE)
            }
            Error::EnrolmentNotFound => {
                let message = "this account does not take the course";
                Failure::new(Code::NotFound, ErrorReason::EnrolmentNotFound, message)
            }
            Error::SubmissionNotFound => {
                Failure::new(Code::NotFound, ErrorReason::SubmissionNotFound, "nothing was handed in for this block")
            }
            Error::AlreadyEnrolled => {
                let message = "you take the course already";
                Failure::new(Code::AlreadyExists, ErrorReason::AlreadyEnrolled, message)
            }
            Error::InvitationMissing => {
                let message = "the course is for who was invited";
                Failure::new(Code::PermissionDenied, ErrorReason::InvitationMissing, message)
            }
            Error::EnrolmentCodeWrong => {
                let message = "the course asks for a code, and this is not it";
                Failure::new(Code::PermissionDenied, ErrorReason::EnrolmentCodeWrong, message)
            }
            Error::CodesRateLimited(wait) => {
                let message = "too many codes were wrong: try again later";
                Failure::new(Code::ResourceExhausted, ErrorReason::RateLimited, message).retry_after(wait)
            }
            Error::TeachesCourse => {
                let message = "who teaches a course does not take it";
                Failure::new(Code::FailedPrecondition, ErrorReason::TeachesCourse, message)
            }
            Error::BlockIsQuiz => {
                let message = "a quiz is completed by its tries";
                Failure::new(Code::FailedPrecondition, ErrorReason::BlockIsQuiz, message)
            }
            Error::BlockIsNoQuiz => {
                Failure::new(Code::FailedPrecondition, ErrorReason::BlockIsNoQuiz, "only a quiz can be tried")
            }
            Error::AttemptsExhausted(most) => {
                let message = format!("there are no tries left of {most}");
                Failure::new(Code::FailedPrecondition, ErrorReason::AttemptsExhausted, message)
                    .with("max_attempts", most)
            }
            Error::NothingSubmitted => {
                Failure::new(Code::FailedPrecondition, ErrorReason::NothingSubmitted, "there is no work to grade")
            }
            Error::Db(error) => error.into(),
        };
        failure.into()
    }
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

impl From<HeaderInvalid> for Error {
    fn from(invalid: HeaderInvalid) -> Error {
        Error::Header(invalid)
    }
}

impl From<DbError> for Error {
    fn from(error: DbError) -> Error {
        Error::Db(error)
    }
}

#[cfg(test)]
mod tests {
    use tonic_types::StatusExt as _;

    use super::*;

    #[test]
    fn every_error_has_its_code_reason_and_values() {
        let mut fields = Fields::default();
        fields.refuse("page_size", "must not be negative");
        let errors = [
            Error::from(fields),
            Error::MovieNotFound("7".to_owned()),
            Error::MovieExists { id: "7".to_owned(), name: "Heat".to_owned(), release_date: "1995-12-15".to_owned() },
            Error::EtagStale,
            Error::TermNotFound("8".to_owned()),
            Error::TermExists("Drama".to_owned()),
            Error::TermInUse(3),
            Error::CursorTooOld,
            Error::Header(HeaderInvalid { missing: vec!["names", "score"] }),
            Error::CourseNotFound("9".to_owned()),
            Error::SectionNotFound("9".to_owned()),
            Error::BlockNotFound("9".to_owned()),
            Error::PersonNotFound("9".to_owned()),
            Error::CourseRightMissing,
            Error::CourseArchived,
            Error::QuizInUse,
            Error::CourseFileTooLarge,
            Error::EnrolmentNotFound,
            Error::SubmissionNotFound,
            Error::AlreadyEnrolled,
            Error::InvitationMissing,
            Error::EnrolmentCodeWrong,
            Error::CodesRateLimited(Duration::from_secs(20)),
            Error::TeachesCourse,
            Error::BlockIsQuiz,
            Error::BlockIsNoQuiz,
            Error::AttemptsExhausted(3),
            Error::NothingSubmitted,
            Error::Db(DbError::Unavailable("connection closed".to_owned())),
            Error::Db(DbError::Full),
            Error::Db(DbError::Duplicate("movie_name_release_date_key".to_owned())),
        ];
        let lines = errors.map(|error| {
            let status = Status::from(error);
            let info = status.get_details_error_info().map(|info| (info.reason, info.metadata)).unwrap_or_default();
            let values: std::collections::BTreeMap<_, _> = info.1.into_iter().collect();
            format!("{:?} {}: {} {:?}", status.code(), info.0, status.message(), values)
        });
        insta::assert_snapshot!(lines.join("\n"), @r#"
        InvalidArgument FIELDS_INVALID: `page_size` must not be negative {}
        NotFound MOVIE_NOT_FOUND: Movie with the given ID was not found. {"movie_id": "7"}
        AlreadyExists MOVIE_EXISTS: A movie with the name 'Heat' and release date '1995-12-15' already exists. {"movie_id": "7", "name": "Heat", "release_date": "1995-12-15"}
        Aborted ETAG_STALE: it was changed since: get it again {}
        NotFound TERM_NOT_FOUND: there is no such term {"term_id": "8"}
        AlreadyExists TERM_EXISTS: there is a term of this kind with the name `Drama` {"name": "Drama"}
        FailedPrecondition TERM_IN_USE: 3 movies have the term {"movies": "3"}
        FailedPrecondition CURSOR_TOO_OLD: what happened behind the cursor is not known any more: start anew without one {}
        InvalidArgument IMPORT_HEADER_INVALID: the file's first line lacks the columns `names`, `score` {"missing": "names,score"}
        NotFound COURSE_NOT_FOUND: there is no such course {"course_id": "9"}
        NotFound SECTION_NOT_FOUND: there is no such section {"section_id": "9"}
        NotFound BLOCK_NOT_FOUND: there is no such block {"block_id": "9"}
        NotFound PERSON_NOT_FOUND: there is no such person {"person": "9"}
        PermissionDenied COURSE_RIGHT_MISSING: this is for others in the course {}
        FailedPrecondition COURSE_ARCHIVED: the course is archived: nothing changes in it {}
        FailedPrecondition QUIZ_IN_USE: somebody has tried the quiz: make another block for another quiz {}
        ResourceExhausted MESSAGE_TOO_LARGE: the course is too large for a file {"limit_bytes": "4193280"}
        NotFound ENROLMENT_NOT_FOUND: this account does not take the course {}
        NotFound SUBMISSION_NOT_FOUND: nothing was handed in for this block {}
        AlreadyExists ALREADY_ENROLLED: you take the course already {}
        PermissionDenied INVITATION_MISSING: the course is for who was invited {}
        PermissionDenied ENROLMENT_CODE_WRONG: the course asks for a code, and this is not it {}
        ResourceExhausted RATE_LIMITED: too many codes were wrong: try again later {}
        FailedPrecondition TEACHES_COURSE: who teaches a course does not take it {}
        FailedPrecondition BLOCK_IS_QUIZ: a quiz is completed by its tries {}
        FailedPrecondition BLOCK_IS_NO_QUIZ: only a quiz can be tried {}
        FailedPrecondition ATTEMPTS_EXHAUSTED: there are no tries left of 3 {"max_attempts": "3"}
        FailedPrecondition NOTHING_SUBMITTED: there is no work to grade {}
        Unavailable DEPENDENCY_UNAVAILABLE: the database can't be reached {"part": "database"}
        ResourceExhausted STORAGE_FULL: the store has no room left {}
        Internal INTERNAL: an internal error occurred {}
        "#);
    }
}
