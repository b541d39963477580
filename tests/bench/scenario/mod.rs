//! What is measured.

pub mod accounts;
pub mod calls;
pub mod courses;
pub mod fanout;
pub mod feed;
pub mod files;
pub mod gateway;
pub mod import;
pub mod messages;
pub mod search;
pub mod signin;
pub mod start;
pub mod storage;
pub mod token;
