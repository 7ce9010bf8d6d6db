use std::{sync::Arc, time::Duration};

use sentinel_datasource::{Cause, Key, Secret, Source, SourceError, Tls, WhenMissing};
use tokio::time::timeout;

use crate::{EtcdConnection, endpoint::Endpoint, link::Link};

/// More often, no server is asked whether it is still there.
const SHORTEST: Duration = Duration::from_secs(1);

/// Less often neither: what is longer cannot be added to every time.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Keys of etcd that hold rules.
///
/// It is also the way back: [`Publish`](sentinel_datasource::Publish) writes rules to its keys.
///
/// # Example
///
/// ```no_run
/// use sentinel_core::{Encoding, Sentinel};
/// use sentinel_etcd::{Datasource, EtcdSource, Key, Pem, Secret, StartError, Tls};
///
/// # async fn example(sentinel: Sentinel) -> Result<(), StartError> {
/// let source = EtcdSource::new(["https://etcd-1:2379", "https://etcd-2:2379", "https://etcd-3:2379"])
///     .key("/orders/rules.yaml")
///     .key(Key::new("/orders/flow", Encoding::go().family("flow")))
///     .prefix("/everybody/rules/")
///     .credentials("orders", Secret::file("/var/run/secrets/etcd"))
///     .tls(Tls::new().authority(Pem::file("/etc/etcd/ca.pem")));
/// let watch = Datasource::new(source).start(&sentinel).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct EtcdSource {
    endpoints: Vec<Endpoint>,
    /// The endpoint whose turn it is.
    next: usize,
    selections: Arc<[Selection]>,
    user: Option<(String, Secret)>,
    tls: Option<Tls>,
    patience: Patience,
    max_size: usize,
}

/// A key, or all keys that begin with it.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    pub(crate) key: Key,
    pub(crate) is_prefix: bool,
}

impl Selection {
    pub(crate) fn has(&self, key: &str) -> bool {
        if self.is_prefix { key.starts_with(&self.key.name) } else { key == self.key.name }
    }
}

/// How long to wait for a server.
#[derive(Clone, Debug)]
pub(crate) struct Patience {
    /// Until it is connected, and has taken the credentials.
    pub(crate) connecting: Duration,
    /// Until it is asked whether it is still there.
    pub(crate) silence: Duration,
    /// Until it has answered that.
    pub(crate) answer: Duration,
}

impl EtcdSource {
    /// A cluster with members at these addresses, such as `https://etcd-1:2379`; no key yet.
    ///
    /// One of them is used at a time, and the next one in turn when it fails. Without a scheme, an address is one of
    /// `https:` if [TLS](EtcdSource::tls) is set, and of `http:` if not.
    pub fn new(endpoints: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            endpoints: endpoints.into_iter().map(Endpoint::new).collect(),
            next: 0,
            selections: Arc::default(),
            user: None,
            tls: None,
            patience: Patience {
                connecting: Duration::from_secs(3),
                // More often, etcd takes it for an attack and closes the connection.
                silence: Duration::from_secs(5),
                answer: Duration::from_secs(2),
            },
            max_size: 16 << 20,
        }
    }

    /// Reads this key too.
    #[must_use]
    pub fn key(self, key: impl Into<Key>) -> Self {
        self.select(Selection { key: key.into(), is_prefix: false })
    }

    /// Reads all keys too that begin with this, those that come later as well: each is a document of its own, and all are
    /// written in the same way.
    #[must_use]
    pub fn prefix(self, prefix: impl Into<Key>) -> Self {
        self.select(Selection { key: prefix.into(), is_prefix: true })
    }

    fn select(mut self, selection: Selection) -> Self {
        self.selections = self.selections.iter().cloned().chain([selection]).collect();
        self
    }

    /// Whom to log in as. Not needed where the [certificate](Tls::identity) says who it is.
    #[must_use]
    pub fn credentials(mut self, user: impl Into<String>, password: impl Into<Secret>) -> Self {
        self.user = Some((user.into(), password.into()));
        self
    }

    /// Encrypts connections, also those to addresses without a scheme. Without this, those to `https:` trust whom the
    /// system trusts.
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// How long one member has until it is connected and has taken the credentials, and the next one is tried; default
    /// 3 s.
    #[must_use]
    pub fn connect_timeout(mut self, time: Duration) -> Self {
        self.patience.connecting = time;
        self
    }

    /// After how much silence the server is asked whether it is still there, and how long it has for the answer until the
    /// connection counts as broken; default 5 s and 2 s.
    ///
    /// Servers close connections on which they are asked more often than they like; the default of etcd is 5 s
    /// (`--grpc-keepalive-min-time`). Both are from 1 s to a day.
    #[must_use]
    pub fn keep_alive(mut self, silence: Duration, answer: Duration) -> Self {
        let [silence, answer] = [silence, answer].map(|time| time.clamp(SHORTEST, LONGEST));
        self.patience = Patience { silence, answer, ..self.patience };
        self
    }

    /// How the key is selected, if it is.
    pub(crate) fn selection(&self, key: &str) -> Option<&Selection> {
        self.selections.iter().find(|selection| selection.has(key))
    }

    /// Connects to the first member that can be reached, beginning with the one whose turn it is.
    pub(crate) async fn link(&mut self) -> Result<Link, SourceError> {
        let user = self.user.as_ref().map(|(name, secret)| Ok((name.clone(), secret.reveal()?))).transpose()?;
        let mut outcome = Err(missing("the endpoints"));
        for _ in 0..self.endpoints.len() {
            let endpoint = &self.endpoints[self.next];
            // Before anything is awaited: who gives up waiting goes on with the next.
            self.next = (self.next + 1) % self.endpoints.len();
            let connecting = Link::to(endpoint, user.clone(), self.tls.as_ref(), &self.patience);
            outcome = timeout(self.patience.connecting, connecting).await.unwrap_or_else(|_| {
                let cause = Cause::text(format!("no answer within {} ms", self.patience.connecting.as_millis()));
                Err(SourceError::Unreachable { server: format!("etcd at {endpoint}"), cause })
            });
            // What one member denies, all do.
            if matches!(outcome, Ok(_) | Err(SourceError::Denied { .. } | SourceError::Setting { .. })) {
                break;
            }
        }
        outcome
    }
}

impl Source for EtcdSource {
    type Connection = EtcdConnection;

    fn name(&self) -> String {
        let name =
            |selection: &Selection| format!("{}{}", selection.key.name, if selection.is_prefix { "*" } else { "" });
        format!("etcd:{}", self.selections.iter().map(name).collect::<Vec<_>>().join(","))
    }

    async fn connect(&mut self) -> Result<EtcdConnection, SourceError> {
        if self.selections.is_empty() {
            return Err(missing("the keys"));
        }
        if self.selections.iter().any(|selection| selection.key.name.is_empty()) {
            return Err(SourceError::Setting { setting: "the key", cause: Cause::text("it is empty") });
        }
        let link = self.link().await?;
        Ok(EtcdConnection::new(link, Arc::clone(&self.selections), self.max_size))
    }

    fn limit(&mut self, max_size: usize) {
        self.max_size = max_size;
    }

    /// A key that is deleted was deleted by somebody: its rules go with it.
    fn when_missing(&self) -> WhenMissing {
        WhenMissing::Clear
    }
}

fn missing(setting: &'static str) -> SourceError {
    SourceError::Setting { setting, cause: Cause::text("there are none") }
}
