//! Letters to the owners of accounts, from the templates. Links begin with the configured address, never with one from a request.

use askama::Template;
use quartet_chassis::clock::Time;
use quartet_chassis::id::Id;
use quartet_chassis::mail::Mail;
use serde::{Deserialize, Serialize};

use crate::challenge::Purpose;
use crate::notice::Notice;

/// The kind of an outbox row that holds a [`Letter`].
pub const MAIL: &str = "mail";

/// A letter to be written and sent, as it waits in the outbox.
#[derive(Clone, Serialize, Deserialize)]
pub enum Letter {
    Challenge {
        challenge_id: String,
        purpose: Purpose,
        to: String,
        token: String,
        code: String,
        /// When somebody asked for it. A letter that is renewed keeps it.
        asked_time: Time,
        /// Whether the address was registered more than once, so that setting a password is what completes it.
        again: bool,
    },
    Notice {
        to: String,
        notice: Notice,
    },
}

/// Writes letters.
#[derive(Clone)]
pub struct Letters {
    frontend_url: String,
}

#[derive(Template)]
#[template(path = "activate.txt")]
struct ActivateText<'a> {
    link: &'a str,
    code: &'a str,
    token: &'a str,
}

#[derive(Template)]
#[template(path = "activate.html")]
struct ActivateHtml<'a> {
    link: &'a str,
    code: &'a str,
}

#[derive(Template)]
#[template(path = "reset.txt")]
struct ResetText<'a> {
    again: bool,
    link: &'a str,
    code: &'a str,
    token: &'a str,
}

#[derive(Template)]
#[template(path = "reset.html")]
struct ResetHtml<'a> {
    again: bool,
    link: &'a str,
    code: &'a str,
}

#[derive(Template)]
#[template(path = "sign_in.txt")]
struct SignInText<'a> {
    link: &'a str,
    code: &'a str,
    token: &'a str,
}

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInHtml<'a> {
    link: &'a str,
    code: &'a str,
}

#[derive(Template)]
#[template(path = "change_email.txt")]
struct ChangeEmailText<'a> {
    link: &'a str,
    code: &'a str,
    token: &'a str,
}

#[derive(Template)]
#[template(path = "change_email.html")]
struct ChangeEmailHtml<'a> {
    link: &'a str,
    code: &'a str,
}

#[derive(Template)]
#[template(path = "reactivate.txt")]
struct ReactivateText<'a> {
    link: &'a str,
    code: &'a str,
    token: &'a str,
}

#[derive(Template)]
#[template(path = "reactivate.html")]
struct ReactivateHtml<'a> {
    link: &'a str,
    code: &'a str,
}

#[derive(Template)]
#[template(path = "notice.txt")]
struct NoticeText<'a> {
    paragraphs: &'a [String],
}

#[derive(Template)]
#[template(path = "notice.html")]
struct NoticeHtml<'a> {
    paragraphs: &'a [String],
}

impl Letters {
    pub fn new(frontend_url: &str) -> Letters {
        Letters { frontend_url: frontend_url.to_owned() }
    }

    /// Writes a letter. `id` is the outbox row's and makes the Message-ID, which stays the same at every attempt.
    pub fn mail(&self, letter: &Letter, id: Id) -> Result<Mail, askama::Error> {
        let (to, subject, text, html) = match letter {
            Letter::Challenge { purpose: Purpose::Activate, to, token, code, .. } => {
                let link = &self.link("activate", to, token);
                let text = ActivateText { link, code, token }.render()?;
                (to, "Activate your account", text, ActivateHtml { link, code }.render()?)
            }
            Letter::Challenge { purpose: Purpose::Reset, to, token, code, again, .. } => {
                let again = *again;
                let link = &self.link("reset-password", to, token);
                let text = ResetText { again, link, code, token }.render()?;
                let subject = if again { "Complete your registration" } else { "Reset your password" };
                (to, subject, text, ResetHtml { again, link, code }.render()?)
            }
            Letter::Challenge { purpose: Purpose::SignIn, to, token, code, .. } => {
                let link = &self.link("sign-in", to, token);
                let text = SignInText { link, code, token }.render()?;
                (to, "Sign in to your account", text, SignInHtml { link, code }.render()?)
            }
            Letter::Challenge { purpose: Purpose::ChangeEmail, to, token, code, .. } => {
                let link = &self.link("change-email", to, token);
                let text = ChangeEmailText { link, code, token }.render()?;
                (to, "Confirm your new address", text, ChangeEmailHtml { link, code }.render()?)
            }
            Letter::Challenge { purpose: Purpose::Reactivate, to, token, code, .. } => {
                let link = &self.link("reactivate", to, token);
                let text = ReactivateText { link, code, token }.render()?;
                (to, "Take your account into use again", text, ReactivateHtml { link, code }.render()?)
            }
            Letter::Notice { to, notice } => {
                let (subject, paragraphs) = notice.text();
                let paragraphs = &paragraphs;
                (to, subject, NoticeText { paragraphs }.render()?, NoticeHtml { paragraphs }.render()?)
            }
        };
        Ok(Mail { to: to.clone(), subject: subject.to_owned(), text, html, message_id: format!("{id}@quartet") })
    }

    fn link(&self, page: &str, email: &str, token: &str) -> String {
        format!("{}/{page}?email={}&token={}", self.frontend_url, encode(email), encode(token))
    }
}

/// Percent-encodes what has a meaning in a link.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use quartet_chassis::clock::Clock;

    #[test]
    fn x1_every_challenge_has_a_mail_with_link_code_and_token() -> anyhow::Result<()> {
        for (purpose, page) in [
            (Purpose::Activate, "activate"),
            (Purpose::Reset, "reset-password"),
            (Purpose::SignIn, "sign-in"),
            (Purpose::ChangeEmail, "change-email"),
            (Purpose::Reactivate, "reactivate"),
        ] {
            let letter = Letter::Challenge {
                challenge_id: String::new(),
                purpose,
                to: "ada@example.com".to_owned(),
                token: "abc".to_owned(),
                code: "0012345".to_owned(),
                asked_time: Time::default(),
                again: false,
            };
            let mail = Letters::new("https://app.example.com").mail(&letter, Id::new(&Clock::System))?;
            let link = format!("https://app.example.com/{page}?email=ada%40example.com&token=abc");
            for line in [&link, "Code: 0012345", "Token: abc"] {
                assert!(mail.text.lines().any(|other| other == line), "{line} in\n{}", mail.text);
            }
            assert!(mail.html.contains("0012345") && mail.html.contains(&format!("/{page}?")), "{}", mail.html);
        }
        Ok(())
    }

    #[test]
    fn i12_the_mail_brings_link_code_and_token() -> anyhow::Result<()> {
        let letter = Letter::Challenge {
            challenge_id: String::new(),
            purpose: Purpose::Reset,
            to: "a+b@example.com".to_owned(),
            token: "abc_-9".to_owned(),
            code: "0012345".to_owned(),
            asked_time: Time::default(),
            again: false,
        };
        let mail = Letters::new("https://app.example.com").mail(&letter, Id::new(&Clock::System))?;
        let link = "https://app.example.com/reset-password?email=a%2Bb%40example.com&token=abc_-9";
        for line in [link, "Code: 0012345", "Token: abc_-9"] {
            assert!(mail.text.lines().any(|other| other == line), "{line} in\n{}", mail.text);
        }
        assert!(mail.html.contains("0012345") && !mail.subject.contains("0012345"));
        Ok(())
    }

    #[test]
    fn s57_what_comes_from_a_client_is_escaped() -> anyhow::Result<()> {
        let to = "ada@example.com".to_owned();
        let notice =
            Notice::SessionEnded { began: "2026-11-21".to_owned(), user_agent: "<script>\r\nBcc: x".to_owned() };
        let letter = Letter::Notice { to, notice };
        let mail = Letters::new("https://app.example.com").mail(&letter, Id::new(&Clock::System))?;
        assert!(!mail.html.contains("<script>") && !mail.text.contains("\nBcc"));
        Ok(())
    }
}
