//! The roles that an account can have. Which rpc asks for which stands in the contracts.

/// Everybody's.
pub const USER: &str = "user";
/// May do everything that a role can be asked for.
pub const ADMIN: &str = "admin";
