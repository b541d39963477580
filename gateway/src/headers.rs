//! Headers: what is removed, and the id of a request.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use quartet_chassis::guard::REQUEST_ID;
use quartet_chassis::random;

/// What the parts of an installation tell each other. From outside it is worth nothing (S-61).
const OURS: &str = "quartet-";
/// Headers that speak about one HTTP/1 connection and mean nothing on the next.
const OF_A_CONNECTION: [HeaderName; 6] = [
    header::CONNECTION,
    header::HOST,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// Removes every header that only the gateway may set.
pub fn strip_ours(headers: &mut HeaderMap) {
    let is_ours = |name: &&HeaderName| name.as_str().starts_with(OURS);
    if headers.keys().any(|name| is_ours(&name)) {
        let ours: Vec<HeaderName> = headers.keys().filter(is_ours).cloned().collect();
        ours.iter().for_each(|name| while headers.remove(name).is_some() {});
    }
}

/// Removes what belongs to an HTTP/1 connection.
pub fn strip_connection(headers: &mut HeaderMap) {
    OF_A_CONNECTION.iter().for_each(|name| drop(headers.remove(name)));
}

/// Gives requests their ids: a random beginning per process and a number.
pub struct RequestIds {
    beginning: u64,
    next: AtomicU64,
}

impl RequestIds {
    pub fn new() -> RequestIds {
        RequestIds { beginning: u64::from_le_bytes(random::bytes()), next: AtomicU64::new(0) }
    }

    /// The id that the request brings along, if it is a sane one, else a new one; the request has it then.
    pub fn of(&self, headers: &mut HeaderMap) -> HeaderValue {
        if let Some(id) = headers.get(REQUEST_ID)
            && is_sane(id.as_bytes())
        {
            return id.clone();
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let id = HeaderValue::try_from(format!("{:016x}-{number:x}", self.beginning));
        let mut id = id.unwrap_or(HeaderValue::from_static("none"));
        // Not a secret: a value that never comes again only pushes others out of HTTP/2's table of headers.
        id.set_sensitive(true);
        headers.insert(REQUEST_ID, id.clone());
        id
    }
}

/// 1 to 64 letters, digits and `-_.:`: safe in every log.
fn is_sane(id: &[u8]) -> bool {
    let safe = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(byte);
    (1..=64).contains(&id.len()) && id.iter().all(safe)
}

/// The client's address as a chain of proxies tells it: the last one in `x-forwarded-for` that is not a trusted proxy's itself.
pub fn forwarded_for(headers: &HeaderMap, is_trusted: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
    let values = headers.get_all("x-forwarded-for");
    // By bytes: what a client has put in front may be anything, and must not hide what the proxy has added behind it.
    let list: Vec<&[u8]> = values.iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).collect();
    for text in list.into_iter().rev() {
        let address: IpAddr = std::str::from_utf8(text).ok()?.trim().parse().ok()?;
        if !is_trusted(address.to_canonical()) {
            return Some(address.to_canonical());
        }
    }
    None
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "what a test stands on must be there")]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_str(value).expect("a header"));
        }
        headers
    }

    #[test]
    fn s61_identity_headers_from_outside_are_removed_every_one() {
        let mut headers = headers(&[
            ("quartet-client-address", "1.2.3.4"),
            ("quartet-client-address", "5.6.7.8"),
            ("quartet-anything", "x"),
            ("authorization", "Bearer t"),
        ]);
        strip_ours(&mut headers);
        assert_eq!(headers.len(), 1);
    }

    #[test]
    fn a_sane_request_id_is_kept_and_another_replaced() {
        let ids = RequestIds::new();
        assert_eq!(ids.of(&mut headers(&[(REQUEST_ID, "abc-1.2:3")])), "abc-1.2:3");
        for wrong in ["", "a b", "a\tb", &"x".repeat(65)] {
            let mut headers = headers(&[(REQUEST_ID, wrong)]);
            let id = ids.of(&mut headers);
            assert_ne!(id, wrong);
            assert_eq!(headers.get(REQUEST_ID), Some(&id));
        }
        assert_ne!(ids.of(&mut HeaderMap::new()), ids.of(&mut HeaderMap::new()));
    }

    #[test]
    fn s08_the_last_address_that_no_trusted_proxy_has_is_the_clients() {
        let trusted = |address: IpAddr| address.to_string().starts_with("10.");
        let of =
            |value| forwarded_for(&headers(&[("x-forwarded-for", value)]), trusted).map(|address| address.to_string());
        assert_eq!(of("6.6.6.6, 1.2.3.4, 10.0.0.1").as_deref(), Some("1.2.3.4"));
        assert_eq!(of("10.0.0.2, 10.0.0.1"), None);
        assert_eq!(of("1.2.3.4, garbage"), None);
    }
}
