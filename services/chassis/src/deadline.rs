//! How long a call may take: what its client allows, and never more than the server does.

use std::time::Duration;

use http::HeaderMap;
use quartet_proto::r#type::v1::ErrorReason;
use tonic::Code;

use crate::failure::Failure;
use crate::limits::MESSAGE;

/// The most that a unary call gets.
const UNARY: Duration = Duration::from_secs(30);
/// The most that one gets whose message is long: it comes over slow lines, too.
const LONG: Duration = Duration::from_secs(150);

/// The most that a call gets whose messages have at most so many bytes. None for a stream.
pub fn most(unary: bool, message_limit: usize) -> Option<Duration> {
    unary.then_some(if message_limit > MESSAGE { LONG } else { UNARY })
}

/// The time that a call has, where it gets at most so much. None for a stream whose client names no limit.
pub fn of(headers: &HeaderMap, most: Option<Duration>) -> Option<Duration> {
    let asked = headers.get("grpc-timeout").and_then(|value| value.to_str().ok()).and_then(parse);
    most.map_or(asked, |most| Some(asked.unwrap_or(most).min(most)))
}

/// The answer to a call whose time is over.
pub fn exceeded() -> Failure {
    Failure::new(Code::DeadlineExceeded, ErrorReason::DeadlineExceeded, "the call took longer than it may")
}

/// Reads `grpc-timeout`: at most 8 digits and a unit.
pub fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(count * 3600)),
        "M" => Some(Duration::from_secs(count * 60)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s45_a_unary_call_ends_whatever_its_client_asks_for() {
        let asked = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.extend([(http::HeaderName::from_static("grpc-timeout"), http::HeaderValue::from_static(text))]);
            headers
        };
        let none = HeaderMap::new();
        assert_eq!(of(&none, most(true, MESSAGE)), Some(UNARY));
        assert_eq!(of(&asked("1H"), most(true, MESSAGE)), Some(UNARY));
        assert_eq!(of(&asked("1S"), most(true, MESSAGE)), Some(Duration::from_secs(1)));
        assert_eq!(of(&asked("1H"), most(true, MESSAGE + 1)), Some(LONG));
        assert_eq!(of(&none, most(false, MESSAGE)), None);
        assert_eq!(of(&asked("1H"), most(false, MESSAGE)), Some(Duration::from_secs(3600)));
    }

    #[test]
    fn s45_timeouts_are_read_with_care() {
        assert_eq!(parse("250m"), Some(Duration::from_millis(250)));
        assert_eq!(parse("99999999H"), Some(Duration::from_secs(99_999_999 * 3600)));
        for wrong in ["", "S", "-1S", "123456789S", "1", "1s", "1.5S", "1é"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
