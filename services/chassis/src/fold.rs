//! Names as they are compared and sorted: without regard to case and accents.

use unicode_normalization::UnicodeNormalization as _;

/// How many characters of a name count when names are compared.
pub const LENGTH: usize = 256;

/// Folds a name: `Amélie` and `AMELIE` give the same, so do composed and decomposed letters. Only its first letters count.
pub fn fold(name: &str) -> String {
    folded(name.trim(), LENGTH)
}

/// Folds a text of any length likewise.
pub fn fold_text(text: &str) -> String {
    folded(text, usize::MAX)
}

/// Folds an answer likewise, but signs that mean something else stay apart: `x²` is not `x2`, and `½` is not `1/2`.
pub fn fold_answer(text: &str) -> String {
    let text = text.trim();
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    plainly(text.chars().map(narrow).nfd(), usize::MAX, |letter| is_accent(letter) && !is_sign(letter))
}

/// Marks that make another sign of one: `≠` is `=` with one of them.
fn is_sign(letter: char) -> bool {
    matches!(letter, '\u{334}'..='\u{338}' | '\u{20d0}'..='\u{20ff}')
}

/// The letters of keyboards for Chinese, Japanese and Korean that are as wide as theirs.
fn narrow(letter: char) -> char {
    match letter {
        '\u{3000}' => ' ',
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(letter) - 0xfee0).unwrap_or(letter),
        _ => letter,
    }
}

fn folded(text: &str, most: usize) -> String {
    if text.is_ascii() {
        let mut folded = text.to_ascii_lowercase();
        folded.truncate(most);
        return folded;
    }
    plainly(text.nfkd(), most, is_accent)
}

/// Folds letters that are taken apart.
fn plainly(letters: impl Iterator<Item = char>, most: usize, left_out: impl Fn(char) -> bool) -> String {
    let letters = letters.flat_map(char::to_lowercase).filter(|letter| !left_out(*letter));
    let mut folded = String::new();
    for letter in letters.take(most) {
        match plain(letter) {
            Some(plain) => folded.push_str(plain),
            None => folded.push(letter),
        }
    }
    folded
}

/// The combining marks of alphabets. The vowel signs of other scripts are letters to their readers and stay.
fn is_accent(letter: char) -> bool {
    matches!(letter, '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}')
}

/// What people type for letters that Unicode does not take apart.
fn plain(letter: char) -> Option<&'static str> {
    let plain = match letter {
        'ß' => "ss",
        'æ' => "ae",
        'œ' => "oe",
        'ø' => "o",
        'đ' | 'ð' => "d",
        'ł' => "l",
        'ħ' => "h",
        'ı' => "i",
        'þ' => "th",
        'ς' => "σ",
        '’' | '‘' => "'",
        _ => return None,
    };
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn k1_case_and_accents_do_not_count() {
        let same = [
            ("Amélie", "AMELIE"),
            ("Ame\u{301}lie", "amélie"),
            ("Łódź", "lodz"),
            ("Straße", "STRASSE"),
            ("İstanbul", "istanbul"),
            ("ＡＢＣ", "abc"),
            (" Drama ", "drama"),
            ("Ὀδυσσεύς", "ὀδυσσεύσ"),
        ];
        for (one, other) in same {
            assert_eq!(fold(one), fold(other), "{one} and {other}");
        }
    }

    #[test]
    fn k1_letters_of_other_scripts_stay_apart() {
        for (one, other) in [("か", "が"), ("कि", "क"), ("й", "ж"), ("드라마", "도라마")] {
            assert_ne!(fold(one), fold(other), "{one} and {other}");
        }
    }

    #[test]
    fn k8_an_answer_is_the_same_in_other_letters_and_another_with_other_signs() {
        for (one, other) in
            [("Amélie", " AMELIE"), ("Ame\u{301}lie", "amélie"), ("Straße", "STRASSE"), ("ＡＢ１", "ab1")]
        {
            assert_eq!(fold_answer(one), fold_answer(other), "{one} and {other}");
        }
        for (one, other) in
            [("x²", "x2"), ("H₂O", "H2O"), ("½", "1/2"), ("①", "1"), ("2⁵", "25"), ("a≠b", "a=b"), ("か", "が")]
        {
            assert_ne!(fold_answer(one), fold_answer(other), "{one} and {other}");
        }
    }

    #[test]
    fn s35_a_folded_name_stays_short() {
        assert_eq!(fold(&"a".repeat(10_000)).len(), LENGTH);
        assert!(fold(&"\u{fdfa}".repeat(10_000)).len() <= 4 * LENGTH);
    }
}
