//! Where the API server is, and who comes.

use std::{fmt, io, path::PathBuf};

use k8s_openapi::ByteString;
use kube::{
    Config,
    config::{AuthInfo, InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError},
};
use sentinel_datasource::{
    Cause, Pem, Secret, SourceError, Tls,
    secrecy::{ExposeSecret as _, SecretString},
};
use serde::{Deserialize as _, de::value::StrDeserializer};

/// Where the API server of Kubernetes is, and how to show it who comes.
///
/// Files (tokens, certificates, the kubeconfig) are read anew for each connection, and tokens for each request: what is
/// rotated is used without a restart.
///
/// # Example
///
/// ```
/// use sentinel_datasource::{Pem, Secret, Tls};
/// use sentinel_kubernetes::Access;
///
/// let in_a_pod = Access::in_cluster();
/// let at_a_desk = Access::kubeconfig("/home/me/.kube/config").context("staging");
/// let elsewhere = Access::server("https://10.0.0.1:6443")
///     .token(Secret::file("/var/run/secrets/token"))
///     .tls(Tls::new().authority(Pem::file("/etc/kubernetes/ca.crt")));
/// ```
#[derive(Clone)]
pub struct Access {
    place: Place,
    context: Option<String>,
    token: Option<Secret>,
    tls: Option<Tls>,
}

#[derive(Clone, Debug)]
enum Place {
    Inferred,
    InCluster,
    Kubeconfig(PathBuf),
    Server(String),
}

/// What a connection is made of.
pub(crate) struct Entrance {
    /// Where the server is, whom it has to be trusted by, and whatever else requests are made of.
    pub(crate) config: Config,
    pub(crate) identity: Option<Identity>,
    /// The token, where this crate reads it for each request.
    pub(crate) token: Option<Secret>,
}

/// A client certificate and its key, in PEM.
#[derive(PartialEq)]
pub(crate) struct Identity {
    pub(crate) certificate: Vec<u8>,
    pub(crate) key: Vec<u8>,
}

impl Access {
    /// The kubeconfig of the user (`KUBECONFIG`, or `~/.kube/config`) where there is one, else as a pod of the cluster.
    pub fn inferred() -> Self {
        Self::at(Place::Inferred)
    }

    /// As a pod of the cluster, by its service account.
    pub fn in_cluster() -> Self {
        Self::at(Place::InCluster)
    }

    /// By a kubeconfig. Tokens, files with tokens, client certificates and commands that print tokens are known;
    /// proxies, commands that print certificates and `insecure-skip-tls-verify` are refused.
    pub fn kubeconfig(path: impl Into<PathBuf>) -> Self {
        Self::at(Place::Kubeconfig(path.into()))
    }

    /// The server at a URL, such as `https://10.0.0.1:6443`.
    pub fn server(url: impl Into<String>) -> Self {
        Self::at(Place::Server(url.into()))
    }

    fn at(place: Place) -> Self {
        Self { place, context: None, token: None, tls: None }
    }

    /// The context of the kubeconfig; by default its current one.
    #[must_use]
    pub fn context(mut self, name: impl Into<String>) -> Self {
        self.context = Some(name.into());
        self
    }

    /// Comes with this token, in place of other credentials.
    #[must_use]
    pub fn token(mut self, token: impl Into<Secret>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Trusts and shows these certificates, in place of others.
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Reads everything that a connection is made of.
    pub(crate) fn enter(&self) -> Result<Entrance, SourceError> {
        let mut config = self.config()?;
        if config.accept_invalid_certs {
            return Err(unfit("insecure-skip-tls-verify: the certificate of the server is always checked"));
        }
        let mut identity = identity(&config.auth_info)?;
        if let Some(tls) = &self.tls {
            if let Some(authority) = &tls.authority {
                config.root_cert = Some(certificates(&authority.read()?)?);
            }
            if let Some((certificate, key)) = &tls.identity {
                identity = Some(Identity { certificate: certificate.read()?, key: key.read()? });
            }
            if let Some(domain) = &tls.domain {
                config.tls_server_name = Some(domain.clone());
            }
        }
        let token = match &self.token {
            Some(token) => Some(token.clone()),
            None if config.auth_info.token.is_none() => config.auth_info.token_file.as_ref().map(Secret::file),
            None => None,
        };
        if token.is_some() {
            config.auth_info = AuthInfo::default();
        }
        Ok(Entrance { config, identity, token })
    }

    fn config(&self) -> Result<Config, SourceError> {
        match &self.place {
            Place::Server(url) => {
                let url: http::Uri = url.parse().map_err(|error: http::uri::InvalidUri| address(error.to_string()))?;
                let is_known = matches!(url.scheme_str(), Some("https" | "http"));
                let authority = url.authority().filter(|authority| is_known && !authority.as_str().contains('@'));
                authority.ok_or_else(|| address("it is https://, a host and a port, without credentials"))?;
                Ok(Config::new(url))
            }
            Place::InCluster => in_cluster(),
            Place::Kubeconfig(path) => self.kubeconfig_of(Kubeconfig::read_from(path)),
            Place::Inferred => match Kubeconfig::read() {
                Err(error) if is_missing(&error) => in_cluster(),
                kubeconfig => self.kubeconfig_of(kubeconfig),
            },
        }
    }

    fn kubeconfig_of(&self, kubeconfig: Result<Kubeconfig, KubeconfigError>) -> Result<Config, SourceError> {
        let kubeconfig = kubeconfig.map_err(|error| unreadable(&error))?;
        let proxies = kubeconfig.clusters.iter().filter_map(|cluster| cluster.cluster.as_ref()?.proxy_url.as_ref());
        if proxies.count() > 0 {
            return Err(unfit("proxy-url: there is no connection through a proxy"));
        }
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        // Nothing in it waits: it is async for historical reasons.
        let config = futures_util::FutureExt::now_or_never(Config::from_custom_kubeconfig(kubeconfig, &options));
        let config = config.ok_or_else(|| unfit("it takes too long"))?;
        config.map_err(|error| unreadable(&error))
    }
}

impl Default for Access {
    fn default() -> Self {
        Self::inferred()
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Access");
        match &self.place {
            // Somebody may have written credentials into it.
            Place::Server(url) => out.field("server", &url.rsplit('@').next().unwrap_or_default()),
            place => out.field("place", place),
        };
        out.field("context", &self.context).field("token", &self.token).field("tls", &self.tls).finish()
    }
}

fn in_cluster() -> Result<Config, SourceError> {
    Config::incluster().map_err(|error: InClusterError| SourceError::Setting {
        setting: "the service account of the pod",
        cause: error.into(),
    })
}

fn is_missing(error: &KubeconfigError) -> bool {
    match error {
        KubeconfigError::FindPath => true,
        KubeconfigError::ReadConfig(error, _) => error.kind() == io::ErrorKind::NotFound,
        _ => false,
    }
}

fn unfit(what: impl Into<String>) -> SourceError {
    SourceError::Setting { setting: "the kubeconfig", cause: Cause::text(what) }
}

fn address(what: impl Into<String>) -> SourceError {
    SourceError::Setting { setting: "the address of the API server", cause: Cause::text(what) }
}

/// An error that shows nothing of what the file holds.
fn unreadable(error: &KubeconfigError) -> SourceError {
    match error {
        KubeconfigError::Parse(_) => unfit("it is not the YAML that it should be"),
        error => unfit(error.to_string()),
    }
}

/// The certificates of a PEM document.
fn certificates(pem: &[u8]) -> Result<Vec<Vec<u8>>, SourceError> {
    use rustls::pki_types::{CertificateDer, pem::PemObject as _};

    let read: Result<Vec<Vec<u8>>, _> =
        CertificateDer::pem_slice_iter(pem).map(|der| der.map(|der| der.to_vec())).collect();
    let read = read.map_err(|error| Cause::text(error.to_string()));
    let read = read.and_then(|read| if read.is_empty() { Err(Cause::text("there is none")) } else { Ok(read) });
    read.map_err(|cause| SourceError::Setting { setting: "the certificate of the authority", cause })
}

/// The client certificate of a kubeconfig, and its key.
fn identity(user: &AuthInfo) -> Result<Option<Identity>, SourceError> {
    let key_data = user.client_key_data.as_ref().map(SecretString::expose_secret);
    let certificate = data("client-certificate-data", user.client_certificate_data.as_deref())
        .or_else(|| user.client_certificate.as_ref().map(|path| Pem::file(path).read()))
        .transpose()?;
    let key = data("client-key-data", key_data)
        .or_else(|| user.client_key.as_ref().map(|path| Pem::file(path).read()))
        .transpose()?;
    match (certificate, key) {
        (Some(certificate), Some(key)) => Ok(Some(Identity { certificate, key })),
        (None, None) => Ok(None),
        _ => Err(unfit("a client certificate needs its key, and the other way round")),
    }
}

/// What a field of a kubeconfig holds in base64.
fn data(name: &str, text: Option<&str>) -> Option<Result<Vec<u8>, SourceError>> {
    let decode = |text| ByteString::deserialize(StrDeserializer::<serde::de::value::Error>::new(text));
    let text = text.filter(|text| !text.is_empty())?;
    Some(decode(text).map(|bytes| bytes.0).map_err(|_| unfit(format!("{name} is not base64"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kubeconfig(user: &str, cluster: &str) -> Result<Entrance, SourceError> {
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
             clusters: [{{name: k, cluster: {{server: 'https://127.0.0.1:6443'{cluster}}}}}]\n\
             users: [{{name: u, user: {{{user}}}}}]\n\
             contexts: [{{name: c, context: {{cluster: k, user: u, namespace: orders}}}}]\n"
        );
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        std::fs::write(&path, text).unwrap();
        Access::kubeconfig(path).enter()
    }

    #[test]
    fn a_kubeconfig_says_where_the_server_is_and_who_comes() {
        let entrance = kubeconfig("token: s3cret", "").unwrap();
        assert_eq!(entrance.config.cluster_url.to_string(), "https://127.0.0.1:6443/");
        assert_eq!(entrance.config.default_namespace, "orders");
        assert!(entrance.token.is_none() && entrance.identity.is_none());

        let entrance = kubeconfig("tokenFile: /run/token", "").unwrap();
        assert!(entrance.token.is_some(), "the file is read for each request");

        let entrance = kubeconfig("client-certificate-data: YQ==, client-key-data: Yg==", "").unwrap();
        assert!(entrance.identity == Some(Identity { certificate: b"a".to_vec(), key: b"b".to_vec() }));
    }

    #[test]
    fn what_cannot_be_done_as_a_kubeconfig_asks_is_said() {
        let error = |user, cluster| kubeconfig(user, cluster).map(drop).unwrap_err().to_string();
        assert!(error("", ", insecure-skip-tls-verify: true").contains("always checked"));
        assert!(error("", ", proxy-url: 'http://10.0.0.1'").contains("proxy"));
        assert!(error("client-certificate-data: YQ==", "").contains("needs its key"));
        assert!(error("client-certificate-data: '%', client-key-data: Yg==", "").contains("is not base64"));
        let missing = Access::kubeconfig("/nowhere/config").enter().map(drop).unwrap_err().to_string();
        assert!(
            missing.starts_with("the kubeconfig cannot be used") && missing.contains("/nowhere/config"),
            "{missing}"
        );
    }

    #[test]
    fn nothing_of_a_kubeconfig_that_cannot_be_read_is_shown() {
        let error = kubeconfig("token: [s3cret", "").map(drop).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
    }

    #[test]
    fn credentials_in_the_address_are_refused_and_never_shown() {
        let access = Access::server("https://user:s3cret@host:6443").token("t0ken");
        let shown = format!("{access:?} {:?}", access.enter().map(drop).unwrap_err());
        assert!(shown.contains("host:6443") && shown.contains("without credentials"), "{shown}");
        assert!(!shown.contains("s3cret") && !shown.contains("t0ken"), "{shown}");
        for wrong in ["", "host", "ftp://host", "https://"] {
            assert!(Access::server(wrong).enter().is_err(), "{wrong}");
        }
    }
}
