//! Firebase Cloud Messaging, HTTP v1, as the operator's service account.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use quartet_chassis::clock::{Clock, unix_seconds};
use reqwest::{Client, Url};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::http::{self, Answer};
use super::note::Note;
use super::outcome::{Outcome, Steps, other};

const SCOPE: &str = "https://www.googleapis.com/auth/firebase.messaging";
const GRANT: &str = "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer";
/// How long what is signed with the account's key is good, in seconds.
const LIFE: i64 = 3600;
/// A token that is this close to its end is renewed.
const MARGIN: Duration = Duration::from_secs(60);

/// What the file of a service account holds.
#[derive(Deserialize)]
struct Account {
    project_id: String,
    private_key_id: Option<String>,
    private_key: String,
    client_email: String,
    token_uri: String,
}

/// The way to Firebase.
pub struct Fcm {
    send_url: Url,
    token_url: Url,
    email: String,
    key_id: Option<String>,
    key: EncodingKey,
    client: Client,
    clock: Clock,
    held: Mutex<Held>,
}

#[derive(Clone)]
struct Token {
    text: String,
    end: Instant,
}

/// What came of asking for a token last.
#[derive(Default)]
struct Held {
    token: Option<Token>,
    failed: Option<(Instant, Outcome)>,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: u64,
}

impl Fcm {
    /// Reads the file of a service account. `url` is where Firebase is.
    pub fn open(file: &Path, url: &str, client: Client, clock: Clock) -> anyhow::Result<Fcm> {
        let text = std::fs::read(file).with_context(|| format!("can't read {}", file.display()))?;
        // The error of the JSON might quote the key.
        let account: Account = serde_json::from_slice(&text).ok().with_context(|| {
            format!(
                "{} is no service account: `project_id`, `client_email`, `private_key`, `token_uri`",
                file.display()
            )
        })?;
        let key = EncodingKey::from_rsa_pem(account.private_key.as_bytes());
        let key = key.ok().with_context(|| format!("the `private_key` in {} is no RSA key", file.display()))?;
        let is_name = account.project_id.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:".contains(c));
        anyhow::ensure!(is_name && !account.project_id.is_empty(), "the `project_id` in {} is none", file.display());
        let send_url = format!("{}/v1/projects/{}/messages:send", url.trim_end_matches('/'), account.project_id);
        let send_url = send_url.parse().context("`--messaging-fcm-url` is no URL")?;
        let token_url = account.token_uri.parse().ok();
        let token_url = token_url.with_context(|| format!("the `token_uri` in {} is no URL", file.display()))?;
        let (email, key_id) = (account.client_email, account.private_key_id);
        Ok(Fcm { send_url, token_url, email, key_id, key, client, clock, held: Mutex::default() })
    }

    pub async fn send(&self, to: &str, note: &Note, steps: &mut Steps) -> Outcome {
        let token = match self.token().await {
            Ok(token) => token,
            Err(outcome) => return steps.failed("token", outcome),
        };
        steps.went_well("token", format!("of {}", self.email));
        let request = self.client.post(self.send_url.clone()).bearer_auth(&token).json(&message(to, note));
        let answer = match http::ask(request, self.clock.now()).await {
            Ok(answer) => answer,
            Err(none) => return steps.failed("send", none.into()),
        };
        match judge(&answer) {
            Outcome::Sent => {
                steps.went_well("send", format!("it answered {}", answer.status));
                Outcome::Sent
            }
            outcome => {
                if matches!(outcome, Outcome::Later(..)) && answer.status == 401 {
                    self.forget(&token).await;
                }
                steps.failed("send", outcome)
            }
        }
    }

    /// The token in force. Whoever asks while somebody fetches one waits for that one call, and has its failure, too: nobody waits for
    /// a second.
    async fn token(&self) -> Result<String, Outcome> {
        let asked = Instant::now();
        let mut held = self.held.lock().await;
        if let Some(token) = held.token.as_ref().filter(|token| token.end > Instant::now()) {
            return Ok(token.text.clone());
        }
        if let Some((_, outcome)) = held.failed.as_ref().filter(|(moment, _)| *moment >= asked) {
            return Err(outcome.clone());
        }
        match self.grant().await {
            Ok(granted) => {
                let life = Duration::from_secs(granted.expires_in).saturating_sub(MARGIN);
                held.token = Some(Token { text: granted.access_token.clone(), end: Instant::now() + life });
                Ok(granted.access_token)
            }
            Err(outcome) => {
                held.failed = Some((Instant::now(), outcome.clone()));
                Err(outcome)
            }
        }
    }

    async fn forget(&self, refused: &str) {
        self.held.lock().await.token.take_if(|token| token.text == refused);
    }

    async fn grant(&self) -> Result<Granted, Outcome> {
        let now = self.clock.now();
        let issued = unix_seconds(now);
        let claims = json!({
            "iss": self.email, "scope": SCOPE, "aud": self.token_url.as_str(), "iat": issued, "exp": issued + LIFE,
        });
        let mut header = Header::new(Algorithm::RS256);
        header.kid.clone_from(&self.key_id);
        let signed = jsonwebtoken::encode(&header, &claims, &self.key)
            .map_err(|_| Outcome::Refused("the account's key signs nothing".to_owned()))?;
        let body = format!("grant_type={GRANT}&assertion={signed}");
        let request = self.client.post(self.token_url.clone());
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
        let answer = http::ask(request, now).await.map_err(Outcome::from)?;
        if answer.status != 200 {
            // An account that is refused now may be let in again: nothing is lost until the outbox gives up.
            let why = format!("the token service answered {}", answer.status);
            return Err(Outcome::Later(why, answer.retry_after));
        }
        let unreadable = |_| Outcome::Later("the token service's answer can't be read".to_owned(), None);
        serde_json::from_slice(&answer.body).map_err(unreadable)
    }
}

fn message(to: &str, note: &Note) -> Value {
    let mut shown = json!({ "title": note.title });
    if !note.text.is_empty() {
        shown["body"] = json!(note.text);
    }
    let mut message = json!({
        "token": to,
        "notification": shown,
        "data": note.data(),
        "android": { "priority": "high", "ttl": "86400s" },
        "apns": { "headers": { "apns-priority": "10" } },
    });
    if let Some(conversation) = note.conversation {
        let id = conversation.to_string();
        message["android"]["collapse_key"] = json!(id);
        message["android"]["notification"] = json!({ "tag": id });
        message["apns"]["headers"]["apns-collapse-id"] = json!(id);
        message["apns"]["payload"] = json!({ "aps": { "thread-id": id } });
    }
    json!({ "message": message })
}

/// What an answer means. A device goes for nothing but Firebase's word that it is registered no more: whatever else could be the fault of
/// the installation, whose phones must not go with a wrong project.
fn judge(answer: &Answer) -> Outcome {
    if answer.status == 200 {
        return Outcome::Sent;
    }
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let details = body["error"]["details"].as_array().cloned().unwrap_or_default();
    let has_code = |code: &str| details.iter().any(|detail| detail["errorCode"] == code);
    let refused = |what: &str| Outcome::Misconfigured(format!("it answered {}, {what}", answer.status));
    match answer.status {
        400 | 404 if has_code("UNREGISTERED") => Outcome::Gone,
        404 => refused("which is said of a project that is not there"),
        403 if has_code("SENDER_ID_MISMATCH") => refused("the device is registered with another project"),
        403 => refused("the service account may not send"),
        401 if has_code("THIRD_PARTY_AUTH_ERROR") => refused("the project has no good key for this kind of device"),
        401 => Outcome::Later("it refused the token".to_owned(), None),
        _ => other(answer),
    }
}

#[cfg(test)]
mod tests {
    use quartet_chassis::id::Id;

    use super::*;

    #[test]
    fn g13_only_a_device_that_is_unregistered_goes() {
        let of = |status, details: Value| {
            let body = json!({ "error": { "details": details } }).to_string().into_bytes();
            judge(&Answer { status, retry_after: Some(Duration::from_secs(7)), body })
        };
        assert_eq!(of(200, json!([])), Outcome::Sent);
        assert_eq!(of(404, json!([{ "errorCode": "UNREGISTERED" }])), Outcome::Gone);
        assert_eq!(of(400, json!([{ "errorCode": "UNREGISTERED" }])), Outcome::Gone);
        for field in ["message.token", "message.data"] {
            assert!(matches!(of(400, json!([{ "fieldViolations": [{ "field": field }] }])), Outcome::Refused(_)));
        }
        assert!(matches!(of(401, json!([])), Outcome::Later(_, None)));
        for status in [500, 503] {
            let Outcome::Later(_, wait) = of(status, json!([])) else { panic!("{status}") };
            assert_eq!(wait, Some(Duration::from_secs(7)));
        }
        assert!(matches!(of(429, json!([])), Outcome::TooMany(_, Some(wait)) if wait == Duration::from_secs(7)));
    }

    #[test]
    fn g13_what_the_operator_is_to_mend_is_tried_again_and_no_device_goes() {
        let of = |status, body: &[u8]| judge(&Answer { status, retry_after: None, body: body.to_vec() });
        let coded = |code: &str| json!({ "error": { "details": [{ "errorCode": code }] } }).to_string().into_bytes();
        for (status, body) in [
            (404, b"<html>".to_vec()),
            (404, b"".to_vec()),
            (404, br#"{"error":{"status":"NOT_FOUND"}}"#.to_vec()),
            (403, b"".to_vec()),
            (403, coded("SENDER_ID_MISMATCH")),
            (401, coded("THIRD_PARTY_AUTH_ERROR")),
        ] {
            assert!(matches!(of(status, &body), Outcome::Misconfigured(_)), "{status}");
        }
    }

    #[test]
    fn g13_pushes_of_a_conversation_take_each_other_s_place() {
        let message = &message("t", &Note::message(Id::MAX, 7, "", "Ada", "Hi"))["message"];
        let id = json!(Id::MAX.to_string());
        let names = [
            &message["android"]["collapse_key"],
            &message["android"]["notification"]["tag"],
            &message["apns"]["headers"]["apns-collapse-id"],
            &message["data"]["conversation_id"],
        ];
        assert!(names.into_iter().all(|name| *name == id), "{message}");
        assert_eq!(message["notification"], json!({ "title": "Ada", "body": "Hi" }));
    }
}
