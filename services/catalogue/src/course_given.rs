//! Courses, sections and blocks as requests give them: what may be set, and what the server alone sets (S-33).

use quartet_chassis::failure::Fields;
use quartet_proto::catalogue::v1::{self, EnrolmentPolicy, PublicationState};

use crate::block::{self, BlockPatch, NewBlock};
use crate::course::{self, CoursePatch, DESCRIPTION, NewCourse, entrance, first_state, markdown, title};

const COURSE: [&str; 4] = ["title", "description", "enrolment_policy", "enrolment_code"];
const SECTION: [&str; 3] = ["title", "description", "state"];
const BLOCK: [&str; 7] = ["title", "description", "content", "url", "media_id", "quiz", "state"];

/// A section on its way in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSection {
    pub title: String,
    pub description: String,
    pub state: PublicationState,
}

/// What is to be changed of a section: each field that is set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SectionPatch {
    pub title: Option<String>,
    pub description: Option<String>,
    pub state: Option<PublicationState>,
}

impl SectionPatch {
    pub fn applied_to(&self, section: NewSection) -> NewSection {
        let patch = self.clone();
        NewSection {
            title: patch.title.unwrap_or(section.title),
            description: patch.description.unwrap_or(section.description),
            state: patch.state.unwrap_or(section.state),
        }
    }
}

pub fn new_course(given: &v1::Course, fields: &mut Fields) -> Option<NewCourse> {
    refuse("course", &[("course_id", !given.course_id.is_empty()), ("etag", !given.etag.is_empty())], fields);
    refuse("course", &course_servers(given), fields);
    let title = fields.take("course.title", title(&given.title));
    let description = fields.take("course.description", markdown(&given.description, DESCRIPTION));
    let policy = match given.enrolment_policy {
        0 => Ok(EnrolmentPolicy::Open),
        number => course::policy(number),
    };
    let policy = fields.take("course.enrolment_policy", policy)?;
    let entrance = fields.take("course.enrolment_code", entrance(policy, &given.enrolment_code));
    Some(NewCourse { title: title?, description: description?, entrance: entrance? })
}

pub fn course_patch(given: &v1::Course, paths: &[String], fields: &mut Fields) -> CoursePatch {
    let named = mask(paths, &COURSE, fields);
    refuse("course", &course_servers(given), fields);
    let mut patch = CoursePatch::default();
    if named("title") {
        patch.title = fields.take("course.title", title(&given.title));
    }
    if named("description") {
        patch.description = fields.take("course.description", markdown(&given.description, DESCRIPTION));
    }
    if named("enrolment_policy") {
        patch.policy = fields.take("course.enrolment_policy", course::policy(given.enrolment_policy));
    }
    if named("enrolment_code") {
        // Whether it fits the way in is seen when that is known.
        patch.code = Some(given.enrolment_code.clone());
    }
    patch
}

fn course_servers(given: &v1::Course) -> [(&'static str, bool); 7] {
    [
        ("owner_account_id", !given.owner_account_id.is_empty()),
        ("owner_name", !given.owner_name.is_empty()),
        ("state", given.state != 0),
        ("section_count", given.section_count != 0),
        ("block_count", given.block_count != 0),
        ("create_time", given.create_time.is_some()),
        ("update_time", given.update_time.is_some()),
    ]
}

pub fn new_section(given: &v1::Section, fields: &mut Fields) -> Option<NewSection> {
    refuse("section", &[("section_id", !given.section_id.is_empty()), ("etag", !given.etag.is_empty())], fields);
    refuse("section", &times(given.create_time.is_some(), given.update_time.is_some()), fields);
    let title = fields.take("section.title", title(&given.title));
    let description = fields.take("section.description", markdown(&given.description, DESCRIPTION));
    let state = fields.take("section.state", first_state(given.state));
    Some(NewSection { title: title?, description: description?, state: state? })
}

pub fn section_patch(given: &v1::Section, paths: &[String], fields: &mut Fields) -> SectionPatch {
    let named = mask(paths, &SECTION, fields);
    refuse("section", &[("course_id", !given.course_id.is_empty()), ("position", given.position != 0)], fields);
    refuse("section", &times(given.create_time.is_some(), given.update_time.is_some()), fields);
    let mut patch = SectionPatch::default();
    if named("title") {
        patch.title = fields.take("section.title", title(&given.title));
    }
    if named("description") {
        patch.description = fields.take("section.description", markdown(&given.description, DESCRIPTION));
    }
    if named("state") {
        patch.state = fields.take("section.state", course::state(given.state));
    }
    patch
}

pub fn new_block(given: &v1::ContentBlock, fields: &mut Fields) -> Option<NewBlock> {
    let own = [
        ("block_id", !given.block_id.is_empty()),
        ("course_id", !given.course_id.is_empty()),
        ("etag", !given.etag.is_empty()),
    ];
    refuse("block", &own, fields);
    refuse("block", &times(given.create_time.is_some(), given.update_time.is_some()), fields);
    let kind = fields.take("block.type", block::kind(given.r#type));
    let state = fields.take("block.state", first_state(given.state));
    let patch = BlockPatch::parse(given, |field| field != "state", "block", fields);
    let block = patch.applied_to(NewBlock { state: state?, ..NewBlock::blank(kind?) });
    // What was refused is not there, and would be missed.
    if fields.is_empty() {
        block::check_type(&block, "block", fields);
    }
    Some(block)
}

pub fn block_patch(given: &v1::ContentBlock, paths: &[String], fields: &mut Fields) -> BlockPatch {
    let named = mask(paths, &BLOCK, fields);
    let own = [
        ("section_id", !given.section_id.is_empty()),
        ("course_id", !given.course_id.is_empty()),
        ("type", given.r#type != 0),
        ("position", given.position != 0),
    ];
    refuse("block", &own, fields);
    refuse("block", &times(given.create_time.is_some(), given.update_time.is_some()), fields);
    BlockPatch::parse(given, named, "block", fields)
}

fn times(create: bool, update: bool) -> [(&'static str, bool); 2] {
    [("create_time", create), ("update_time", update)]
}

/// Which fields a mask names; `*` names all of them.
fn mask<'a>(paths: &'a [String], known: &[&str], fields: &mut Fields) -> impl Fn(&str) -> bool + use<'a> {
    if paths.is_empty() {
        fields.refuse("update_mask", "must not be empty");
    }
    if paths.iter().any(|path| path != "*" && !known.contains(&path.as_str())) {
        fields.refuse("update_mask", format!("must name only `{}` or `*`", known.join("`, `")));
    }
    move |field| paths.iter().any(|path| path == "*" || path == field)
}

/// What is set and may not be is refused, whether a mask names it or not.
fn refuse(path: &str, given: &[(&str, bool)], fields: &mut Fields) {
    for (field, _) in given.iter().filter(|(_, set)| *set) {
        fields.refuse(&format!("{path}.{field}"), "can't be set here: must be empty");
    }
}
