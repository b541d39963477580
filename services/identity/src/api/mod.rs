//! The rpcs, one file per resource.

pub mod account;
pub mod administration;
pub mod key;
pub mod revocation;
pub mod session;
