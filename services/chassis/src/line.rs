//! Text that is shown on one line, among others' words.

use unicode_normalization::UnicodeNormalization as _;

/// A name or a title: trimmed, composed, on one line that reads as it stands.
pub fn named(text: &str, most: usize) -> Result<String, String> {
    let name = name(text, most)?;
    if name.is_empty() { Err("must not be empty".to_owned()) } else { Ok(name) }
}

/// The same, or nothing.
pub fn name(text: &str, most: usize) -> Result<String, String> {
    let name: String = text.trim().nfc().collect();
    if name.chars().any(unseen) {
        return Err("must not hold control characters".to_owned());
    }
    if name.chars().count() > most {
        return Err(format!("must have at most {most} characters"));
    }
    Ok(name)
}

/// What has no place on a line: control characters, what ends a line, what turns the direction of what follows, and what Unicode keeps for
/// programs.
pub fn unseen(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}' | '\u{fdd0}'..='\u{fdef}')
        || u32::from(c) & 0xfffe == 0xfffe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn m1_g2_a_name_is_one_line() {
        assert_eq!(named(" Jo\u{308}rg ", 4), Ok("J\u{f6}rg".to_owned()));
        assert_eq!(name(" ", 4), Ok(String::new()));
        for wrong in ["", " \t", "a\nb", "a\0b", "abcde", "\u{202e}a", "a\u{2066}", "a\u{fffe}"] {
            assert!(named(wrong, 4).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn i19_what_turns_a_line_around_has_no_place_on_it() {
        for wrong in [
            '\n',
            '\0',
            '\u{7f}',
            '\u{85}',
            '\u{2028}',
            '\u{202a}',
            '\u{202e}',
            '\u{2066}',
            '\u{2069}',
            '\u{fffe}',
            '\u{10ffff}',
        ] {
            assert!(unseen(wrong), "{wrong:?}");
        }
        // Marks that belong to how names are written: joiners, and which way a letter runs.
        for right in
            ['a', ' ', '\u{e9}', '\u{5d0}', '\u{200c}', '\u{200d}', '\u{200f}', '\u{61c}', '\u{fffd}', '\u{1f600}']
        {
            assert!(!unseen(right), "{right:?}");
        }
    }
}
