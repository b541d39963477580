//! How a call fails: a code, a reason, and what clients need to act on it.

use std::collections::HashMap;
use std::fmt::Display;
use std::time::Duration;

use quartet_proto::r#type::v1::ErrorReason;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

/// The `domain` of every `google.rpc.ErrorInfo`.
pub const DOMAIN: &str = "quartet";

// A status travels in headers, and headers that grow too long break the connection for everybody on it.
const MESSAGE: usize = 1024;
const VALUE: usize = 256;
const VIOLATIONS: usize = 16;

/// A failed call on its way to becoming a `Status`. Nothing else in Quartet builds one.
#[derive(Debug, Clone)]
pub struct Failure {
    pub code: Code,
    pub reason: ErrorReason,
    message: String,
    metadata: HashMap<String, String>,
    violations: Vec<(String, String)>,
    retry_after: Option<Duration>,
}

impl Failure {
    pub fn new(code: Code, reason: ErrorReason, message: impl Into<String>) -> Failure {
        let message = message.into();
        Failure { code, reason, message, metadata: HashMap::new(), violations: Vec::new(), retry_after: None }
    }

    /// A defect of ours. The cause goes to the log, never to the client.
    pub fn internal(message: impl Into<String>, cause: impl Display) -> Failure {
        tracing::error!(%cause, "internal error");
        Failure::new(Code::Internal, ErrorReason::Internal, message)
    }

    /// A part that the call needs can't be reached; `part` is a word such as `database`.
    pub fn unavailable(part: &str) -> Failure {
        Failure::new(Code::Unavailable, ErrorReason::DependencyUnavailable, format!("the {part} can't be reached"))
            .with("part", part)
    }

    /// Adds a value of the message to the metadata, so that no client has to parse a sentence.
    pub fn with(mut self, key: &str, value: impl Display) -> Failure {
        self.metadata.insert(key.to_owned(), value.to_string());
        self
    }

    pub fn retry_after(mut self, delay: Duration) -> Failure {
        self.retry_after = Some(delay);
        self
    }
}

/// The name of a reason as it is sent: `EMAIL_TAKEN`.
pub fn reason_name(reason: ErrorReason) -> &'static str {
    reason.as_str_name().trim_start_matches("ERROR_REASON_")
}

impl From<Failure> for Status {
    fn from(failure: Failure) -> Status {
        let mut details = ErrorDetails::new();
        let metadata: HashMap<_, _> =
            failure.metadata.into_iter().map(|(key, value)| (key, cut(value, VALUE))).collect();
        details.set_error_info(reason_name(failure.reason), DOMAIN, metadata);
        for (field, description) in failure.violations.into_iter().take(VIOLATIONS) {
            details.add_bad_request_violation(field, cut(description, VALUE));
        }
        if let Some(delay) = failure.retry_after {
            details.set_retry_info(Some(delay));
        }
        Status::with_error_details(failure.code, cut(failure.message, MESSAGE), details)
    }
}

/// Cuts a text that may repeat what a client sent.
fn cut(mut text: String, length: usize) -> String {
    if text.len() > length {
        text.truncate(text.floor_char_boundary(length));
        text.push('…');
    }
    text
}

/// Collects what is wrong with the fields of a request, so that all of it is reported at once.
///
/// ```
/// # use quartet_chassis::failure::{Failure, Fields};
/// # fn parse(text: &str) -> Result<u8, std::num::ParseIntError> { text.parse() }
/// # fn handler(age: &str, size: &str) -> Result<(u8, u8), Failure> {
/// let mut fields = Fields::default();
/// let age = fields.take("age", parse(age));
/// let size = fields.take("size", parse(size));
/// let (Some(age), Some(size)) = (age, size) else { return Err(fields.into()) };
/// # Ok((age, size))
/// # }
/// ```
#[derive(Debug, Default)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// The value, or `None` with the error noted against the field.
    pub fn take<T, E: Display>(&mut self, field: &str, parsed: Result<T, E>) -> Option<T> {
        parsed.map_err(|error| self.refuse(field, error)).ok()
    }

    /// Notes that a field breaks a rule. `rule` completes the sentence that begins with the field's name: `must be an id`.
    pub fn refuse(&mut self, field: &str, rule: impl Display) {
        self.0.push((field.to_owned(), rule.to_string()));
    }

    /// Notes what is wrong with the mask of a change of that whose name alone can be changed.
    pub fn check_name_mask(&mut self, paths: &[String]) {
        if paths.is_empty() || paths.iter().any(|path| path != "name" && path != "*") {
            self.refuse("update_mask", "must name only `name` or `*`, and not nothing");
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `Err` when anything was noted.
    pub fn finish(self) -> Result<(), Failure> {
        if self.is_empty() { Ok(()) } else { Err(self.into()) }
    }
}

impl From<Fields> for Failure {
    fn from(fields: Fields) -> Failure {
        let list: Vec<String> = fields.0.iter().map(|(field, rule)| format!("`{field}` {rule}")).collect();
        let mut failure = Failure::new(Code::InvalidArgument, ErrorReason::FieldsInvalid, list.join("; "));
        failure.violations = fields.0;
        failure
    }
}
