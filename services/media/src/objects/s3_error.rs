//! What an S3 store has answered, without its words: an error of S3 may repeat the key's id and the signature (S-58).

use std::error::Error;

use object_store::client::{HttpError, HttpErrorKind};

use super::ObjectError;

/// A store that is full says so in one of these codes.
const FULL: [&str; 5] =
    ["XMinioStorageFull", "QuotaExceeded", "InsufficientStorage", "InsufficientCapacity", "XAmzStorageFull"];
/// The parts that were sent are not the parts that are there.
const DAMAGED: [&str; 4] = ["InvalidPart", "InvalidPartOrder", "EntityTooSmall", "InvalidRange"];

pub(super) fn typed(error: object_store::Error) -> ObjectError {
    let text = error.to_string();
    let (status, code) = (status(&text), code(&text));
    if code.is_some_and(|code| FULL.contains(&code)) || status == Some(507) {
        return ObjectError::Full;
    }
    if code.is_some_and(|code| DAMAGED.contains(&code)) || status == Some(416) {
        return ObjectError::Damaged(code.unwrap_or("InvalidRange").to_owned().into());
    }
    match &error {
        object_store::Error::NotFound { .. } if code == Some("NoSuchBucket") => {
            ObjectError::Unavailable("there is no such bucket".into())
        }
        object_store::Error::NotFound { .. } => ObjectError::Missing,
        _ => ObjectError::Unavailable(described(&error, status, code).into()),
    }
}

/// An error in words of ours.
fn described(error: &object_store::Error, status: Option<u16>, code: Option<&str>) -> String {
    match (status, code, transport(error)) {
        (Some(status), Some(code), _) => format!("it answers {status}, {code}"),
        (Some(status), None, _) => format!("it answers {status}"),
        (None, Some(code), _) => format!("it answers {code}"),
        (None, None, Some(HttpErrorKind::Connect)) => "no connection".to_owned(),
        (None, None, Some(HttpErrorKind::Timeout)) => "no answer in time".to_owned(),
        (None, None, Some(_)) => "the connection broke".to_owned(),
        (None, None, None) => "its answer makes no sense".to_owned(),
    }
}

fn transport(error: &object_store::Error) -> Option<HttpErrorKind> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<HttpError>() {
            return Some(error.kind());
        }
        cause = error.source();
    }
    None
}

/// The status in `object_store`'s words for it, which keeps the type to itself.
fn status(text: &str) -> Option<u16> {
    let (_, rest) = text.split_once("non-2xx status code: ")?;
    rest.get(..3)?.parse().ok()
}

/// The code in an S3 error: a word and nothing else.
fn code(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("<Code>")?;
    let (code, _) = rest.split_once("</Code>")?;
    let is_word = code.len() <= 64 && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_word.then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> object_store::Error {
        object_store::Error::Generic { store: "S3", source: text.to_owned().into() }
    }

    #[test]
    fn i33_an_error_says_nothing_of_what_the_store_has_said() {
        let refused = "Error performing PUT http://s3/bucket/objects/60/x?uploadId=SECRET in 3ms - Server returned non-2xx status code: \
                       403 Forbidden: <Error><Code>SignatureDoesNotMatch</Code><AWSAccessKeyId>AKIASECRET</AWSAccessKeyId>\
                       <SignatureProvided>SECRET</SignatureProvided></Error>";
        let told = typed(error(refused)).to_string();
        assert_eq!(told, "the store can't be used: it answers 403, SignatureDoesNotMatch");
        let told = typed(error("Server returned non-2xx status code: 500 x: <Code>a SECRET</Code>")).to_string();
        assert_eq!(told, "the store can't be used: it answers 500");
        let told = typed(error("connect to https://SECRET failed")).to_string();
        assert_eq!(told, "the store can't be used: its answer makes no sense");
    }

    #[test]
    fn f16_errors_have_types() {
        let full = "Server returned non-2xx status code: 507 Insufficient Storage: <Error><Code>XMinioStorageFull</Code></Error>";
        assert_eq!(typed(error(full)), ObjectError::Full);
        let part = "Server returned non-2xx status code: 400 Bad Request: <Error><Code>InvalidPart</Code></Error>";
        assert_eq!(typed(error(part)), ObjectError::Damaged("InvalidPart".into()));
    }
}
