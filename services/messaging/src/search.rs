//! The words of messages, and what somebody looks for among them.
//!
//! In the index each word stands behind the sign of its conversation. So whoever searches reads the words of their own conversations and no
//! others: what it costs, and how long it takes, depends on nobody else's messages.

use std::collections::BTreeSet;

use aws_lc_rs::digest::{SHA256, digest};
use quartet_chassis::id::Id;
use quartet_chassis::words::each_word;

/// The longest question, in bytes.
const LENGTH: usize = 256;
/// The most words of one. Each is asked for in each conversation.
const WORDS: usize = 16;
/// How many letters a word has at least that may go on: more words begin with one letter than anybody looks for.
const BEGUN: usize = 2;
/// How many bytes of its hash name a conversation in the index. All signs are equally long, so that where the word begins is known.
const SIGN: usize = 8;

/// Words that a message must all have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    whole: Vec<String>,
    /// The last one, as a beginning.
    begun: Option<String>,
}

impl Query {
    /// Reads a question. Whatever it holds is text.
    pub fn parse(text: &str) -> Result<Query, &'static str> {
        if text.len() > LENGTH {
            return Err("must have at most 256 bytes");
        }
        let mut whole = Vec::new();
        each_word(text, |word, _| whole.push(word.to_owned()));
        if whole.len() > WORDS {
            return Err("must hold at most 16 words");
        }
        let begun = whole.pop().ok_or("must hold a word")?;
        if begun.chars().count() < BEGUN {
            whole.push(begun);
            return Ok(Query { whole, begun: None });
        }
        Ok(Query { whole, begun: Some(begun) })
    }

    /// As PostgreSQL is asked, in these conversations. Signs and words hold letters and digits only, so that within quotes nothing of them is
    /// read as anything else.
    pub fn on_postgres(&self, places: &[Id]) -> String {
        self.anywhere(places, " & ", " | ", |term, goes_on| format!("'{term}'{}", if goes_on { ":*" } else { "" }))
    }

    /// As SQLite is asked.
    pub fn on_sqlite(&self, places: &[Id]) -> String {
        self.anywhere(places, " AND ", " OR ", |term, goes_on| format!("\"{term}\"{}", if goes_on { " *" } else { "" }))
    }

    fn anywhere(&self, places: &[Id], and: &str, or: &str, quoted: impl Fn(String, bool) -> String) -> String {
        let here = |id: &Id| {
            let sign = sign(*id);
            let whole = self.whole.iter().map(|word| quoted(format!("{sign}{word}"), false));
            let begun = self.begun.iter().map(|word| quoted(format!("{sign}{word}"), true));
            format!("({})", whole.chain(begun).collect::<Vec<_>>().join(and))
        };
        places.iter().map(here).collect::<Vec<_>>().join(or)
    }
}

/// What the index has of a message: its words, each once, behind the sign of its conversation.
pub fn words(conversation: Id, body: &str) -> Vec<String> {
    let (sign, mut words) = (sign(conversation), BTreeSet::new());
    each_word(body, |word, _| {
        words.insert(format!("{sign}{word}"));
    });
    words.into_iter().collect()
}

/// Names a conversation in the index. Two of them may have one sign: what is found is looked at again.
fn sign(conversation: Id) -> String {
    let hash = digest(&SHA256, conversation.as_bytes());
    hash.as_ref().iter().take(SIGN).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "what a test stands on must be there")]
mod tests {
    use super::*;

    #[test]
    fn g5_a_question_is_words_the_last_one_begun() {
        let (query, sign) = (Query::parse("Crème BRÛ'); --").unwrap(), sign(Id::NIL));
        assert_eq!(query.on_postgres(&[Id::NIL]), format!("('{sign}creme' & '{sign}bru':*)"));
        assert_eq!(query.on_sqlite(&[Id::NIL]), format!("(\"{sign}creme\" AND \"{sign}bru\" *)"));
        let other = super::sign(Id::MAX);
        let both = Query::parse("ab").unwrap().on_sqlite(&[Id::NIL, Id::MAX]);
        assert_eq!(both, format!("(\"{sign}ab\" *) OR (\"{other}ab\" *)"));
        let many = "x ".repeat(WORDS + 1);
        assert!(["", " ...", &"x".repeat(LENGTH + 1), &many].into_iter().all(|wrong| Query::parse(wrong).is_err()));
    }

    #[test]
    fn s48_a_word_of_one_letter_does_not_go_on() {
        let sign = sign(Id::NIL);
        assert_eq!(Query::parse("plan a").unwrap().on_postgres(&[Id::NIL]), format!("('{sign}plan' & '{sign}a')"));
        assert_eq!(Query::parse("見").unwrap().on_postgres(&[Id::NIL]), format!("('{sign}見')"));
    }

    #[test]
    fn s32_the_words_of_conversations_are_apart() {
        let (mine, other) = (words(Id::MAX, "b a, b"), words(Id::NIL, "b a, b"));
        let sign = sign(Id::MAX);
        assert_eq!(mine, [format!("{sign}a"), format!("{sign}b")]);
        assert!(sign.len() == 2 * SIGN && other.iter().all(|word| !mine.contains(word)));
        assert!(words(Id::MAX, " … ").is_empty());
    }
}
