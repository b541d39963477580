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
/// How long a push service can have a push wait, whatever it asks for.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// What was answered. Users are told its status and what that means, and none of its text.
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
    /// One answer for a name that leads nowhere and for one that leads inside: who asks learns nothing of the network here.
    #[error("its name leads to no public address")]
    Nowhere,
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
        if error.is::<Unresolved>() {
            return NoAnswer::Nowhere;
        }
        cause = error.source();
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
        return Some(Duration::from_secs(seconds).min(LONGEST_WAIT));
    }
    let wait: TimeDelta = DateTime::parse_from_rfc2822(text).ok()?.naive_utc() - now;
    wait.to_std().ok().map(|wait| wait.min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use quartet_chassis::clock::Clock;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// A server on loopback: its port, and how many have come.
    async fn server<F>(speak: impl Fn(TcpStream) -> F + Send + 'static) -> anyhow::Result<(u16, Arc<AtomicUsize>)>
    where
        F: Future<Output = std::io::Result<()>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let visits = Arc::<AtomicUsize>::default();
        let counted = visits.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(speak(stream));
            }
        });
        Ok((port, visits))
    }

    async fn heard(stream: &mut TcpStream) -> std::io::Result<()> {
        stream.read(&mut [0; 4096]).await.map(drop)
    }

    async fn asked(url: &str, loopback: bool) -> anyhow::Result<Result<Answer, NoAnswer>> {
        let client = outside(&Rules { ports: vec![443], loopback })?;
        Ok(ask(client.post(url).body("x"), Clock::System.now()).await)
    }

    #[tokio::test]
    async fn s50_a_name_that_leads_inside_by_now_is_not_connected_to() -> anyhow::Result<()> {
        let (port, visits) = server(async |mut stream| heard(&mut stream).await).await?;
        // As when it led elsewhere while it was registered: nothing has looked at the name but the connection itself.
        let answer = asked(&format!("https://localhost:{port}/x"), false).await?;
        assert_eq!((answer, visits.load(Ordering::SeqCst)), (Err(NoAnswer::Nowhere), 0));
        // The same where it may: it is the look at the address that has kept it away.
        asked(&format!("http://localhost:{port}/x"), true).await?.ok();
        assert!(visits.load(Ordering::SeqCst) > 0);
        Ok(())
    }

    #[tokio::test]
    async fn s50_a_name_that_leads_nowhere_is_told_as_one_that_leads_inside() -> anyhow::Result<()> {
        // Too long to be anybody's, which needs no network to be known.
        let url = format!("http://{}.invalid/x", "x".repeat(64));
        assert_eq!(asked(&url, true).await?, Err(NoAnswer::Nowhere));
        Ok(())
    }

    #[tokio::test]
    async fn s50_no_redirect_is_followed() -> anyhow::Result<()> {
        let (inside, visits) = server(async |mut stream| heard(&mut stream).await).await?;
        for status in [301, 302, 303, 307, 308] {
            let (port, _) = server(move |mut stream| async move {
                heard(&mut stream).await?;
                let to = format!("location: http://127.0.0.1:{inside}/");
                let answer = format!("HTTP/1.1 {status} Elsewhere\r\n{to}\r\ncontent-length: 0\r\n\r\n");
                stream.write_all(answer.as_bytes()).await
            })
            .await?;
            let answer = asked(&format!("http://127.0.0.1:{port}/x"), true).await?;
            assert_eq!(answer.map(|answer| answer.status), Ok(status));
        }
        assert_eq!(visits.load(Ordering::SeqCst), 0);
        Ok(())
    }

    #[tokio::test]
    async fn s50_of_an_answer_without_end_no_more_is_read_than_is_needed() -> anyhow::Result<()> {
        let (port, _) = server(async |mut stream| {
            heard(&mut stream).await?;
            stream.write_all(b"HTTP/1.1 201 Created\r\ntransfer-encoding: chunked\r\n\r\n").await?;
            loop {
                stream.write_all(format!("4000\r\n{}\r\n", "x".repeat(0x4000)).as_bytes()).await?;
            }
        })
        .await?;
        let answer = asked(&format!("http://127.0.0.1:{port}/x"), true).await?;
        assert_eq!(answer.map(|answer| (answer.status, answer.body.len())), Ok((201, ANSWER)));
        Ok(())
    }

    #[tokio::test]
    async fn s50_an_answer_that_drips_is_given_up() -> anyhow::Result<()> {
        for begin in ["HTTP/1.1 201 Created\r\ncontent-length: 1000000\r\n\r\n", "HTTP/1.1 201 Created\r\nx: ", ""] {
            let (port, _) = server(move |mut stream| async move {
                heard(&mut stream).await?;
                stream.write_all(begin.as_bytes()).await?;
                loop {
                    if !begin.is_empty() {
                        stream.write_all(b"x").await?;
                    }
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            })
            .await?;
            let answer = asked(&format!("http://127.0.0.1:{port}/x"), true).await?;
            assert_eq!(answer, Err(NoAnswer::Late), "{begin}");
        }
        Ok(())
    }

    #[tokio::test]
    async fn s50_what_is_no_http_is_no_answer() -> anyhow::Result<()> {
        let (port, _) = server(async |mut stream| {
            heard(&mut stream).await?;
            stream.write_all(b"SSH-2.0-OpenSSH_9.6\r\n").await
        })
        .await?;
        assert_eq!(asked(&format!("http://127.0.0.1:{port}/x"), true).await?, Err(NoAnswer::Broken));
        Ok(())
    }
}
