//! Tokens: what is in one, and how its text is read.

use std::collections::HashMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Deserializer, Serialize};

use super::Refusal;
use crate::clock::{Time, unix_seconds};
use crate::id::Id;

/// The `aud` of people's access tokens.
pub const AUDIENCE: &str = "quartet";
/// The `iss` of every token.
pub const ISSUER: &str = "quartet";
/// The `typ` of access tokens, RFC 9068.
pub const ACCESS_TYPE: &str = "at+jwt";
/// The `typ` of the tokens that services show each other.
pub const SERVICE_TYPE: &str = "service+jwt";
/// A longer text is no token of ours.
const LENGTH: usize = 8 * 1024;
/// How far the clocks of two machines may differ, in seconds.
const LEEWAY: i64 = 30;

/// The claims of an access token. Every one is required, of exactly this JSON type, and none may stand twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    pub iss: String,
    pub aud: String,
    #[serde(with = "text")]
    pub sub: Id,
    #[serde(with = "text")]
    pub sid: Id,
    pub roles: Vec<String>,
    pub epoch: i64,
    pub iat: i64,
    pub nbf: i64,
    pub exp: i64,
    pub jti: String,
    /// How the session was begun, RFC 8176.
    #[serde(default)]
    pub amr: Vec<String>,
    /// Who acts, if not the account itself, RFC 8693.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub act: Option<Actor>,
    /// The key that signed it, from the header.
    #[serde(skip)]
    pub kid: String,
}

/// Who acts for an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "ActClaim", into = "ActClaim")]
pub enum Actor {
    /// A client of the operator's, by its name.
    Client(String),
    /// An administrator. What ends their session or changes their account ends this token.
    Administrator { account_id: Id, session_id: Id, epoch: i64 },
}

impl fmt::Display for Actor {
    /// What the owner reads in the list of sessions.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Actor::Client(name) => write!(f, "client {name}"),
            Actor::Administrator { .. } => f.write_str("administrator"),
        }
    }
}

/// An actor as the claim `act` has it: `client:NAME`, or the account, session and epoch of an administrator.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ActClaim {
    sub: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    sid: Option<String>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    epoch: Option<i64>,
}

impl TryFrom<ActClaim> for Actor {
    type Error = &'static str;

    fn try_from(claim: ActClaim) -> Result<Actor, &'static str> {
        const WRONG: &str = "`act` names neither a client nor an administrator";
        match (claim.sub.strip_prefix("client:"), claim.sid, claim.epoch) {
            (Some(name), None, None) if !name.is_empty() => Ok(Actor::Client(name.to_owned())),
            (None, Some(session), Some(epoch)) => {
                let account_id = claim.sub.parse().map_err(|_| WRONG)?;
                let session_id = session.parse().map_err(|_| WRONG)?;
                Ok(Actor::Administrator { account_id, session_id, epoch })
            }
            _ => Err(WRONG),
        }
    }
}

impl From<Actor> for ActClaim {
    fn from(actor: Actor) -> ActClaim {
        match actor {
            Actor::Client(name) => ActClaim { sub: format!("client:{name}"), sid: None, epoch: None },
            Actor::Administrator { account_id, session_id, epoch } => {
                ActClaim { sub: account_id.to_string(), sid: Some(session_id.to_string()), epoch: Some(epoch) }
            }
        }
    }
}

impl Claims {
    /// Whether the services of `context` may take the token: people's tokens are for all, a narrowed one is for one.
    pub fn is_for(&self, context: &str) -> bool {
        self.aud == AUDIENCE || self.aud == context
    }

    /// Whether the token is a person's own and whole. What it opens may stay open for as long as the session lives; what a lesser
    /// token opens ends with the token.
    pub fn is_whole(&self) -> bool {
        self.act.is_none() && self.aud == AUDIENCE
    }

    /// Whether the token's time has come and is not over. A verifier's clock may be a little behind.
    pub fn check_time(&self, now: Time) -> Result<(), Refusal> {
        let now = unix_seconds(now);
        if self.exp <= now {
            return Err(Refusal::Expired);
        }
        if self.nbf > now.saturating_add(LEEWAY) || self.iat > now.saturating_add(LEEWAY) {
            return Err(Refusal::Invalid);
        }
        Ok(())
    }
}

/// A token's header: these three fields and no other, so that `jwk`, `jku`, `x5u` and `crit` are refused with the rest.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StrictHeader {
    alg: String,
    typ: String,
    kid: Option<String>,
}

/// The public half of a signing key.
#[derive(Clone)]
pub struct PublicKey {
    pub kid: String,
    /// Ed25519, 32 bytes.
    pub x: [u8; 32],
}

/// The keys that access tokens are accepted from, by `kid`.
#[derive(Default)]
pub(super) struct KeySet(HashMap<String, DecodingKey>);

impl KeySet {
    pub fn new(keys: &[PublicKey]) -> KeySet {
        KeySet(keys.iter().map(|key| (key.kid.clone(), DecodingKey::from_ed_der(&key.x))).collect())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn contains(&self, kid: &str) -> bool {
        self.0.contains_key(kid)
    }

    /// Verifies an access token's signature and the claims that do not change with time or with who is asked.
    pub fn decode(&self, token: &str) -> Result<Claims, Refusal> {
        let header = header(token, "EdDSA", ACCESS_TYPE)?;
        let kid = header.kid.ok_or(Refusal::Invalid)?;
        let key = self.0.get(&kid).ok_or(Refusal::Invalid)?;
        let mut claims: Claims = verified(token, key, Algorithm::EdDSA)?;
        claims.kid = kid;
        if claims.iss != ISSUER || claims.aud.is_empty() || claims.jti.is_empty() {
            return Err(Refusal::Invalid);
        }
        Ok(claims)
    }
}

/// The `kid` that a token names, unverified: only good to ask for that key.
pub(super) fn unverified_kid(token: &str) -> Option<String> {
    header(token, "EdDSA", ACCESS_TYPE).ok()?.kid
}

/// The claims of a token that one service shows another.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct ServiceClaims {
    iss: String,
    aud: String,
    /// The service that shows the token.
    pub sub: String,
    exp: i64,
}

impl ServiceClaims {
    pub fn check(&self, audience: &str, now: Time) -> Result<(), Refusal> {
        if self.iss != ISSUER || self.aud != audience {
            return Err(Refusal::Invalid);
        }
        if self.exp <= unix_seconds(now) { Err(Refusal::Expired) } else { Ok(()) }
    }
}

/// Signs and checks service tokens with the secret that the roles of an installation share.
pub(super) struct ServiceKey {
    encoding: EncodingKey,
    decoding: DecodingKey,
}

impl ServiceKey {
    pub fn new(secret: &[u8]) -> ServiceKey {
        ServiceKey { encoding: EncodingKey::from_secret(secret), decoding: DecodingKey::from_secret(secret) }
    }

    pub fn sign(&self, service: &str, audience: &str, expire: i64) -> Result<String, Refusal> {
        let claims =
            ServiceClaims { iss: ISSUER.to_owned(), aud: audience.to_owned(), sub: service.to_owned(), exp: expire };
        self.sign_as(SERVICE_TYPE, &claims)
    }

    pub fn verify(&self, token: &str) -> Result<ServiceClaims, Refusal> {
        self.verify_as(SERVICE_TYPE, token)
    }

    /// Signs claims of another kind; the `typ` keeps kinds apart.
    pub fn sign_as<T: Serialize>(&self, typ: &str, claims: &T) -> Result<String, Refusal> {
        let mut header = Header::new(Algorithm::HS256);
        header.typ = Some(typ.to_owned());
        jsonwebtoken::encode(&header, claims, &self.encoding).map_err(|_| Refusal::Invalid)
    }

    /// The claims of a text of this `typ`, if they were signed with this key.
    pub fn verify_as<T: serde::de::DeserializeOwned>(&self, typ: &str, text: &str) -> Result<T, Refusal> {
        header(text, "HS256", typ)?;
        verified(text, &self.decoding, Algorithm::HS256)
    }
}

fn header(token: &str, alg: &str, typ: &str) -> Result<StrictHeader, Refusal> {
    if token.len() > LENGTH {
        return Err(Refusal::Invalid);
    }
    let text = token.split('.').next().unwrap_or_default();
    let json = URL_SAFE_NO_PAD.decode(text).map_err(|_| Refusal::Invalid)?;
    let header: StrictHeader = serde_json::from_slice(&json).map_err(|_| Refusal::Invalid)?;
    if header.alg == alg && header.typ == typ { Ok(header) } else { Err(Refusal::Invalid) }
}

/// Signature and shape; times are checked against our own clock by the caller.
fn verified<T: serde::de::DeserializeOwned>(token: &str, key: &DecodingKey, alg: Algorithm) -> Result<T, Refusal> {
    let mut rules = Validation::new(alg);
    rules.required_spec_claims.clear();
    rules.validate_exp = false;
    rules.validate_aud = false;
    jsonwebtoken::decode::<T>(token, key, &rules).map(|data| data.claims).map_err(|_| Refusal::Invalid)
}

/// A claim that may be left out, but is no null.
pub(super) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

pub(super) mod text {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use crate::id::Id;

    pub fn serialize<S: Serializer>(id: &Id, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Id, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}
