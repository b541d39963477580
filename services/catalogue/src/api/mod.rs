//! The rpcs.

pub mod import;
pub mod movie;
pub mod taxonomy;
