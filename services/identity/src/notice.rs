//! Notices to the owners of accounts: what has happened, and what to do if it was not them.

use serde::{Deserialize, Serialize};

/// What the owner of an account is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Notice {
    /// Somebody tried to register the owner's address, or to move an account to it.
    AlreadyRegistered,
    PasswordReset,
    PasswordUpdated,
    /// The address was confirmed, and not by who was signed in.
    PasswordDropped,
    /// A spent refresh token came back.
    SessionEnded {
        began: String,
        user_agent: String,
    },
    /// A sign-in from a device that was never seen.
    NewDevice {
        time: String,
        user_agent: String,
        address: String,
    },
    /// To the old address; the new one is shown in part.
    EmailChangeAsked {
        to: String,
    },
    EmailChanged {
        to: String,
    },
    Deactivated,
    Reactivated,
    Suspended {
        reason: String,
    },
    Unsuspended,
    /// An administrator acts for the owner for a while.
    Impersonated {
        reason: String,
        minutes: i64,
    },
    Erasing,
}

impl Notice {
    /// The subject, and the paragraphs of the text.
    pub fn text(&self) -> (&'static str, Vec<String>) {
        let (subject, paragraphs): (_, &[&str]) = match self {
            Notice::AlreadyRegistered => (
                "You have an account already",
                &[
                    "Somebody, perhaps you, has tried to register this address. It has an account already.",
                    "If you have forgotten its password, ask for a reset. Else there is nothing to do.",
                ],
            ),
            Notice::PasswordReset => (
                "Your password was reset",
                &[
                    "The password of your account was reset, and every session has ended.",
                    "If that was not you, somebody else can read your mail: secure your mailbox, then reset the password again.",
                ],
            ),
            Notice::PasswordUpdated => (
                "Your password was changed",
                &[
                    "The password of your account was changed, and every other session has ended.",
                    "If that was not you, somebody knows your password or has one of your devices: reset the password now.",
                ],
            ),
            Notice::PasswordDropped => (
                "Your address is confirmed",
                &[
                    "Your address is confirmed. Somebody may have registered it before you, so the password of that registration no longer counts, and every session has ended.",
                    "To set a password, ask for a reset, or sign in with a mailed code.",
                ],
            ),
            Notice::SessionEnded { began, user_agent } => (
                "A session of yours was ended",
                &[
                    &format!("One of your sessions, begun on {began} by `{}`, was ended.", plain(user_agent)),
                    "A key of it that had been replaced was used again: somebody may have copied it. Sign in again where you need to.",
                ],
            ),
            Notice::NewDevice { time, user_agent, address } => (
                "A new sign-in to your account",
                &[
                    &format!(
                        "On {time} UTC your account was signed in to from a device that is new to it: `{}`, address {}.",
                        plain(user_agent),
                        if address.is_empty() { "unknown" } else { address }
                    ),
                    "If that was not you, somebody knows your password or reads your mail: reset the password now, which ends every session.",
                ],
            ),
            Notice::EmailChangeAsked { to } => (
                "Your address is to be changed",
                &[
                    &format!("Somebody, hopefully you, has asked to move your account to the address {}.", plain(to)),
                    "It stays with this address until the other one is confirmed. If that was not you, change your password now.",
                ],
            ),
            Notice::EmailChanged { to } => (
                "Your address was changed",
                &[
                    &format!(
                        "Your account has moved to the address {}. Nothing more will come to this one.",
                        plain(to)
                    ),
                    "If that was not you, write to those who run the application at once.",
                ],
            ),
            Notice::Deactivated => (
                "Your account was deactivated",
                &[
                    "Your account was put aside, and every session has ended. Nothing of it is lost.",
                    "You can take it into use again at any time with your address and password.",
                ],
            ),
            Notice::Reactivated => (
                "Your account is in use again",
                &["Your account was taken into use again.", "If that was not you, reset your password now."],
            ),
            Notice::Suspended { reason } => (
                "Your account was suspended",
                &[
                    "An administrator has suspended your account, and every session has ended.",
                    &format!("The reason given: {}", plain(reason)),
                ],
            ),
            Notice::Unsuspended => {
                ("Your account is open again", &["An administrator has ended the suspension of your account."])
            }
            Notice::Impersonated { reason, minutes } => (
                "An administrator acts for you",
                &[
                    &format!("For at most {minutes} minutes an administrator can see your account as you do."),
                    &format!("The reason given: {}", plain(reason)),
                    "You find it among your sessions, where you can end it.",
                ],
            ),
            Notice::Erasing => (
                "Your account is being deleted",
                &[
                    "As you have asked, your account and everything that belongs to it is being deleted. This is the last mail to you.",
                    "If it was not you who asked, write to those who run the application at once: it can't be stopped, but the way in can be shut.",
                ],
            ),
        };
        (subject, paragraphs.iter().map(|&paragraph| paragraph.to_owned()).collect())
    }
}

/// What came from a client, without what could pass for more than text: no line ends, and nothing that a program would make a link.
fn plain(text: &str) -> String {
    let text: String = text.chars().filter(|c| !c.is_control()).take(300).collect();
    text.replace("://", ": ")
}
