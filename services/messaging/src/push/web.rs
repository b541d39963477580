//! Web Push: RFC 8030, sealed and signed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use quartet_chassis::clock::{Clock, unix_seconds};
use reqwest::{Client, Url};

use super::address::Rules;
use super::http;
use super::note::{Note, Subscription};
use super::outcome::{Outcome, Steps, other};
use super::seal::seal;
use super::vapid::Vapid;

/// How long a push service keeps what it can't deliver, in seconds.
const KEPT: &str = "86400";

/// The way to browsers.
pub struct Web {
    pub vapid: Vapid,
    pub rules: Rules,
    pub client: Client,
    pub clock: Clock,
}

impl Web {
    pub async fn send(&self, to: &Subscription, note: &Note, steps: &mut Steps) -> Outcome {
        // The rules may be stricter than they were when it was registered.
        let url = match self.rules.endpoint(&to.endpoint) {
            Ok(url) => url,
            Err(rule) => return steps.failed("address", Outcome::Refused(rule)),
        };
        let host = url.host_str().unwrap_or_default().to_owned();
        steps.went_well("address", host);
        let Ok(body) = seal(note.data().to_string().as_bytes(), &to.p256dh, &to.auth) else {
            return steps.failed("encrypt", Outcome::Refused("it can't be sealed for this browser's key".to_owned()));
        };
        steps.went_well("encrypt", format!("{} bytes", body.len()));
        let now = self.clock.now();
        let origin = url.origin().ascii_serialization();
        let Some(authorization) = self.vapid.authorization(&origin, unix_seconds(now)) else {
            return steps.failed("sign", Outcome::Refused("the token can't be signed".to_owned()));
        };
        steps.went_well("sign", format!("for {origin}"));
        self.post(url, body, &authorization, note, steps).await
    }

    async fn post(&self, url: Url, body: Vec<u8>, authorization: &str, note: &Note, steps: &mut Steps) -> Outcome {
        let request = self.client.post(url).header("ttl", KEPT).header("urgency", "high");
        let request =
            request.header("content-encoding", "aes128gcm").header("content-type", "application/octet-stream");
        let mut request = request.header("authorization", authorization).body(body);
        if let Some(conversation) = note.conversation {
            request = request.header("topic", URL_SAFE_NO_PAD.encode(conversation.as_bytes()));
        }
        let answer = match http::ask(request, self.clock.now()).await {
            Ok(answer) => answer,
            Err(none) => return steps.failed("send", none.into()),
        };
        match answer.status {
            200..=299 => {
                steps.went_well("send", format!("it answered {}", answer.status));
                Outcome::Sent
            }
            404 | 410 => steps.failed("send", Outcome::Gone),
            _ => steps.failed("send", other(&answer)),
        }
    }
}
