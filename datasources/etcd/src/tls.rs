//! Encryption by rustls with *ring*, whatever else the program has made its default.

use std::{error::Error, io, sync::Arc};

use sentinel_datasource::{Cause, Pem, SourceError, Tls};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        self, AlertDescription, ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
    },
};

/// What encrypts connections, and the name for which the server has to show a certificate.
pub(crate) fn connector(tls: &Tls, host: &str) -> Result<(TlsConnector, ServerName<'static>), SourceError> {
    let name = tls.domain.as_deref().unwrap_or(host);
    let name = ServerName::try_from(name.to_owned()).map_err(wrong("the name of the server"))?;
    Ok((TlsConnector::from(Arc::new(config(tls)?)), name))
}

/// Whether the server lets nobody in who shows such a certificate, or none.
pub(crate) fn is_denied(error: &io::Error) -> bool {
    use AlertDescription as Alert;

    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    let Some(rustls::Error::AlertReceived(alert)) = inner else { return false };
    matches!(
        alert,
        Alert::AccessDenied
            | Alert::BadCertificate
            | Alert::CertificateExpired
            | Alert::CertificateRequired
            | Alert::CertificateRevoked
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::UnsupportedCertificate
    )
}

fn config(tls: &Tls) -> Result<ClientConfig, SourceError> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(wrong("TLS"))?
        .with_root_certificates(authorities(tls.authority.as_ref())?);
    let mut config = match &tls.identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let setting = "the certificate of the client";
            let chain = certificates(certificate, setting)?;
            builder.with_client_auth_cert(chain, private_key(key)?).map_err(wrong(setting))?
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

fn private_key(pem: &Pem) -> Result<PrivateKeyDer<'static>, SourceError> {
    // The parser's own words may quote a line of it.
    PrivateKeyDer::from_pem_slice(&pem.read()?).map_err(|_| SourceError::Setting {
        setting: "the key of the client",
        cause: Cause::text("it is no private key in PEM"),
    })
}

/// Who may sign the certificates of servers.
fn authorities(authority: Option<&Pem>) -> Result<RootCertStore, SourceError> {
    let mut roots = RootCertStore::empty();
    let Some(authority) = authority else {
        let system = rustls_native_certs::load_native_certs();
        let (added, _) = roots.add_parsable_certificates(system.certs);
        return match system.errors.into_iter().next() {
            Some(error) if added == 0 => Err(wrong("the authorities that the system trusts")(error)),
            _ => Ok(roots),
        };
    };
    let setting = "the certificate of the authority";
    for certificate in certificates(authority, setting)? {
        roots.add(certificate).map_err(wrong(setting))?;
    }
    Ok(roots)
}

fn certificates(pem: &Pem, setting: &'static str) -> Result<Vec<CertificateDer<'static>>, SourceError> {
    let pem = pem.read()?;
    let certificates: Vec<_> =
        CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().map_err(wrong(setting))?;
    if certificates.is_empty() {
        return Err(SourceError::Setting { setting, cause: Cause::text("there is no certificate in it") });
    }
    Ok(certificates)
}

fn wrong<E: Error>(setting: &'static str) -> impl FnOnce(E) -> SourceError {
    move |error| SourceError::Setting { setting, cause: Cause::from(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_certificates_is_told_without_the_key() {
        let wrong = |tls: Tls| config(&tls).unwrap_err().to_string();
        assert_eq!(
            wrong(Tls::new().authority(Pem::bytes("no certificate"))),
            "the certificate of the authority cannot be used: there is no certificate in it",
        );
        let certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(
            wrong(Tls::new().identity(Pem::bytes(certificate), Pem::bytes("-----BEGIN hunter2-----"))),
            "the key of the client cannot be used: it is no private key in PEM",
        );
        assert!(connector(&Tls::new(), "not a name").is_err());
    }
}
