//! What somebody searches for.

use std::collections::BTreeSet;

use quartet_chassis::words::each_word;

/// The longest question, in bytes.
pub const LENGTH: usize = 64 * 1024;
/// How many words the database is asked for. Where there are more, the longest are asked for, which are the rarest, and the others are
/// looked for in what comes back.
const ASKED: usize = 16;

/// Words that must stand in a movie's texts, and words that must stand there side by side.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Query {
    phrases: Vec<Phrase>,
    /// Nothing was asked, so every movie is an answer. Signs without a word are a question, to which no movie is an answer.
    pub everything: bool,
}

/// Words that stand side by side; mostly it is one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Phrase {
    /// Between blanks, as [`spaced`](quartet_chassis::words::spaced) writes them, without the last blank.
    pub text: String,
    /// Whether the last word may go on.
    pub open: bool,
}

impl Query {
    /// Reads a question. Whatever it holds is text: there are no operators but double quotes, in which words stand side by side.
    pub fn parse(text: &str) -> Query {
        let mut phrases = BTreeSet::new();
        for (part, text) in text.split(['"', '“', '”', '„', '«', '»']).enumerate() {
            read_part(text, part % 2 == 1, &mut phrases);
        }
        Query { phrases: phrases.into_iter().collect(), everything: text.trim().is_empty() }
    }

    /// Whether no movie can be an answer.
    pub fn is_void(&self) -> bool {
        self.phrases.is_empty() && !self.everything
    }

    pub fn phrases(&self) -> &[Phrase] {
        &self.phrases
    }

    /// The words to ask the database for, and whether each may go on.
    pub fn asked(&self) -> Vec<(&str, bool)> {
        let mut words: Vec<(&str, bool)> = self.words().collect();
        words.sort_by_key(|(word, open)| (std::cmp::Reverse(word.len()), *word, *open));
        words.dedup();
        words.truncate(ASKED);
        words
    }

    /// Whether the database's answer has to be looked through.
    pub fn is_to_be_checked(&self) -> bool {
        self.phrases.len() > ASKED || self.phrases.iter().any(|phrase| phrase.words().count() > 1)
    }

    fn words(&self) -> impl Iterator<Item = (&str, bool)> {
        self.phrases.iter().flat_map(|phrase| {
            let last = phrase.words().count() - 1;
            phrase.words().enumerate().map(move |(at, word)| (word, phrase.open && at == last))
        })
    }

    /// The question as text: the same for the same question.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for phrase in &self.phrases {
            text.push_str(&phrase.text);
            text.push_str(if phrase.open { "*" } else { "\"" });
        }
        if self.is_void() { "-".to_owned() } else { text }
    }
}

impl Phrase {
    pub fn words(&self) -> impl Iterator<Item = &str> {
        self.text.split(' ').filter(|word| !word.is_empty())
    }

    /// Whether it stands in a text as [`spaced`](quartet_chassis::words::spaced) writes it.
    pub fn is_in(&self, spaced: &str) -> bool {
        if self.open { spaced.contains(&self.text) } else { self.is_whole_in(spaced) }
    }

    /// Whether it stands in a text with its last word ending there, too.
    pub fn is_whole_in(&self, spaced: &str) -> bool {
        let ends =
            |(at, found): (usize, &str)| spaced.get(at + found.len()..).is_some_and(|rest| rest.starts_with(' '));
        spaced.match_indices(&self.text).any(ends)
    }
}

/// Reads what stands between two quotes, or outside of them.
fn read_part(text: &str, quoted: bool, phrases: &mut BTreeSet<Phrase>) {
    let mut phrase = String::new();
    let mut end = |phrase: &mut String| {
        if !phrase.is_empty() {
            phrases.insert(Phrase { text: std::mem::take(phrase), open: !quoted });
        }
    };
    each_word(text, |word, glued| {
        if !quoted && !glued {
            end(&mut phrase);
        }
        phrase.push(' ');
        phrase.push_str(word);
    });
    end(&mut phrase);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(text: &str) -> String {
        let query = Query::parse(text);
        let words = query.asked();
        let words = words.iter().map(|(word, open)| format!("{word}{}", if *open { "*" } else { "" }));
        words.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn k1_words_may_go_on_and_quoted_ones_may_not() {
        assert_eq!(asked("Star wars star"), "star* wars*");
        assert_eq!(asked("\"star wars\" ep"), "star wars ep*");
        assert_eq!(asked("\"star wars"), "star wars");
        assert_eq!(asked("千尋"), "千 尋*");
    }

    #[test]
    fn k1_nothing_is_everything_and_signs_are_nothing() {
        let kinds = ["", "  ", "!?", "\"\"", "a"].map(|text| {
            let query = Query::parse(text);
            (query.everything, query.is_void())
        });
        assert_eq!(kinds, [(true, false), (true, false), (false, true), (false, true), (false, false)]);
    }

    #[test]
    fn k1_phrases_stand_side_by_side() {
        let spaced = " star wars episode ";
        let found = |text: &str| Query::parse(text).phrases().iter().all(|phrase| phrase.is_in(spaced));
        for text in ["star", "sta", "WARS star", "\"star wars\"", "\"wars episode\"", "\"star\" ep", "wars*"] {
            assert!(found(text), "{text}");
        }
        for text in ["tar", "\"sta\"", "\"wars star\"", "\"star episode\"", "starwars"] {
            assert!(!found(text), "{text}");
        }
    }

    #[test]
    fn s36_whatever_is_asked_is_text() {
        assert_eq!(asked("NEAR(a b, 2) OR name:c* ^d -e +f"), "name* near* or* 2* a* b* c* d* e* f*");
        assert_eq!(asked("'; drop table movie; --"), "movie* table* drop*");
        let long = "word ".repeat(13_000);
        assert_eq!(asked(&long), "word*");
        let many: String = (0..10_000).map(|number| format!("w{number} ")).collect();
        let query = Query::parse(&many);
        assert!(query.asked().len() == ASKED && query.is_to_be_checked() && query.phrases().len() == 10_000);
    }
}
