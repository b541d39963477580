//! Pushes: what people who are away are told of, by Firebase and by Web Push, with the operator's own keys.
//!
//! A message's transaction leaves a job behind. A worker makes of it a job for each device that is to hear of it, and each of these goes
//! its own way: sent, tried again, or given up with the device.

mod address;
mod fcm;
mod http;
pub mod note;
mod outcome;
mod rest;
mod seal;
mod sessions;
mod settings;
mod vapid;
mod web;
mod work;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use quartet_chassis::clock::Clock;
use quartet_chassis::crypt::{SealBroken, Sealer, Tagger};
use quartet_chassis::parts::Parts;
use quartet_chassis::telemetry::Seldom;
use secrecy::ExposeSecret as _;

pub use self::address::Rules;
use self::fcm::Fcm;
use self::note::{Note, Target};
pub use self::outcome::{Outcome, Step, Steps};
use self::rest::{Services, Share};
pub use self::seal::{SECRET, is_key};
pub use self::sessions::Sessions;
pub use self::settings::PushConfig;
use self::vapid::Vapid;
use self::web::Web;
use self::work::SLOTS;
pub use self::work::start;

/// How many calls at once a push service is given that a user has named: no origin holds up the others.
const OF_AN_ORIGIN: Share = Share { calls: SLOTS as u32 / 4, is_named: true };
/// And one whose answers nobody but its maker makes slow: Firebase, and those of browsers, which most devices are at.
const OF_A_MAKER: Share = Share { calls: SLOTS as u32 / 4 * 3, is_named: false };

/// The ways to devices, as far as they are set up.
#[derive(Clone)]
pub struct Push(Arc<Inner>);

struct Inner {
    rules: Rules,
    fcm: Option<Fcm>,
    web: Option<Web>,
    has_text: bool,
    sealer: Sealer,
    tagger: Tagger,
    services: Services,
    told: Mutex<Seldom>,
}

impl Push {
    pub fn new(config: &PushConfig, parts: &Parts) -> anyhow::Result<Push> {
        let rules = Rules { ports: config.ports.clone(), loopback: config.loopback };
        let fcm = fcm(config, &parts.clock)?;
        let web = web(config, &rules, &parts.clock)?;
        Ok(Push(Arc::new(Inner {
            rules,
            fcm,
            web,
            has_text: config.text,
            sealer: parts.master.sealer("messaging device"),
            tagger: parts.master.tagger("messaging device"),
            services: Services::default(),
            told: Mutex::default(),
        })))
    }

    /// Whether anything can be pushed.
    pub fn is_on(&self) -> bool {
        self.has_fcm() || self.0.web.is_some()
    }

    pub fn has_fcm(&self) -> bool {
        self.0.fcm.is_some()
    }

    /// What browsers subscribe with.
    pub fn public_key(&self) -> Option<&[u8]> {
        self.0.web.as_ref().map(|web| web.vapid.public_key.as_slice())
    }

    /// Whether pushes hold the beginning of a message.
    pub fn has_text(&self) -> bool {
        self.0.has_text
    }

    pub fn rules(&self) -> &Rules {
        &self.0.rules
    }

    /// What names a target without telling it.
    pub fn tag(&self, target: &Target) -> Vec<u8> {
        match target {
            Target::Fcm(token) => self.0.tagger.tag(&[b"fcm", token.as_bytes()]),
            Target::Web(to) => self.0.tagger.tag(&[b"web", to.endpoint.as_bytes()]),
        }
    }

    /// A target as it lies in the row with this tag.
    pub fn seal(&self, tag: &[u8], target: &Target) -> Result<Vec<u8>, SealBroken> {
        let text = serde_json::to_vec(target).map_err(|_| SealBroken)?;
        self.0.sealer.seal(tag, &text)
    }

    pub fn open(&self, tag: &[u8], sealed: &[u8]) -> Result<Target, SealBroken> {
        serde_json::from_slice(&self.0.sealer.open(tag, sealed)?).map_err(|_| SealBroken)
    }

    /// Sends, and notes each step.
    pub async fn send(&self, to: &Target, note: &Note, steps: &mut Steps) -> Outcome {
        let none = || Outcome::Refused("the installation sends no pushes of this kind any more".to_owned());
        match (to, &self.0.fcm, &self.0.web) {
            (Target::Fcm(token), Some(fcm), _) => fcm.send(token, note, steps).await,
            (Target::Web(to), _, Some(web)) => web.send(to, note, steps).await,
            _ => steps.failed("settings", none()),
        }
    }

    /// Sends, if the push service is called at all now, and remembers how it took that. Else says for how long it is left alone.
    async fn try_send(&self, to: &Target, note: &Note) -> Result<Outcome, Duration> {
        let (service, share) = self.service(to);
        let visit = self.0.services.visit(&service, share).await?;
        let outcome = self.send(to, note, &mut Steps::default()).await;
        match &outcome {
            Outcome::Later(..) => visit.failed(),
            Outcome::TooMany(..) => visit.too_many(self.tag(to)),
            _ => visit.answered(),
        }
        Ok(outcome)
    }

    fn service(&self, to: &Target) -> (String, Share) {
        match to {
            Target::Fcm(_) => ("fcm".to_owned(), OF_A_MAKER),
            Target::Web(to) => {
                let Ok(url) = self.0.rules.endpoint(&to.endpoint) else { return (String::new(), OF_AN_ORIGIN) };
                let share = if address::is_of_a_browser(&url) { OF_A_MAKER } else { OF_AN_ORIGIN };
                (url.origin().ascii_serialization(), share)
            }
        }
    }

    /// Whether it is time to tell the operator that pushes come to nothing: what users name must not fill the log.
    fn is_to_be_told(&self) -> bool {
        self.0.told.lock().unwrap_or_else(PoisonError::into_inner).again()
    }
}

fn fcm(config: &PushConfig, clock: &Clock) -> anyhow::Result<Option<Fcm>> {
    let Some(file) = &config.fcm_account_file else { return Ok(None) };
    let fcm = Fcm::open(file, &config.fcm_url, http::inside()?, clock.clone());
    fcm.context("can't use `QUARTET_MESSAGING_FCM_ACCOUNT_FILE`").map(Some)
}

fn web(config: &PushConfig, rules: &Rules, clock: &Clock) -> anyhow::Result<Option<Web>> {
    let Some(key) = &config.vapid_key else { return Ok(None) };
    let vapid = Vapid::new(key.expose_secret(), config.contact.clone());
    let vapid = vapid.context("can't use `QUARTET_MESSAGING_VAPID_KEY`")?;
    let client = match http::outside(rules) {
        Ok(client) => client,
        Err(error) => {
            // Such as a machine that trusts no certificate authority. Everything else works there.
            tracing::warn!(error = format!("{error:#}"), "Web Push is off");
            return Ok(None);
        }
    };
    Ok(Some(Web { vapid, rules: rules.clone(), client, clock: clock.clone() }))
}
