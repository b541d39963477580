//! Addresses by which people are named: which of them are the same.

use unicode_normalization::UnicodeNormalization as _;

/// The most bytes of an address.
const LENGTH: usize = 254;

/// An address that somebody may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    pub text: String,
    pub key: String,
}

/// Reads an address. What passes here and is none belongs to no account.
pub fn address(text: &str) -> Result<Address, &'static str> {
    const FORM: &str = "must be an address such as `ada@example.com`";
    if text.len() > LENGTH {
        return Err("must have at most 254 characters");
    }
    let strange = |c: char| c.is_control() || c.is_whitespace() || "\"(),:;<>[\\]".contains(c);
    let (local, domain) = text.split_once('@').ok_or(FORM)?;
    let domain_sound = domain.contains('.') && !domain.starts_with('.') && !domain.ends_with('.');
    if local.is_empty() || !domain_sound || domain.contains('@') || text.contains(strange) {
        return Err(FORM);
    }
    let text: String = text.nfc().collect();
    let key = email_key(&text);
    Ok(Address { text, key })
}

/// The same for all spellings of one address, as identity has it.
pub fn email_key(text: &str) -> String {
    text.nfc().collect::<String>().to_lowercase().nfc().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn k7_spellings_of_an_address_are_the_same() {
        let keys = ["Ada@Example.com", "ada@example.COM"].map(|text| address(text).map(|address| address.key));
        assert_eq!(keys[0], keys[1]);
        assert_eq!(email_key("Jo\u{308}rg@example.com"), email_key("J\u{f6}RG@example.com"));
        for wrong in ["", "ada", "@example.com", "ada@example", "a b@example.com", "a@b@example.com", "a\0@example.com"]
        {
            assert!(address(wrong).is_err(), "{wrong}");
        }
        assert!(address(&format!("{}@example.com", "a".repeat(254))).is_err());
    }
}
