use std::fmt;

use sentinel_datasource::{Address, Cause, SourceError};
use tonic::transport::Uri;

/// Where etcd listens, when an address does not say it.
const PORT: u16 = 2379;

/// Where a member of the cluster listens, as the user gave it. No password that may be in it is ever shown.
#[derive(Clone)]
pub(crate) struct Endpoint(String);

/// What an endpoint says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) address: Address,
    pub(crate) is_encrypted: bool,
    /// The address with its scheme.
    pub(crate) uri: Uri,
}

impl Endpoint {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// What it says, where TLS is asked for or not.
    pub(crate) fn place(&self, has_tls: bool) -> Result<Place, SourceError> {
        let wrong = |cause| SourceError::Setting { setting: "the endpoint", cause };
        let because = |why| wrong(Cause::text(format!("{self}: {why}")));
        let text = match self.0.split_once("://") {
            None if has_tls => format!("https://{}", self.0),
            None => format!("http://{}", self.0),
            Some(("http", _)) if has_tls => {
                return Err(because("TLS is asked for, but the address begins with http:"));
            }
            Some(("http" | "https", _)) => self.0.clone(),
            Some(_) => return Err(because("it begins with neither http: nor https:")),
        };
        let uri: Uri = text.parse().map_err(|error| wrong(Cause::from(error)))?;
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(because("a name and a password do not belong into the address"));
        }
        // Brackets set addresses of IPv6 apart from the port.
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        if host.is_empty() {
            return Err(because("it names no host"));
        }
        let is_encrypted = uri.scheme_str() == Some("https");
        let address = Address { host, port: uri.port_u16().unwrap_or(PORT) };
        Ok(Place { address, is_encrypted, uri })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.0.split_once("://").map_or(&*self.0, |(_, place)| place);
        f.write_str(place.rsplit_once('@').map_or(place, |(_, place)| place))
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str, has_tls: bool) -> Result<(String, u16, bool), String> {
        let place = Endpoint::new(text).place(has_tls).map_err(|error| error.to_string())?;
        Ok((place.address.host, place.address.port, place.is_encrypted))
    }

    #[test]
    fn an_address_without_a_scheme_is_encrypted_where_tls_is_asked_for() {
        assert_eq!(place("etcd:23790", false).unwrap(), ("etcd".to_owned(), 23790, false));
        assert_eq!(place("etcd", true).unwrap(), ("etcd".to_owned(), 2379, true));
        assert_eq!(place("https://[::1]:1", false).unwrap(), ("::1".to_owned(), 1, true));
    }

    #[test]
    fn an_address_that_cannot_be_right_is_an_error() {
        for (text, has_tls) in
            [("http://etcd:2379", true), ("ftp://etcd:2379", false), ("http://etcd 2379", false), ("", false)]
        {
            assert!(place(text, has_tls).unwrap_err().starts_with("the endpoint cannot be used: "), "{text}");
        }
        assert!(place("http://etcd:2379", true).unwrap_err().contains("etcd:2379: TLS is asked for"));
    }

    #[test]
    fn a_password_in_an_address_is_refused_and_not_shown() {
        for text in ["http://root:hunter2@etcd:2379", "root:hunter2@etcd:2379", "http://root:hunter2@bad host"] {
            let error = place(text, false).unwrap_err();
            assert!(!format!("{error} {:?}", Endpoint::new(text)).contains("hunter2"), "{error}");
        }
    }
}
