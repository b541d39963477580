//! Accounts, sessions and tokens.

mod account;
mod challenge;
mod key;
mod outage;
mod parallel;
mod password;
mod revocation;
mod session;
mod smtp;
pub mod token;
