//! What requests give, for whatever they are about.

use unicode_normalization::UnicodeNormalization as _;

/// The longest idempotency key, in characters.
const KEY: usize = 64;

/// A name: trimmed, composed, on one line.
pub fn name(text: &str, most: usize) -> Result<String, String> {
    let name: String = text.trim().nfc().collect();
    if name.is_empty() {
        return Err("must not be empty".to_owned());
    }
    if name.chars().any(char::is_control) {
        return Err("must not hold control characters".to_owned());
    }
    if name.chars().count() > most {
        return Err(format!("must have at most {most} characters"));
    }
    Ok(name)
}

/// The key by which a request is known when it comes again; none is fine.
pub fn key(key: String) -> Result<Option<String>, &'static str> {
    if key.chars().count() > KEY || key.chars().any(char::is_control) {
        return Err("must have at most 64 characters, and no control characters");
    }
    Ok((!key.is_empty()).then_some(key))
}

/// A mask that names what can be changed, which is the name alone.
pub fn name_mask(paths: &[String]) -> Result<(), &'static str> {
    match paths {
        [path] if path == "name" => Ok(()),
        _ => Err("must name what is to be changed: `name`"),
    }
}

/// The state of a row that an etag names; one that was never made names none that there is.
pub fn seen(etag: &str) -> Option<i64> {
    (!etag.is_empty()).then(|| i64::from_str_radix(etag, 16).unwrap_or(-1))
}

pub fn etag(version: i64) -> String {
    format!("{version:x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn m1_a_name_is_one_line_and_not_empty() {
        assert_eq!(name(" Jo\u{308}rg ", 4), Ok("J\u{f6}rg".to_owned()));
        for wrong in ["", " \t", "a\nb", "a\0b", "abcde"] {
            assert!(name(wrong, 4).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn m3_an_etag_names_one_state() {
        assert_eq!([seen(""), seen("ff"), seen(&etag(12)), seen("new")], [None, Some(255), Some(12), Some(-1)]);
    }

    #[test]
    fn m3_the_name_alone_is_changed() {
        let mask = |paths: &[&str]| name_mask(&paths.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>());
        assert!(mask(&["name"]).is_ok());
        assert!(
            [&[][..], &["etag"], &["name", "name"], &["name", "owner_account_id"]]
                .into_iter()
                .all(|it| mask(it).is_err())
        );
    }
}
