//! The words of messages, and what somebody looks for among them.

use std::collections::BTreeSet;

use quartet_chassis::id::Id;
use quartet_chassis::words::each_word;

/// The longest question, in bytes.
const LENGTH: usize = 256;
/// Stands before the name of a conversation in the index. It is no letter, so no message has such a word.
const PLACE: char = '¤';

/// Words that a message must all have, the last one as a beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    whole: Vec<String>,
    begun: String,
}

impl Query {
    /// Reads a question. Whatever it holds is text.
    pub fn parse(text: &str) -> Result<Query, &'static str> {
        if text.len() > LENGTH {
            return Err("must have at most 256 bytes");
        }
        let mut whole = Vec::new();
        each_word(text, |word, _| whole.push(word.to_owned()));
        let begun = whole.pop().ok_or("must hold a word")?;
        Ok(Query { whole, begun })
    }

    /// As PostgreSQL is asked, in these conversations, or in all if none is named. Words hold letters and digits only, so that within quotes
    /// nothing of them is read as anything else.
    pub fn on_postgres(&self, places: &[Id]) -> String {
        let mut parts: Vec<String> = self.whole.iter().map(|word| format!("'{word}'")).collect();
        parts.push(format!("'{}':*", self.begun));
        if !places.is_empty() {
            let places: Vec<String> = places.iter().map(|id| format!("'{}'", place(*id))).collect();
            parts.push(format!("({})", places.join(" | ")));
        }
        parts.join(" & ")
    }

    /// As SQLite is asked.
    pub fn on_sqlite(&self, places: &[Id]) -> String {
        let mut parts: Vec<String> = self.whole.iter().map(|word| format!("\"{word}\"")).collect();
        parts.push(format!("\"{}\" *", self.begun));
        if !places.is_empty() {
            let places: Vec<String> = places.iter().map(|id| format!("\"{}\"", place(*id))).collect();
            parts.push(format!("({})", places.join(" OR ")));
        }
        parts.join(" AND ")
    }
}

/// What the index has of a message: its words, each once, and its conversation.
pub fn words(conversation: Id, body: &str) -> Vec<String> {
    let mut words = BTreeSet::from([place(conversation)]);
    each_word(body, |word, _| {
        words.insert(word.to_owned());
    });
    words.into_iter().collect()
}

fn place(conversation: Id) -> String {
    format!("{PLACE}{}", conversation.to_string().replace('-', ""))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "what a test stands on must be there")]
mod tests {
    use super::*;

    #[test]
    fn g5_a_question_is_words_the_last_one_begun() {
        let query = Query::parse("Crème BRÛ'); --").unwrap();
        assert_eq!(query.on_postgres(&[]), "'creme' & 'bru':*");
        assert_eq!(query.on_sqlite(&[]), "\"creme\" AND \"bru\" *");
        assert_eq!(
            Query::parse("a").unwrap().on_sqlite(&[Id::NIL, Id::NIL]),
            "\"a\" * AND (\"¤00000000000000000000000000000000\" OR \"¤00000000000000000000000000000000\")"
        );
        assert!(["", " ...", &"x".repeat(LENGTH + 1)].into_iter().all(|wrong| Query::parse(wrong).is_err()));
    }

    #[test]
    fn g5_no_message_has_the_word_of_a_conversation() {
        let mine = place(Id::MAX);
        assert_eq!(words(Id::MAX, "b a, b"), ["a".to_owned(), "b".to_owned(), mine.clone()]);
        assert!(!words(Id::NIL, &mine).contains(&mine));
    }
}
