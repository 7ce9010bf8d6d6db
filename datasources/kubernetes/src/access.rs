//! Where the API server is, and who comes.

use std::{fmt, io, path::PathBuf};

use futures_util::FutureExt as _;
use k8s_openapi::ByteString;
use kube::{
    Config,
    config::{AuthInfo, Cluster, InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError},
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
    /// Where the server is, and what requests say beyond the token.
    pub(crate) config: Config,
    pub(crate) tls: Tls,
    /// The token, where this crate reads it for each request.
    pub(crate) token: Option<Secret>,
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

    /// The server at a URL, such as `https://10.0.0.1:6443`. To one at `http://`, a token goes unencrypted.
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
        let (mut config, mut tls) = self.place()?;
        let url = &config.cluster_url;
        let is_known = matches!(url.scheme_str(), Some("https" | "http"));
        let authority = url.authority().filter(|authority| is_known && !authority.as_str().contains('@'));
        authority.ok_or_else(|| address("it is https://, a host and a port, without credentials"))?;
        if self.token.is_some() {
            // A server looks at a certificate first.
            tls.identity = None;
        }
        if let Some(given) = self.tls.clone() {
            tls.authority = given.authority.or(tls.authority);
            tls.identity = given.identity.or(tls.identity);
            tls.domain = given.domain.or(tls.domain);
        }
        let token = match &self.token {
            Some(token) => Some(token.clone()),
            None if config.auth_info.token.is_none() => config.auth_info.token_file.as_ref().map(Secret::file),
            None => None,
        };
        if token.is_some() {
            // Whom the user stands in for is no matter of how it shows who it is.
            let before = std::mem::take(&mut config.auth_info);
            config.auth_info.impersonate = before.impersonate;
            config.auth_info.impersonate_uid = before.impersonate_uid;
            config.auth_info.impersonate_groups = before.impersonate_groups;
            config.auth_info.impersonate_user_extra = before.impersonate_user_extra;
        }
        Ok(Entrance { config, tls, token })
    }

    fn place(&self) -> Result<(Config, Tls), SourceError> {
        match &self.place {
            Place::Server(url) => {
                let url = url.parse().map_err(|error: http::uri::InvalidUri| address(error.to_string()))?;
                Ok((Config::new(url), Tls::new()))
            }
            Place::InCluster => in_cluster(),
            Place::Kubeconfig(path) => self.kubeconfig_of(Kubeconfig::read_from(path)),
            Place::Inferred => match Kubeconfig::read() {
                Err(error) if is_missing(&error) => in_cluster(),
                kubeconfig => self.kubeconfig_of(kubeconfig),
            },
        }
    }

    fn kubeconfig_of(&self, kubeconfig: Result<Kubeconfig, KubeconfigError>) -> Result<(Config, Tls), SourceError> {
        let kubeconfig = kubeconfig.map_err(|error| unreadable(&error))?;
        let mut tls = match cluster(&kubeconfig, self.context.as_ref()) {
            Some(Cluster { proxy_url: Some(_), .. }) => {
                return Err(unfit("proxy-url: there is no way through a proxy"));
            }
            Some(Cluster { insecure_skip_tls_verify: Some(true), .. }) => {
                return Err(unfit("insecure-skip-tls-verify: the certificate of the server is always checked"));
            }
            Some(cluster) => trusted(cluster)?,
            // What is missing is told by what reads it.
            None => Tls::new(),
        };
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        // Nothing in it waits: it is async for historical reasons.
        let config = Config::from_custom_kubeconfig(kubeconfig, &options).now_or_never();
        let config = config.ok_or_else(|| unfit("it takes too long"))?.map_err(|error| unreadable(&error))?;
        tls.identity = identity(&config.auth_info)?;
        Ok((config, tls))
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

fn in_cluster() -> Result<(Config, Tls), SourceError> {
    let config = Config::incluster().map_err(|error: InClusterError| SourceError::Setting {
        setting: "the service account of the pod",
        cause: error.into(),
    })?;
    let mut tls = Tls::new();
    tls.authority = config.root_cert_file.as_ref().map(Pem::file);
    Ok((config, tls))
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

/// The cluster that a kubeconfig is about, in this context or its current one.
fn cluster<'a>(kubeconfig: &'a Kubeconfig, context: Option<&String>) -> Option<&'a Cluster> {
    let name = context.or(kubeconfig.current_context.as_ref())?;
    let context = kubeconfig.contexts.iter().find(|context| context.name == *name)?.context.as_ref()?;
    kubeconfig.clusters.iter().find(|cluster| cluster.name == context.cluster)?.cluster.as_ref()
}

/// Whom the kubeconfig trusts.
fn trusted(cluster: &Cluster) -> Result<Tls, SourceError> {
    let data = cluster.certificate_authority_data.as_deref();
    let mut tls = Tls::new();
    tls.authority = pem("certificate-authority-data", data, cluster.certificate_authority.as_ref())?;
    tls.domain = cluster.tls_server_name.clone();
    Ok(tls)
}

/// The client certificate of a kubeconfig, and its key.
fn identity(user: &AuthInfo) -> Result<Option<(Pem, Pem)>, SourceError> {
    let data = user.client_certificate_data.as_deref();
    let certificate = pem("client-certificate-data", data, user.client_certificate.as_ref())?;
    let data = user.client_key_data.as_ref().map(SecretString::expose_secret);
    let key = pem("client-key-data", data, user.client_key.as_ref())?;
    match (certificate, key) {
        (Some(certificate), Some(key)) => Ok(Some((certificate, key))),
        (None, None) => Ok(None),
        _ => Err(unfit("a client certificate needs its key, and the other way round")),
    }
}

/// What a field of a kubeconfig holds in base64, or else a file.
fn pem(name: &str, data: Option<&str>, path: Option<&String>) -> Result<Option<Pem>, SourceError> {
    let decode = |text| ByteString::deserialize(StrDeserializer::<serde::de::value::Error>::new(text));
    match data.filter(|data| !data.is_empty()) {
        Some(data) => match decode(data) {
            Ok(bytes) => Ok(Some(Pem::bytes(bytes.0))),
            Err(_) => Err(unfit(format!("{name} is not base64"))),
        },
        None => Ok(path.map(Pem::file)),
    }
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
        assert!(entrance.token.is_none() && entrance.tls.authority.is_none() && entrance.tls.identity.is_none());

        let entrance = kubeconfig("tokenFile: /run/token", "").unwrap();
        assert!(entrance.token.is_some(), "the file is read for each request");

        let shown = "client-certificate-data: YQ==, client-key-data: Yg==";
        let entrance = kubeconfig(shown, ", tls-server-name: k, certificate-authority-data: Yw==").unwrap();
        let Tls { authority, identity, domain, .. } = entrance.tls;
        let (certificate, key) = identity.unwrap();
        let read = [certificate, key, authority.unwrap()].map(|pem| pem.read().unwrap());
        assert_eq!((read, domain.as_deref()), ([b"a", b"b", b"c"].map(|text| text.to_vec()), Some("k")));
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
    fn a_kubeconfig_is_taken_in_the_context_that_was_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        let text = "{clusters: [{name: a, cluster: {server: 'https://a'}}, \
                    {name: b, cluster: {server: 'https://b', proxy-url: 'http://p'}}], \
                    contexts: [{name: a, context: {cluster: a}}, {name: b, context: {cluster: b}}], current-context: b}";
        std::fs::write(&path, text).unwrap();
        let of = |context| Access::kubeconfig(&path).context(context).enter();
        assert_eq!(of("a").unwrap().config.cluster_url.to_string(), "https://a/");
        assert!(of("b").map(drop).unwrap_err().to_string().contains("proxy"));
        assert!(Access::kubeconfig(&path).enter().map(drop).unwrap_err().to_string().contains("proxy"));
        assert!(of("c").is_err());
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
