//! What the port answers to plain HTTP.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use quartet_chassis::upstream::Upstream;
use quartet_proto::identity::v1::key_service_client::KeyServiceClient;
use quartet_proto::identity::v1::{GetJwksRequest, Jwk};
use tonic::body::Body;

use crate::edge::Edge;

/// How long keys are answered from memory, and for how long when identity can't be asked.
const FRESH: Duration = Duration::from_secs(2);
const STALE: Duration = Duration::from_secs(30);
const WAIT: Duration = Duration::from_secs(5);

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Answers a request that is no call.
pub async fn answer(edge: &Edge, request: &Request<()>) -> Response<Body> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return refuse(StatusCode::METHOD_NOT_ALLOWED);
    }
    match request.uri().path() {
        "/healthz" => page(StatusCode::OK, TEXT, "alive\n"),
        "/readyz" if edge.shared.health.is_ready() => page(StatusCode::OK, TEXT, "ready\n"),
        "/readyz" => page(StatusCode::SERVICE_UNAVAILABLE, TEXT, "not ready\n"),
        "/.well-known/jwks.json" => match edge.jwks.get().await {
            Some(keys) => {
                let mut response = page(StatusCode::OK, JSON, keys);
                response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=10"));
                response
            }
            None => refuse(StatusCode::SERVICE_UNAVAILABLE),
        },
        _ => refuse(StatusCode::NOT_FOUND),
    }
}

/// A status and its name, nothing else.
pub fn refuse(status: StatusCode) -> Response<Body> {
    page(status, TEXT, format!("{}\n", status.canonical_reason().unwrap_or_default().to_lowercase()))
}

fn page(status: StatusCode, content: HeaderValue, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::new(Full::new(body.into())));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, content);
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// The keys that tokens are signed with, as RFC 7517 writes them.
pub struct Jwks {
    identity: Option<Upstream>,
    last: Mutex<Option<(Instant, Bytes)>>,
}

impl Jwks {
    pub fn new(identity: Option<Upstream>) -> Jwks {
        Jwks { identity, last: Mutex::default() }
    }

    async fn get(&self) -> Option<Bytes> {
        if let Some(fresh) = self.known(FRESH) {
            return Some(fresh);
        }
        match self.ask().await {
            Some(keys) => {
                *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), keys.clone()));
                Some(keys)
            }
            None => self.known(STALE),
        }
    }

    fn known(&self, age: Duration) -> Option<Bytes> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().filter(|(at, _)| at.elapsed() < age).map(|(_, keys)| keys.clone())
    }

    async fn ask(&self) -> Option<Bytes> {
        let mut client = KeyServiceClient::new(self.identity.clone()?);
        let answer = tokio::time::timeout(WAIT, client.get_jwks(GetJwksRequest {})).await.ok()?.ok()?;
        let keys: Vec<Key> = answer.into_inner().keys.into_iter().map(Key::from).collect();
        serde_json::to_vec(&serde_json::json!({ "keys": keys })).ok().map(Bytes::from)
    }
}

/// A key in JSON.
#[derive(serde::Serialize)]
struct Key {
    kid: String,
    kty: String,
    crv: String,
    alg: String,
    #[serde(rename = "use")]
    usage: String,
    x: String,
}

impl From<Jwk> for Key {
    fn from(key: Jwk) -> Key {
        Key { kid: key.kid, kty: key.kty, crv: key.crv, alg: key.alg, usage: key.r#use, x: key.x }
    }
}
