//! The rpcs.

pub mod enrolment;
pub mod grade;
pub mod content_block;
pub mod course;
pub mod course_teacher;
pub mod import;
pub mod movie;
pub mod section;
pub mod progress;
pub mod taxonomy;
mod term;
pub mod watch;
