//! What a push says, and where it goes.

use quartet_chassis::id::Id;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// How much of a message is in a push, in characters.
const TEXT: usize = 100;
const TITLE: usize = 100;

/// Where the pushes of a device go, as it lies sealed in its row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// A registration token.
    Fcm(String),
    Web(Subscription),
}

/// A browser's subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    pub endpoint: String,
    pub p256dh: Vec<u8>,
    pub auth: Vec<u8>,
}

/// What is pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Later pushes of a conversation take the place of earlier ones. A trial belongs to none.
    pub conversation: Option<Id>,
    pub seq: i64,
    pub title: String,
    pub sender: String,
    /// Empty where pushes hold no text.
    pub text: String,
}

impl Note {
    /// A message of a conversation.
    pub fn message(conversation: Id, seq: i64, group: &str, sender: &str, body: &str) -> Note {
        let title = if group.is_empty() { sender } else { group };
        Note {
            conversation: Some(conversation),
            seq,
            title: cut(title, TITLE),
            sender: cut(sender, TITLE),
            text: cut(body, TEXT),
        }
    }

    /// What somebody tries a device with.
    pub fn trial() -> Note {
        let (title, text) = ("Quartet".to_owned(), "This device gets pushes.".to_owned());
        Note { conversation: None, seq: 0, title, sender: String::new(), text }
    }

    /// What a program reads. Every value is a text, as Firebase wants it.
    pub fn data(&self) -> Value {
        let mut data = match self.conversation {
            Some(id) => json!({ "type": "message", "conversation_id": id.to_string(), "seq": self.seq.to_string() }),
            None => json!({ "type": "test" }),
        };
        for (name, value) in [("title", &self.title), ("sender", &self.sender), ("text", &self.text)] {
            if !value.is_empty() {
                data[name] = json!(value);
            }
        }
        data
    }
}

/// The beginning of a text, on one line.
fn cut(text: &str, most: usize) -> String {
    let line: String = text.trim().chars().take(most + 1).map(|c| if c.is_control() { ' ' } else { c }).collect();
    match line.char_indices().nth(most) {
        Some(_) => line.chars().take(most - 1).chain(['…']).collect(),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g13_a_push_has_the_beginning_of_a_message() {
        let of = |body: &str| Note::message(Id::MAX, 7, "", "Ada", body);
        assert_eq!((of("Hi\nBob").text.as_str(), of("Hi").title.as_str()), ("Hi Bob", "Ada"));
        let long = of(&"é".repeat(101)).text;
        assert_eq!((long.chars().count(), long.ends_with('…')), (TEXT, true));
        assert_eq!(of(&"é".repeat(100)).text, "é".repeat(100));
        assert_eq!(Note::message(Id::MAX, 7, "Holiday", "Ada", "").title, "Holiday");
        let data = Note::message(Id::MAX, 7, "", "", "").data();
        assert_eq!(data, json!({ "type": "message", "conversation_id": Id::MAX.to_string(), "seq": "7" }));
    }
}
