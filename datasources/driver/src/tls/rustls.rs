//! Encryption by rustls with *ring*, whatever else the program has made its default.

use std::{error::Error, io, sync::Arc};

use tokio_rustls::{
    TlsConnector,
    rustls::{
        self, AlertDescription as Alert, ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
    },
};

use super::{Pem, Tls};
use crate::{Cause, SourceError};

impl Tls {
    /// What encrypts connections, with certificates as they are now; for sources (feature `rustls`).
    ///
    /// It uses *ring*, and not the provider that the program has made its default: another crate may have none, or
    /// another one.
    ///
    /// # Errors
    ///
    /// When certificates cannot be used.
    pub fn client_config(&self) -> Result<ClientConfig, SourceError> {
        const SETTING: &str = "the certificate of the client";
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(wrong("TLS"))?
            .with_root_certificates(authorities(self.authority.as_ref())?);
        match &self.identity {
            None => Ok(builder.with_no_client_auth()),
            Some((certificate, key)) => builder
                .with_client_auth_cert(certificates(certificate, SETTING)?, private_key(key)?)
                .map_err(wrong(SETTING)),
        }
    }

    /// What encrypts a connection to this host, with the protocols that may be spoken over it, and the name for which the
    /// server has to show a certificate.
    pub(crate) fn connector(
        &self,
        host: &str,
        protocols: &[&str],
    ) -> Result<(TlsConnector, ServerName<'static>), SourceError> {
        let name = self.domain.as_deref().unwrap_or(host);
        let name = ServerName::try_from(name.to_owned()).map_err(wrong("the name of the server"))?;
        let mut config = self.client_config()?;
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Ok((TlsConnector::from(Arc::new(config)), name))
    }
}

impl SourceError {
    /// What came of a connection that is not there, or not any more: also that the server lets nobody in who shows such a
    /// certificate, or none; for sources (feature `rustls`).
    pub fn disconnected(server: impl Into<String>, error: &(dyn Error + 'static)) -> Self {
        let (server, cause) = (server.into(), Cause::from(error));
        if is_refused(error) { Self::Denied { server, cause } } else { Self::Unreachable { server, cause } }
    }
}

/// Whether an error says that the server wants another certificate than it was shown.
fn is_refused(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(rustls::Error::AlertReceived(alert)) = error.downcast_ref() {
            return is_about_certificate(*alert);
        }
        // What an error of the system wraps is not among its causes.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = wrapped.map(|wrapped| wrapped as &(dyn Error + 'static)).or_else(|| error.source());
    }
    false
}

fn is_about_certificate(alert: Alert) -> bool {
    matches!(
        alert,
        Alert::AccessDenied
            | Alert::BadCertificate
            | Alert::CertificateExpired
            | Alert::CertificateRequired
            | Alert::CertificateRevoked
            | Alert::CertificateUnknown
            | Alert::DecryptError
            | Alert::NoCertificate
            | Alert::UnknownCA
            | Alert::UnsupportedCertificate
    )
}

/// Who may sign the certificates of servers.
fn authorities(authority: Option<&Pem>) -> Result<RootCertStore, SourceError> {
    const SETTING: &str = "the certificate of the authority";
    let mut roots = RootCertStore::empty();
    let Some(authority) = authority else {
        let system = rustls_native_certs::load_native_certs();
        let (added, _) = roots.add_parsable_certificates(system.certs);
        return match system.errors.into_iter().next() {
            Some(error) if added == 0 => Err(wrong("the authorities that the system trusts")(error)),
            _ => Ok(roots),
        };
    };
    for certificate in certificates(authority, SETTING)? {
        roots.add(certificate).map_err(wrong(SETTING))?;
    }
    Ok(roots)
}

fn certificates(pem: &Pem, setting: &'static str) -> Result<Vec<CertificateDer<'static>>, SourceError> {
    let pem = pem.read()?;
    let certificates = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>().map_err(wrong(setting))?;
    if certificates.is_empty() {
        return Err(SourceError::Setting { setting, cause: Cause::text("there is no certificate in it") });
    }
    Ok(certificates)
}

fn private_key(pem: &Pem) -> Result<PrivateKeyDer<'static>, SourceError> {
    // What the parser says may quote a line.
    PrivateKeyDer::from_pem_slice(&pem.read()?).map_err(|_| SourceError::Setting {
        setting: "the key of the client",
        cause: Cause::text("it is no private key in PEM"),
    })
}

fn wrong<E: Error>(setting: &'static str) -> impl FnOnce(E) -> SourceError {
    move |error| SourceError::Setting { setting, cause: Cause::from(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_certificates_is_told_without_the_key() {
        let wrong = |tls: Tls| tls.client_config().unwrap_err().to_string();
        assert_eq!(
            wrong(Tls::new().authority(Pem::bytes("no certificate"))),
            "the certificate of the authority cannot be used: there is no certificate in it",
        );
        let certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(
            wrong(Tls::new().identity(Pem::bytes(certificate), Pem::bytes("-----BEGIN hunter2-----"))),
            "the key of the client cannot be used: it is no private key in PEM",
        );
        assert!(Tls::new().connector("not a name", &[]).is_err());
    }

    #[test]
    fn an_alert_about_a_certificate_is_found_behind_other_errors() {
        let alert = |alert| io::Error::other(rustls::Error::AlertReceived(alert));
        let is_denied = |error: io::Error| match SourceError::disconnected("a server", &error) {
            SourceError::Denied { .. } => true,
            SourceError::Unreachable { .. } => false,
            other => panic!("{other}"),
        };
        assert!(is_denied(alert(Alert::CertificateRequired)));
        assert!(is_denied(io::Error::other(alert(Alert::UnknownCA))));
        assert!(!is_denied(alert(Alert::HandshakeFailure)));
        assert!(!is_denied(io::Error::other("reset")));
    }
}
