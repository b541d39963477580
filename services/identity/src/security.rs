//! Security events in the log: who, from where, what, and how it went. Accounts are named by their pseudonyms alone.

use quartet_chassis::caller::Client;
use quartet_chassis::id::Id;

/// How it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Done,
    Refused,
}

/// Notes a security event, such as `sign_in`. `account` is the pseudonym, where there is an account.
pub fn note(event: &'static str, outcome: Outcome, account: Option<Id>, client: &Client) {
    let account = account.map(|id| id.to_string()).unwrap_or_default();
    let address = client.address.map(|address| address.to_string()).unwrap_or_default();
    let request_id = &client.request_id;
    match outcome {
        Outcome::Done => tracing::info!(target: "security", event, outcome = "done", account, address, request_id),
        Outcome::Refused => {
            tracing::warn!(target: "security", event, outcome = "refused", account, address, request_id)
        }
    }
}

/// Notes an administrative act: `actor` is what the log calls whoever acts, `subject` the pseudonym of whom it is done to.
pub fn note_act(event: &'static str, outcome: Outcome, actor: &str, subject: Option<Id>, client: &Client) {
    let account = subject.map(|id| id.to_string()).unwrap_or_default();
    let address = client.address.map(|address| address.to_string()).unwrap_or_default();
    let request_id = &client.request_id;
    match outcome {
        Outcome::Done => {
            tracing::info!(target: "security", event, outcome = "done", actor, account, address, request_id)
        }
        Outcome::Refused => {
            tracing::warn!(target: "security", event, outcome = "refused", actor, account, address, request_id)
        }
    }
}
