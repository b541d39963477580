//! What a course and a section must be, for whatever way they come in.

use quartet_chassis::failure::Fields;
use quartet_chassis::fold::fold_text;
use quartet_chassis::line::named;
use quartet_proto::catalogue::v1::{EnrolmentPolicy, PublicationState};

/// The longest title, in characters.
pub const TITLE: usize = 200;
/// The longest description, in characters.
pub const DESCRIPTION: usize = 10_000;
/// The most sections of a course.
pub const SECTIONS: usize = 500;
/// The most blocks of a course.
pub const BLOCKS: usize = 1_000;
/// The longest prefix that titles are looked for by, in characters.
const PREFIX: usize = 100;

/// How one gets into a course: a code goes with one of the ways alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entrance {
    pub policy: EnrolmentPolicy,
    pub code: String,
}

/// A course on its way in: every field holds its rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCourse {
    pub title: String,
    pub description: String,
    pub entrance: Entrance,
}

/// What is to be changed of a course: each field that is set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CoursePatch {
    pub title: Option<String>,
    pub description: Option<String>,
    pub policy: Option<EnrolmentPolicy>,
    pub code: Option<String>,
}

impl CoursePatch {
    /// The course with the changes, or what is then wrong with it.
    pub fn applied_to(&self, old: NewCourse) -> Result<NewCourse, Fields> {
        let mut fields = Fields::default();
        let policy = self.policy.unwrap_or(old.entrance.policy);
        // A code that nobody asks for any more is forgotten.
        let kept = if policy == EnrolmentPolicy::Code { old.entrance.code } else { String::new() };
        let code = self.code.clone().unwrap_or(kept);
        let entrance = fields.take("course.enrolment_code", entrance(policy, &code));
        let Some(entrance) = entrance else { return Err(fields) };
        Ok(NewCourse {
            title: self.title.clone().unwrap_or(old.title),
            description: self.description.clone().unwrap_or(old.description),
            entrance,
        })
    }
}

/// A way in and its code, which must fit each other.
pub fn entrance(policy: EnrolmentPolicy, code: &str) -> Result<Entrance, &'static str> {
    match policy {
        EnrolmentPolicy::Code if !(6..=64).contains(&code.chars().count()) => Err("must have 6 to 64 characters"),
        EnrolmentPolicy::Code if code.chars().any(|c| c.is_control() || c.is_whitespace()) => {
            Err("must not hold blanks or control characters")
        }
        EnrolmentPolicy::Code => Ok(Entrance { policy, code: code.to_owned() }),
        _ if code.is_empty() => Ok(Entrance { policy, code: String::new() }),
        _ => Err("must be empty without ENROLMENT_POLICY_CODE"),
    }
}

/// A title, of which there has to be something.
pub fn title(text: &str) -> Result<String, String> {
    named(text, TITLE)
}

/// Markdown: kept as it is, since blanks mean something in it; only the character that PostgreSQL can't store is refused.
pub fn markdown(text: &str, most: usize) -> Result<String, String> {
    if text.contains('\0') {
        return Err("must not hold a NUL character".to_owned());
    }
    if text.chars().count() > most {
        return Err(format!("must have at most {most} characters"));
    }
    Ok(text.to_owned())
}

/// The words of a title, folded, each behind a blank, so that ` word` finds where one begins.
pub fn title_key(title: &str) -> String {
    let folded = fold_text(title);
    folded.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty()).fold(
        String::new(),
        |mut key, word| {
            key.push(' ');
            key.push_str(word);
            key
        },
    )
}

/// The beginning of a word of a title, as it stands in [`title_key`]; empty for any.
pub fn title_prefix(text: &str) -> Result<String, &'static str> {
    if text.chars().count() > PREFIX {
        return Err("must not be longer than 100 characters");
    }
    if text.chars().any(char::is_control) {
        return Err("must not hold control characters");
    }
    Ok(title_key(text))
}

/// A state that a request names.
pub fn state(number: i32) -> Result<PublicationState, &'static str> {
    match PublicationState::try_from(number) {
        Ok(PublicationState::Unspecified) | Err(_) => Err("must be a known state"),
        Ok(state) => Ok(state),
    }
}

/// The state of something new: a draft, unless it says otherwise.
pub fn first_state(number: i32) -> Result<PublicationState, &'static str> {
    if number == 0 { Ok(PublicationState::Draft) } else { state(number) }
}

pub fn policy(number: i32) -> Result<EnrolmentPolicy, &'static str> {
    match EnrolmentPolicy::try_from(number) {
        Ok(EnrolmentPolicy::Unspecified) | Err(_) => Err("must be a known way into a course"),
        Ok(policy) => Ok(policy),
    }
}

/// How a state is stored that students see.
pub const PUBLISHED: &str = "PUBLISHED";

/// The states, as they are stored, of what is listed for teachers, or for everybody else.
pub fn listed_states(teaches: bool) -> &'static [&'static str] {
    if teaches { &["DRAFT", PUBLISHED, "ARCHIVED"] } else { &[PUBLISHED] }
}

/// A state as it is stored: `DRAFT`.
pub fn state_name(state: PublicationState) -> &'static str {
    state.as_str_name().trim_start_matches("PUBLICATION_STATE_")
}

pub fn stored_state(name: &str) -> PublicationState {
    match name {
        PUBLISHED => PublicationState::Published,
        "ARCHIVED" => PublicationState::Archived,
        _ => PublicationState::Draft,
    }
}

/// A way in as it is stored: `OPEN`.
pub fn policy_name(policy: EnrolmentPolicy) -> &'static str {
    policy.as_str_name().trim_start_matches("ENROLMENT_POLICY_")
}

/// What nobody knows any more lets nobody in.
pub fn stored_policy(name: &str) -> EnrolmentPolicy {
    match name {
        "OPEN" => EnrolmentPolicy::Open,
        "CODE" => EnrolmentPolicy::Code,
        _ => EnrolmentPolicy::Invitation,
    }
}

/// Where something new is put, counted from 1, among `count` that there are: 0 asks for the end.
pub fn place(asked: i32, count: i32) -> Result<i32, String> {
    match asked {
        0 => Ok(count + 1),
        _ if (1..=count + 1).contains(&asked) => Ok(asked),
        _ => Err(format!("must be from 0 to {}", count + 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn k4_titles_are_found_by_the_beginnings_of_their_words() {
        let key = title_key("Éléments d'Algèbre (2nd ed.)");
        assert_eq!(key, " elements d algebre 2nd ed");
        for (prefix, found) in [("elem", true), ("ALG", true), ("ebre", false), ("d alg", true), ("%", true)] {
            assert_eq!(title_prefix(prefix).is_ok_and(|prefix| key.contains(&prefix)), found, "{prefix}");
        }
        assert_eq!(title_prefix("100%_\\"), Ok(" 100".to_owned()));
        assert!(title_prefix(&"a".repeat(101)).is_err());
    }

    #[test]
    fn k4_a_code_goes_with_its_way_in_alone() {
        use EnrolmentPolicy::{Code, Invitation, Open};
        assert!(entrance(Code, "secret").is_ok() && entrance(Open, "").is_ok());
        assert!(entrance(Code, "short").is_err() && entrance(Code, &"a".repeat(65)).is_err());
        assert!(entrance(Code, "two words").is_err() && entrance(Invitation, "secret").is_err());
        let course = NewCourse {
            title: "A".into(),
            description: String::new(),
            entrance: Entrance { policy: Code, code: "secret".into() },
        };
        let open = CoursePatch { policy: Some(Open), ..CoursePatch::default() };
        let opened = open.applied_to(course.clone()).map(|course| course.entrance);
        assert_eq!(opened.ok(), Some(Entrance { policy: Open, code: String::new() }));
        let title = CoursePatch { title: Some("B".into()), ..CoursePatch::default() };
        assert_eq!(title.applied_to(course.clone()).map(|course| course.entrance).ok(), Some(course.entrance));
    }

    #[test]
    fn k5_a_place_lies_among_the_others() {
        assert_eq!([place(0, 0), place(1, 0), place(0, 3), place(4, 3), place(2, 3)], [1, 1, 4, 4, 2].map(Ok));
        assert!([-1, 5, i32::MAX, i32::MIN].into_iter().all(|asked| place(asked, 3).is_err()));
    }

    #[test]
    fn k4_a_title_is_one_line_and_markdown_keeps_its_blanks() {
        assert_eq!(title(" Jo\u{308}rg "), Ok("J\u{f6}rg".to_owned()));
        for wrong in ["", " ", "a\nb", &"a".repeat(201)] {
            assert!(title(wrong).is_err(), "{wrong}");
        }
        assert_eq!(markdown("    code\n", 9), Ok("    code\n".to_owned()));
        assert!(markdown("a\0", 9).is_err() && markdown("0123456789", 9).is_err());
    }
}
