//! What requests give, for whatever they are about.

use unicode_normalization::UnicodeNormalization as _;

/// The longest name of a file, in characters.
pub const FILE_NAME: usize = 255;

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

/// A mask that names what can be changed, which is the name alone.
pub fn name_mask(paths: &[String]) -> Result<(), &'static str> {
    match paths {
        [path] if path == "name" => Ok(()),
        _ => Err("must name what is to be changed: `name`"),
    }
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
