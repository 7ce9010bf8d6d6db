use std::{
    hash::{BuildHasher as _, RandomState},
    time::Duration,
};

use sentinel_core::Encoding;
use sentinel_datasource::{Address, Key, Secret, Source, SourceError, Tls, WhenMissing};

use crate::{
    NacosConnection,
    access::{Access, login_url},
    client::Client,
};

/// The port of HTTP, where an address names none.
const PORT: u16 = 8848;

/// Where the dashboard of Sentinel for Java publishes.
const DASHBOARD_GROUP: &str = "SENTINEL_GROUP";

/// What the data ids of the dashboard end with, and the rules that they hold. Those of parameters have two names.
const DASHBOARD: [(&str, &str); 6] = [
    ("flow-rules", "flow"),
    ("degrade-rules", "degrade"),
    ("param-flow-rules", "paramFlow"),
    ("param-rules", "paramFlow"),
    ("system-rules", "system"),
    ("authority-rules", "authority"),
];

/// Data ids of one group of Nacos.
///
/// # Example
///
/// ```
/// use sentinel_core::Encoding;
/// use sentinel_nacos::{Key, NacosSource, Secret};
///
/// let source = NacosSource::new("nacos-1.example:8848", "orders-rules.yaml")
///     .server("nacos-2.example:8848")
///     .key(Key::new("orders-flow", Encoding::java().family("flow")))
///     .namespace("5e2f7a9c-production")
///     .group("RULES")
///     .user("orders", Secret::file("/var/run/secrets/nacos"));
/// ```
#[derive(Clone, Debug)]
pub struct NacosSource {
    servers: Vec<Result<Address, SourceError>>,
    /// Which of them is the next: each instance begins with another, so that all of them have their share.
    turn: usize,
    pub(crate) access: Access,
    pub(crate) group: String,
    pub(crate) keys: Vec<Key>,
    /// The application whose rules the dashboard publishes, not all of which need be there.
    pub(crate) dashboard: Option<String>,
    max_size: usize,
}

impl NacosSource {
    /// A data id of the group `DEFAULT_GROUP` in the public namespace, on a server such as `nacos:8848`; without a port,
    /// it is 8848. The port of gRPC is 1000 above it.
    pub fn new(server: impl Into<String>, key: impl Into<Key>) -> Self {
        Self {
            servers: vec![locate(&server.into())],
            turn: RandomState::new().hash_one(()) as usize,
            access: Access::default(),
            group: "DEFAULT_GROUP".to_owned(),
            keys: vec![key.into()],
            dashboard: None,
            max_size: 16 << 20,
        }
    }

    /// What the dashboard of Sentinel for Java publishes for an application: in the group `SENTINEL_GROUP`, the name of
    /// the application with `-flow-rules`, `-degrade-rules`, `-param-flow-rules` or `-param-rules`, `-system-rules` and
    /// `-authority-rules` behind. None of them need be there.
    ///
    /// # Example
    ///
    /// ```
    /// use sentinel_nacos::NacosSource;
    ///
    /// let source = NacosSource::dashboard("nacos.example:8848", "orders");
    /// ```
    pub fn dashboard(server: impl Into<String>, app: &str) -> Self {
        let keys = DASHBOARD.map(|(name, family)| Key::new(format!("{app}-{name}"), Encoding::java().family(family)));
        let [first, others @ ..] = keys;
        let mut source = Self::new(server, first).group(DASHBOARD_GROUP);
        source.keys.extend(others);
        source.dashboard = Some(app.to_owned());
        source
    }

    /// One more server of the cluster. When a connection cannot be made or breaks, the next one is tried.
    #[must_use]
    pub fn server(mut self, server: impl Into<String>) -> Self {
        self.servers.push(locate(&server.into()));
        self
    }

    /// One more data id; one of the same name takes the place of the first.
    #[must_use]
    pub fn key(mut self, key: impl Into<Key>) -> Self {
        let key = key.into();
        self.keys.retain(|other| other.name != key.name);
        self.keys.push(key);
        self
    }

    /// The id of the namespace, which is not its name; default the public one, whose id is empty.
    #[must_use]
    pub fn namespace(mut self, id: impl Into<String>) -> Self {
        self.access.namespace = id.into();
        self
    }

    /// The group; default `DEFAULT_GROUP`.
    #[must_use]
    pub fn group(mut self, name: impl Into<String>) -> Self {
        self.group = name.into();
        self
    }

    /// Who logs in. The password is read for each connection, and whenever the token needs to be renewed.
    #[must_use]
    pub fn user(mut self, name: impl Into<String>, password: impl Into<Secret>) -> Self {
        self.access.user = Some((name.into(), password.into()));
        self
    }

    /// Encrypts: gRPC, and the login unless it has [an address of its own](NacosSource::login_url).
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.access.tls = Some(tls);
        self
    }

    /// The port of gRPC on all servers; default that of the server's address and 1000.
    #[must_use]
    pub fn grpc_port(mut self, port: u16) -> Self {
        self.access.grpc_port = Some(port);
        self
    }

    /// Where to log in, with the context path: default `/nacos` at the server, over `https` where
    /// [TLS](NacosSource::tls) is on, else over `http`.
    #[must_use]
    pub fn login_url(mut self, url: impl Into<String>) -> Self {
        self.access.login_url = Some(login_url(&url.into()));
        self
    }

    /// Connects to the server whose turn it is.
    pub(crate) async fn client(&mut self) -> Result<Client, SourceError> {
        let server = self.servers[self.turn % self.servers.len()].clone();
        self.turn = self.turn.wrapping_add(1);
        Client::connect(&server?, &self.access, self.max_size).await
    }
}

fn locate(address: &str) -> Result<Address, SourceError> {
    Address::parse(address, PORT)
}

impl Source for NacosSource {
    type Connection = NacosConnection;

    /// `nacos:`, the namespace, the group, and the data ids, or the application of the dashboard.
    fn name(&self) -> String {
        let ids = || self.keys.iter().map(|key| &*key.name).collect::<Vec<_>>().join(",");
        let (group, ids) = (&self.group, self.dashboard.clone().unwrap_or_else(ids));
        match &*self.access.namespace {
            "" => format!("nacos:{group}/{ids}"),
            namespace => format!("nacos:{namespace}/{group}/{ids}"),
        }
    }

    fn limit(&mut self, max_size: usize) {
        self.max_size = max_size;
    }

    async fn connect(&mut self) -> Result<NacosConnection, SourceError> {
        Ok(NacosConnection::new(self.client().await?, self.clone()))
    }

    /// As in Sentinel for Java and for Go, rules go with their data id.
    fn when_missing(&self) -> WhenMissing {
        WhenMissing::Clear
    }

    /// What is listened to is told anew so often, which is one small request: a server that has forgotten it, or cannot
    /// be reached any more without anybody having said so, is found out.
    fn resync_interval(&self) -> Duration {
        Duration::from_secs(5)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_named_after_what_it_follows() {
        let source = NacosSource::new("nacos", "a").key("b").key("a");
        assert_eq!(source.name(), "nacos:DEFAULT_GROUP/b,a");
        assert_eq!(source.namespace("n").group("g").name(), "nacos:n/g/b,a");
        assert_eq!(NacosSource::dashboard("nacos", "orders").name(), "nacos:SENTINEL_GROUP/orders");
    }

    #[test]
    fn each_connection_is_the_turn_of_another_server_and_what_is_wrong_with_an_address_is_told() {
        let mut source = NacosSource::new("http://one", "a").server("http://two");
        let mut told = Vec::new();
        for _ in 0..4 {
            let error = source.client().now_or_never().unwrap().err().unwrap().to_string();
            told.push(if error.contains("`http://one`") { 1 } else { 2 });
        }
        assert!(told == [1, 2, 1, 2] || told == [2, 1, 2, 1], "{told:?}");
    }

    #[test]
    fn passwords_are_not_shown() {
        let source = NacosSource::new("nacos", "a").user("app", "hunter2");
        assert!(!format!("{source:?}").contains("hunter2"));
    }

    use futures_util::FutureExt as _;
}
