//! How an instance is named in settings, and where that leads.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// Name servers that are slower than this are as good as gone.
const RESOLVE: Duration = Duration::from_secs(2);

/// The address of a service as settings name it: `host:port`, `http://host:port` or `unix:PATH`. A host may stand for several
/// instances, all of which are used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    Host(String, u16),
    Unix(PathBuf),
}

/// The text is not an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an address: write `host:port`, `http://host:port` or `unix:PATH`")]
pub struct NotAnAddress(String);

impl FromStr for Address {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Address, NotAnAddress> {
        let wrong = || NotAnAddress(text.to_owned());
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.is_empty() { Err(wrong()) } else { Ok(Address::Unix(path.into())) };
        }
        let plain = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
        let (host, port) = plain.rsplit_once(':').ok_or_else(wrong)?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port = port.parse().map_err(|_| wrong())?;
        if host.is_empty() || host.contains('/') || port == 0 {
            Err(wrong())
        } else {
            Ok(Address::Host(host.to_owned(), port))
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Host(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Address::Host(host, port) => write!(f, "{host}:{port}"),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Where one instance listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Address {
    /// Whether the instances behind it may change: a name does, a number does not.
    pub(super) fn is_name(&self) -> bool {
        matches!(self, Address::Host(host, _) if host.parse::<std::net::IpAddr>().is_err())
    }

    /// Where it leads at this moment; nothing when the name can't be resolved.
    pub(super) async fn targets(&self) -> Vec<Target> {
        let (host, port) = match self {
            Address::Unix(path) => return vec![Target::Unix(path.clone())],
            Address::Host(host, port) => (host.as_str(), *port),
        };
        match tokio::time::timeout(RESOLVE, tokio::net::lookup_host((host, port))).await {
            Ok(Ok(found)) => found.map(Target::Tcp).collect(),
            Ok(Err(error)) => {
                tracing::warn!(address = %self, %error, "the name of an upstream can't be resolved");
                Vec::new()
            }
            Err(_) => {
                tracing::warn!(address = %self, "the name of an upstream takes too long to resolve");
                Vec::new()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_in_every_form() {
        let host = |host: &str, port| Ok(Address::Host(host.to_owned(), port));
        assert_eq!("catalogue:8002".parse(), host("catalogue", 8002));
        assert_eq!("http://catalogue:8002/".parse(), host("catalogue", 8002));
        assert_eq!("[::1]:80".parse(), host("::1", 80));
        assert_eq!("unix:/run/q.sock".parse(), Ok(Address::Unix("/run/q.sock".into())));
        for wrong in ["", "catalogue", "catalogue:", ":1", "a:0", "a:99999", "https://a/b:1", "unix:"] {
            assert!(wrong.parse::<Address>().is_err(), "{wrong}");
        }
    }
}
