//! Challenges: what is mailed to prove an address, a link's token and a short code. Neither lies in the database, only its tag.

use chrono::TimeDelta;
use quartet_chassis::clock::Time;
use quartet_chassis::crypt::{Tagger, equal};
use quartet_chassis::id::Id;
use quartet_chassis::random;
use secrecy::{ExposeSecret as _, SecretString};

/// How long a token and a code are good.
pub const LIFE: TimeDelta = TimeDelta::minutes(15);
/// How long a grant is good.
pub const GRANT_LIFE: TimeDelta = TimeDelta::minutes(10);
/// How often a code may be tried. The link outlives it.
pub const TRIES: i32 = 5;
/// How often codes of an account may be tried wrongly in a day, over all its challenges.
pub const FAILURES_PER_DAY: i32 = 20;
/// The most bytes that a token, code or grant has; a longer text is none.
const LENGTH: usize = 128;

/// What a challenge proves its address for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Purpose {
    Activate,
    Reset,
    SignIn,
    /// Proves the address that an account is to move to, not the one that it has.
    ChangeEmail,
    Reactivate,
}

impl Purpose {
    /// As it stands in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Purpose::Activate => "ACTIVATE",
            Purpose::Reset => "RESET",
            Purpose::SignIn => "SIGN_IN",
            Purpose::ChangeEmail => "CHANGE_EMAIL",
            Purpose::Reactivate => "REACTIVATE",
        }
    }

    /// For how long a mail that could not be sent is tried again, each time with new secrets.
    pub fn patience(self) -> TimeDelta {
        match self {
            Purpose::Activate => TimeDelta::hours(24),
            Purpose::Reset | Purpose::ChangeEmail | Purpose::Reactivate => TimeDelta::hours(1),
            // Who wants to sign in has asked again by then.
            Purpose::SignIn => TimeDelta::minutes(15),
        }
    }
}

/// What a mail brings. It is nowhere else, and never printed.
#[derive(Debug, Clone)]
pub struct Secrets {
    pub token: SecretString,
    pub code: SecretString,
}

impl Secrets {
    /// A token of 256 random bits, and a code of `digits` digits.
    pub fn draw(digits: u32) -> Secrets {
        Secrets { token: random::token().into(), code: random::digits(digits).into() }
    }
}

/// The account and the purpose that a secret is bound to.
#[derive(Debug, Clone, Copy)]
pub struct Bond<'a> {
    pub account_id: Id,
    pub email_key: &'a str,
    pub purpose: Purpose,
}

/// Computes the tags under a key of the server. A plain hash of ten million codes is searched in seconds.
#[derive(Clone)]
pub struct Marker(Tagger);

impl Marker {
    pub fn new(tagger: Tagger) -> Marker {
        Marker(tagger)
    }

    /// The tag of a link's token.
    pub fn token(&self, bond: Bond<'_>, token: &str) -> Vec<u8> {
        self.tag("token", bond, &[], token)
    }

    /// The tag of a code, bound to its challenge, too.
    pub fn code(&self, bond: Bond<'_>, challenge: Id, code: &str) -> Vec<u8> {
        self.tag("code", bond, challenge.as_bytes(), code)
    }

    /// The tag of the grant that a code was traded for.
    pub fn grant(&self, bond: Bond<'_>, grant: &str) -> Vec<u8> {
        self.tag("grant", bond, &[], grant)
    }

    fn tag(&self, kind: &str, bond: Bond<'_>, challenge: &[u8], secret: &str) -> Vec<u8> {
        let purpose = bond.purpose.as_str().as_bytes();
        let account = bond.account_id.as_bytes();
        self.0.tag(&[kind.as_bytes(), purpose, account, bond.email_key.as_bytes(), challenge, secret.as_bytes()])
    }
}

/// What somebody hands in to prove an address: not empty, not endless.
#[derive(Debug, Clone)]
pub struct Proof(SecretString);

impl Proof {
    pub fn parse(text: String) -> Result<Proof, &'static str> {
        match text.len() {
            0 => Err("must not be empty"),
            1..=LENGTH => Ok(Proof(text.into())),
            _ => Err("is too long"),
        }
    }

    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

/// The odds to guess a code of one account within a day, whoever tries from wherever.
pub fn odds(digits: u32) -> f64 {
    f64::from(FAILURES_PER_DAY) / 10f64.powf(f64::from(digits))
}

/// Whether a tag from the database is the one of what was handed in.
pub fn matches(stored: &[u8], given: &[u8]) -> bool {
    !stored.is_empty() && equal(stored, given)
}

/// When what is made now expires.
pub fn expiry(now: Time) -> Time {
    now + LIFE
}

#[cfg(test)]
mod tests {
    use super::*;
    use quartet_chassis::clock::Clock;
    use quartet_chassis::crypt::MasterKey;

    fn marker() -> anyhow::Result<Marker> {
        Ok(Marker::new(MasterKey::parse(&"ab".repeat(32))?.tagger("test")))
    }

    #[test]
    fn s11_a_code_is_bound_to_account_purpose_address_and_challenge() -> anyhow::Result<()> {
        let marker = marker()?;
        let (ada, bob, first, second) =
            (Id::new(&Clock::System), Id::new(&Clock::System), Id::new(&Clock::System), Id::new(&Clock::System));
        let bond = Bond { account_id: ada, email_key: "ada@example.com", purpose: Purpose::Activate };
        let tag = marker.code(bond, first, "1234567");
        assert!(matches(&tag, &marker.code(bond, first, "1234567")));
        for other in [
            marker.code(bond, second, "1234567"),
            marker.code(bond, first, "1234568"),
            marker.code(Bond { account_id: bob, ..bond }, first, "1234567"),
            marker.code(Bond { email_key: "a@example.com", ..bond }, first, "1234567"),
            marker.code(Bond { purpose: Purpose::Reset, ..bond }, first, "1234567"),
            marker.code(Bond { purpose: Purpose::SignIn, ..bond }, first, "1234567"),
            marker.code(Bond { purpose: Purpose::ChangeEmail, ..bond }, first, "1234567"),
            marker.code(Bond { purpose: Purpose::Reactivate, ..bond }, first, "1234567"),
            marker.token(bond, "1234567"),
            marker.grant(bond, "1234567"),
        ] {
            assert!(!matches(&tag, &other));
        }
        Ok(())
    }

    #[test]
    fn x2_nothing_is_proved_by_nothing() {
        assert!(Proof::parse(String::new()).is_err());
        assert!(Proof::parse("x".repeat(129)).is_err());
        assert!(!matches(&[], &[]));
    }

    #[test]
    fn s12_the_odds_to_guess_a_code_follow_from_its_digits_and_the_tries_of_a_day() {
        assert_eq!([6, 7, 12].map(odds), [2e-5, 2e-6, 2e-11]);
    }

    #[test]
    fn x1_secrets_are_long_enough_and_hidden() {
        let secrets = Secrets::draw(7);
        assert_eq!(secrets.code.expose_secret().len(), 7);
        assert_eq!(secrets.token.expose_secret().len(), 43);
        assert!(!format!("{secrets:?}").contains(secrets.code.expose_secret()));
    }
}
