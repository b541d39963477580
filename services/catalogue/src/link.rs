//! Addresses elsewhere, for browsers to open and never for us.

/// The longest address, in bytes.
const LENGTH: usize = 2_000;

/// An https address. Only what needs no escaping: who shows it in a page must not have to think of quotes.
pub fn https(text: &str) -> Result<String, &'static str> {
    const FORM: &str = "must be an address such as `https://example.com/lesson`";
    if text.len() > LENGTH {
        return Err("must have at most 2,000 bytes");
    }
    let rest = text.strip_prefix("https://").ok_or(FORM)?;
    if !rest.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"'<>\\^`{|}".contains(&byte)) {
        return Err(FORM);
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err("must not contain a user or a password");
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse::<u16>().is_ok()),
        _ => (authority, true),
    };
    if is_host(host) && port { Ok(text.to_owned()) } else { Err(FORM) }
}

fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let label =
        |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    host.len() <= 253 && host.strip_suffix('.').unwrap_or(host).split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn k6_an_address_is_https_without_tricks() {
        for right in ["https://example.com", "https://example.com:8443/a%20b?x=y#z", "https://[2001:db8::1]:1/a"] {
            assert_eq!(https(right), Ok(right.to_owned()));
        }
        let long = format!("https://example.com/{}", "a".repeat(2_000));
        for wrong in [
            "",
            &long,
            "http://example.com",
            "HTTPS://example.com",
            "https://",
            "https:///etc/passwd",
            "https://ada:secret@example.com/",
            "https://example.com/a b",
            "https://example.com/a\0",
            "https://example.com\\@evil.example/",
            "https://example.com/\"onload=\"x",
            "https://example..com/",
            "https://example.com:99999/",
            "javascript:alert(1)//https://",
            "data:text/html,x",
        ] {
            assert!(https(wrong).is_err(), "{wrong}");
        }
    }
}
