//! Identity's settings.

use chrono::TimeDelta;
use clap::{ArgAction, Args, ValueEnum};
use quartet_chassis::auth::LONGEST_LINK;
use secrecy::SecretString;

use crate::store::erasure::IDENTITY;
use crate::token::LONGEST_LIFE;

/// Settings of accounts, sessions and keys.
#[derive(Args, Debug, Clone)]
#[group(skip)]
pub struct Config {
    /// Identity's database: `sqlite:PATH` or `postgres://…`.
    #[arg(
        id = "identity_database_url",
        long = "identity-database-url",
        env = "QUARTET_IDENTITY_DATABASE_URL",
        value_name = "URL",
        hide_env_values = true
    )]
    pub database_url: Option<SecretString>,

    /// Where the application's pages are: links in mails begin with it.
    #[arg(
        id = "frontend_url",
        long = "frontend-url",
        env = "QUARTET_FRONTEND_URL",
        value_name = "URL",
        default_value = "http://127.0.0.1:8000",
        value_parser = frontend_url
    )]
    pub frontend_url: String,

    /// Whether an address must be confirmed before its account can sign in.
    #[arg(
        id = "identity_require_verified_email",
        long = "identity-require-verified-email",
        env = "QUARTET_IDENTITY_REQUIRE_VERIFIED_EMAIL",
        value_name = "BOOL",
        default_value_t = true,
        action = ArgAction::Set
    )]
    pub require_verified_email: bool,

    /// Whether a registration answers the same for an address that has an account. Its owner gets a mail instead.
    #[arg(
        id = "identity_silent_registration",
        long = "identity-silent-registration",
        env = "QUARTET_IDENTITY_SILENT_REGISTRATION",
        value_name = "BOOL",
        default_value_t = false,
        action = ArgAction::Set
    )]
    pub silent_registration: bool,

    /// What a new password must be.
    #[arg(
        id = "identity_password_policy",
        long = "identity-password-policy",
        env = "QUARTET_IDENTITY_PASSWORD_POLICY",
        value_enum,
        default_value_t = PolicyKind::Composition
    )]
    pub password_policy: PolicyKind,

    /// The least characters of a new password under the policy `length`.
    #[arg(
        id = "identity_password_length",
        long = "identity-password-length",
        env = "QUARTET_IDENTITY_PASSWORD_LENGTH",
        value_name = "CHARACTERS",
        default_value_t = 15,
        value_parser = clap::value_parser!(u16).range(8..=256)
    )]
    pub password_length: u16,

    /// Who may list the others and see their names and pictures.
    #[arg(
        id = "identity_directory",
        long = "identity-directory",
        env = "QUARTET_IDENTITY_DIRECTORY",
        value_enum,
        default_value_t = Audience::Members
    )]
    pub directory: Audience,

    /// The cost of a password's hash: one more takes twice as long. Below 12 only for tests.
    #[arg(
        id = "identity_bcrypt_cost",
        long = "identity-bcrypt-cost",
        env = "QUARTET_IDENTITY_BCRYPT_COST",
        value_name = "COST",
        default_value_t = 12,
        value_parser = clap::value_parser!(u32).range(4..=16)
    )]
    pub bcrypt_cost: u32,

    /// How many passwords may wait to be hashed; one more is answered RESOURCE_EXHAUSTED.
    #[arg(
        id = "identity_password_queue",
        long = "identity-password-queue",
        env = "QUARTET_IDENTITY_PASSWORD_QUEUE",
        value_name = "COUNT",
        default_value_t = 128,
        value_parser = clap::value_parser!(u16).range(1..)
    )]
    pub password_queue: u16,

    /// The digits of a mailed code.
    #[arg(
        id = "identity_code_digits",
        long = "identity-code-digits",
        env = "QUARTET_IDENTITY_CODE_DIGITS",
        value_name = "COUNT",
        default_value_t = 7,
        value_parser = clap::value_parser!(u32).range(6..=12)
    )]
    pub code_digits: u32,

    /// How many mails with links and codes an account gets in an hour, of each kind.
    #[arg(
        id = "identity_mails_per_hour",
        long = "identity-mails-per-hour",
        env = "QUARTET_IDENTITY_MAILS_PER_HOUR",
        value_name = "COUNT",
        default_value_t = 6,
        value_parser = clap::value_parser!(i32).range(1..=1000)
    )]
    pub mails_per_hour: i32,

    /// How many sign-ins with a wrong password one address (IPv6: one /64) may try at once. Those that succeed do not count, and a device
    /// that the account knows has tries of its own.
    #[arg(
        id = "identity_failed_sign_ins",
        long = "identity-failed-sign-ins",
        env = "QUARTET_IDENTITY_FAILED_SIGN_INS",
        value_name = "COUNT",
        default_value_t = 5,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000)
    )]
    pub failed_sign_ins: u32,

    /// How many more of them each minute brings.
    #[arg(
        id = "identity_failed_sign_ins_per_minute",
        long = "identity-failed-sign-ins-per-minute",
        env = "QUARTET_IDENTITY_FAILED_SIGN_INS_PER_MINUTE",
        value_name = "COUNT",
        default_value_t = 3,
        value_parser = clap::value_parser!(u32).range(1..=60_000)
    )]
    pub failed_sign_ins_per_minute: u32,

    /// How many wrong passwords of one account reach the hash, from wherever they come. Then a known device, a mailed code and a
    /// password reset are the ways in.
    #[arg(
        id = "identity_failed_sign_ins_per_account",
        long = "identity-failed-sign-ins-per-account",
        env = "QUARTET_IDENTITY_FAILED_SIGN_INS_PER_ACCOUNT",
        value_name = "COUNT",
        default_value_t = 100,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000)
    )]
    pub failed_sign_ins_per_account: u32,

    /// After how many hours each one more of them may.
    #[arg(
        id = "identity_failed_sign_in_hours",
        long = "identity-failed-sign-in-hours",
        env = "QUARTET_IDENTITY_FAILED_SIGN_IN_HOURS",
        value_name = "HOURS",
        default_value_t = 6,
        value_parser = clap::value_parser!(u32).range(1..=720)
    )]
    pub failed_sign_in_hours: u32,

    /// At how many accounts one network (IPv4: /24, IPv6: /64) may fail within three hours before it gets to no others: that is how
    /// lists of stolen passwords are tried. 0 for any number, where one such network holds everybody.
    #[arg(
        id = "identity_failed_accounts_per_network",
        long = "identity-failed-accounts-per-network",
        env = "QUARTET_IDENTITY_FAILED_ACCOUNTS_PER_NETWORK",
        value_name = "COUNT",
        default_value_t = 15,
        value_parser = clap::value_parser!(u32).range(0..=100_000)
    )]
    pub failed_accounts_per_network: u32,

    /// How long an access token lives, in seconds.
    #[arg(
        id = "identity_access_token_seconds",
        long = "identity-access-token-seconds",
        env = "QUARTET_IDENTITY_ACCESS_TOKEN_SECONDS",
        value_name = "SECONDS",
        default_value_t = 600,
        value_parser = clap::value_parser!(i32).range(60..=900)
    )]
    pub access_token_seconds: i32,

    /// How many days a session lives without being used.
    #[arg(
        id = "identity_session_idle_days",
        long = "identity-session-idle-days",
        env = "QUARTET_IDENTITY_SESSION_IDLE_DAYS",
        value_name = "DAYS",
        default_value_t = 14,
        value_parser = clap::value_parser!(u16).range(1..=3650)
    )]
    pub session_idle_days: u16,

    /// How many days a session lives at most.
    #[arg(
        id = "identity_session_days",
        long = "identity-session-days",
        env = "QUARTET_IDENTITY_SESSION_DAYS",
        value_name = "DAYS",
        default_value_t = 90,
        value_parser = clap::value_parser!(u16).range(1..=3650)
    )]
    pub session_days: u16,

    /// Whether a refresh token is replaced at each use. Off for clients that ignore the new one; then a stolen one goes unnoticed.
    #[arg(
        id = "identity_rotate_refresh_tokens",
        long = "identity-rotate-refresh-tokens",
        env = "QUARTET_IDENTITY_ROTATE_REFRESH_TOKENS",
        value_name = "BOOL",
        default_value_t = true,
        action = ArgAction::Set
    )]
    pub rotate_refresh_tokens: bool,

    /// How long a replaced refresh token still answers its successor, in seconds.
    #[arg(
        id = "identity_refresh_grace_seconds",
        long = "identity-refresh-grace-seconds",
        env = "QUARTET_IDENTITY_REFRESH_GRACE_SECONDS",
        value_name = "SECONDS",
        default_value_t = 10,
        value_parser = clap::value_parser!(u16).range(0..=60)
    )]
    pub refresh_grace_seconds: u16,

    /// After how many days the key that signs access tokens is changed. 0 for never.
    #[arg(
        id = "identity_key_days",
        long = "identity-key-days",
        env = "QUARTET_IDENTITY_KEY_DAYS",
        value_name = "DAYS",
        default_value_t = 30
    )]
    pub key_days: u16,

    /// The services that must have removed an account's data before the account itself is erased, separated by commas. Empty for
    /// identity alone.
    #[arg(
        id = "identity_erasure_contexts",
        long = "identity-erasure-contexts",
        env = "QUARTET_IDENTITY_ERASURE_CONTEXTS",
        value_name = "NAMES",
        default_value = "catalogue,media,messaging",
        value_delimiter = ',',
        value_parser = erasure_context
    )]
    pub erasure_contexts: Vec<String>,

    /// How many days the audit log of administrative acts goes back.
    #[arg(
        id = "identity_audit_days",
        long = "identity-audit-days",
        env = "QUARTET_IDENTITY_AUDIT_DAYS",
        value_name = "DAYS",
        default_value_t = 365,
        value_parser = clap::value_parser!(u16).range(1..=3650)
    )]
    pub audit_days: u16,
}

/// What a new password must be.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyKind {
    /// At least 8 characters with an upper-case letter, a lower-case letter, a digit and one of `@$!%*?#&`; not a common one.
    Composition,
    /// Long enough and not a common one; any characters.
    Length,
}

/// Whom the directory is open to.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Everybody who is signed in.
    Members,
    /// Administrators only.
    Admin,
}

impl Config {
    /// Who must report what was removed before an account is erased, each once.
    pub fn erasure_contexts(&self) -> Vec<String> {
        let mut names: Vec<_> = self.erasure_contexts.iter().filter(|name| !name.is_empty()).cloned().collect();
        names.sort();
        names.dedup();
        names
    }

    /// How long an access token lives.
    pub fn access_token_life(&self) -> TimeDelta {
        TimeDelta::seconds(i64::from(self.access_token_seconds))
    }

    /// How long a session lives without being used.
    pub fn session_idle(&self) -> TimeDelta {
        TimeDelta::days(i64::from(self.session_idle_days))
    }

    /// How long a session lives at most.
    pub fn session_life(&self) -> TimeDelta {
        TimeDelta::days(i64::from(self.session_days))
    }

    /// How long a key must be known that signs nothing any more: until the last token that it has signed has ended, also those for others.
    pub fn key_life(&self) -> TimeDelta {
        self.access_token_life().max(LONGEST_LIFE) + TimeDelta::seconds(60)
    }

    /// How long a revocation must be remembered: until all that was made before it has ended, the links, too (S-54).
    pub fn revocation_life(&self) -> TimeDelta {
        self.key_life().max(TimeDelta::seconds(LONGEST_LINK + 60))
    }
}

fn erasure_context(text: &str) -> Result<String, String> {
    let name = text.trim();
    match name.len() <= 32 && name != IDENTITY && name.bytes().all(|byte| byte.is_ascii_lowercase()) {
        true => Ok(name.to_owned()),
        false => Err("must be the names of other services, such as `catalogue,media`".to_owned()),
    }
}

fn frontend_url(text: &str) -> Result<String, String> {
    let address = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or_default();
    let sound =
        !address.is_empty() && address.len() <= 200 && !address.contains(|c: char| c.is_whitespace() || c.is_control());
    let plain = !address.contains(['?', '#', '"', '<', '>']);
    if sound && plain {
        Ok(text.trim_end_matches('/').to_owned())
    } else {
        Err("must be an address such as `https://app.example.com`".to_owned())
    }
}
