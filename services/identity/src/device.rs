//! Device tokens: a device that has signed in once shows them, so that its owner is let in while others guess.
//!
//! They are no credentials. Beside one the password is still needed; it only decides which tries are counted together.

use quartet_chassis::auth::ISSUER;
use quartet_chassis::clock::{Time, unix_seconds};
use quartet_chassis::id::Id;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::own_token::OwnTokens;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    iss: String,
    /// The account.
    sub: String,
    /// The device.
    did: String,
    /// When the account first saw it.
    iat: i64,
}

/// A device of an account, as its token names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Device {
    pub account_id: Id,
    pub id: Id,
}

/// Makes and reads device tokens.
#[derive(Clone)]
pub struct DeviceKey(OwnTokens);

impl DeviceKey {
    pub fn new(key: &[u8]) -> DeviceKey {
        DeviceKey(OwnTokens::new("device", key))
    }

    /// The token of a device, always the same one.
    pub fn token(&self, device: Device, create_time: Time) -> Result<String, Error> {
        self.0.sign(&Claims {
            iss: ISSUER.to_owned(),
            sub: device.account_id.to_string(),
            did: device.id.to_string(),
            iat: unix_seconds(create_time),
        })
    }

    /// The device that a token names, if it is one of ours.
    pub fn read(&self, token: &str) -> Option<Device> {
        let claims: Claims = self.0.read(token)?;
        Some(Device { account_id: claims.sub.parse().ok()?, id: claims.did.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refresh::{Generation, RefreshKey};
    use quartet_chassis::clock::Clock;

    #[test]
    fn s06_only_what_identity_has_made_is_a_device_token() -> anyhow::Result<()> {
        let now = Clock::System.now();
        let device = Device { account_id: Id::from_bytes([7; 16]), id: Id::from_bytes([8; 16]) };
        let key = DeviceKey::new(&[1; 32]);
        let token = key.token(device, now)?;
        assert_eq!(key.read(&token), Some(device));
        assert_eq!(token, key.token(device, now)?);
        assert_eq!(DeviceKey::new(&[2; 32]).read(&token), None);
        for end in 0..token.len() {
            assert_eq!(key.read(&token[..end]), None, "{end}");
            assert_eq!(key.read(&token[end + 1..]), None, "{end}");
        }
        for other in [format!("{token}="), format!(" {token}"), "..".to_owned(), String::new(), "x".repeat(5000)] {
            assert_eq!(key.read(&other), None, "{other}");
        }
        let generation =
            Generation { account_id: device.account_id, session_id: device.id, number: 1, begin: now, expire: now };
        assert_eq!(key.read(&RefreshKey::new(&[1; 32]).token(&generation)?), None, "a token of another kind");
        Ok(())
    }
}
