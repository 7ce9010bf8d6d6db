use std::{fmt, net::IpAddr};

use crate::{Cause, SourceError};

/// A host and a port, where a server is named by these and not by a URL; for sources.
///
/// # Example
///
/// ```
/// use sentinel_datasource::Address;
///
/// let address = Address::parse("redis.internal", 6379)?;
/// assert_eq!((&*address.host, address.port), ("redis.internal", 6379));
/// assert_eq!(Address::parse("[::1]:6380", 6379)?.to_string(), "[::1]:6380");
/// # Ok::<(), sentinel_datasource::SourceError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// A name or an IP address, the latter without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Address {
    /// Reads `redis`, `10.0.0.7:6380`, `[::1]:6379`, `[::1]` or `::1`.
    ///
    /// # Errors
    ///
    /// When it is something else; that is repeated, unless it may hold a password.
    pub fn parse(text: &str, default_port: u16) -> Result<Self, SourceError> {
        Self::read(text, default_port).ok_or_else(|| {
            let shown = if text.contains('@') { "what is given" } else { &format!("`{text}`") };
            let cause = format!("{shown} is no host, and no host and port with a colon between");
            SourceError::Setting { setting: "the server's address", cause: Cause::text(cause) }
        })
    }

    fn read(text: &str, default_port: u16) -> Option<Self> {
        let without_brackets = |host: &str| host.strip_prefix('[')?.strip_suffix(']')?.parse::<IpAddr>().ok();
        if let Some(ip) = text.parse().ok().or_else(|| without_brackets(text)) {
            return Some(Self { host: ip.to_string(), port: default_port });
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((_, port)) if !port.bytes().all(|byte| byte.is_ascii_digit()) => return None,
            Some((host, port)) => (host, port.parse().ok()?),
            None => (text, default_port),
        };
        if let Some(ip) = without_brackets(host) {
            return Some(Self { host: ip.to_string(), port });
        }
        let is_name = !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c));
        is_name.then(|| Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_may_be_left_out_and_the_host_of_ipv6() {
        for (text, expected) in [
            ("redis.internal", "redis.internal:1"),
            ("redis_1:6380", "redis_1:6380"),
            ("10.0.0.7", "10.0.0.7:1"),
            ("10.0.0.7:80", "10.0.0.7:80"),
            ("::1", "[::1]:1"),
            ("fe80::1", "[fe80::1]:1"),
            ("[::1]", "[::1]:1"),
            ("[::1]:6380", "[::1]:6380"),
        ] {
            assert_eq!(Address::parse(text, 1).unwrap().to_string(), expected);
        }
        assert_eq!(Address::parse("[::1]:2", 1).unwrap().host, "::1");
    }

    #[test]
    fn what_is_no_address_is_named_unless_it_may_hold_a_password() {
        for text in
            ["", ":6379", "a:", "a:x", "a:+1", "a:70000", "a:b:1", "a b", "a/b", "http://a", "http://a:1", "[a]:1"]
        {
            let told = Address::parse(text, 1).unwrap_err().to_string();
            let expected = format!("`{text}` is no host, and no host and port with a colon between");
            assert_eq!(told, format!("the server's address cannot be used: {expected}"));
        }
        for text in ["redis://orders:hunter2@redis:6379", "orders:hunter2@redis"] {
            let told = format!("{:?}", Address::parse(text, 1));
            assert!(told.contains("what is given") && !told.contains("hunter2"), "{told}");
        }
    }
}
