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
            Error::Header(HeaderInvalid { missing: vec!["names", "score"] }),
            Error::Db(DbError::Unavailable("connection closed".to_owned())),
            Error::Db(DbError::Full),
            Error::Db(DbError::Duplicate("movie_name_release_date_key".to_owned())),
        ];
        let lines = errors.map(|error| {
            let status = Status::from(error);
            let info = status.get_details_error_info().map(|info| (info.reason, info.metadata)).unwrap_or_default();
            format!("{:?} {}: {} {:?}", status.code(), info.0, status.message(), info.1)
        });
        insta::assert_snapshot!(lines.join("\n"), @r#"
        InvalidArgument FIELDS_INVALID: `page_size` must not be negative {}
        NotFound MOVIE_NOT_FOUND: Movie with the given ID was not found. {"movie_id": "7"}
        InvalidArgument IMPORT_HEADER_INVALID: the file's first line lacks the columns `names`, `score` {"missing": "names,score"}
        Unavailable DEPENDENCY_UNAVAILABLE: the database can't be reached {"part": "database"}
        ResourceExhausted STORAGE_FULL: the store has no room left {}
        Internal INTERNAL: an internal error occurred {}
        "#);
    }
}
