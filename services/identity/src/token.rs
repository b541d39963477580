//! Access tokens: JWTs signed with Ed25519, and the keys that sign them.

use std::sync::Arc;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use quartet_chassis::auth::{ACCESS_TYPE, AUDIENCE, Actor, Claims, ISSUER, PublicKey};
use quartet_chassis::clock::{Time, unix_seconds};
use quartet_chassis::id::Id;

use crate::error::Error;

/// How long a token for others lives at most. People's own may have another limit, see the settings.
pub const LONGEST_LIFE: TimeDelta = TimeDelta::minutes(15);

/// A key pair, ready to sign.
pub struct SigningKey {
    pub kid: String,
    pair: Ed25519KeyPair,
    /// The encoded header of every token it signs.
    header: String,
    /// Signs from then on, unless a later key does.
    pub sign_time: Time,
    /// Its tokens are accepted until then.
    pub retire_time: Option<Time>,
}

/// Whose token it is.
#[derive(Debug, Clone)]
pub struct Subject {
    pub account_id: Id,
    pub session_id: Id,
    pub roles: Vec<String>,
    pub epoch: i64,
    /// How the session was begun, RFC 8176.
    pub amr: Vec<String>,
}

/// Where a token is good, how long, and in whose hands.
#[derive(Debug, Clone)]
pub struct Terms {
    pub audience: String,
    pub expire: Time,
    /// Who acts, if not the account itself.
    pub actor: Option<Actor>,
}

impl Terms {
    /// Of a person's own token.
    pub fn own(expire: Time) -> Terms {
        Terms { audience: AUDIENCE.to_owned(), expire, actor: None }
    }
}

impl SigningKey {
    /// The pair that grows from a seed of 32 random bytes.
    pub fn from_seed(
        kid: String,
        seed: &[u8],
        sign_time: Time,
        retire_time: Option<Time>,
    ) -> Result<SigningKey, Error> {
        if seed.len() != 32 {
            return Err(Error::defect("a signing key's seed has not 32 bytes"));
        }
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(Error::defect)?;
        let header = serde_json::json!({ "alg": "EdDSA", "typ": ACCESS_TYPE, "kid": kid }).to_string();
        Ok(SigningKey { kid, pair, header: URL_SAFE_NO_PAD.encode(header), sign_time, retire_time })
    }

    pub fn public(&self) -> Result<PublicKey, Error> {
        let x = self.pair.public_key().as_ref().try_into().map_err(Error::defect)?;
        Ok(PublicKey { kid: self.kid.clone(), x })
    }

    /// Signs an access token that lives from `now` on.
    pub fn sign(&self, subject: &Subject, terms: &Terms, token_id: Id, now: Time) -> Result<String, Error> {
        let iat = unix_seconds(now);
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: terms.audience.clone(),
            sub: subject.account_id,
            sid: subject.session_id,
            roles: subject.roles.clone(),
            epoch: subject.epoch,
            iat,
            nbf: iat,
            exp: unix_seconds(terms.expire),
            jti: token_id.to_string(),
            amr: subject.amr.clone(),
            act: terms.actor.clone(),
            kid: self.kid.clone(),
        };
        let claims = serde_json::to_vec(&claims).map_err(Error::defect)?;
        let mut token = format!("{}.{}", self.header, URL_SAFE_NO_PAD.encode(claims));
        let signature = self.pair.try_sign(token.as_bytes()).map_err(Error::defect)?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }
}

/// The keys as this process knows them.
#[derive(Default)]
pub struct KeyRing(Vec<Arc<SigningKey>>);

impl KeyRing {
    pub fn new(keys: Vec<SigningKey>) -> KeyRing {
        KeyRing(keys.into_iter().map(Arc::new).collect())
    }

    /// The key that signs now: of those whose time has come the latest. Where no time has come (clocks differ) the first.
    pub fn signer(&self, now: Time) -> Option<Arc<SigningKey>> {
        let live = || self.0.iter().filter(|key| is_live(key, now));
        let come = live().filter(|key| key.sign_time <= now).max_by_key(|key| (key.sign_time, &key.kid));
        come.or_else(|| live().min_by_key(|key| (key.sign_time, &key.kid))).cloned()
    }

    /// The public halves of the keys whose tokens are accepted, the ones that do not sign yet among them.
    pub fn public(&self, now: Time) -> Result<Vec<PublicKey>, Error> {
        self.0.iter().filter(|key| is_live(key, now)).map(|key| key.public()).collect()
    }

    /// When the newest key was, or will be, the one that signs.
    pub fn newest_sign_time(&self) -> Option<Time> {
        self.0.iter().map(|key| key.sign_time).max()
    }
}

fn is_live(key: &SigningKey, now: Time) -> bool {
    key.retire_time.is_none_or(|retire| now < retire)
}

#[cfg(test)]
mod tests {
    use super::*;
    use quartet_chassis::auth::Auth;
    use quartet_chassis::clock::Clock;

    fn key(kid: &str, sign: Time, retire: Option<Time>) -> SigningKey {
        SigningKey::from_seed(kid.to_owned(), &[3; 32], sign, retire).unwrap_or_else(|_| unreachable!())
    }

    #[test]
    fn s20_what_is_signed_is_what_the_chassis_verifies() -> anyhow::Result<()> {
        let clock = Clock::System;
        let now = clock.now();
        let ring = KeyRing::new(vec![key("k1", now, None)]);
        let auth = Auth::new(clock.clone(), b"secret");
        auth.set_keys(&ring.public(now)?);
        auth.revocations().set_complete();
        let subject = Subject {
            account_id: Id::new(&clock),
            session_id: Id::new(&clock),
            roles: vec!["admin".to_owned(), "user".to_owned()],
            epoch: 3,
            amr: vec!["pwd".to_owned()],
        };
        let signer = ring.signer(now).ok_or_else(|| anyhow::anyhow!("no signer"))?;
        let token = signer.sign(&subject, &Terms::own(now + TimeDelta::minutes(10)), Id::new(&clock), now)?;
        let claims = auth.verify_now(&token, "identity").map_err(|refusal| anyhow::anyhow!("{refusal:?}"))?;
        assert_eq!((claims.sub, claims.sid, claims.epoch), (subject.account_id, subject.session_id, 3));
        assert_eq!((claims.roles.clone(), claims.exp - claims.iat), (subject.roles, 600));
        Ok(())
    }

    #[test]
    fn s28_a_key_is_published_before_it_signs_and_after_it_has_signed() -> anyhow::Result<()> {
        let start = Clock::System.now();
        let at = |seconds| start + TimeDelta::seconds(seconds);
        let ring = KeyRing::new(vec![key("old", at(0), Some(at(700))), key("new", at(30), None)]);
        let who = |seconds| ring.signer(at(seconds)).map(|key| key.kid.clone());
        let list = |seconds| ring.public(at(seconds)).map(|keys| keys.len());
        assert_eq!(
            (who(-1), who(29), who(30), who(800)),
            (Some("old".into()), Some("old".into()), Some("new".into()), Some("new".into()))
        );
        assert_eq!((list(0)?, list(699)?, list(700)?), (2, 2, 1));
        Ok(())
    }
}
