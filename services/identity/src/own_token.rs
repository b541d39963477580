//! Tokens that only identity makes and reads: JWTs under a key of one purpose. Nothing in one comes from chance, so it is checked by
//! making it again.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use quartet_chassis::crypt::equal;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Error;

/// A longer text is none of ours.
const LENGTH: usize = 1024;

/// Makes and reads tokens of one type.
#[derive(Clone)]
pub struct OwnTokens {
    key: hmac::Key,
    header: String,
}

impl OwnTokens {
    /// `kind` is the header's `typ`.
    pub fn new(kind: &str, key: &[u8]) -> OwnTokens {
        let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"HS256","typ":"{kind}","kid":"1"}}"#));
        OwnTokens { key: hmac::Key::new(hmac::HMAC_SHA256, key), header }
    }

    pub fn sign(&self, claims: &impl Serialize) -> Result<String, Error> {
        let claims = serde_json::to_vec(claims).map_err(Error::defect)?;
        let mut token = format!("{}.{}", self.header, URL_SAFE_NO_PAD.encode(claims));
        let tag = hmac::sign(&self.key, token.as_bytes());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(tag, &mut token);
        Ok(token)
    }

    /// The claims of a token. Only the very text that [`sign`](Self::sign) made is one: cut, lengthened or rewritten it is none.
    pub fn read<C: Serialize + DeserializeOwned>(&self, token: &str) -> Option<C> {
        if token.len() > LENGTH {
            return None;
        }
        let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
        let claims: C = serde_json::from_slice(&payload).ok()?;
        let again = self.sign(&claims).ok()?;
        equal(again.as_bytes(), token.as_bytes()).then_some(claims)
    }
}
