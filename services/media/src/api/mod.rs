//! The rpcs.

pub mod ask;
mod download;
mod file;
mod header;
pub mod media;
pub mod project;
pub mod project_member;
mod text;
pub mod upload;
mod watch;
