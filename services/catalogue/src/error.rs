//! What can fail, and as what it is answered.

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
                let message = "the movie was changed since: get it again";
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
        Aborted ETAG_STALE: the movie was changed since: get it again {}
        NotFound TERM_NOT_FOUND: there is no such term {"term_id": "8"}
        AlreadyExists TERM_EXISTS: there is a term of this kind with the name `Drama` {"name": "Drama"}
        FailedPrecondition TERM_IN_USE: 3 movies have the term {"movies": "3"}
        FailedPrecondition CURSOR_TOO_OLD: what happened behind the cursor is not known any more: start anew without one {}
        InvalidArgument IMPORT_HEADER_INVALID: the file's first line lacks the columns `names`, `score` {"missing": "names,score"}
        Unavailable DEPENDENCY_UNAVAILABLE: the database can't be reached {"part": "database"}
        ResourceExhausted STORAGE_FULL: the store has no room left {}
        Internal INTERNAL: an internal error occurred {}
        "#);
    }
}
