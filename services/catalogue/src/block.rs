//! What a content block must be: each type has fields of its own, and no others.

use quartet_chassis::failure::Fields;
use quartet_chassis::id::Id;
use quartet_proto::catalogue::v1::{self, BlockType, PublicationState};

use crate::course::{self, DESCRIPTION, markdown, title};
use crate::link;
use crate::quiz::Quiz;

/// The longest content, in characters.
pub const CONTENT: usize = 200_000;

/// A block on its way in: every field holds its rule.
#[derive(Debug, Clone, PartialEq)]
pub struct NewBlock {
    pub kind: BlockType,
    pub title: String,
    pub description: String,
    pub content: String,
    pub url: String,
    pub media_id: String,
    pub quiz: Option<Quiz>,
    pub state: PublicationState,
}

impl NewBlock {
    pub fn blank(kind: BlockType) -> NewBlock {
        NewBlock {
            kind,
            title: String::new(),
            description: String::new(),
            content: String::new(),
            url: String::new(),
            media_id: String::new(),
            quiz: None,
            state: PublicationState::Draft,
        }
    }
}

/// What is to be changed of a block: each field that is set.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BlockPatch {
    pub title: Option<String>,
    pub description: Option<String>,
    pub content: Option<String>,
    pub url: Option<String>,
    pub media_id: Option<String>,
    pub quiz: Option<Option<Quiz>>,
    pub state: Option<PublicationState>,
}

impl BlockPatch {
    /// Reads the fields that are `named` and notes everything that is wrong with each; `path` is where the block stands.
    pub fn parse(
        given: &v1::ContentBlock,
        named: impl Fn(&str) -> bool,
        path: &str,
        fields: &mut Fields,
    ) -> BlockPatch {
        let at = |field: &str| format!("{path}.{field}");
        let mut patch = BlockPatch::default();
        if named("title") {
            patch.title = fields.take(&at("title"), title(&given.title));
        }
        if named("description") {
            patch.description = fields.take(&at("description"), markdown(&given.description, DESCRIPTION));
        }
        if named("content") {
            patch.content = fields.take(&at("content"), markdown(&given.content, CONTENT));
        }
        if named("url") {
            patch.url = fields.take(&at("url"), or_empty(&given.url, link::https));
        }
        if named("media_id") {
            patch.media_id = fields.take(&at("media_id"), or_empty(&given.media_id, media_id));
        }
        if named("quiz") {
            let quiz = given.quiz.as_ref();
            patch.quiz = Some(quiz.and_then(|quiz| Quiz::parse(quiz, &at("quiz"), fields)));
        }
        if named("state") {
            patch.state = fields.take(&at("state"), course::state(given.state));
        }
        patch
    }

    pub fn applied_to(&self, block: NewBlock) -> NewBlock {
        let patch = self.clone();
        NewBlock {
            kind: block.kind,
            title: patch.title.unwrap_or(block.title),
            description: patch.description.unwrap_or(block.description),
            content: patch.content.unwrap_or(block.content),
            url: patch.url.unwrap_or(block.url),
            media_id: patch.media_id.unwrap_or(block.media_id),
            quiz: patch.quiz.unwrap_or(block.quiz),
            state: patch.state.unwrap_or(block.state),
        }
    }
}

fn or_empty<E>(text: &str, parse: impl Fn(&str) -> Result<String, E>) -> Result<String, E> {
    if text.is_empty() { Ok(String::new()) } else { parse(text) }
}

/// What a block is. Never changes, so it is read of new ones alone.
pub fn kind(number: i32) -> Result<BlockType, &'static str> {
    match BlockType::try_from(number) {
        Ok(BlockType::Unspecified) | Err(_) => Err("must be a known type"),
        Ok(kind) => Ok(kind),
    }
}

fn media_id(text: &str) -> Result<String, String> {
    text.parse().map(|id: Id| id.to_string()).map_err(|error| error.to_string())
}

/// Notes what a block has that does not belong to its type, and what it lacks.
pub fn check_type(block: &NewBlock, path: &str, fields: &mut Fields) {
    use BlockType::{Assignment, File, Lesson, Link, Quiz, Video};
    let has = [
        ("content", !block.content.is_empty(), [Lesson, Assignment].contains(&block.kind)),
        ("url", !block.url.is_empty(), [Video, File, Link].contains(&block.kind)),
        ("media_id", !block.media_id.is_empty(), [Video, File].contains(&block.kind)),
        ("quiz", block.quiz.is_some(), block.kind == Quiz),
    ];
    for (field, set, belongs) in has {
        if set && !belongs {
            fields.refuse(&format!("{path}.{field}"), "must not be set for a block of this type");
        }
    }
    let (url, media) = (!block.url.is_empty(), !block.media_id.is_empty());
    match block.kind {
        Link if !url => fields.refuse(&format!("{path}.url"), "must be set for a block of this type"),
        Video | File if url == media => {
            fields.refuse(&format!("{path}.url"), "must be set, or `media_id`, and not both");
        }
        Quiz if block.quiz.is_none() => {
            fields.refuse(&format!("{path}.quiz"), "must be set for a block of this type");
        }
        _ => {}
    }
}

/// A type as it is stored: `LESSON`.
pub fn kind_name(kind: BlockType) -> &'static str {
    kind.as_str_name().trim_start_matches("BLOCK_TYPE_")
}

/// The type of this name, as it is stored.
pub fn stored_kind(name: &str) -> BlockType {
    BlockType::from_str_name(&format!("BLOCK_TYPE_{name}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(block: &NewBlock) -> String {
        let mut fields = Fields::default();
        check_type(block, "block", &mut fields);
        let wrong = fields.finish().err().map(|failure| tonic::Status::from(failure).message().to_owned());
        wrong.unwrap_or_default()
    }

    #[test]
    fn k6_each_type_has_its_fields_and_no_others() {
        let full = NewBlock {
            content: "text".into(),
            url: "https://example.com".into(),
            media_id: "0198b3f2-7d0c-7a51-8f0e-5b1d2c3e4f60".into(),
            quiz: Some(Quiz { questions: Vec::new(), pass_percent: 0, max_attempts: 0 }),
            ..NewBlock::blank(BlockType::Lesson)
        };
        let types = [
            BlockType::Lesson,
            BlockType::Quiz,
            BlockType::Assignment,
            BlockType::Video,
            BlockType::File,
            BlockType::Link,
        ];
        let lines = types.map(|kind| {
            let everything = wrong(&NewBlock { kind, ..full.clone() });
            format!("{}: {everything} / {}", kind_name(kind), wrong(&NewBlock::blank(kind)))
        });
        insta::assert_snapshot!(lines.join("\n"), @"
        LESSON: `block.url` must not be set for a block of this type; `block.media_id` must not be set for a block of this type; `block.quiz` must not be set for a block of this type / 
        QUIZ: `block.content` must not be set for a block of this type; `block.url` must not be set for a block of this type; `block.media_id` must not be set for a block of this type / `block.quiz` must be set for a block of this type
        ASSIGNMENT: `block.url` must not be set for a block of this type; `block.media_id` must not be set for a block of this type; `block.quiz` must not be set for a block of this type / 
        VIDEO: `block.content` must not be set for a block of this type; `block.quiz` must not be set for a block of this type; `block.url` must be set, or `media_id`, and not both / `block.url` must be set, or `media_id`, and not both
        FILE: `block.content` must not be set for a block of this type; `block.quiz` must not be set for a block of this type; `block.url` must be set, or `media_id`, and not both / `block.url` must be set, or `media_id`, and not both
        LINK: `block.content` must not be set for a block of this type; `block.media_id` must not be set for a block of this type; `block.quiz` must not be set for a block of this type / `block.url` must be set for a block of this type
        ");
        for kind in types {
            assert_eq!(stored_kind(kind_name(kind)), kind);
        }
    }
}
