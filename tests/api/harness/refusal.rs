//! A refused call, taken apart.

use std::collections::HashMap;
use std::fmt::Debug;

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// Why a call was refused.
#[derive(Debug, Clone)]
pub struct Refusal {
    pub code: Code,
    /// The reason of `ErrorInfo`; empty without one.
    pub reason: String,
    pub message: String,
    pub metadata: HashMap<String, String>,
    /// The names of the fields that break a rule.
    pub fields: Vec<String>,
    pub status: Status,
}

impl From<Status> for Refusal {
    fn from(status: Status) -> Refusal {
        let details = status.get_error_details();
        let (reason, metadata) = match details.error_info() {
            Some(info) => {
                assert_eq!(info.domain, "quartet", "the domain of {status:?}");
                (info.reason.clone(), info.metadata.clone())
            }
            None => Default::default(),
        };
        let violations = details.bad_request().map(|bad| bad.field_violations.clone()).unwrap_or_default();
        Refusal {
            code: status.code(),
            reason,
            message: status.message().to_owned(),
            metadata,
            fields: violations.into_iter().map(|violation| violation.field).collect(),
            status,
        }
    }
}

impl Refusal {
    /// Code and reason, for one comparison.
    pub fn is(&self) -> (Code, &str) {
        (self.code, &self.reason)
    }
}

/// The refusal of a call that must not go well.
pub fn refusal<T: Debug>(result: Result<T, Status>) -> Refusal {
    match result {
        Ok(answer) => panic!("should have been refused, but answered {answer:?}"),
        Err(status) => status.into(),
    }
}
