//! `GET /media/{media_id}`: files for programs that speak HTTP alone, such as a browser's player.
//!
//! It is a call of `MediaService.Download` or `DownloadByLink`, made here: limits, tokens and counters are those of every call. Only its
//! answer is translated.

mod condition;
mod disposition;
mod payload;
mod problem;
mod range;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use http_body_util::Full;
use prost::Message;
use quartet_chassis::guard::REQUEST_ID;
use quartet_proto::media::v1::{ByteRange, DownloadByLinkRequest, DownloadHeader, DownloadRequest, TranscriptFormat};
use tonic::Status;
use tonic::body::Body;

use self::condition::{Decision, Validators, decide};
use self::disposition::disposition;
use self::payload::Payload;
use self::problem::problem;
use crate::edge::Edge;
use crate::limit::Client;
use crate::pages;

/// Where files are.
pub const PATH: &str = "/media/";

const DOWNLOAD: &str = "/quartet.media.v1.MediaService/Download";
const BY_LINK: &str = "/quartet.media.v1.MediaService/DownloadByLink";
/// What the call takes over from the request. Who it is for, who asks, and from where.
const TAKEN_OVER: [HeaderName; 4] = [
    header::AUTHORIZATION,
    header::USER_AGENT,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static(REQUEST_ID),
];
/// What no file may do in a browser, whatever is in it: anything (S-52).
const POLICY: &str = "default-src 'none'; sandbox";
/// The same for what is played. A browser plays a file that is opened alone on a page that it makes for it, and that page must be allowed to
/// load it, which it is not from a place without an origin. Scripts, forms and windows it has none.
const PLAYED: &str = "default-src 'none'; media-src 'self'; style-src 'unsafe-inline'; sandbox allow-same-origin";

/// What a request asks for.
struct Asked<'r> {
    media_id: &'r str,
    link: Option<&'r str>,
    format: TranscriptFormat,
    headers: &'r HeaderMap,
}

/// A header, and the bytes behind it.
type Download = (DownloadHeader, Payload);

/// Answers a request below [`PATH`].
pub async fn answer(edge: &Arc<Edge>, client: &Arc<Client>, request: &Request<()>) -> Response<Body> {
    let mut response = match *request.method() {
        Method::GET | Method::HEAD => match Asked::of(request) {
            Some(asked) => {
                let is_head = request.method() == Method::HEAD;
                asked.answer(edge, client, is_head).await.unwrap_or_else(|status| problem(&status))
            }
            None => pages::refuse(StatusCode::NOT_FOUND),
        },
        _ => {
            let mut response = pages::refuse(StatusCode::METHOD_NOT_ALLOWED);
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            response
        }
    };
    if request.method() == Method::HEAD {
        *response.body_mut() = Body::empty();
    }
    protect(response.headers_mut(), edge);
    response
}

/// What goes with every answer, so that no file reaches what it should not (S-52).
fn protect(headers: &mut HeaderMap, edge: &Edge) {
    // Pages of all origins, or of none but our own; those that are named get it by CORS.
    let all = edge.shared.config.cors_origins.iter().any(|origin| origin == "*");
    let (policy, scope) = (HeaderName::from_static("cross-origin-resource-policy"), ["same-origin", "cross-origin"]);
    headers.insert(policy, HeaderValue::from_static(scope[usize::from(all)]));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(POLICY));
    // A link must not leave in the address of the page that it is.
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
}

impl<'r> Asked<'r> {
    /// `/media/{media_id}`, or with a name behind it that is there for whoever reads the address.
    fn of(request: &'r Request<()>) -> Option<Asked<'r>> {
        let mut path = request.uri().path().strip_prefix(PATH)?.split('/');
        let (media_id, name, more) = (path.next()?, path.next(), path.next());
        if media_id.is_empty() || more.is_some() || name == Some("") {
            return None;
        }
        let mut asked =
            Asked { media_id, link: None, format: TranscriptFormat::Unspecified, headers: request.headers() };
        for (name, value) in request.uri().query().unwrap_or_default().split('&').filter_map(|it| it.split_once('=')) {
            match (name, value) {
                ("link", link) => asked.link = Some(link),
                ("format", "vtt") => asked.format = TranscriptFormat::Webvtt,
                ("format", "text") => asked.format = TranscriptFormat::Text,
                ("format", _) => return None,
                _ => {}
            }
        }
        Some(asked)
    }

    async fn answer(&self, edge: &Arc<Edge>, client: &Arc<Client>, is_head: bool) -> Result<Response<Body>, Status> {
        // Only GET has ranges.
        let wanted = self.headers.get(header::RANGE).and_then(|value| value.to_str().ok()).filter(|_| !is_head);
        let mut range = wanted.and_then(range::parse);
        if range.is_some() && condition::any(self.headers) {
            // Whether the range counts at all depends on what the file is.
            let ((header, _), id) = self.call(edge, client, None, true).await?;
            match decide(self.headers, &validators(&header)) {
                Decision::Send => {}
                Decision::SendWhole => range = None,
                decision => return Ok(conditional(&header, &decision, id)),
            }
        }
        let ((header, payload), id) = self.call(edge, client, range, is_head).await?;
        match decide(self.headers, &validators(&header)) {
            Decision::Send | Decision::SendWhole => Ok(sent(&header, payload, range.is_some(), id)),
            decision => Ok(conditional(&header, &decision, id)),
        }
    }

    /// Calls the service, and waits for what it says before the bytes.
    async fn call(
        &self,
        edge: &Arc<Edge>,
        client: &Arc<Client>,
        range: Option<ByteRange>,
        header_only: bool,
    ) -> Result<(Download, Option<HeaderValue>), Status> {
        let (media_id, format) = (self.media_id.to_owned(), self.format.into());
        let (path, message) = match self.link {
            None => (DOWNLOAD, framed(&DownloadRequest { media_id, range, header_only, format })),
            Some(link) => {
                let link = link.to_owned();
                (BY_LINK, framed(&DownloadByLinkRequest { link, media_id, range, header_only, format }))
            }
        };
        let answer = edge.handle(client, self.request(path, message)).await;
        let id = answer.headers().get(REQUEST_ID).cloned();
        if let Some(status) =
            Status::from_header_map(answer.headers()).filter(|status| status.code() != tonic::Code::Ok)
        {
            return Err(status);
        }
        Ok((payload::begin(answer.into_body()).await?, id))
    }

    fn request(&self, path: &'static str, message: Bytes) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(message));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = http::Uri::from_static(path);
        *request.version_mut() = Version::HTTP_2;
        let headers = request.headers_mut();
        for name in TAKEN_OVER {
            for value in self.headers.get_all(&name) {
                headers.append(name.clone(), value.clone());
            }
        }
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
        request
    }
}

/// A message as gRPC sends it.
fn framed(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut bytes = BytesMut::with_capacity(5 + length);
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    bytes.put_slice(&message.encode_to_vec());
    bytes.freeze()
}

fn validators(header: &DownloadHeader) -> Validators {
    let created = header.media.as_ref().and_then(|media| media.create_time);
    let seconds = created.and_then(|time| u64::try_from(time.seconds).ok()).unwrap_or_default();
    let modified: SystemTime = UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(UNIX_EPOCH);
    Validators { etag: format!("\"{}\"", header.etag), modified }
}

/// The file, or a range of it.
fn sent(header: &DownloadHeader, payload: Payload, is_range: bool, id: Option<HeaderValue>) -> Response<Body> {
    let mut response = Response::new(Body::new(payload));
    if is_range {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let range = range::content_range(header.offset, header.length, header.size_bytes);
        set(response.headers_mut(), header::CONTENT_RANGE, range);
    }
    let name = header.media.as_ref().map_or("", |media| media.name.as_str());
    let headers = response.headers_mut();
    describe(headers, header, id);
    set(headers, header::CONTENT_TYPE, header.content_type.clone());
    set(headers, header::CONTENT_DISPOSITION, disposition(header.inline, name));
    headers.insert(header::CONTENT_LENGTH, header.length.into());
    response
}

/// Nothing of the file, because of what the client has said about it.
fn conditional(header: &DownloadHeader, decision: &Decision, id: Option<HeaderValue>) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    let is_known = *decision == Decision::NotModified;
    *response.status_mut() = if is_known { StatusCode::NOT_MODIFIED } else { StatusCode::PRECONDITION_FAILED };
    describe(response.headers_mut(), header, id);
    response
}

/// What names the bytes, and who may keep them: the client, who asks each time whether it still may read them.
fn describe(headers: &mut HeaderMap, header: &DownloadHeader, id: Option<HeaderValue>) {
    let Validators { etag, modified } = validators(header);
    set(headers, header::ETAG, etag);
    set(headers, header::LAST_MODIFIED, httpdate::fmt_http_date(modified));
    let is_played = header.content_type.starts_with("video/") || header.content_type.starts_with("audio/");
    let policy = if header.inline && is_played { PLAYED } else { POLICY };
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    if let Some(id) = id {
        headers.insert(REQUEST_ID, id);
    }
}

/// Sets a header that holds no more than visible letters; another is left out.
fn set(headers: &mut HeaderMap, name: HeaderName, value: String) {
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "what a test stands on must be there")]
mod tests {
    use super::*;

    fn of(uri: &str) -> Option<(String, Option<String>, TranscriptFormat)> {
        let request = Request::get(uri).body(()).expect("a request");
        let asked = Asked::of(&request)?;
        Some((asked.media_id.to_owned(), asked.link.map(str::to_owned), asked.format))
    }

    #[test]
    fn m7_a_file_is_found_by_its_id_alone() {
        let plain = |id: &str| Some((id.to_owned(), None, TranscriptFormat::Unspecified));
        assert_eq!(of("/media/1-2"), plain("1-2"));
        assert_eq!(of("/media/1-2/beach%20day.mp4?x=y&z"), plain("1-2"));
        for wrong in ["/media/", "/media//x", "/media/1/", "/media/1/a/b", "/media/1?format=html", "/mediax/1"] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn m7_a_link_and_a_form_stand_in_the_query() {
        let asked = of("/media/1?format=vtt&link=a.b-c_d");
        assert_eq!(asked, Some(("1".to_owned(), Some("a.b-c_d".to_owned()), TranscriptFormat::Webvtt)));
        assert_eq!(of("/media/1?format=text").map(|asked| asked.2), Some(TranscriptFormat::Text));
    }
}
