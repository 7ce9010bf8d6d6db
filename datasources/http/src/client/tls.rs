use std::sync::Arc;

use reqwest::{
    ClientBuilder, Url,
    dns::{Addrs, Name, Resolve, Resolving},
};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use rustls_platform_verifier::BuilderVerifierExt as _;
use sentinel_datasource::{Cause, Pem, SourceError, Tls};

/// What a connection to this server is encrypted with. It uses *ring*, whatever the rest of the program does.
pub(super) fn config(server: &Url, tls: &Tls) -> Result<ClientConfig, SourceError> {
    let builder = ClientConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .map_err(|error| setting("TLS", error))?;
    let builder = match &tls.authority {
        Some(authority) => builder.with_root_certificates(roots(authority)?),
        None if server.scheme() == "https" => {
            builder.with_platform_verifier().map_err(|error| setting("the certificates of the system", error))?
        }
        // Nothing is encrypted, and a system without certificates will do.
        None => builder.with_root_certificates(RootCertStore::empty()),
    };
    match &tls.identity {
        None => Ok(builder.with_no_client_auth()),
        Some((certificate, key)) => builder
            .with_client_auth_cert(certificates("the client's certificate", certificate)?, private_key(key)?)
            .map_err(|error| setting("the client's certificate", error)),
    }
}

fn roots(authority: &Pem) -> Result<RootCertStore, SourceError> {
    const SETTING: &str = "the authority's certificate";
    let mut roots = RootCertStore::empty();
    for certificate in certificates(SETTING, authority)? {
        roots.add(certificate).map_err(|error| setting(SETTING, error))?;
    }
    Ok(roots)
}

fn certificates(name: &'static str, pem: &Pem) -> Result<Vec<CertificateDer<'static>>, SourceError> {
    let bytes = pem.read()?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match certificates {
        Ok(certificates) if certificates.is_empty() => Err(setting(name, Cause::text("there is none in the PEM"))),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(setting(name, error)),
    }
}

fn private_key(pem: &Pem) -> Result<PrivateKeyDer<'static>, SourceError> {
    // Not what the parser says, which may quote a line.
    let unreadable = |_| setting("the client's key", Cause::text("it is no private key in PEM"));
    PrivateKeyDer::from_pem_slice(&pem.read()?).map_err(unreadable)
}

/// Connects to the server that was given, whatever the name that it is asked for.
pub(super) fn resolve(builder: ClientBuilder, server: &Url) -> ClientBuilder {
    // Those of version 6 are in brackets in URLs, and nowhere else.
    let host = server.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    builder.dns_resolver(Arc::new(Elsewhere(host)))
}

/// An URL, under another name where there is one.
pub(super) fn locate(url: &Url, domain: Option<&str>) -> Result<Url, SourceError> {
    let mut url = url.clone();
    if let Some(domain) = domain {
        let is_name = url.set_host(Some(domain)).is_ok() && url.domain().is_some();
        let unusable = || setting("the server's name for TLS", Cause::text(format!("`{domain}` is no name")));
        is_name.then_some(()).ok_or_else(unusable)?;
    }
    Ok(url)
}

/// Finds one host, whatever it is asked for.
struct Elsewhere(String);

impl Resolve for Elsewhere {
    fn resolve(&self, _: Name) -> Resolving {
        let host = self.0.clone();
        Box::pin(async move {
            let found: Vec<_> = tokio::net::lookup_host((host, 0)).await?.collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

fn setting(setting: &'static str, cause: impl Into<Cause>) -> SourceError {
    SourceError::Setting { setting, cause: cause.into() }
}
