//! What Quartet promises, asked of a whole installation through its one port.
//!
//! `QUARTET_TEST_MODE` says which: `embedded`, everything in this process on SQLite, or `fleet`, processes of their own on
//! PostgreSQL and Redis. The names of the tests begin with the number of the requirement that they show.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test that meets something unexpected fails; it reads its own environment and the machine's clock"
)]

mod catalogue;
mod deploy;
mod fault;
mod gateway;
mod harness;
mod house;
mod identity;
mod media;
mod messaging;
mod readme;
mod storage;
