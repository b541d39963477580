//! What a download fails of, as HTTP says it: a status and a short JSON.

use std::time::Duration;

use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use tonic::body::Body;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::range::unsatisfied;

/// The answer to a call that has failed.
pub fn problem(status: &Status) -> Response<Body> {
    let details = status.get_error_details();
    let info = details.error_info();
    let reason = info.map_or("", |info| info.reason.as_str());
    let http = http_status(status.code(), reason);
    let body = serde_json::json!({ "reason": reason, "message": status.message() });
    let mut response = Response::new(Body::new(Full::from(body.to_string())));
    *response.status_mut() = http;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if http == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Some(wait) = details.retry_info().and_then(|info| info.retry_delay) {
        headers.insert(header::RETRY_AFTER, seconds(wait).into());
    }
    if http == StatusCode::RANGE_NOT_SATISFIABLE
        && let Some(size) = info.and_then(|info| info.metadata.get("size_bytes"))
        && let Ok(range) = HeaderValue::try_from(unsatisfied(size))
    {
        headers.insert(header::CONTENT_RANGE, range);
    }
    response
}

/// Whole seconds, and one at least.
fn seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

/// Google's mapping, but for what means something of its own to a reader of files.
fn http_status(code: Code, reason: &str) -> StatusCode {
    match code {
        Code::Ok => StatusCode::OK,
        // An installation without media.
        _ if reason == "METHOD_UNKNOWN" => StatusCode::NOT_FOUND,
        Code::OutOfRange => StatusCode::RANGE_NOT_SATISFIABLE,
        Code::InvalidArgument | Code::FailedPrecondition => StatusCode::BAD_REQUEST,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::Aborted | Code::AlreadyExists => StatusCode::CONFLICT,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::DeadlineExceeded | Code::Cancelled => StatusCode::GATEWAY_TIMEOUT,
        Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use quartet_chassis::failure::Failure;
    use quartet_proto::r#type::v1::ErrorReason;

    use super::*;

    #[test]
    fn m7_a_failure_is_said_in_the_words_of_http() {
        let of = |code, reason| problem(&Failure::new(code, reason, "so").with("size_bytes", 7).into());
        let answer = of(Code::OutOfRange, ErrorReason::RangeUnsatisfiable);
        assert_eq!(answer.status(), 416);
        assert_eq!(answer.headers().get("content-range").map(HeaderValue::as_bytes), Some(&b"bytes */7"[..]));
        let answer = of(Code::Unauthenticated, ErrorReason::LinkInvalid);
        assert_eq!((answer.status().as_u16(), answer.headers().contains_key("www-authenticate")), (401, true));
        assert_eq!(of(Code::NotFound, ErrorReason::MediaNotFound).status(), 404);
        assert_eq!(of(Code::Unimplemented, ErrorReason::MethodUnknown).status(), 404);
        let slow = Failure::new(Code::ResourceExhausted, ErrorReason::RateLimited, "so");
        let answer = problem(&slow.retry_after(Duration::from_millis(1200)).into());
        assert_eq!(answer.headers().get("retry-after").map(HeaderValue::as_bytes), Some(&b"2"[..]));
    }
}
