use std::time::Duration;

use sentinel_datasource::{Address, Cause, Key, Secret, Source, SourceError, Tls, WhenMissing};

use crate::ZooKeeperConnection;

/// Where ZooKeeper listens when the address does not say.
const DEFAULT_PORT: u16 = 2181;

/// Nodes of ZooKeeper with rules.
///
/// # Example
///
/// ```no_run
/// use sentinel_core::{Encoding, Sentinel};
/// use sentinel_zookeeper::{Datasource, Key, Pem, Secret, Tls, ZooKeeperSource};
///
/// # async fn example(sentinel: Sentinel) -> Result<(), sentinel_zookeeper::StartError> {
/// let source = ZooKeeperSource::new("zk1:2281,zk2:2281,zk3:2281", "/orders/rules")
///     .key(Key::new("/SENTINEL_GROUP/orders-flow", Encoding::java().family("flow"))) // as Sentinel for Java reads it
///     .user("orders", Secret::file("/var/run/secrets/zookeeper"))
///     .tls(Tls::new().authority(Pem::file("/etc/ssl/zookeeper-ca.pem")));
/// let watch = Datasource::new(source).start(&sentinel).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ZooKeeperSource {
    servers: Result<Vec<Address>, SourceError>,
    pub(crate) keys: Vec<Key>,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<Secret>,
    pub(crate) tls: Option<Tls>,
    pub(crate) session_timeout: Duration,
    pub(crate) max_size: usize,
}

impl ZooKeeperSource {
    /// The node at a path, of the servers of an ensemble: one such as `zk1`, `10.0.0.7:2182` or `[::1]:2181`, or several
    /// with commas between. The port is 2181 where it is left out.
    pub fn new(servers: impl AsRef<str>, key: impl Into<Key>) -> Self {
        Self {
            servers: addresses(servers.as_ref()),
            keys: vec![key.into()],
            user: None,
            password: None,
            tls: None,
            session_timeout: Duration::from_secs(6),
            max_size: 16 << 20,
        }
    }

    /// One more node, whose rules are in force together with those of the others.
    #[must_use]
    pub fn key(mut self, key: impl Into<Key>) -> Self {
        self.keys.push(key.into());
        self
    }

    /// The user as which to log in, by the scheme `digest`. The name has no colon in it.
    #[must_use]
    pub fn user(mut self, name: impl Into<String>, password: impl Into<Secret>) -> Self {
        self.user = Some(name.into());
        self.password = Some(password.into());
        self
    }

    /// Encrypts connections. A certificate that is shown is who the session is by the scheme `x509`.
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// How long the server keeps a session that is silent; default 6 s, and the server has limits of its own.
    ///
    /// A server that says nothing is asked after a third of it, or after 2 s if that is sooner, and has as long to answer.
    #[must_use]
    pub fn session_timeout(mut self, timeout: Duration) -> Self {
        self.session_timeout = timeout;
        self
    }

    /// The servers, if all settings may be right.
    pub(crate) fn servers(&self) -> Result<&[Address], SourceError> {
        let wrong = |setting, cause: &str| SourceError::Setting { setting, cause: Cause::text(cause) };
        if let Some(wrong_path) = self.keys.iter().map(|key| &*key.name).find(|path| !is_path(path)) {
            let cause = format!("`{wrong_path}` does not begin with a slash, or ends with one, or has an empty part");
            return Err(wrong("the path of a node", &cause));
        }
        if self.user.as_ref().is_some_and(|user| user.contains(':')) {
            return Err(wrong("the name of the user", "it has a colon, which ends it"));
        }
        self.servers.as_deref().map_err(SourceError::clone)
    }
}

fn addresses(text: &str) -> Result<Vec<Address>, SourceError> {
    // In parts, a password with a comma in it would not be known for one.
    let parts = if text.contains('@') { vec![text] } else { text.split(',').collect() };
    parts.into_iter().map(|server| Address::parse(server.trim(), DEFAULT_PORT)).collect()
}

fn is_path(path: &str) -> bool {
    path.strip_prefix('/')
        .is_some_and(|path| path.split('/').all(|part| !matches!(part, "" | "." | "..") && !part.contains('\0')))
}

impl Source for ZooKeeperSource {
    type Connection = ZooKeeperConnection;

    fn name(&self) -> String {
        let keys: Vec<_> = self.keys.iter().map(|key| &*key.name).collect();
        format!("zookeeper:{}", keys.join(","))
    }

    async fn connect(&mut self) -> Result<ZooKeeperConnection, SourceError> {
        ZooKeeperConnection::open(self).await
    }

    fn limit(&mut self, max_size: usize) {
        self.max_size = max_size;
    }

    /// As the other members of the Sentinel family do: a node that is deleted has no rules.
    fn when_missing(&self) -> WhenMissing {
        WhenMissing::Clear
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_server_or_several_may_leave_out_their_ports() {
        let parts = |servers: &str| {
            let source = ZooKeeperSource::new(servers, "/rules");
            source.servers().ok().map(|all| all.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(parts("zk1").as_deref(), Some("zk1:2181"));
        assert_eq!(parts("zk1:1, 10.0.0.7,[::1]:3").as_deref(), Some("zk1:1 10.0.0.7:2181 [::1]:3"));
        for wrong in ["", "zk1,", "zk1,:1", "zk1/chroot"] {
            assert_eq!(parts(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn settings_that_cannot_be_right_are_told_before_anybody_is_asked() {
        let told = |source: ZooKeeperSource| source.servers().unwrap_err().to_string();
        for path in ["", "rules", "/", "/rules/", "/a//b", "/a/../b", "/a\0"] {
            assert!(
                told(ZooKeeperSource::new("zk1", path)).starts_with("the path of a node cannot be used: `"),
                "{path:?}"
            );
        }
        assert!(told(ZooKeeperSource::new("zk1", "/a").user("a:b", "")).starts_with("the name of the user"));
        let source = ZooKeeperSource::new("zk://orders:hunter2,x@zk1", "/a").user("orders", "hunter2");
        assert!(!format!("{source:?} {:?}", source.servers()).contains("hunter2"));
    }
}
