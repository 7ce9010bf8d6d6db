use std::time::Duration;

use sentinel_datasource::{Cause, Key, Secret, Source, SourceError, Tls, WhenMissing, secrecy::ExposeSecret as _};
use sentinel_http::client::{
    Address, Client,
    header::{HeaderMap, HeaderValue},
};

use crate::{ConsulConnection, agent::Agent};

/// Keys of Consul's key/value store, which are watched.
///
/// # Example
///
/// ```no_run
/// # async fn example() -> Result<(), sentinel_consul::StartError> {
/// use sentinel_consul::{ConsulSource, Datasource, Pem, Secret, Tls};
/// use sentinel_core::Sentinel;
///
/// let sentinel = Sentinel::default();
/// let source = ConsulSource::new("https://127.0.0.1:8501", "orders/rules")
///     .key("shared/rules")
///     .token(Secret::file("/run/secrets/consul-token"))
///     .tls(Tls::new().authority(Pem::file("/etc/consul/ca.pem")).domain("server.dc1.consul"));
/// let watch = Datasource::new(source).start(&sentinel).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ConsulSource {
    address: Address,
    pub(crate) keys: Vec<Key>,
    token: Option<Secret>,
    datacenter: Option<String>,
    namespace: Option<String>,
    tls: Tls,
    wait: Duration,
    max_size: usize,
}

impl ConsulSource {
    /// A key, by way of the agent at an URL such as `http://127.0.0.1:8500`.
    ///
    /// The URL is shown in errors: a token is [given](ConsulSource::token) apart. One that cannot be used is an error
    /// when the source connects.
    pub fn new(url: impl AsRef<str>, key: impl Into<Key>) -> Self {
        Self {
            address: Address::new(url.as_ref()),
            keys: vec![key.into()],
            token: None,
            datacenter: None,
            namespace: None,
            tls: Tls::new(),
            wait: Duration::from_secs(10),
            max_size: 16 << 20,
        }
    }

    /// One more key, which is watched on its own.
    #[must_use]
    pub fn key(mut self, key: impl Into<Key>) -> Self {
        self.keys.push(key.into());
        self
    }

    /// Shows this ACL token, as `X-Consul-Token`.
    #[must_use]
    pub fn token(mut self, token: Secret) -> Self {
        self.token = Some(token);
        self
    }

    /// The datacenter of the keys; default that of the agent.
    #[must_use]
    pub fn datacenter(mut self, name: impl Into<String>) -> Self {
        self.datacenter = Some(name.into());
        self
    }

    /// The namespace of the keys, for Consul Enterprise, which alone knows of such.
    #[must_use]
    pub fn namespace(mut self, name: impl Into<String>) -> Self {
        self.namespace = Some(name.into());
        self
    }

    /// Which servers are trusted, and which certificate is shown to them.
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = tls;
        self
    }

    /// How long the agent may wait for a change until it says that there is none; default 10 s, from 1 s to 10 min.
    ///
    /// A change is told at once, however long this is; a connection that is dead is noticed after it. So long also,
    /// Consul keeps a query that nobody waits for any more.
    #[must_use]
    pub fn wait(mut self, time: Duration) -> Self {
        self.wait = time.clamp(Duration::from_secs(1), Duration::from_secs(600));
        self
    }

    /// The agent, with the token and the certificates as they are now.
    pub(crate) fn agent(&self) -> Result<Agent, SourceError> {
        let mut headers = HeaderMap::new();
        if let Some(token) = &self.token {
            let unusable = |_| SourceError::Setting {
                setting: "the token",
                cause: Cause::text("it has characters that no header may have"),
            };
            let mut value = HeaderValue::from_str(token.reveal()?.expose_secret()).map_err(unusable)?;
            value.set_sensitive(true);
            headers.insert("x-consul-token", value);
        }
        let url = self.address.url()?;
        let client = Client::new(url, &self.tls, headers)?;
        let mut keys = client.locate(url)?;
        keys.set_query(None);
        // URLs over HTTP always have a path.
        if let Ok(mut path) = keys.path_segments_mut() {
            path.pop_if_empty().extend(["v1", "kv"]);
        }
        for (name, value) in [("dc", &self.datacenter), ("ns", &self.namespace)] {
            if let Some(value) = value {
                keys.query_pairs_mut().append_pair(name, value);
            }
        }
        Ok(Agent { client, keys, wait: self.wait, max_size: self.max_size })
    }
}

impl Source for ConsulSource {
    type Connection = ConsulConnection;

    fn name(&self) -> String {
        let keys: Vec<_> = self.keys.iter().map(|key| key.name.as_str()).collect();
        format!("consul:{}", keys.join(","))
    }

    async fn connect(&mut self) -> Result<ConsulConnection, SourceError> {
        ConsulConnection::new(self.agent()?, self.keys.iter().cloned())
    }

    fn limit(&mut self, max_size: usize) {
        self.max_size = max_size;
    }

    /// They stay, as the others of the Sentinel family keep them: a store that was emptied by accident takes no limit
    /// away.
    fn when_missing(&self) -> WhenMissing {
        WhenMissing::Keep
    }

    /// Half again the time that the agent may wait, and 5 s more: as long as it answers, it is never asked beside that.
    fn resync_interval(&self) -> Duration {
        self.wait * 3 / 2 + Duration::from_secs(5)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(source: &ConsulSource) -> String {
        source.agent().map_or_else(|error| error.to_string(), |agent| agent.keys.to_string())
    }

    #[test]
    fn keys_are_where_the_agent_is_and_in_the_datacenter_and_namespace_that_are_given() {
        let source = |url| ConsulSource::new(url, "orders/rules");
        assert_eq!(keys(&source("http://127.0.0.1:8500")), "http://127.0.0.1:8500/v1/kv");
        assert_eq!(keys(&source("https://a.example/consul/?token=x")), "https://a.example/consul/v1/kv");
        let elsewhere = source("http://[::1]:8500").datacenter("dc 2").namespace("team&more");
        assert_eq!(keys(&elsewhere), "http://[::1]:8500/v1/kv?dc=dc+2&ns=team%26more");
        assert_eq!(
            keys(&source("127.0.0.1:8500")),
            "the URL cannot be used: `127.0.0.1:8500`: relative URL without a base"
        );
        assert_eq!(elsewhere.key("more").name(), "consul:orders/rules,more");
    }

    #[test]
    fn a_token_is_shown_nowhere() {
        let source = ConsulSource::new("http://root:hunter2@127.0.0.1:8500", "rules").token("hunter2".into());
        assert!(!format!("{source:?}{}", keys(&source)).contains("hunter2"), "{source:?}");
        let source = ConsulSource::new("http://127.0.0.1:8500", "rules").token("hunter2".into());
        let agent = source.agent().unwrap();
        assert!(!format!("{agent:?}").contains("hunter2"), "{agent:?}");
        let error = keys(&source.token("hunter2\n".into()));
        assert_eq!(error, "the token cannot be used: it has characters that no header may have");
    }
}
