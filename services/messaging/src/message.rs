//! What a message may hold.

use std::collections::BTreeSet;

use aws_lc_rs::digest::{Context, SHA256};
use quartet_chassis::failure::Fields;
use quartet_chassis::id::Id;
use quartet_chassis::line::unseen;
use quartet_proto::messaging::v1::{Attachment, SendMessageRequest, attachment};
use serde::{Deserialize, Serialize};

/// The longest text, in bytes.
const BODY: usize = 16 * 1024;
/// How many files and links go with a message.
const ATTACHMENTS: usize = 10;
/// How many people a message mentions.
const MENTIONS: usize = 50;
/// The longest name that a program gives a message, in characters.
const CLIENT_ID: usize = 64;
const URL: usize = 2048;
const NAME: usize = 255;
const CONTENT_TYPE: usize = 127;

/// A message that is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    pub client_message_id: String,
    pub body: String,
    pub attachments: Vec<Attached>,
    pub reply_to_seq: i64,
    pub mentions: Vec<Id>,
}

/// What goes with a message, as its row has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Extras {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attached>,
    /// The ids of the accounts that it mentions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mentions: Vec<String>,
}

/// A file of a media project, or a link.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Attached {
    /// Empty for a link.
    pub media_id: String,
    pub url: String,
    pub name: String,
    pub content_type: String,
    pub size_bytes: i64,
}

impl NewMessage {
    /// Reads a message; what is wrong with it is noted.
    pub fn given(asked: SendMessageRequest, fields: &mut Fields) -> Option<NewMessage> {
        let attachments = attachments(asked.attachments, fields);
        let body = fields.take("body", body(asked.body, !attachments.is_empty()));
        let client_message_id = fields.take("client_message_id", client_id(asked.client_message_id));
        let reply_to_seq = fields.take("reply_to_seq", number(asked.reply_to_seq));
        let mentions = fields.take("mentioned_account_ids", mentions(&asked.mentioned_account_ids));
        let (body, client_message_id) = (body?, client_message_id?);
        Some(NewMessage { client_message_id, body, attachments, reply_to_seq: reply_to_seq?, mentions: mentions? })
    }

    pub fn extras(&self) -> Extras {
        Extras {
            attachments: self.attachments.clone(),
            mentions: self.mentions.iter().map(ToString::to_string).collect(),
        }
    }

    /// Tells messages apart that come under one name.
    pub fn hash(&self, conversation: Id) -> Vec<u8> {
        let extras = self.extras().text();
        let reply = self.reply_to_seq.to_le_bytes();
        let mut digest = Context::new(&SHA256);
        for part in [conversation.as_bytes().as_slice(), self.body.as_bytes(), extras.as_bytes(), &reply] {
            digest.update(&(part.len() as u64).to_le_bytes());
            digest.update(part);
        }
        digest.finish().as_ref().to_vec()
    }
}

impl Extras {
    /// Reads what a row has.
    pub fn stored(text: &str) -> Extras {
        if text.is_empty() { Extras::default() } else { serde_json::from_str(text).unwrap_or_default() }
    }

    /// As a row has it.
    pub fn text(&self) -> String {
        if *self == Extras::default() { String::new() } else { serde_json::to_string(self).unwrap_or_default() }
    }
}

/// A text. It may be empty where something goes with it.
pub fn body(text: String, may_be_empty: bool) -> Result<String, &'static str> {
    if text.len() > BODY {
        return Err("must have at most 16,384 bytes");
    }
    if text.chars().any(|letter| letter.is_control() && !matches!(letter, '\n' | '\r' | '\t')) {
        return Err("must not hold control characters other than line breaks and tabs");
    }
    if text.trim().is_empty() && !(may_be_empty && text.is_empty()) {
        return Err("must not be empty");
    }
    Ok(text)
}

/// Accounts that are mentioned, each once.
pub fn mentions(ids: &[String]) -> Result<Vec<Id>, &'static str> {
    if ids.len() > MENTIONS {
        return Err("must hold at most 50 ids");
    }
    let ids: Result<BTreeSet<Id>, _> = ids.iter().map(|id| id.parse()).collect();
    ids.map(|ids| ids.into_iter().collect()).map_err(|_| NO_PARTICIPANTS)
}

/// What is wrong where somebody is mentioned who takes no part.
pub const NO_PARTICIPANTS: &str = "must be ids of participants";

/// The number of a message; 0 for none.
pub fn number(seq: i64) -> Result<i64, &'static str> {
    if seq < 0 { Err("must not be negative") } else { Ok(seq) }
}

fn client_id(text: String) -> Result<String, &'static str> {
    let sound = !text.is_empty() && text.chars().count() <= CLIENT_ID && !text.contains(char::is_control);
    if sound { Ok(text) } else { Err("must have 1 to 64 characters, none of them a control character") }
}

fn attachments(given: Vec<Attachment>, fields: &mut Fields) -> Vec<Attached> {
    if given.len() > ATTACHMENTS {
        fields.refuse("attachments", "must be at most 10");
        return Vec::new();
    }
    given.into_iter().enumerate().map(|(at, given)| attached(given, &format!("attachments[{at}]"), fields)).collect()
}

fn attached(given: Attachment, at: &str, fields: &mut Fields) -> Attached {
    let Attachment { source, name, content_type, size_bytes } = given;
    let mut attached = Attached { name, content_type, size_bytes, ..Attached::default() };
    match source {
        Some(attachment::Source::MediaId(id)) => match id.parse::<Id>() {
            Ok(id) => attached.media_id = id.to_string(),
            Err(error) => fields.refuse(&format!("{at}.media_id"), error),
        },
        Some(attachment::Source::Url(url)) if is_link(&url) => attached.url = url,
        Some(attachment::Source::Url(_)) => {
            fields.refuse(&format!("{at}.url"), "must be an https URL of at most 2,048 characters");
        }
        None => fields.refuse(at, "must have a `media_id` or a `url`"),
    }
    if attached.name.chars().count() > NAME || attached.name.contains(unseen) {
        fields.refuse(
            &format!("{at}.name"),
            "must have at most 255 characters on one line, none of them a control character",
        );
    }
    if !is_type(&attached.content_type) {
        fields.refuse(
            &format!("{at}.content_type"),
            "must be a type such as `image/png`, of at most 127 characters, or empty",
        );
    }
    if attached.size_bytes < 0 {
        fields.refuse(&format!("{at}.size_bytes"), "must not be negative");
    }
    attached
}

/// What a program may make a link of without a second look: https, a host and nobody's name before it, and no letters that are none of a URL's.
fn is_link(url: &str) -> bool {
    let strange = |letter: char| letter.is_whitespace() || letter.is_control() || "\"<>\\^`{|}".contains(letter);
    let uri: Option<http::Uri> = url.parse().ok();
    let authority = uri.as_ref().and_then(http::Uri::authority).map_or("", |authority| authority.as_str());
    let has_host = !authority.is_empty() && !authority.starts_with(':') && !authority.contains('@');
    url.len() <= URL && url.starts_with("https://") && has_host && !url.contains(strange)
}

fn is_type(text: &str) -> bool {
    let sign = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte);
    let word = |text: &str| !text.is_empty() && text.bytes().all(sign);
    let bare = |text: &str| text.split_once('/').is_some_and(|(kind, rest)| word(kind) && word(rest));
    text.is_empty() || text.len() <= CONTENT_TYPE && bare(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn violations(asked: SendMessageRequest) -> Vec<String> {
        let mut fields = Fields::default();
        let new = NewMessage::given(asked, &mut fields);
        let failure = fields.finish().err();
        assert!(failure.is_some() || new.is_some());
        let text = failure.map(|failure| format!("{failure:?}")).unwrap_or_default();
        let names = ["body", "client_message_id", "reply_to_seq", "mentioned_account_ids", "attachments"];
        names.into_iter().filter(|name| text.contains(&format!("(\"{name}"))).map(str::to_owned).collect()
    }

    fn message(body: &str) -> SendMessageRequest {
        SendMessageRequest { body: body.to_owned(), client_message_id: "1".to_owned(), ..Default::default() }
    }

    #[test]
    fn g3_a_text_is_not_empty_and_not_too_long() {
        for sound in ["Hello", " a\nb\t", &"x".repeat(BODY)] {
            assert_eq!(body(sound.to_owned(), false).as_deref(), Ok(sound));
        }
        for wrong in ["", " \n", "a\0b", "\u{1b}[0m", &"x".repeat(BODY + 1)] {
            assert!(body(wrong.to_owned(), false).is_err(), "{wrong:?}");
        }
        assert!(body(String::new(), true).is_ok() && body(" ".to_owned(), true).is_err());
    }

    #[test]
    fn g3_all_that_is_wrong_is_told_at_once() {
        let wrong = SendMessageRequest {
            reply_to_seq: -1,
            mentioned_account_ids: vec!["ada".to_owned()],
            attachments: vec![Attachment::default()],
            ..Default::default()
        };
        let all = ["client_message_id", "reply_to_seq", "mentioned_account_ids", "attachments"];
        assert_eq!(violations(wrong), all);
        assert_eq!(violations(message("")), ["body"]);
        assert!(violations(message("Hello")).is_empty());
    }

    #[test]
    fn g3_a_file_s_name_reads_as_it_stands() {
        let named = |name: &str| Attachment {
            source: Some(attachment::Source::Url("https://example.com".to_owned())),
            name: name.to_owned(),
            ..Default::default()
        };
        let message = |name: &str| SendMessageRequest { attachments: vec![named(name)], ..message("Hello") };
        for wrong in ["photo_\u{202e}gpj.exe", "a\nb", "\u{2067}a", &"x".repeat(NAME + 1)] {
            assert_eq!(violations(message(wrong)), ["attachments"], "{wrong:?}");
        }
        assert!(
            ["", "photo.jpg", "\u{5e9}\u{5dc}\u{200f}.pdf"]
                .into_iter()
                .all(|name| violations(message(name)).is_empty())
        );
    }

    #[test]
    fn g3_a_link_is_a_link() {
        for sound in ["https://example.com", "https://example.com/a?b=c#d", "https://[2001:db8::1]:8443/x"] {
            assert!(is_link(sound), "{sound}");
        }
        let long = format!("https://example.com/{}", "x".repeat(URL));
        for wrong in [
            "",
            "http://example.com",
            "https://",
            "javascript:alert(1)",
            "https://a b",
            "https://a/\"x",
            "https://a@b/",
            &long,
        ] {
            assert!(!is_link(wrong), "{wrong}");
        }
        assert!(["", "image/png", "application/vnd.x+json"].into_iter().all(is_type));
        assert!(["image", "image/", "a b/c", "text/html; charset=utf-8"].into_iter().all(|text| !is_type(text)));
    }

    #[test]
    fn g3_another_message_has_another_hash() {
        let new = |body: &str, reply_to_seq| NewMessage {
            client_message_id: "1".to_owned(),
            body: body.to_owned(),
            attachments: Vec::new(),
            reply_to_seq,
            mentions: Vec::new(),
        };
        let hash = new("a", 0).hash(Id::NIL);
        assert_eq!(hash, new("a", 0).hash(Id::NIL));
        assert!(
            [new("b", 0).hash(Id::NIL), new("a", 1).hash(Id::NIL), new("a", 0).hash(Id::MAX)]
                .iter()
                .all(|it| *it != hash)
        );
    }

    #[test]
    fn g3_extras_read_as_they_were_written() {
        let extras = Extras {
            attachments: vec![Attached { url: "https://example.com".to_owned(), size_bytes: 3, ..Default::default() }],
            mentions: vec![Id::MAX.to_string()],
        };
        assert_eq!(Extras::stored(&extras.text()), extras);
        assert_eq!((Extras::default().text().as_str(), Extras::stored("")), ("", Extras::default()));
    }
}
