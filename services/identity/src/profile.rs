//! What a profile may say: each field's rule, for whatever way it comes in.

use chrono::NaiveDate;
use quartet_chassis::fold::fold;
use quartet_chassis::line;
use quartet_proto::identity::v1::Gender;
use unicode_normalization::UnicodeNormalization as _;

/// The longest first or last name, in characters.
const NAME_LENGTH: usize = 100;
/// The longest text about oneself, in characters.
const INFO_LENGTH: usize = 2_000;
/// The longest address of a picture, in bytes.
const URL_LENGTH: usize = 2_000;
/// Who has no name comes last in the directory.
pub const NAMELESS: &str = "\u{10ffff}";

/// A first or last name: trimmed, composed, on one line. It may be empty.
pub fn name(text: &str) -> Result<String, String> {
    line::name(text, NAME_LENGTH)
}

/// By what the directory orders and finds somebody: the folded name, first then last.
pub fn sort_key(first_name: &str, last_name: &str) -> String {
    let key = fold(&squeeze(&format!("{first_name} {last_name}")));
    if key.is_empty() { NAMELESS.to_owned() } else { key }
}

/// Leaves one blank of each run of blanks.
pub fn squeeze(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A gender as it is stored: empty where it was not said.
pub fn gender(number: i32) -> Result<&'static str, &'static str> {
    match Gender::try_from(number) {
        Ok(Gender::Unspecified) => Ok(""),
        Ok(Gender::Female) => Ok("FEMALE"),
        Ok(Gender::Male) => Ok("MALE"),
        Ok(Gender::Other) => Ok("OTHER"),
        Err(_) => Err("must be one that there is"),
    }
}

/// A stored gender.
pub fn gender_of(stored: &str) -> Gender {
    match stored {
        "FEMALE" => Gender::Female,
        "MALE" => Gender::Male,
        "OTHER" => Gender::Other,
        _ => Gender::Unspecified,
    }
}

/// A day of birth, `YYYY-MM-DD`, or empty.
pub fn date_of_birth(text: &str, today: NaiveDate) -> Result<String, &'static str> {
    const FORM: &str = "must be a day such as `1990-05-17`";
    if text.is_empty() {
        return Ok(String::new());
    }
    let plain = text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|_| plain).ok_or(FORM)?;
    if day > today {
        return Err("must not be in the future");
    }
    if Some(day) < NaiveDate::from_ymd_opt(1900, 1, 1) {
        return Err("must not be before 1900");
    }
    Ok(day.to_string())
}

/// A text about oneself. It may have lines.
pub fn info(text: &str) -> Result<String, String> {
    let text: String = text.trim().nfc().collect();
    if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        return Err("must not hold control characters but line ends and tabs".to_owned());
    }
    if text.chars().count() > INFO_LENGTH {
        return Err("must have at most 2,000 characters".to_owned());
    }
    Ok(text)
}

/// The address of a picture, for browsers to fetch and never for us. Only what needs no escaping: who shows it in a page must not have
/// to think of quotes.
pub fn avatar_url(text: &str) -> Result<&str, &'static str> {
    const FORM: &str = "must be an address such as `https://example.com/ada.png`";
    if text.len() > URL_LENGTH {
        return Err("must have at most 2,000 bytes");
    }
    let rest = text.strip_prefix("https://").ok_or(FORM)?;
    if !rest.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"'<>\\^`{|}".contains(&byte)) {
        return Err(FORM);
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err("must not contain a user or a password");
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse::<u16>().is_ok()),
        _ => (authority, true),
    };
    if is_host(host) && port { Ok(text) } else { Err(FORM) }
}

fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let label =
        |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    host.len() <= 253 && host.strip_suffix('.').unwrap_or(host).split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i19_a_name_is_one_line_of_at_most_100_characters() {
        assert_eq!(name("  Jo\u{308}rg "), Ok("J\u{f6}rg".to_owned()));
        assert_eq!(name(""), Ok(String::new()));
        assert!(name(&"\u{1f600}".repeat(100)).is_ok() && name(&"a".repeat(101)).is_err());
        for wrong in ["a\nb", "a\0b", "a\u{7f}", "a\u{85}b", "\u{202e}ada", "\u{2066}a", "\u{10ffff}", "a\u{fffe}"] {
            assert!(name(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn i20_names_are_ordered_without_case_accents_and_superfluous_blanks() {
        assert_eq!(sort_key("  Ada ", "King \u{a0} L\u{f3}velace"), "ada king lovelace");
        assert_eq!(sort_key("", "Lovelace"), "lovelace");
        assert_eq!(sort_key("Ada", ""), "ada");
        assert_eq!(sort_key("", ""), NAMELESS);
        assert_eq!(sort_key("\u{301}", ""), NAMELESS);
    }

    #[test]
    fn i19_a_day_of_birth_lies_between_1900_and_today() {
        let today = NaiveDate::from_ymd_opt(2026, 11, 21).unwrap_or_default();
        for right in ["", "1900-01-01", "2000-02-29", "2026-11-21"] {
            assert_eq!(date_of_birth(right, today), Ok(right.to_owned()));
        }
        for wrong in
            ["1899-12-31", "2026-11-22", "2001-02-29", "1990-5-17", "17.05.1990", "+199-05-17", " 1990-05-1", "now"]
        {
            assert!(date_of_birth(wrong, today).is_err(), "{wrong}");
        }
    }

    #[test]
    fn i19_info_may_have_lines_and_nothing_that_a_database_refuses() {
        assert_eq!(info(" a\n\tb\r\n "), Ok("a\n\tb".to_owned()));
        assert!(info(&"\u{e9}".repeat(2_000)).is_ok() && info(&"a".repeat(2_001)).is_err());
        assert!(info("a\0b").is_err() && info("\u{1b}[31m").is_err());
    }

    #[test]
    fn i19_a_picture_has_an_https_address_without_tricks() {
        for right in [
            "https://example.com/ada.png",
            "https://example.com",
            "https://xn--bcher-kva.example:8443/a%20b?size=2&x=y#top",
            "https://[2001:db8::1]/a.png",
            "https://[2001:db8::1]:8443/a.png",
            "https://example.com./a@b",
        ] {
            assert_eq!(avatar_url(right), Ok(right));
        }
        let long = format!("https://example.com/{}", "a".repeat(2_000));
        for wrong in [
            "",
            "http://example.com/ada.png",
            "HTTPS//example.com",
            "https:/example.com",
            "https://",
            "https:///etc/passwd",
            "https://ada:secret@example.com/",
            "https://ada@example.com/",
            "https://example.com/a b",
            "https://example.com/a\u{0}",
            "https://example.com/a\nb",
            "https://example.com\\@evil.example/",
            "https://example.com/\"onload=\"x",
            "https://example.com/\u{e9}",
            "https://ex ample.com/",
            "https://example..com/",
            "https://example.com:99999/",
            "https://example.com:x/",
            "https://[::1/",
            "javascript:alert(1)//https://",
            " https://example.com/",
            &long,
        ] {
            assert!(avatar_url(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn i19_what_is_stored_of_a_gender_comes_back() {
        for gender_ in [Gender::Unspecified, Gender::Female, Gender::Male, Gender::Other] {
            assert_eq!(gender(gender_.into()).map(gender_of), Ok(gender_));
        }
        assert!(gender(4).is_err() && gender(-1).is_err());
    }
}
