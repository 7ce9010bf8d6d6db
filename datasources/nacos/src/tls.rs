//! Encryption by rustls with *ring*, whatever else the program has made its default.

use std::sync::Arc;

use sentinel_datasource::{Cause, Pem, SourceError, Tls};
use tokio_rustls::rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

/// What encrypts connections on which this protocol is spoken.
pub(crate) fn config(tls: &Tls, protocol: &str) -> Result<Arc<ClientConfig>, SourceError> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong("TLS", error))?
        .with_root_certificates(roots(tls.authority.as_ref())?);
    let mut config = match &tls.identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            const SETTING: &str = "the client's certificate";
            let chain = certificates(SETTING, certificate)?;
            builder.with_client_auth_cert(chain, private_key(key)?).map_err(|error| wrong(SETTING, error))?
        }
    };
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    Ok(Arc::new(config))
}

/// Who may sign the certificates of servers.
fn roots(authority: Option<&Pem>) -> Result<RootCertStore, SourceError> {
    let mut roots = RootCertStore::empty();
    match authority {
        Some(authority) => {
            const SETTING: &str = "the authority's certificate";
            for certificate in certificates(SETTING, authority)? {
                roots.add(certificate).map_err(|error| wrong(SETTING, error))?;
            }
        }
        None => {
            let system = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(system.certs);
            if let (true, Some(error)) = (roots.is_empty(), system.errors.into_iter().next()) {
                return Err(wrong("the system's certificates", error));
            }
        }
    }
    Ok(roots)
}

fn certificates(setting: &'static str, pem: &Pem) -> Result<Vec<CertificateDer<'static>>, SourceError> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem.read()?).collect();
    match certificates {
        Ok(certificates) if certificates.is_empty() => Err(wrong(setting, Cause::text("there is none in the PEM"))),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(wrong(setting, error)),
    }
}

fn private_key(pem: &Pem) -> Result<PrivateKeyDer<'static>, SourceError> {
    // Not what the parser says, which may quote a line.
    let unreadable = |_| wrong("the client's key", Cause::text("it is no private key in PEM"));
    PrivateKeyDer::from_pem_slice(&pem.read()?).map_err(unreadable)
}

fn wrong(setting: &'static str, cause: impl Into<Cause>) -> SourceError {
    SourceError::Setting { setting, cause: cause.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_that_cannot_be_used_are_named_and_keys_are_not_shown() {
        let told = |tls: Tls| config(&tls, "h2").unwrap_err().to_string();
        let empty = told(Tls::new().authority(Pem::bytes("no certificate")));
        assert_eq!(empty, "the authority's certificate cannot be used: there is none in the PEM");
        let certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let key = "-----BEGIN PRIVATE KEY-----\nhunter2!\n-----END PRIVATE KEY-----\n";
        let key = told(Tls::new().authority(Pem::bytes("")).identity(Pem::bytes(certificate), Pem::bytes(key)));
        assert!(!key.contains("hunter2"), "{key}");
    }
}
