//! Whom `quartet media put`, `media get` and `push test` speak to, and as whom.

use clap::Args;
use http::Uri;
use secrecy::SecretString;

/// The settings of commands that are clients like any other.
#[derive(Args, Debug, Clone)]
#[group(skip)]
pub struct Client {
    /// The installation that `quartet media put`, `media get` and `push test` speak to: `http://HOST:PORT` or `https://HOST`
    #[arg(long, env = "QUARTET_SERVER", value_name = "URL", default_value = "http://127.0.0.1:8000", value_parser = server)]
    pub server: Uri,

    /// The address of the account that these commands sign in to, and out of when they are done
    #[arg(long, env = "QUARTET_ACCOUNT", value_name = "ADDRESS")]
    pub account: Option<String>,

    /// The password of that account. Without it, it is asked on the terminal
    #[arg(long, env = "QUARTET_ACCOUNT_PASSWORD", value_name = "PASSWORD", hide_env_values = true)]
    pub account_password: Option<SecretString>,

    /// Instead of an account: an access token that these commands show
    #[arg(long, env = "QUARTET_ACCESS_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub access_token: Option<SecretString>,
}

/// The settings that the help of these commands shows, as their arguments are called.
pub const SHOWN: [&str; 6] =
    ["server", "account", "account_password", "account_password_file", "access_token", "access_token_file"];

fn server(text: &str) -> Result<Uri, String> {
    let rule = || "must be such as `http://127.0.0.1:8000` or `https://quartet.example.com`".to_owned();
    let uri: Uri = text.parse().map_err(|_| rule())?;
    let is_known = matches!(uri.scheme_str(), Some("http" | "https"));
    let is_bare = matches!(uri.path(), "" | "/") && uri.query().is_none();
    if is_known && is_bare && uri.host().is_some_and(|host| !host.is_empty()) { Ok(uri) } else { Err(rule()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_named_by_scheme_and_host() {
        for good in ["http://127.0.0.1:8000", "https://quartet.example.com/", "http://[::1]:8000"] {
            assert!(server(good).is_ok(), "{good}");
        }
        for wrong in ["", "127.0.0.1:8000", "quartet.example.com", "ftp://a", "https://a/b", "http://", "http://a?b"] {
            assert!(server(wrong).is_err(), "{wrong}");
        }
    }
}
