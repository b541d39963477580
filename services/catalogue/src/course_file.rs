//! A course as a file: JSON with all that teachers have written, and nothing of people.
//!
//! There are no ids in it but those of media: what stands where is said by the order. So a file that comes back makes a course of its
//! own, and the file of that is the same again.

use std::io::{self, ErrorKind, Write};

use quartet_chassis::failure::{Failure, Fields};
use quartet_proto::catalogue::v1::{self, EnrolmentPolicy, PublicationState};
use quartet_proto::r#type::v1::ErrorReason;
use serde::{Deserialize, Serialize};
use tonic::Code;

use crate::block::{self, BlockPatch, NewBlock, check_type, kind_name, stored_kind};
use crate::course::{
    self, BLOCKS, DESCRIPTION, Entrance, NewCourse, SECTIONS, markdown, policy_name, state_name, stored_policy,
};
use crate::course_given::NewSection;
use crate::quiz::Quiz;

/// What the file is.
const FORMAT: &str = "quartet-course";
/// The shape of the file. Another shape gets another number.
const VERSION: i32 = 1;
/// The largest file, in bytes. What is above fits into no message.
pub const SIZE: usize = 4 * 1024 * 1024 - 1024;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: String,
    version: i32,
    course: FileCourse,
}

/// What is read of a file of any version.
#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    format: String,
    #[serde(default)]
    version: i32,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileCourse {
    title: String,
    description: String,
    enrolment_policy: String,
    sections: Vec<FileSection>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileSection {
    title: String,
    description: String,
    state: String,
    blocks: Vec<FileBlock>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileBlock {
    r#type: String,
    title: String,
    description: String,
    state: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    content: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    url: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    media_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    quiz: Option<Quiz>,
}

/// A course with all that is in it.
#[derive(Debug, Clone, PartialEq)]
pub struct WholeCourse {
    pub course: NewCourse,
    pub sections: Vec<(NewSection, Vec<NewBlock>)>,
}

/// Writes the file; nothing when it becomes too large for a message.
pub fn write(whole: WholeCourse) -> Option<Vec<u8>> {
    let sections = whole.sections.into_iter().map(|(section, blocks)| FileSection {
        title: section.title,
        description: section.description,
        state: state_name(section.state).to_owned(),
        blocks: blocks.into_iter().map(file_block).collect(),
    });
    // A code is a secret of this course and stays here: who has it elsewhere decides anew whom to let in.
    let policy = match whole.course.entrance.policy {
        EnrolmentPolicy::Code => EnrolmentPolicy::Invitation,
        policy => policy,
    };
    let course = FileCourse {
        title: whole.course.title,
        description: whole.course.description,
        enrolment_policy: policy_name(policy).to_owned(),
        sections: sections.collect(),
    };
    let file = File { format: FORMAT.to_owned(), version: VERSION, course };
    let mut bounded = Bounded(Vec::new());
    serde_json::to_writer_pretty(&mut bounded, &file).ok()?;
    Some(bounded.0)
}

/// Bytes that are written, while there is room in a file. Some letters become longer in JSON.
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > SIZE {
            return Err(ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn file_block(block: NewBlock) -> FileBlock {
    FileBlock {
        r#type: kind_name(block.kind).to_owned(),
        title: block.title,
        description: block.description,
        state: state_name(block.state).to_owned(),
        content: block.content,
        url: block.url,
        media_id: block.media_id,
        quiz: block.quiz,
    }
}

/// Reads the file, to which all rules apply as to what comes in by requests.
pub fn read(content: &[u8]) -> Result<WholeCourse, Failure> {
    let head: Head = serde_json::from_slice(content).map_err(|error| invalid(&error))?;
    if head.format != FORMAT || head.version != VERSION {
        let message = format!("must be a file of the format `{FORMAT}`, version {VERSION}");
        return Err(Failure::new(Code::InvalidArgument, ErrorReason::CourseFileInvalid, message));
    }
    let file: File = serde_json::from_slice(content).map_err(|error| invalid(&error))?;
    let mut fields = Fields::default();
    let whole = whole(&file.course, &mut fields);
    match (whole, fields.is_empty()) {
        (Some(whole), true) => Ok(whole),
        _ => {
            let mut failure = Failure::from(fields);
            failure.reason = ErrorReason::CourseFileInvalid;
            Err(failure)
        }
    }
}

/// Serde's sentence, which names line and column.
fn invalid(error: &serde_json::Error) -> Failure {
    let failure = Failure::new(Code::InvalidArgument, ErrorReason::CourseFileInvalid, error.to_string());
    failure.with("line", error.line()).with("column", error.column())
}

fn whole(file: &FileCourse, fields: &mut Fields) -> Option<WholeCourse> {
    let blocks: usize = file.sections.iter().map(|section| section.blocks.len()).sum();
    if file.sections.len() > SECTIONS || blocks > BLOCKS {
        fields.refuse("course.sections", format!("must be at most {SECTIONS}, with at most {BLOCKS} blocks"));
        return None;
    }
    let title = fields.take("course.title", course::title(&file.title));
    let description = fields.take("course.description", markdown(&file.description, DESCRIPTION));
    let policy = fields.take("course.enrolment_policy", policy(&file.enrolment_policy));
    let sections: Vec<Option<_>> =
        file.sections.iter().enumerate().map(|(index, section)| read_section(section, index, fields)).collect();
    let entrance = Entrance { policy: policy?, code: String::new() };
    let course = NewCourse { title: title?, description: description?, entrance };
    Some(WholeCourse { course, sections: sections.into_iter().collect::<Option<_>>()? })
}

fn read_section(file: &FileSection, index: usize, fields: &mut Fields) -> Option<(NewSection, Vec<NewBlock>)> {
    let path = format!("course.sections[{index}]");
    let title = fields.take(&format!("{path}.title"), course::title(&file.title));
    let description = fields.take(&format!("{path}.description"), markdown(&file.description, DESCRIPTION));
    let state = fields.take(&format!("{path}.state"), state(&file.state));
    let blocks: Vec<Option<NewBlock>> = file
        .blocks
        .iter()
        .enumerate()
        .map(|(index, block)| read_block(block, &format!("{path}.blocks[{index}]"), fields))
        .collect();
    let section = NewSection { title: title?, description: description?, state: state? };
    Some((section, blocks.into_iter().collect::<Option<_>>()?))
}

fn read_block(file: &FileBlock, path: &str, fields: &mut Fields) -> Option<NewBlock> {
    let kind = fields.take(&format!("{path}.type"), block::kind(stored_kind(&file.r#type).into()));
    let state = fields.take(&format!("{path}.state"), state(&file.state));
    let given = v1::ContentBlock {
        title: file.title.clone(),
        description: file.description.clone(),
        content: file.content.clone(),
        url: file.url.clone(),
        media_id: file.media_id.clone(),
        quiz: file.quiz.as_ref().map(Quiz::for_teacher),
        ..v1::ContentBlock::default()
    };
    let patch = BlockPatch::parse(&given, |field| field != "state", path, fields);
    let block = patch.applied_to(NewBlock { state: state?, ..NewBlock::blank(kind?) });
    // What was refused is not there, and would be missed.
    if fields.is_empty() {
        check_type(&block, path, fields);
    }
    Some(block)
}

fn state(name: &str) -> Result<PublicationState, &'static str> {
    let state = PublicationState::from_str_name(&format!("PUBLICATION_STATE_{name}")).unwrap_or_default();
    course::state(state.into())
}

fn policy(name: &str) -> Result<EnrolmentPolicy, &'static str> {
    match stored_policy(name) {
        policy if policy != EnrolmentPolicy::Code && policy_name(policy) == name => Ok(policy),
        _ => Err("must be `OPEN` or `INVITATION`"),
    }
}

#[cfg(test)]
mod tests {
    use quartet_proto::catalogue::v1::BlockType;

    use super::*;
    use crate::quiz::{Kind, Question};

    fn full() -> WholeCourse {
        let published = PublicationState::Published;
        let kind = Kind::Number { answer: 0.1, tolerance: 1e-9 };
        let questions = vec![Question { text: "How much?".into(), points: 3, kind }];
        let quiz = Quiz { questions, pass_percent: 60, max_attempts: 2 };
        let titled = |kind, title: &str| NewBlock { title: title.into(), ..NewBlock::blank(kind) };
        let blocks = vec![
            NewBlock { content: "# Hi \u{1f600}\n".into(), state: published, ..titled(BlockType::Lesson, "Text") },
            NewBlock { quiz: Some(quiz), ..titled(BlockType::Quiz, "Quiz") },
            NewBlock { url: "https://example.com/a".into(), ..titled(BlockType::Link, "Link") },
        ];
        let section = |title: &str| NewSection { title: title.into(), description: "d".into(), state: published };
        let entrance = Entrance { policy: EnrolmentPolicy::Invitation, code: String::new() };
        let course = NewCourse { title: "Algebra".into(), description: "All of it".into(), entrance };
        WholeCourse { course, sections: vec![(section("One"), blocks), (section("Two"), Vec::new())] }
    }

    fn refused(content: &str) -> String {
        match read(content.as_bytes()) {
            Ok(_) => "taken".to_owned(),
            Err(failure) => tonic::Status::from(failure).message().to_owned(),
        }
    }

    #[test]
    fn k4_a_course_is_read_as_it_was_written() {
        let file = write(full()).unwrap_or_default();
        assert_eq!(read(&file).ok(), Some(full()));
        let mut secret = full();
        secret.course.entrance = Entrance { policy: EnrolmentPolicy::Code, code: "open sesame".into() };
        assert_eq!(write(secret), Some(file));
    }

    #[test]
    fn k4_s40_a_file_that_fits_into_no_message_is_none() {
        let with = |content: String| {
            let mut whole = full();
            let lesson = NewBlock { content, ..NewBlock::blank(BlockType::Lesson) };
            whole.sections[1].1.push(lesson);
            write(whole).map(|file| file.len())
        };
        let beside = with(String::new()).unwrap_or_default();
        assert_eq!(with("x".repeat(SIZE - beside - 100)).map(|length| length <= SIZE), Some(true));
        assert_eq!(with("x".repeat(SIZE)), None);
        assert_eq!(with("\u{1}".repeat(SIZE / 4)), None, "each is six letters in JSON");
    }

    #[test]
    fn k6_numbers_come_back_to_the_last_digit() {
        for number in [0.1 + 0.2, 5e-324, f64::MAX, 123_456_789.123_456_79, -2.225_073_858_507_201e-308, 9.5e-17] {
            let kind = Kind::Number { answer: number, tolerance: f64::MIN_POSITIVE };
            let question = Question { text: "?".into(), points: 1, kind };
            let quiz = Quiz { questions: vec![question], pass_percent: 0, max_attempts: 0 };
            assert_eq!(serde_json::from_str(&quiz.to_json()).ok(), Some(quiz));
        }
    }

    #[test]
    fn k4_a_broken_file_says_where_it_breaks() {
        let file = String::from_utf8(write(full()).unwrap_or_default()).unwrap_or_default();
        assert_eq!(refused("{\n  \"format\": nonsense"), "expected ident at line 2 column 14");
        assert_eq!(refused("{}"), "must be a file of the format `quartet-course`, version 1");
        let unknown = refused(&file.replacen("\"sections\"", "\"owner\": 7, \"sections\"", 1));
        assert!(unknown.starts_with("unknown field `owner`") && unknown.contains(" at line "), "{unknown}");
        assert_eq!(
            refused(&file.replace("\"points\": 3", "\"points\": 0")).split(' ').next(),
            Some("`course.sections[0].blocks[1].quiz.questions[0].points`")
        );
        let wrong = file.replace("https:", "javascript:").replace("\"Two\"", "\"\"").replace("INVITATION", "CODE");
        insta::assert_snapshot!(refused(&wrong).replace("; ", "\n"), @"
        `course.enrolment_policy` must be `OPEN` or `INVITATION`
        `course.sections[0].blocks[2].url` must be an address such as `https://example.com/lesson`
        `course.sections[1].title` must not be empty
        ");
        for end in (0..file.len()).filter(|end| file.is_char_boundary(*end)).step_by(7) {
            assert_ne!(refused(&file[..end]), "taken");
        }
        assert!(refused(&"[".repeat(100_000)).contains("line 1"));
    }
}
