//! Passwords: what a new one must be, and the form in which it is hashed.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretString};
use unicode_normalization::UnicodeNormalization as _;

use crate::config::{Config, PolicyKind};
use crate::email::Email;

/// The most bytes of a password.
const LENGTH: usize = 1024;
/// The least characters under the composition policy.
const SHORTEST: usize = 8;
const SPECIALS: &str = "@$!%*?#&";
/// In front of a stored hash whose input was prepared by [`Pepper`]; other stored hashes are plain bcrypt.
const SCHEME: &str = "q1$";

/// Passwords that everybody tries first, one a line, in lower case.
static COMMON: &str = include_str!("common_passwords.txt");

/// A password that somebody typed.
#[derive(Debug, Clone)]
pub struct Password(SecretString);

/// What a new password must be.
#[derive(Debug, Clone, Copy)]
pub enum Policy {
    Composition,
    Length(usize),
}

impl Policy {
    pub fn of(config: &Config) -> Policy {
        match config.password_policy {
            PolicyKind::Composition => Policy::Composition,
            PolicyKind::Length => Policy::Length(usize::from(config.password_length)),
        }
    }
}

impl Password {
    /// One that is to be compared with a stored one.
    pub fn given(text: String) -> Result<Password, &'static str> {
        match text.len() {
            0 => Err("must not be empty"),
            1..=LENGTH => Ok(Password(text.into())),
            _ => Err("must have at most 1,024 bytes"),
        }
    }

    /// Whether this text is the same password.
    pub fn is(&self, text: &str) -> bool {
        self.0.expose_secret().nfc().eq(text.nfc())
    }

    /// One that is to be stored. The error names all that it lacks.
    pub fn new(text: String, policy: Policy, email: Option<&Email>) -> Result<Password, String> {
        let password = Password::given(text)?;
        let text = password.0.expose_secret();
        let mut lacks = match policy {
            Policy::Composition => composition(text),
            Policy::Length(least) => length(text, least),
        };
        lacks.extend(guess(text, email));
        if lacks.is_empty() { Ok(password) } else { Err(lacks.join("; ")) }
    }
}

fn composition(text: &str) -> Vec<String> {
    let rules: [(&str, bool); 5] = [
        ("must have at least 8 characters", text.nfc().count() >= SHORTEST),
        ("must contain an upper-case letter", text.chars().any(char::is_uppercase)),
        ("must contain a lower-case letter", text.chars().any(char::is_lowercase)),
        ("must contain a digit", text.chars().any(|c| c.is_ascii_digit())),
        ("must contain one of `@$!%*?#&`", text.chars().any(|c| SPECIALS.contains(c))),
    ];
    rules.into_iter().filter(|(_, kept)| !kept).map(|(rule, _)| rule.to_owned()).collect()
}

fn length(text: &str, least: usize) -> Vec<String> {
    if text.nfc().count() < least { vec![format!("must have at least {least} characters")] } else { Vec::new() }
}

/// Whether it is among what is tried first, whatever the case and the digits and signs at its end: a common password, the product's
/// name, also in front of a common one, or the account's own address.
fn guess(text: &str, email: Option<&Email>) -> Option<String> {
    let lower: String = text.nfc().collect::<String>().to_lowercase();
    let bare = lower.trim_end_matches(|c: char| c.is_ascii_digit() || c.is_ascii_punctuation());
    let local = email.and_then(|email| email.key().split('@').next());
    if email.is_some_and(|email| lower.contains(email.key())) || local == Some(&lower) || local == Some(bare) {
        return Some("must not be the address".to_owned());
    }
    let bare = bare.strip_prefix("quartet").unwrap_or(bare);
    let is_common = bare.is_empty() || COMMON.lines().any(|common| common == lower || common == bare);
    is_common.then(|| "must not be a common password".to_owned())
}

/// Prepares passwords for bcrypt: `base64(HMAC-SHA-384(pepper, NFC(password)))` is 64 characters without a NUL, so nothing is cut
/// off and nothing is refused, and a stolen database is worth nothing without the pepper.
#[derive(Clone)]
pub struct Pepper(hmac::Key);

impl Pepper {
    pub fn new(key: &[u8]) -> Pepper {
        Pepper(hmac::Key::new(hmac::HMAC_SHA384, key))
    }

    fn prepare(&self, password: &Password) -> String {
        let normal: String = password.0.expose_secret().nfc().collect();
        STANDARD.encode(hmac::sign(&self.0, normal.as_bytes()))
    }

    /// Hashes a password for storing. Takes long: `hasher.rs` calls it.
    pub fn hash(&self, password: &Password, cost: u32, salt: [u8; 16]) -> Result<String, bcrypt::BcryptError> {
        let parts = bcrypt::hash_with_salt(self.prepare(password), cost, salt)?;
        Ok(format!("{SCHEME}{}", parts.format_for_version(bcrypt::Version::TwoB)))
    }

    /// Whether the password is the stored one. A stored hash that is none of ours matches nothing. Takes long, too.
    pub fn verify(&self, password: &Password, stored: &str) -> bool {
        match stored.strip_prefix(SCHEME) {
            Some(hash) => bcrypt::verify(self.prepare(password), hash).unwrap_or(false),
            None => bcrypt::verify(password.0.expose_secret(), stored).unwrap_or(false),
        }
    }

    /// Takes as long as is missing from what [`verify`](Self::verify) with this hash took to what it takes with one of `cost`: who has
    /// come from another program must not be known by a fast refusal (S-10).
    pub fn make_up(&self, password: &Password, stored: &str, cost: u32) -> Result<(), bcrypt::BcryptError> {
        missing(stored, cost).try_for_each(|cost| self.hash(password, cost, [0; 16]).map(drop))
    }
}

/// The costs that are together as long as `cost` beside a stored hash: each takes twice as long as the one before it.
fn missing(stored: &str, cost: u32) -> std::ops::Range<u32> {
    stored_cost(stored).map_or(cost..cost + 1, |stored| stored..cost)
}

fn stored_cost(stored: &str) -> Option<u32> {
    stored.strip_prefix(SCHEME).unwrap_or(stored).split('$').nth(2)?.parse().ok()
}

/// A hash that another program has made, as [`Pepper::verify`] takes it; `None` for what is no bcrypt. The three versions differ in bugs
/// that no program has had for long, and some write bits at the end that mean nothing.
pub fn foreign_hash(text: &str) -> Option<String> {
    const LETTERS: &[u8] = b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let rest = ["$2a$", "$2b$", "$2y$"].iter().find_map(|version| text.strip_prefix(version))?;
    let mut hash = format!("$2b${rest}").into_bytes();
    for (place, kept) in [(28, 0b11_0000), (59, 0b11_1100)] {
        let letter = hash.get_mut(place)?;
        let value = LETTERS.iter().position(|known| known == letter)?;
        *letter = *LETTERS.get(value & kept)?;
    }
    let hash = String::from_utf8(hash).ok()?;
    let parts: bcrypt::HashParts = hash.parse().ok()?;
    let is_plain = hash.get(4..6).is_some_and(|cost| cost.bytes().all(|byte| byte.is_ascii_digit()));
    (is_plain && (4..=16).contains(&parts.get_cost())).then_some(hash)
}

/// Whether a stored hash should be made anew at the next chance: of an older scheme, or cheaper than now asked for.
pub fn is_outdated(stored: &str, cost: u32) -> bool {
    !stored.starts_with(SCHEME) || stored_cost(stored).is_none_or(|stored| stored < cost)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pepper() -> Pepper {
        Pepper::new(&[7; 32])
    }

    fn given(text: &str) -> Password {
        Password(text.into())
    }

    fn check(text: &str, policy: Policy) -> Result<(), String> {
        let email = Email::parse("someone.special@example.com").ok();
        Password::new(text.to_owned(), policy, email.as_ref()).map(drop)
    }

    #[test]
    fn s10_a_cheaper_hash_is_compared_for_as_long_as_ours() {
        let foreign = bcrypt::hash_with_salt("x", 5, [0; 16]).map(|parts| parts.to_string()).unwrap_or_default();
        let ours = pepper().hash(&given("x"), 7, [0; 16]).unwrap_or_default();
        let work = |costs: std::ops::Range<u32>| costs.map(|cost| 1 << cost).sum::<u32>();
        assert_eq!((1 << 5) + work(missing(&foreign, 9)), 1 << 9);
        assert_eq!((1 << 7) + work(missing(&ours, 9)), 1 << 9);
        assert_eq!((work(missing(&ours, 7)), work(missing(&ours, 6))), (0, 0));
        assert_eq!(work(missing("none at all", 9)), 1 << 9);
        assert!(pepper().make_up(&given("y"), &foreign, 6).is_ok());
    }

    #[test]
    fn i1_composition_names_all_that_is_missing() {
        assert_eq!(check("Teapot4two!", Policy::Composition), Ok(()));
        assert_eq!(check("Äö1#5678", Policy::Composition), Ok(()));
        insta::assert_snapshot!(check("aaa", Policy::Composition).err().unwrap_or_default(), @"must have at least 8 characters; must contain an upper-case letter; must contain a digit; must contain one of `@$!%*?#&`");
        assert!(check("Teapot4two", Policy::Composition).is_err());
        assert!(check(&format!("Aa1!{}", "x".repeat(1021)), Policy::Composition).is_err());
        assert_eq!(check(&format!("Aa1!{}", "x".repeat(1020)), Policy::Composition), Ok(()));
    }

    #[test]
    fn s01_s04_length_counts_characters_and_refuses_the_common() {
        let policy = Policy::Length(15);
        assert_eq!(check("aaaa bbbb cccc dddd", policy), Ok(()));
        assert_eq!(check(&"🦀".repeat(64), policy), Ok(()));
        assert_eq!(check("🦀🐙🦑🐠🐟🐡🦈🐳🐋🐬🦭🐧🦆🦉🦚", policy), Ok(()));
        assert!(check("fourteen chars", policy).is_err());
        for common in ["passwordpassword", "someone.special@example.com", "1234567890123456", "QuartetPassword2026!"] {
            assert!(check(common, policy).is_err(), "{common}");
        }
    }

    #[test]
    fn s04_no_policy_takes_what_everybody_tries_first() {
        for common in
            ["Password1!", "Passw0rd!", "P@ssw0rd1", "Qwerty123!", "Welcome1!", "Admin@123", "Aa123456!", "1qaz@WSX"]
        {
            assert_eq!(check(common, Policy::Composition), Err("must not be a common password".to_owned()), "{common}");
        }
        for name in ["Quartet1!", "QuartetAdmin2026!"] {
            assert!(check(name, Policy::Composition).is_err(), "{name}");
        }
        for address in ["Someone.Special@example.com1", "Someone.special1!"] {
            assert_eq!(check(address, Policy::Composition), Err("must not be the address".to_owned()), "{address}");
        }
        assert!(COMMON.lines().all(|common| common == common.to_lowercase()));
        assert!(COMMON.lines().count() >= 3_000);
    }

    #[test]
    fn s02_the_whole_password_counts() -> anyhow::Result<()> {
        let pepper = pepper();
        let crabs = "🦀".repeat(64);
        let stored = pepper.hash(&given(&crabs), 4, [1; 16])?;
        assert!(stored.starts_with("q1$$2b$04$"));
        assert!(pepper.verify(&given(&crabs), &stored));
        let base = "x".repeat(72);
        let stored = pepper.hash(&given(&format!("{base}A")), 4, [1; 16])?;
        assert!(!pepper.verify(&given(&format!("{base}B")), &stored));
        assert!(!pepper.verify(&given(&base), &stored));
        let stored = pepper.hash(&given("a\0b"), 4, [1; 16])?;
        assert!(!pepper.verify(&given("a\0c"), &stored) && !pepper.verify(&given("a"), &stored));
        let stored = pepper.hash(&given("J\u{f6}rg"), 4, [1; 16])?;
        assert!(pepper.verify(&given("Jo\u{308}rg"), &stored) && !pepper.verify(&given("j\u{f6}rg"), &stored));
        Ok(())
    }

    #[test]
    fn s03_older_hashes_verify_and_are_outdated() -> anyhow::Result<()> {
        let plain = bcrypt::hash("Passw0rd!", 4)?;
        for version in ["$2b$", "$2a$", "$2y$"] {
            let stored = plain.replacen("$2b$", version, 1);
            assert!(pepper().verify(&given("Passw0rd!"), &stored), "{stored}");
            assert!(is_outdated(&stored, 4));
        }
        let stored = pepper().hash(&given("Passw0rd!"), 5, [1; 16])?;
        assert!(!is_outdated(&stored, 5) && !is_outdated(&stored, 4) && is_outdated(&stored, 6));
        Ok(())
    }

    #[test]
    fn import_accounts_hashes_of_other_programs_are_taken_if_they_can_be_verified() -> anyhow::Result<()> {
        let plain = bcrypt::hash("Passw0rd!", 4)?;
        for version in ["$2b$", "$2a$", "$2y$"] {
            assert_eq!(foreign_hash(&plain.replacen("$2b$", version, 1)).as_ref(), Some(&plain));
        }
        // The last letter of salt and hash has bits to spare.
        let mut loose = plain.clone().into_bytes();
        (loose[28], loose[59]) = (loose[28] + 1, loose[59] + 1);
        assert_eq!(foreign_hash(&String::from_utf8(loose)?).as_ref(), Some(&plain));
        let wrong = [
            "",
            "$2b$04$",
            &plain.replacen("$2b$", "$2x$", 1),
            &plain.replacen("$04$", "$03$", 1),
            &plain.replacen("$04$", "$17$", 1),
            &plain.replacen("$04$", "$+4$", 1),
            &format!("{plain}a"),
            &plain[..59],
            &plain.replacen("$2b$", "{crypt}", 1),
            "q1$$2b$04$",
            "5f4dcc3b5aa765d61d8327deb882cf99",
        ];
        for wrong in wrong {
            assert_eq!(foreign_hash(wrong), None, "{wrong}");
        }
        Ok(())
    }

    #[test]
    fn a_corrupt_hash_matches_nothing() {
        for stored in [
            "",
            "q1$",
            "q1$$2b$04$",
            "$2b$99$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "$2b$04$ééééééééééééééééééééééééééé",
            "x",
        ] {
            assert!(!pepper().verify(&given("Passw0rd!"), stored), "{stored}");
        }
    }
}
