//! Settings of pushes.

use std::path::PathBuf;

use clap::ArgAction;
use secrecy::SecretString;

/// How pushes reach people's devices.
#[derive(clap::Args, Debug, Clone)]
#[group(skip)]
pub struct PushConfig {
    /// The private key of Web Push: 32 bytes in base64url, as `npx web-push generate-vapid-keys` prints. A browser's subscription is
    /// good for one key alone. Everything in one process makes one from the master key; a fleet without one sends no Web Push
    #[arg(
        id = "messaging_vapid_key",
        long = "messaging-vapid-key",
        env = "QUARTET_MESSAGING_VAPID_KEY",
        value_name = "KEY",
        hide_env_values = true
    )]
    pub vapid_key: Option<SecretString>,

    /// Whom a push service can write to about this installation: `mailto:ADDRESS` or `https://…`. Apple's sends nothing without
    #[arg(
        id = "messaging_push_contact",
        long = "messaging-push-contact",
        env = "QUARTET_MESSAGING_PUSH_CONTACT",
        value_name = "URL",
        value_parser = contact
    )]
    pub contact: Option<String>,

    /// The JSON file of a Google service account with the right to send by Firebase Cloud Messaging. Without it nothing is sent so
    #[arg(
        id = "messaging_fcm_account_file",
        long = "messaging-fcm-account-file",
        env = "QUARTET_MESSAGING_FCM_ACCOUNT_FILE",
        value_name = "FILE"
    )]
    pub fcm_account_file: Option<PathBuf>,

    /// Whether a push holds the beginning of the message. Google and Apple read what goes through Firebase; Web Push is sealed
    #[arg(
        id = "messaging_push_text",
        long = "messaging-push-text",
        env = "QUARTET_MESSAGING_PUSH_TEXT",
        value_name = "BOOL",
        default_value_t = true,
        action = ArgAction::Set
    )]
    pub text: bool,

    /// At which ports push services may be reached, separated by commas
    #[arg(
        id = "messaging_push_ports",
        long = "messaging-push-ports",
        env = "QUARTET_MESSAGING_PUSH_PORTS",
        value_name = "PORTS",
        default_value = "443",
        value_delimiter = ','
    )]
    pub ports: Vec<u16>,

    /// For tests alone, and never from an environment: push services are on loopback, at any port and without TLS
    #[arg(id = "messaging_push_loopback", long = "messaging-push-loopback", hide = true)]
    pub loopback: bool,

    /// For tests alone: where Firebase is
    #[arg(
        id = "messaging_fcm_url",
        long = "messaging-fcm-url",
        hide = true,
        default_value = "https://fcm.googleapis.com"
    )]
    pub fcm_url: String,
}

fn contact(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("mailto:").or_else(|| text.strip_prefix("https://")).unwrap_or_default();
    let is_whole = !rest.is_empty() && rest.chars().all(|c| c.is_ascii_graphic());
    is_whole.then(|| text.to_owned()).ok_or_else(|| "must be `mailto:ADDRESS` or `https://…`".to_owned())
}
