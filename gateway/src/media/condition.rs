//! Conditions on what the client has already: RFC 9110 §13. Files never change, so all there is to find out is whether it is the same one.

use std::time::SystemTime;

use http::{HeaderMap, HeaderName, header};

/// What names the bytes, and when they became readable, to the second.
#[derive(Debug)]
pub struct Validators {
    /// With its quotes.
    pub etag: String,
    pub modified: SystemTime,
}

/// What comes of the conditions.
#[derive(Debug, PartialEq, Eq)]
pub enum Decision {
    Send,
    /// The range is of something else: all of it is sent.
    SendWhole,
    NotModified,
    Failed,
}

/// Whether a request has any condition. Without one nothing need be known before the bytes are asked for.
pub fn any(headers: &HeaderMap) -> bool {
    const ALL: [HeaderName; 5] = [
        header::IF_MATCH,
        header::IF_UNMODIFIED_SINCE,
        header::IF_NONE_MATCH,
        header::IF_MODIFIED_SINCE,
        header::IF_RANGE,
    ];
    ALL.iter().any(|name| headers.contains_key(name))
}

/// Weighs the conditions in the order that RFC 9110 §13.2.2 gives.
pub fn decide(headers: &HeaderMap, has: &Validators) -> Decision {
    let holds = match (list(headers, header::IF_MATCH), date(headers, header::IF_UNMODIFIED_SINCE)) {
        (Some(tags), _) => matches(&tags, &has.etag, false),
        (None, Some(date)) => has.modified <= date,
        (None, None) => true,
    };
    if !holds {
        return Decision::Failed;
    }
    let known = match (list(headers, header::IF_NONE_MATCH), date(headers, header::IF_MODIFIED_SINCE)) {
        (Some(tags), _) => matches(&tags, &has.etag, true),
        (None, Some(date)) => has.modified <= date,
        (None, None) => false,
    };
    if known {
        return Decision::NotModified;
    }
    match headers.get(header::IF_RANGE).map(|value| value.to_str().unwrap_or_default().trim()) {
        None => Decision::Send,
        Some(tag) if tag == has.etag => Decision::Send,
        Some(date) if httpdate::parse_http_date(date).is_ok_and(|date| date == has.modified) => Decision::Send,
        Some(_) => Decision::SendWhole,
    }
}

/// Whether one of the tags is ours. Weak ones count where nothing depends on each byte.
fn matches(tags: &str, etag: &str, weakly: bool) -> bool {
    let is_ours = |tag: &str| {
        let tag = tag.trim();
        tag == "*" || tag == etag || (weakly && tag.strip_prefix("W/") == Some(etag))
    };
    // Our own tags hold no commas; a foreign one that does is not ours, whatever its pieces are.
    tags.split(',').any(is_ours)
}

fn list(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    let values: Vec<&str> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    (!values.is_empty()).then(|| values.join(","))
}

/// A date that can't be read is none.
fn date(headers: &HeaderMap, name: HeaderName) -> Option<SystemTime> {
    headers.get(name).and_then(|value| value.to_str().ok()).and_then(|date| httpdate::parse_http_date(date).ok())
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "what a test stands on must be there")]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
    const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";

    fn of(pairs: &[(&'static str, &str)]) -> Decision {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().expect("a value"));
        }
        let modified = UNIX_EPOCH + Duration::from_secs(784_111_777);
        decide(&headers, &Validators { etag: "\"abc\"".to_owned(), modified })
    }

    #[test]
    fn m7_whoever_has_it_gets_it_not_again() {
        for same in ["\"abc\"", "W/\"abc\"", "\"x\", \"abc\"", "*"] {
            assert_eq!(of(&[("if-none-match", same)]), Decision::NotModified, "{same}");
        }
        assert_eq!(of(&[("if-none-match", "\"x\"")]), Decision::Send);
        assert_eq!(of(&[("if-none-match", "\"x\""), ("if-none-match", "\"abc\"")]), Decision::NotModified);
        assert_eq!(of(&[("if-modified-since", MODIFIED)]), Decision::NotModified);
        assert_eq!(of(&[("if-modified-since", LATER)]), Decision::NotModified);
        assert_eq!(of(&[("if-modified-since", EARLIER)]), Decision::Send);
        assert_eq!(of(&[("if-modified-since", "yesterday")]), Decision::Send);
        // The tag is the better witness.
        assert_eq!(of(&[("if-none-match", "\"x\""), ("if-modified-since", LATER)]), Decision::Send);
    }

    #[test]
    fn m7_a_part_of_something_else_is_not_sent() {
        assert_eq!(of(&[("if-range", "\"abc\"")]), Decision::Send);
        assert_eq!(of(&[("if-range", "\"x\"")]), Decision::SendWhole);
        assert_eq!(of(&[("if-range", "W/\"abc\"")]), Decision::SendWhole);
        assert_eq!(of(&[("if-range", MODIFIED)]), Decision::Send);
        assert_eq!(of(&[("if-range", LATER)]), Decision::SendWhole);
    }

    #[test]
    fn m7_what_must_be_the_same_and_is_not_fails() {
        assert_eq!(of(&[("if-match", "\"abc\"")]), Decision::Send);
        assert_eq!(of(&[("if-match", "*")]), Decision::Send);
        assert_eq!(of(&[("if-match", "\"x\"")]), Decision::Failed);
        assert_eq!(of(&[("if-match", "W/\"abc\"")]), Decision::Failed);
        assert_eq!(of(&[("if-unmodified-since", MODIFIED)]), Decision::Send);
        assert_eq!(of(&[("if-unmodified-since", EARLIER)]), Decision::Failed);
        assert_eq!(of(&[("if-match", "\"x\""), ("if-none-match", "\"abc\"")]), Decision::Failed);
    }

    #[test]
    fn m7_without_a_condition_it_is_sent() {
        assert_eq!(of(&[]), Decision::Send);
        assert!(!any(&HeaderMap::new()));
    }
}
