#![doc = include_str!("../README.md")]

pub mod clock;
pub mod crypt;
pub mod failure;
pub mod id;
pub mod page;
pub mod random;
