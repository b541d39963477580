//! Where pushes may go: to public addresses, whatever a name or a way to write an address makes of itself.
//!
//! An endpoint is somebody's word. It is looked at when it is given and again when it is used, and the addresses of its name are looked
//! at where the connection is made, so that nothing can change in between.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// The longest endpoint.
const LENGTH: usize = 2048;

/// Where browsers have their push services.
const BROWSERS: [&str; 4] = ["fcm.googleapis.com", "push.services.mozilla.com", "push.apple.com", "notify.windows.com"];

/// What an endpoint may be.
#[derive(Debug, Clone)]
pub struct Rules {
    pub ports: Vec<u16>,
    /// For tests: push services are on loopback, without TLS.
    pub loopback: bool,
}

/// A name leads nowhere where pushes go.
#[derive(Debug, thiserror::Error)]
pub enum Unresolved {
    #[error("the name leads to an address that is not public")]
    NotPublic,
    #[error("the name leads nowhere")]
    Nowhere,
    #[error("the name can't be resolved: {0}")]
    Failed(#[from] io::Error),
}

impl Rules {
    /// Reads an endpoint, or says which rule it breaks.
    pub fn endpoint(&self, text: &str) -> Result<Url, String> {
        let rule = || "must be an https URL at a public address".to_owned();
        if text.is_empty() || text.len() > LENGTH {
            return Err(format!("must have 1 to {LENGTH} characters"));
        }
        // A backslash is a slash to some who read URLs, and part of a name to others.
        if !text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') {
            return Err(rule());
        }
        let url = Url::parse(text).map_err(|_| rule())?;
        let is_bare = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
        let scheme = url.scheme() == "https" || self.loopback && url.scheme() == "http";
        if !is_bare || !scheme || !self.host(&url) {
            return Err(rule());
        }
        let port = url.port_or_known_default().unwrap_or_default();
        if !self.loopback && !self.ports.contains(&port) {
            return Err("must be at a port that push services have".to_owned());
        }
        Ok(url)
    }

    /// Whether the host may be one: of a name this is known when it is resolved.
    fn host(&self, url: &Url) -> bool {
        let Some(host) = url.host_str() else { return false };
        match host.trim_matches(['[', ']']).parse::<IpAddr>() {
            Ok(address) => self.takes(address),
            Err(_) => {
                let name = host.trim_end_matches('.').to_ascii_lowercase();
                let own = ["localhost", "local", "internal", "home.arpa", "lan", "localdomain"];
                let is_own = own.iter().any(|own| name == *own || name.ends_with(&format!(".{own}")));
                self.loopback || name.contains('.') && !is_own
            }
        }
    }

    fn takes(&self, address: IpAddr) -> bool {
        is_public(address) || self.loopback && address.is_loopback()
    }
}

/// Whether a browser's maker answers there.
pub fn is_of_a_browser(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let is_default = url.scheme() == "https" && url.port().is_none();
    is_default
        && BROWSERS
            .iter()
            .any(|name| host.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
}

/// Resolves names for the connections themselves: what they connect to is what was looked at.
pub struct Resolver(pub Rules);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let rules = self.0.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await.map_err(Unresolved::from)?;
            let addresses = checked(&rules, found.collect())?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// The addresses of a name, all of which must be public: one that has both kinds is up to something.
pub fn checked(rules: &Rules, found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, Unresolved> {
    match found.iter().all(|address| rules.takes(address.ip())) {
        _ if found.is_empty() => Err(Unresolved::Nowhere),
        true => Ok(found),
        false => Err(Unresolved::NotPublic),
    }
}

/// Whether an address is somebody's on the internet.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = match (a, b, c) {
        // This network, private, loopback, link-local with the clouds' metadata, carrier-grade NAT.
        (0 | 10 | 127, ..) | (169, 254, _) | (172, 16..=31, _) | (192, 168, _) | (100, 64..=127, _) => true,
        // Protocol assignments, documentation, the former 6to4 relays, benchmarks.
        (192, 0, 0 | 2) | (198, 51, 100) | (203, 0, 113) | (192, 88, 99) | (198, 18..=19, _) => true,
        // AS112, AMT; Azure's platform.
        (192, 31, 196) | (192, 52, 193) | (192, 175, 48) | (168, 63, 129) => true,
        // Multicast, reserved, broadcast.
        (224.., ..) => true,
        _ => false,
    };
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    // Only 2000::/3 is given out, and of that not: Teredo, ORCHID, benchmarks and other protocols (2001::/23), documentation, 6to4,
    // documentation again, AS112, segment routing. What wraps an IPv4 address in another way lies outside.
    let given_out = a & 0xe000 == 0x2000;
    let special = matches!(
        (a, b),
        (0x2001, 0x0000..=0x01ff | 0x0db8) | (0x2002 | 0x5f00, _) | (0x3fff, 0x0000..=0x0fff) | (0x2620, 0x004f)
    );
    given_out && !special
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Rules {
        Rules { ports: vec![443], loopback: false }
    }

    #[test]
    fn s49_a_browser_s_own_service_is_known_and_what_looks_like_it_is_not() {
        let is = |url: &str| Url::parse(url).is_ok_and(|url| is_of_a_browser(&url));
        assert!(is("https://updates.push.services.mozilla.com/wpush/v2/a"));
        assert!(is("https://fcm.googleapis.com/fcm/send/a") && is("https://wns2-am3p.notify.windows.com/w/?token=a"));
        let others =
            ["https://xpush.apple.com/a", "https://push.apple.com.example.com/a", "https://push.apple.com:8443/a"];
        assert!(others.into_iter().all(|url| !is(url)));
    }

    #[test]
    fn s50_no_way_to_write_an_address_leads_inside() {
        let hosts = [
            "127.0.0.1",
            "127.1",
            "127.0.1",
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "0177.0.0.1",
            "017700000001",
            "127.0.0.1.",
            "127。0。0。1",
            "127%2e0%2e0%2e1",
            "①②⑦.⓪.⓪.①",
            "0",
            "0.0.0.0",
            "0x0",
            "10.0.0.1",
            "10.1",
            "167772161",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.0.1",
            "192.168.1",
            "3232235521",
            "169.254.169.254",
            "169.254.43518",
            "2852039166",
            "0xa9fea9fe",
            "0251.0376.0251.0376",
            "100.64.0.1",
            "100.127.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "192.88.99.1",
            "168.63.129.16",
            "[::]",
            "[::1]",
            "[0:0:0:0:0:0:0:1]",
            "[::127.0.0.1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[::ffff:10.0.0.1]",
            "[::ffff:169.254.169.254]",
            "[::ffff:0:127.0.0.1]",
            "[64:ff9b::7f00:1]",
            "[64:ff9b::10.0.0.1]",
            "[64:ff9b::808:808]",
            "[::ffff:8.8.8.8]",
            "[::ffff:0:0]",
            "[::ffff:0:7f00:1]",
            "[0000:0000:0000:0000:0000:ffff:127.0.0.1]",
            "[2001:0db8:0:0::1]",
            "[2620:4f:8000::1]",
            "100.100.100.200",
            "192.0.0.192",
            "[64:ff9b:1::7f00:1]",
            "[2002:7f00:1::]",
            "[2002:a00:1::1]",
            "[2001::1]",
            "[2001:0:7f00:1::]",
            "[2001:db8::1]",
            "[2001:10::1]",
            "[2001:20::1]",
            "[3fff::1]",
            "[fc00::1]",
            "[fd00:ec2::254]",
            "[fe80::1]",
            "[fec0::1]",
            "[ff02::1]",
            "[100::1]",
            "[5f00::1]",
            "[::a00:1]",
            "localhost",
            "LOCALHOST",
            "localhost.",
            "a.localhost",
            "metadata.google.internal",
            "printer.local",
            "router.lan",
            "intranet",
            "intranet.",
            "ｌｏｃａｌｈｏｓｔ",
            "loc%61lhost",
            "host.docker.internal",
            "localhost.localdomain",
            "x.home.arpa",
        ];
        assert!(hosts.len() >= 80, "{}", hosts.len());
        for host in hosts {
            assert!(rules().endpoint(&format!("https://{host}/push/1")).is_err(), "{host}");
        }
    }

    #[test]
    fn s50_an_endpoint_is_https_at_a_known_port_and_nothing_else() {
        for good in [
            "https://fcm.googleapis.com/fcm/send/abc:def",
            "https://updates.push.services.mozilla.com/wpush/v2/gAAA",
            "https://web.push.apple.com:443/QP",
            "https://wns2-par02p.notify.windows.com/w/?token=BQ%3d",
            "https://8.8.8.8/x",
            "https://[2606:4700:4700::1111]/x",
        ] {
            assert!(rules().endpoint(good).is_ok(), "{good}");
        }
        for wrong in [
            "",
            "x",
            "http://push.example.com/",
            "ftp://push.example.com/",
            "https:///x",
            "https://push.example.com:22/",
            "https://push.example.com:8443/",
            "https://push.example.com:0/",
            "https://push.example.com:80/",
            "https://push.example.com:6379/",
            "https://push.example.com:65536/",
            "https://a@push.example.com/",
            "https://a:b@push.example.com/",
            "file:///etc/passwd",
            "https://push.example.com/#x",
            "https://push.example.com/a b",
            "https://push.example.com/\n",
            "//push.example.com/",
            "https://push.example.com@127.0.0.1/",
            "https://push.example.com\\@127.0.0.1/",
            "data:,x",
            "gopher://push.example.com/",
        ] {
            assert!(rules().endpoint(wrong).is_err(), "{wrong}");
        }
        assert!(rules().endpoint(&format!("https://push.example.com/{}", "x".repeat(LENGTH))).is_err());
        let test = Rules { loopback: true, ..rules() };
        assert!(test.endpoint("http://127.0.0.1:4711/x").is_ok() && test.endpoint("http://10.0.0.1/x").is_err());
    }

    #[test]
    fn s50_a_name_is_refused_when_one_of_its_addresses_is_not_public() {
        let at = |addresses: &[&str]| {
            let found = addresses.iter().filter_map(|address| address.parse().ok().map(|ip| SocketAddr::new(ip, 0)));
            checked(&rules(), found.collect()).is_ok()
        };
        assert!(at(&["8.8.8.8"]) && at(&["8.8.8.8", "2606:4700::1"]));
        assert!(!at(&[]) && !at(&["8.8.8.8", "127.0.0.1"]) && !at(&["fd00::1"]) && !at(&["::ffff:8.8.8.8"]));
        // The resolver gives bare addresses, which no parser of URLs has made one of.
        for inside in
            ["::ffff:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::a00:1", "2002:a00:1::", "::127.0.0.1", "0.0.0.0"]
        {
            assert!(!at(&[inside]) && !at(&["8.8.8.8", inside]), "{inside}");
        }
    }

    #[tokio::test]
    async fn s50_the_connection_itself_asks_for_addresses_that_are_looked_at() {
        // What a name leads to by now, whatever it led to when it was registered.
        let resolver = Resolver(rules());
        let Ok(name) = "localhost".parse() else { return };
        assert!(resolver.resolve(name).await.is_err());
    }
}
