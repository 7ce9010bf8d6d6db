use std::sync::Arc;

use reqwest::{
    ClientBuilder, Url,
    dns::{Addrs, Name, Resolve, Resolving},
};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use sentinel_datasource::{Cause, SourceError, Tls};

/// What a connection to this server is encrypted with, if it is.
pub(super) fn config(server: &Url, tls: &Tls) -> Result<ClientConfig, SourceError> {
    if server.scheme() == "https" {
        return tls.client_config();
    }
    // The client asks for one anyway, and a system without certificates will do.
    let builder = ClientConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .map_err(|error| setting("TLS", error))?;
    Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
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
