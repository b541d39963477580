//! The rpcs.

pub mod ask;
mod file;
pub mod project;
pub mod project_member;
