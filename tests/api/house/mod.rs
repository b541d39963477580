//! Rules of the house, held by tests.

mod crates;
pub mod everything;
mod log;
mod matrix;
mod migrations;
mod owned;
pub mod reflection;
mod secrets;
mod settings;
mod traces;

use quartet_chassis::auth::access::{Access, Rule, rules};

/// An rpc as the contracts have it.
#[derive(Debug, Clone)]
pub struct Rpc {
    /// `/quartet.identity.v1.SessionService/SignIn`
    pub path: String,
    pub rule: Rule,
}

impl Rpc {
    /// Whether callers from outside may know it.
    pub fn is_public_api(&self) -> bool {
        !matches!(self.rule.access, Access::Service | Access::Operator) && !self.path.contains(".control.")
    }

    /// The context that serves it.
    pub fn context(&self) -> &str {
        self.path.split('.').nth(1).unwrap()
    }
}

/// Every rpc of the contracts, by path. It is read from the descriptor set: a new one is here without anybody adding it.
pub fn rpcs() -> Vec<Rpc> {
    let mut rpcs: Vec<Rpc> =
        rules().unwrap().iter().map(|(path, rule)| Rpc { path: path.clone(), rule: rule.clone() }).collect();
    rpcs.sort_by(|a, b| a.path.cmp(&b.path));
    rpcs
}
