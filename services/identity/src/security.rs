//! Security events in the log: who, from where, what, and how it went. Accounts are named by their pseudonyms alone.

use quartet_chassis::caller::Client;
use quartet_chassis::id::Id;

/// What the log calls the machine's operator.
pub const OPERATOR: &str = "operator";

/// What somebody who looks after security wants to know of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    AccountDeactivated,
    AccountDeleted,
    AccountReactivated,
    AccountSuspended,
    AccountUnsuspended,
    AccountsImported,
    Activation,
    ActivationAsked,
    AdministratorCreated,
    ClientCreated,
    ClientDeleted,
    ClientKey,
    EmailChangeAsked,
    EmailChangeConfirmed,
    Impersonation,
    KeysRotated,
    NewDevice,
    PasswordChanged,
    PasswordCheck,
    PasswordCheckThrottled,
    PasswordReset,
    PasswordResetAsked,
    ReactivationAsked,
    RefreshTokenReused,
    Registration,
    RoleAssigned,
    RoleRevoked,
    SessionEnded,
    SessionsEnded,
    SignIn,
    SignInCodeAsked,
    SignInThrottled,
    SignInWithCode,
    TokenMinted,
}

impl Event {
    pub fn as_str(self) -> &'static str {
        match self {
            Event::AccountDeactivated => "account_deactivated",
            Event::AccountDeleted => "account_deleted",
            Event::AccountReactivated => "account_reactivated",
            Event::AccountSuspended => "account_suspended",
            Event::AccountUnsuspended => "account_unsuspended",
            Event::AccountsImported => "accounts_imported",
            Event::Activation => "activation",
            Event::ActivationAsked => "activation_asked",
            Event::AdministratorCreated => "administrator_created",
            Event::ClientCreated => "client_created",
            Event::ClientDeleted => "client_deleted",
            Event::ClientKey => "client_key",
            Event::EmailChangeAsked => "email_change_asked",
            Event::EmailChangeConfirmed => "email_change_confirmed",
            Event::Impersonation => "impersonation",
            Event::KeysRotated => "keys_rotated",
            Event::NewDevice => "new_device",
            Event::PasswordChanged => "password_changed",
            Event::PasswordCheck => "password_check",
            Event::PasswordCheckThrottled => "password_check_throttled",
            Event::PasswordReset => "password_reset",
            Event::PasswordResetAsked => "password_reset_asked",
            Event::ReactivationAsked => "reactivation_asked",
            Event::RefreshTokenReused => "refresh_token_reused",
            Event::Registration => "registration",
            Event::RoleAssigned => "role_assigned",
            Event::RoleRevoked => "role_revoked",
            Event::SessionEnded => "session_ended",
            Event::SessionsEnded => "sessions_ended",
            Event::SignIn => "sign_in",
            Event::SignInCodeAsked => "sign_in_code_asked",
            Event::SignInThrottled => "sign_in_throttled",
            Event::SignInWithCode => "sign_in_with_code",
            Event::TokenMinted => "token_minted",
        }
    }
}

/// How it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Done,
    Refused,
}

/// Notes what an account has done or somebody has tried. `account` is its pseudonym, where there is an account.
pub fn note(event: Event, outcome: Outcome, account: Option<Id>, client: &Client) {
    note_act(event, outcome, "", account, client);
}

/// Notes an administrative act: `actor` is what the log calls whoever acts, `account` the pseudonym of whom it is done to.
pub fn note_act(event: Event, outcome: Outcome, actor: &str, account: Option<Id>, client: &Client) {
    let event = event.as_str();
    let account = account.map(|id| id.to_string()).unwrap_or_default();
    let address = client.address_text();
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
