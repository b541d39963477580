//! Addresses: which are taken, and which two are the same.

use unicode_normalization::UnicodeNormalization as _;

/// The most bytes of an address, as SMTP carries them.
const LENGTH: usize = 254;

/// An address that mail can be sent to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email {
    text: String,
    key: String,
}

/// Why a text is not taken as an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAnEmail {
    #[error("must not be empty")]
    Empty,
    #[error("must have at most 254 bytes")]
    TooLong,
    #[error("must be an address such as `ada@example.com`")]
    Malformed,
}

impl Email {
    pub fn parse(text: &str) -> Result<Email, NotAnEmail> {
        if text.is_empty() {
            return Err(NotAnEmail::Empty);
        }
        if text.len() > LENGTH {
            return Err(NotAnEmail::TooLong);
        }
        let (local, domain) = text.split_once('@').ok_or(NotAnEmail::Malformed)?;
        let strange = |c: char| c.is_control() || c.is_whitespace() || "\"(),:;<>[\\]@".contains(c);
        let domain_sound = domain.contains('.') && !domain.starts_with('.') && !domain.ends_with('.');
        let local_sound = !local.ends_with('.') && !text.contains(invisible) && !text.contains(disguised);
        if text.matches('@').count() != 1
            || local.contains(strange)
            || domain.contains(strange)
            || !domain_sound
            || !local_sound
        {
            return Err(NotAnEmail::Malformed);
        }
        // A letter and its accent may come as two characters; the mail gets the one.
        let text: String = text.nfc().collect();
        // The same rules that the mail will meet.
        text.parse::<lettre::Address>().map_err(|_| NotAnEmail::Malformed)?;
        let key = key(&text);
        Ok(Email { text, key })
    }

    /// As its owner wrote it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The same for all spellings of one address: that is what accounts are found by.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// For somebody who should recognize it and not learn it: `n…@example.com`.
    pub fn masked(&self) -> String {
        let (local, domain) = self.text.split_once('@').unwrap_or((&self.text, ""));
        let first: String = local.chars().take(1).collect();
        format!("{first}…@{domain}")
    }
}

fn key(text: &str) -> String {
    text.nfc().collect::<String>().to_lowercase().nfc().collect()
}

/// Characters that one can't see, so that two addresses would look the same.
fn invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{ad}')
}

/// Characters that Unicode holds to be other ones, such as the Kelvin sign for a `K`: what they spell has the key of another address.
fn disguised(c: char) -> bool {
    !c.nfkc().eq([c])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s07_spellings_of_one_address_have_one_key() {
        let keys =
            ["Ada@Example.com", "ada@example.com", "ADA@EXAMPLE.COM"].map(|text| Email::parse(text).map(|e| e.key));
        assert_eq!(keys[0], keys[1]);
        assert_eq!(keys[1], keys[2]);
        assert_eq!(key("J\u{f6}rg@example.com"), key("jo\u{308}RG@example.com"));
        let composed = Email::parse("J\u{f6}rg@example.com");
        assert!(composed.is_ok());
        assert_eq!(Email::parse("Jo\u{308}rg@example.com"), composed);
    }

    #[test]
    fn s07_no_address_takes_the_key_of_another_one() {
        for squatter in
            ["\u{212a}en@example.com", "\u{212b}sa@example.com", "\u{fb01}n@example.com", "\u{ff41}da@example.com"]
        {
            assert_eq!(Email::parse(squatter), Err(NotAnEmail::Malformed), "{squatter}");
        }
        for honest in ["J\u{f6}rg@example.com", "\u{5c0f}\u{6797}@example.com"] {
            assert!(Email::parse(honest).is_ok(), "{honest}");
        }
    }

    #[test]
    fn i1_what_mail_cannot_reach_is_no_address() {
        for wrong in [
            "ada",
            "ada@",
            "@example.com",
            "ada@example.com.",
            "ada.@example.com",
            "ada@example.com ",
            " ada@example.com",
            "ada@@example.com",
            "a@b@example.com",
            "ada@example",
            "ada@.com",
            "ada@exa mple.com",
            "ada\u{0}@example.com",
            "ada@example.com\r\nBcc: b@example.com",
            "\"ada b\"@example.com",
            "Ada <ada@example.com>",
            "ada\u{200b}@example.com",
            "ada@[127.0.0.1]",
        ] {
            assert_eq!(Email::parse(wrong), Err(NotAnEmail::Malformed), "{wrong}");
        }
        assert_eq!(Email::parse(""), Err(NotAnEmail::Empty));
        assert_eq!(Email::parse(&format!("{}@example.com", "a".repeat(250))), Err(NotAnEmail::TooLong));
        for right in ["ada@example.com", "a+b.c_d@sub.example.co.uk", "o'brien@example.ie"] {
            assert!(Email::parse(right).is_ok(), "{right}");
        }
    }

    #[test]
    fn s05_an_address_is_shown_in_part() -> Result<(), NotAnEmail> {
        for (address, shown) in [("new.one@example.com", "n…@example.com"), ("élise@example.com", "é…@example.com")]
        {
            assert_eq!(Email::parse(address)?.masked(), shown);
        }
        Ok(())
    }
}
