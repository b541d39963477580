//! The rpcs.

pub mod ask;
mod download;
mod file;
mod header;
pub mod media;
pub mod project;
pub mod project_member;
pub mod streams;
mod text;
pub mod upload;
mod watch;
