//! The rpcs.

pub mod import;
pub mod movie;
pub mod taxonomy;
mod term;
pub mod watch;
