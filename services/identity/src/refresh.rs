//! Refresh tokens, and what is to become of a session whose token comes back.
//!
//! A refresh token is a JWT that only identity can make and read. Every claim comes from the session's row, nothing from chance: the
//! same generation always gives the same bytes. So a lost answer can be given again.

use chrono::TimeDelta;
use quartet_chassis::auth::ISSUER;
use quartet_chassis::clock::{Time, unix_seconds};
use quartet_chassis::id::Id;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::own_token::OwnTokens;

/// After the grace, a replaced token is refused without harm for so long: clocks differ, and mails about theft must be true.
const MERCY: TimeDelta = TimeDelta::seconds(30);

/// What a refresh token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefreshClaims {
    iss: String,
    /// The account.
    pub sub: String,
    /// The session.
    pub sid: String,
    /// The generation.
    #[serde(rename = "gen")]
    pub generation: i64,
    /// When the generation began.
    iat: i64,
    exp: i64,
}

/// A refresh token whose text is ours and whose time is not over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Presented {
    pub account_id: Id,
    pub session_id: Id,
    pub generation: i64,
}

/// A session as far as its refresh token is made of it.
#[derive(Debug, Clone, Copy)]
pub struct Generation {
    pub account_id: Id,
    pub session_id: Id,
    pub number: i64,
    pub begin: Time,
    pub expire: Time,
}

/// Makes and reads refresh tokens.
#[derive(Clone)]
pub struct RefreshKey(OwnTokens);

impl RefreshKey {
    pub fn new(key: &[u8]) -> RefreshKey {
        RefreshKey(OwnTokens::new("refresh", key))
    }

    /// The token of a generation.
    pub fn token(&self, generation: &Generation) -> Result<String, Error> {
        self.0.sign(&RefreshClaims {
            iss: ISSUER.to_owned(),
            sub: generation.account_id.to_string(),
            sid: generation.session_id.to_string(),
            generation: generation.number,
            iat: unix_seconds(generation.begin),
            exp: unix_seconds(generation.expire),
        })
    }

    /// Reads a token. Only the very text that [`token`](Self::token) made is one: cut, lengthened or rewritten it is refused, and
    /// none of it costs a query.
    pub fn read(&self, token: &str, now: Time) -> Result<Presented, Error> {
        let claims: RefreshClaims = self.0.read(token).ok_or(Error::RefreshTokenInvalid)?;
        if claims.exp <= unix_seconds(now) {
            return Err(Error::RefreshTokenExpired);
        }
        let id = |text: &str| text.parse::<Id>().map_err(|_| Error::RefreshTokenInvalid);
        Ok(Presented { account_id: id(&claims.sub)?, session_id: id(&claims.sid)?, generation: claims.generation })
    }
}

/// What becomes of a token that is not the session's newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The answer got lost, or two tabs asked at once: the same successor again.
    Repeat,
    /// Refused, and nothing else.
    Superseded,
    /// Somebody else has the token, too: the session ends.
    Reused,
    /// A generation that the session has not reached.
    Unknown,
}

/// Decides about the token of generation `presented` of a session that stands at `current` since `begin`. That the session stands
/// right behind it means that the successor has not been used.
pub fn decide(presented: i64, current: i64, begin: Time, now: Time, grace: TimeDelta) -> Decision {
    let age = now - begin;
    match current - presented {
        ..0 => Decision::Unknown,
        0 => Decision::Repeat,
        1 if age < grace => Decision::Repeat,
        1 if age < grace + MERCY => Decision::Superseded,
        1.. => Decision::Reused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quartet_chassis::clock::Clock;

    fn generation(number: i64, begin: Time) -> Generation {
        let id = Id::from_bytes([7; 16]);
        Generation { account_id: id, session_id: id, number, begin, expire: begin + TimeDelta::days(14) }
    }

    #[test]
    fn s25_the_same_generation_gives_the_same_bytes() -> anyhow::Result<()> {
        let key = RefreshKey::new(&[1; 32]);
        let now = Clock::System.now();
        assert_eq!(key.token(&generation(4, now))?, key.token(&generation(4, now))?);
        assert_ne!(key.token(&generation(4, now))?, key.token(&generation(5, now))?);
        assert_eq!(key.read(&key.token(&generation(4, now))?, now)?.generation, 4);
        Ok(())
    }

    #[test]
    fn s23_no_other_text_is_a_refresh_token() -> anyhow::Result<()> {
        let key = RefreshKey::new(&[1; 32]);
        let now = Clock::System.now();
        let token = key.token(&generation(4, now))?;
        let refused = |text: &str| matches!(key.read(text, now), Err(Error::RefreshTokenInvalid));
        for end in 0..token.len() {
            assert!(refused(&token[..end]) && refused(&token[end + 1..]), "{end}");
            let mut other = token.clone().into_bytes();
            other[end] = if other[end].is_ascii_lowercase() { other[end].to_ascii_uppercase() } else { b'q' };
            let other = String::from_utf8(other)?;
            assert!(other == token || refused(&other), "{end}");
        }
        for other in
            [format!("{token}="), format!("{token}A"), format!(" {token}"), format!("{token}.x"), "..".to_owned()]
        {
            assert!(refused(&other), "{other}");
        }
        let foreign = RefreshKey::new(&[2; 32]).token(&generation(4, now))?;
        assert!(refused(&foreign));
        Ok(())
    }

    #[test]
    fn i8_an_old_token_has_expired() -> anyhow::Result<()> {
        let key = RefreshKey::new(&[1; 32]);
        let now = Clock::System.now();
        let token = key.token(&generation(1, now))?;
        assert!(key.read(&token, now + TimeDelta::days(14) - TimeDelta::seconds(2)).is_ok());
        assert!(matches!(key.read(&token, now + TimeDelta::days(14)), Err(Error::RefreshTokenExpired)));
        Ok(())
    }

    #[test]
    fn s24_s25_what_becomes_of_a_token_that_comes_back() {
        let begin = Clock::System.now();
        let after = |presented, seconds| {
            decide(presented, 5, begin, begin + TimeDelta::seconds(seconds), TimeDelta::seconds(10))
        };
        assert_eq!(after(5, 0), Decision::Repeat);
        assert_eq!((after(4, 0), after(4, 9)), (Decision::Repeat, Decision::Repeat));
        assert_eq!((after(4, 10), after(4, 39)), (Decision::Superseded, Decision::Superseded));
        assert_eq!(after(4, 40), Decision::Reused);
        assert_eq!((after(3, 0), after(0, 0)), (Decision::Reused, Decision::Reused));
        assert_eq!(after(6, 0), Decision::Unknown);
    }
}
