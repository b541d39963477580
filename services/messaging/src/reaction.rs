//! How people react to messages. A message's row holds how many have reacted how, and the first of each, so that reading it takes no second
//! question.

use serde::{Deserialize, Serialize};

/// How many different ones a message has.
pub const DIFFERENT: usize = 20;
/// How many of them are one account's: nobody takes up all of them.
pub const OWN: usize = 3;
/// How many of those who have one are named.
pub const NAMED: usize = 10;
/// The longest, in characters.
const LENGTH: usize = 32;

/// The reactions to a message, in the order of the first of each.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reactions(pub Vec<Tally>);

/// Those who have reacted in one way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    #[serde(rename = "e")]
    pub emoji: String,
    #[serde(rename = "n")]
    pub count: i32,
    /// The ids of the first who have, at most [`NAMED`].
    #[serde(rename = "a")]
    pub first: Vec<String>,
}

impl Reactions {
    /// Reads what a row has.
    pub fn stored(text: &str) -> Reactions {
        serde_json::from_str(text).unwrap_or_default()
    }

    /// As a row has it.
    pub fn text(&self) -> String {
        if self.0.is_empty() { String::new() } else { serde_json::to_string(self).unwrap_or_default() }
    }

    /// Whether one more way to react fits.
    pub fn has_room_for(&self, emoji: &str) -> bool {
        self.0.len() < DIFFERENT || self.0.iter().any(|tally| tally.emoji == emoji)
    }

    /// Somebody has reacted who had not.
    pub fn add(&mut self, emoji: &str, account: String) {
        match self.0.iter_mut().find(|tally| tally.emoji == emoji) {
            Some(tally) => {
                tally.count = tally.count.saturating_add(1);
                if tally.first.len() < NAMED {
                    tally.first.push(account);
                }
            }
            None => self.0.push(Tally { emoji: emoji.to_owned(), count: 1, first: vec![account] }),
        }
    }

    /// Somebody has taken theirs back. `first` are those who have it still, as far as they are named.
    pub fn remove(&mut self, emoji: &str, first: Vec<String>) {
        if let Some(tally) = self.0.iter_mut().find(|tally| tally.emoji == emoji) {
            tally.count = tally.count.saturating_sub(1);
            tally.first = first;
        }
        self.0.retain(|tally| tally.count > 0 && !tally.first.is_empty());
    }
}

/// Reads a reaction.
pub fn emoji(text: String) -> Result<String, &'static str> {
    const FORM: &str = "must be an emoji, or a word of at most 32 characters without blanks";
    let strange = |letter: char| letter.is_whitespace() || letter.is_control();
    let sound = !text.is_empty() && text.chars().count() <= LENGTH && !text.contains(strange);
    if sound { Ok(text) } else { Err(FORM) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g5_reactions_are_counted_and_the_first_ten_named() {
        let mut reactions = Reactions::default();
        assert_eq!(reactions.text(), "");
        for number in 0..12 {
            reactions.add("👍", number.to_string());
        }
        reactions.add("wow", "3".to_owned());
        assert_eq!(Reactions::stored(&reactions.text()), reactions);
        assert_eq!((reactions.0[0].count, reactions.0[0].first.len(), reactions.0[1].count), (12, NAMED, 1));
        reactions.remove("👍", vec!["1".to_owned()]);
        reactions.remove("wow", Vec::new());
        assert_eq!((reactions.0.len(), reactions.0[0].count), (1, 11));
        for number in 1..DIFFERENT {
            assert!(reactions.has_room_for("x"));
            reactions.add(&format!("e{number}"), "1".to_owned());
        }
        assert!(!reactions.has_room_for("x") && reactions.has_room_for("👍"));
    }

    #[test]
    fn g5_a_reaction_is_an_emoji_or_a_short_word() {
        assert!(["👍", "👨‍👩‍👧‍👦", "wow", &"x".repeat(32)].iter().all(|text| emoji((*text).to_owned()).is_ok()));
        assert!(["", "a b", "a\0", "\n", &"x".repeat(33)].iter().all(|text| emoji((*text).to_owned()).is_err()));
    }
}
