//! The services behind the gateway, and what it tells them about its client.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use http::{HeaderMap, HeaderName, HeaderValue, Request, header};
use quartet_chassis::auth::Auth;
use quartet_chassis::caller;
use quartet_chassis::guard;
use quartet_chassis::upstream::Upstream;
use tonic::body::Body;
use tonic::codegen::Service as _;

use crate::edge::Answer;
use crate::limit::Client;

/// How often it is looked whether the gateway's own token is due. It lives for minutes; looking costs nothing.
const RENEW: Duration = Duration::from_secs(1);

static CLIENT_ADDRESS: HeaderName = HeaderName::from_static(guard::CLIENT_ADDRESS);
static GATEWAY_TOKEN: HeaderName = HeaderName::from_static(guard::GATEWAY_TOKEN);

/// A context and who serves it.
pub struct Target {
    pub package: String,
    pub upstream: Upstream,
    /// Shown beside the client's address, so that it is believed.
    token: Arc<ArcSwapOption<HeaderValue>>,
}

impl Target {
    pub fn new(package: &str, upstream: Upstream) -> Target {
        Target { package: package.to_owned(), upstream, token: Arc::default() }
    }

    /// The same with the same connections.
    pub fn share(&self) -> Target {
        Target { package: self.package.clone(), upstream: self.upstream.clone(), token: self.token.clone() }
    }

    /// The same with connections of its own, for a runtime of its own.
    pub fn fresh(&self) -> Target {
        Target { package: self.package.clone(), upstream: self.upstream.fresh(), token: self.token.clone() }
    }

    /// Keeps the token fresh.
    pub async fn renew_token(&self, auth: Auth) {
        if self.upstream.is_local() {
            return;
        }
        let context = self.package.rsplit('.').next().unwrap_or_default();
        loop {
            match auth.service_token("gateway", context) {
                Ok(token) if self.shows(&token) => {}
                Ok(token) => self.token.store(HeaderValue::try_from(token).ok().map(Arc::new)),
                Err(refusal) => tracing::error!(?refusal, "the gateway's own token could not be made"),
            }
            tokio::time::sleep(RENEW).await;
        }
    }

    fn shows(&self, token: &str) -> bool {
        self.token.load().as_ref().is_some_and(|shown| shown.as_bytes() == token.as_bytes())
    }

    pub fn send(&self, mut request: Request<Body>, client: &Client, id: &HeaderValue) -> Answer {
        if self.upstream.is_local() {
            let client = describe(client, id, request.headers());
            request.extensions_mut().insert(client);
        } else if let Some(token) = &*self.token.load() {
            let headers = request.headers_mut();
            headers.insert(CLIENT_ADDRESS.clone(), client.header.clone());
            headers.insert(GATEWAY_TOKEN.clone(), HeaderValue::clone(token));
        }
        let answer = self.upstream.clone().call(request);
        Box::pin(async move {
            let Ok(answer) = answer.await;
            answer
        })
    }
}

fn describe(client: &Client, id: &HeaderValue, headers: &HeaderMap) -> caller::Client {
    let user_agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    caller::Client {
        address: Some(client.address),
        user_agent: user_agent.chars().take(256).collect(),
        request_id: id.to_str().unwrap_or_default().to_owned(),
    }
}
