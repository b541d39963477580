//! The rpcs.

mod ask;
pub mod content_block;
pub mod course;
pub mod course_teacher;
pub mod enrolment;
pub mod grade;
pub mod import;
pub mod movie;
pub mod progress;
pub mod section;
pub mod taxonomy;
mod term;
pub mod watch;
