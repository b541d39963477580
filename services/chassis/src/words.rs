//! Texts as words, which is what can be searched for.

use crate::fold::fold_text;
use unicode_normalization::char::is_combining_mark;

/// How many letters of a word count.
pub const LETTERS: usize = 40;

/// What English puts behind an apostrophe and speaks as one word with what is before it.
const CLITICS: [&str; 7] = ["s", "t", "d", "m", "ll", "re", "ve"];

/// Hands on each word of a text, folded, and whether nothing stands between it and the word before.
///
/// A word is a run of letters and digits. Chinese and Japanese put no blanks between words, so there each letter counts as one.
pub fn each_word(text: &str, mut each: impl FnMut(&str, bool)) {
    let folded = fold_text(text);
    let mut rest = folded.as_str();
    let mut glued = false;
    while let Some(first) = rest.chars().next() {
        if !is_letter(first) {
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
            glued = false;
            continue;
        }
        let (word, behind) = if stands_alone(first) { one_letter(rest) } else { run_of_letters(rest) };
        each(&word, glued);
        (rest, glued) = (behind, true);
    }
}

/// The words of a text, each between blanks: ` the matrix `; empty when it has none.
pub fn spaced(text: &str) -> String {
    let mut spaced = String::with_capacity(text.len() + 2);
    each_word(text, |word, _| {
        spaced.push(' ');
        spaced.push_str(word);
    });
    if !spaced.is_empty() {
        spaced.push(' ');
    }
    spaced
}

fn is_letter(letter: char) -> bool {
    letter.is_alphanumeric()
}

/// Letters of scripts that are written without blanks and whose letters mean something by themselves.
fn stands_alone(letter: char) -> bool {
    matches!(letter,
        '\u{3005}'..='\u{3007}' | '\u{3041}'..='\u{30ff}' | '\u{31f0}'..='\u{31ff}' | '\u{3400}'..='\u{4dbf}'
        | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// A letter with the marks behind it, and the rest.
fn one_letter(text: &str) -> (String, &str) {
    let end = text.char_indices().skip(1).find(|(_, letter)| !is_combining_mark(*letter));
    let (word, rest) = text.split_at(end.map_or(text.len(), |(at, _)| at));
    (word.chars().take(LETTERS).collect(), rest)
}

fn run_of_letters(text: &str) -> (String, &str) {
    let mut word = String::new();
    let mut count = 0;
    for (at, letter) in text.char_indices() {
        let behind = text.get(at..).unwrap_or_default();
        if letter == '\'' && is_clitic(behind) {
            continue;
        }
        let goes_on = (is_letter(letter) && !stands_alone(letter)) || is_combining_mark(letter);
        if !goes_on {
            return (word, behind);
        }
        if count < LETTERS {
            word.push(letter);
            count += 1;
        }
    }
    (word, "")
}

/// Whether a text begins with an apostrophe and one of [`CLITICS`].
fn is_clitic(text: &str) -> bool {
    let Some(behind) = text.strip_prefix('\'') else { return false };
    let end = behind.find(|letter: char| !letter.is_alphanumeric()).unwrap_or(behind.len());
    CLITICS.contains(&behind.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn k1_texts_become_words() {
        let texts = [
            ("The Matrix: Reloaded", " the matrix reloaded "),
            ("Amélie Łódź STRASSE Straße", " amelie lodz strasse strasse "),
            ("Schindler’s List, don't", " schindlers list dont "),
            ("L'amour d'O'Brien", " l amour d o brien "),
            ("千と千尋", " 千 と 千 尋 "),
            ("ガ00 THE", " カ\u{3099} 00 the "),
            ("WALL·E (2008)", " wall e 2008 "),
            ("...!?", ""),
            ("", ""),
            ("' or 1=1; --", " or 1 1 "),
        ];
        for (text, words) in texts {
            assert_eq!(spaced(text), words, "{text}");
        }
        assert_eq!(spaced(&"x".repeat(100)).len(), LETTERS + 2);
    }

    #[test]
    fn k1_a_word_has_no_letter_that_a_database_reads_as_something_else() {
        let every: String = (0..=0x10ffff).filter_map(char::from_u32).collect();
        let ascii = |word: &str| word.chars().all(|letter| !letter.is_ascii() || letter.is_ascii_alphanumeric());
        each_word(&every, |word, _| assert!(ascii(word) && !word.contains(char::is_whitespace), "{word:?}"));
        for letter in every.chars() {
            each_word(&format!("a{letter}b"), |word, _| assert!(ascii(word), "{word:?}"));
        }
    }
}
