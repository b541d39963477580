#![doc = include_str!("../README.md")]

pub mod auth;
pub mod bus;
pub mod caller;
pub mod clock;
pub mod crypt;
pub mod db;
pub mod deadline;
pub mod failure;
pub mod guard;
pub mod id;
pub mod page;
pub mod parts;
pub mod random;
