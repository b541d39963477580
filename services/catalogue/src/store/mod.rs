//! The catalogue's database: one function per question.

pub mod bulk;
pub mod import;
pub mod movie;
pub mod page;
pub mod taxonomy;
