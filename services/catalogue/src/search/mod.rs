//! Searching: texts become words, a question becomes phrases, and what the database finds is judged, counted and put in order here, so
//! that both databases give one answer.

pub mod doc;
pub mod found;
pub mod place;
pub mod query;
