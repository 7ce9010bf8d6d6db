use std::{error::Error, fmt};

use http::uri::Authority;
use sentinel_datasource::{Cause, SourceError, Tls};
use tokio::net::TcpStream;

use crate::stream::Stream;

/// The port of HTTP, where an address names none.
const PORT: u16 = 8848;

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    /// A name or an address, the latter without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Server {
    /// Reads `host`, `host:8848` or `[::1]:8848`.
    pub(crate) fn parse(address: &str) -> Result<Self, SourceError> {
        // Not the address itself where it may hold a password.
        let shown = if address.contains('@') { "what is given" } else { address };
        let wrong = |cause: Cause| SourceError::Setting {
            setting: "the server's address",
            cause: Cause::text(format!("`{shown}` is no host and port: {cause}")),
        };
        let authority: Authority = address.parse().map_err(|error: http::uri::InvalidUri| wrong(error.into()))?;
        if authority.as_str().contains('@') || authority.host().is_empty() {
            return Err(wrong(Cause::text("there is more or less than that")));
        }
        Self::of(&authority, PORT).ok_or_else(|| wrong(Cause::text("the port is a number up to 65535")))
    }

    /// Nothing if the port is none.
    pub(crate) fn of(authority: &Authority, default_port: u16) -> Option<Self> {
        let host = authority.host();
        let port = match authority.as_str().rsplit('@').next()?.strip_prefix(host)? {
            "" => default_port,
            port => port.strip_prefix(':')?.parse().ok()?,
        };
        Some(Self { host: host.trim_matches(['[', ']']).to_owned(), port })
    }

    /// Connects, and encrypts for this protocol where that is asked for. Returns also the own address.
    pub(crate) async fn open(
        &self,
        tls: Option<&Tls>,
        protocol: &str,
    ) -> Result<(Box<dyn Stream>, String), SourceError> {
        let stream = TcpStream::connect((&*self.host, self.port)).await.map_err(|error| self.broken(&error))?;
        stream.set_nodelay(true).map_err(|error| self.broken(&error))?;
        let local = stream.local_addr().map_err(|error| self.broken(&error))?.ip().to_string();
        let Some(tls) = tls else { return Ok((Box::new(stream), local)) };
        let (connector, domain) = tls.connector(&self.host, &[protocol])?;
        let stream = connector.connect(domain, stream).await.map_err(|error| self.broken(&error))?;
        Ok((Box::new(stream), local))
    }

    /// What came of a connection that is not there, or not any more.
    pub(crate) fn broken(&self, error: &(dyn Error + 'static)) -> SourceError {
        let (server, cause) = (self.to_string(), Cause::from(error));
        if Tls::is_refused(error) {
            SourceError::Denied { server, cause }
        } else {
            SourceError::Unreachable { server, cause }
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.host, self.port) {
            (host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            (host, port) => write!(f, "{host}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_with_or_without_a_port() {
        let parse = |address| Server::parse(address).unwrap();
        assert_eq!(parse("nacos"), Server { host: "nacos".into(), port: 8848 });
        assert_eq!(parse("10.0.0.1:80").to_string(), "10.0.0.1:80");
        assert_eq!(parse("[::1]"), Server { host: "::1".into(), port: 8848 });
        assert_eq!(parse("[::1]:9").to_string(), "[::1]:9");
    }

    #[test]
    fn what_is_no_address_is_named_unless_it_may_hold_a_password() {
        for address in ["", "http://nacos:8848", "nacos:", "nacos:x", "nacos:70000", "a b", ":8848"] {
            let told = Server::parse(address).unwrap_err().to_string();
            assert!(told.contains(&format!("`{address}` is no host and port")), "{told}");
        }
        for address in ["app:hunter2@nacos:8848", "http://app:hunter2@nacos"] {
            let told = Server::parse(address).unwrap_err().to_string();
            assert!(!told.contains("hunter2"), "{told}");
        }
    }
}
