#[cfg(feature = "rustls")]
mod rustls;

use std::{fmt, fs, path::PathBuf, sync::Arc};

use crate::{Cause, SourceError};

/// What a connection over TLS needs beyond the address; certificates of servers are always checked.
///
/// # Example
///
/// ```
/// use sentinel_datasource::{Pem, Tls};
///
/// let tls = Tls::new().authority(Pem::file("ca.pem")).identity(Pem::file("client.pem"), Pem::file("client.key"));
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Tls {
    /// The certificates of the authorities that are trusted; default those of the system, or of the client library.
    pub authority: Option<Pem>,
    /// The certificate with which the client shows who it is, and its key.
    pub identity: Option<(Pem, Pem)>,
    /// The name that the server's certificate is for, where it is not the one in the address.
    pub domain: Option<String>,
}

impl Tls {
    /// Trusts whom the system trusts, and shows no certificate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts servers whose certificate is signed by one of these, and no others.
    #[must_use]
    pub fn authority(mut self, certificates: Pem) -> Self {
        self.authority = Some(certificates);
        self
    }

    /// Shows this certificate to the server.
    #[must_use]
    pub fn identity(mut self, certificate: Pem, key: Pem) -> Self {
        self.identity = Some((certificate, key));
        self
    }

    /// Expects a certificate for this name.
    #[must_use]
    pub fn domain(mut self, name: impl Into<String>) -> Self {
        self.domain = Some(name.into());
        self
    }
}

/// Certificates or a key in PEM form. What they are is in no `Debug` output.
#[derive(Clone)]
pub struct Pem(Origin);

#[derive(Clone)]
enum Origin {
    Bytes(Arc<[u8]>),
    File(PathBuf),
}

impl Pem {
    /// What a file holds, read again for each connection, so that renewed certificates are used without a restart.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self(Origin::File(path.into()))
    }

    /// These bytes.
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Origin::Bytes(bytes.into().into()))
    }

    /// What it is now; for sources.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn read(&self) -> Result<Vec<u8>, SourceError> {
        match &self.0 {
            Origin::Bytes(bytes) => Ok(bytes.to_vec()),
            Origin::File(path) => fs::read(path).map_err(|error| SourceError::Setting {
                setting: "the certificate or key",
                cause: Cause::text(format!("{}: {error}", path.display())),
            }),
        }
    }
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Origin::Bytes(_) => f.write_str("Pem(..)"),
            Origin::File(path) => f.debug_tuple("Pem").field(path).finish(),
        }
    }
}
