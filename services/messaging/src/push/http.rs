//! Calls to push services: no redirects, no proxies, five seconds, and no more of an answer than is needed.

use std::error::Error;
use std::time::Duration;

use anyhow::Context as _;
use chrono::{DateTime, TimeDelta};
use quartet_chassis::clock::Time;
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, RequestBuilder, Response};

use super::address::{Resolver, Rules, Unresolved};

/// How long a call may take, from the name to the end of the answer.
const CALL: Duration = Duration::from_secs(5);
/// How much of an answer is read.
const ANSWER: usize = 64 * 1024;
/// How long a connection that nobody uses is kept.
const IDLE: Duration = Duration::from_secs(60);

/// What was answered. Nothing of it is told to users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// How long they ask to be left alone.
    pub retry_after: Option<Duration>,
    pub body: Vec<u8>,
}

/// Nothing was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    #[error("its name leads to an address that is not public")]
    NotPublic,
    #[error("its name can't be resolved")]
    Unresolved,
    #[error("it can't be reached")]
    Unreachable,
    #[error("it did not answer within 5 seconds")]
    Late,
    #[error("what it says is not HTTP")]
    Broken,
}

/// Calls wherever users send us.
pub fn outside(rules: &Rules) -> anyhow::Result<Client> {
    let client = builder().dns_resolver(Resolver(rules.clone())).https_only(!rules.loopback);
    client.build().context("can't make a client for push services")
}

/// Calls where the operator sends us.
pub fn inside() -> anyhow::Result<Client> {
    builder().build().context("can't make a client for Firebase")
}

fn builder() -> ClientBuilder {
    Client::builder()
        .user_agent(concat!("quartet/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .no_proxy()
        .referer(false)
        .timeout(CALL)
        .connect_timeout(CALL)
        .pool_idle_timeout(IDLE)
}

/// Asks, and reads the answer as far as it is read.
pub async fn ask(request: RequestBuilder, now: Time) -> Result<Answer, NoAnswer> {
    let mut answer = request.send().await.map_err(|error| why(&error))?;
    let status = answer.status().as_u16();
    let retry_after = retry_after(&answer, now);
    let mut body = Vec::new();
    while let Some(part) = answer.chunk().await.map_err(|error| why(&error))? {
        body.extend_from_slice(&part[..part.len().min(ANSWER - body.len())]);
        if body.len() >= ANSWER {
            break;
        }
    }
    Ok(Answer { status, retry_after, body })
}

/// The texts of these errors hold addresses that are secrets, so only their kind is told.
fn why(error: &reqwest::Error) -> NoAnswer {
    let mut cause: Option<&(dyn Error + 'static)> = error.source();
    while let Some(error) = cause {
        match error.downcast_ref() {
            Some(Unresolved::NotPublic) => return NoAnswer::NotPublic,
            Some(_) => return NoAnswer::Unresolved,
            None => cause = error.source(),
        }
    }
    match error {
        _ if error.is_timeout() => NoAnswer::Late,
        _ if error.is_connect() => NoAnswer::Unreachable,
        _ => NoAnswer::Broken,
    }
}

fn retry_after(answer: &Response, now: Time) -> Option<Duration> {
    let text = answer.headers().get("retry-after")?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let wait: TimeDelta = DateTime::parse_from_rfc2822(text).ok()?.naive_utc() - now;
    wait.to_std().ok()
}
