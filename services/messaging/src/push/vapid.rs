//! Who sends a Web Push: RFC 8292 (VAPID), a token for each push service signed with the installation's key.

use anyhow::{Context as _, anyhow};
use aws_lc_rs::agreement::{ECDH_P256, PrivateKey};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

/// How long a token is good, in seconds. A push service takes a day at most.
const LIFE: i64 = 12 * 60 * 60;

/// The installation's key for Web Push.
pub struct Vapid {
    key: EcdsaKeyPair,
    /// What browsers subscribe with.
    pub public_key: Vec<u8>,
    contact: Option<String>,
}

impl Vapid {
    /// Reads the private key: 32 bytes in base64url.
    pub fn new(private_key: &str, contact: Option<String>) -> anyhow::Result<Vapid> {
        let rule = "must be 32 bytes in base64url, as `npx web-push generate-vapid-keys` prints";
        let text = private_key.trim().trim_end_matches('=');
        let bytes = URL_SAFE_NO_PAD.decode(text).ok().context(rule)?;
        // The reasons of the library say nothing that helps, and the key is not to be quoted.
        let own = PrivateKey::from_private_key(&ECDH_P256, &bytes).map_err(|_| anyhow!(rule))?;
        let public_key = own.compute_public_key().map_err(|_| anyhow!(rule))?.as_ref().to_vec();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let key = EcdsaKeyPair::from_private_key_and_public_key(algorithm, &bytes, &public_key);
        Ok(Vapid { key: key.map_err(|_| anyhow!(rule))?, public_key, contact })
    }

    /// The header `authorization` of a push to this origin. `None` when it can't be signed.
    pub fn authorization(&self, origin: &str, now: i64) -> Option<String> {
        let mut claims = json!({ "aud": origin, "exp": now + LIFE });
        if let Some(contact) = &self.contact {
            claims["sub"] = json!(contact);
        }
        let head = URL_SAFE_NO_PAD.encode(r#"{"typ":"JWT","alg":"ES256"}"#);
        let signed = format!("{head}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).ok()?;
        let (signature, key) = (URL_SAFE_NO_PAD.encode(signature), URL_SAFE_NO_PAD.encode(&self.public_key));
        Some(format!("vapid t={signed}.{signature}, k={key}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g13_a_key_is_read_as_tools_print_it_and_named_by_its_public_half() -> anyhow::Result<()> {
        // RFC 8291's example of a key pair.
        let vapid = Vapid::new("q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94=\n", None)?;
        let public = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
        assert_eq!(URL_SAFE_NO_PAD.encode(&vapid.public_key), public);
        for wrong in ["", "x", "AAAA", &"A".repeat(43)] {
            assert!(Vapid::new(wrong, None).is_err(), "{wrong}");
        }
        let header = vapid.authorization("https://push.example.com", 0).unwrap_or_default();
        assert!(header.starts_with("vapid t=") && header.ends_with(&format!(", k={public}")), "{header}");
        Ok(())
    }
}
