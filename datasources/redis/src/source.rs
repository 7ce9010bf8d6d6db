use std::time::Duration;

use sentinel_datasource::{Address, Key, Secret, Source, SourceError, Tls};

use crate::RedisConnection;

/// Where Redis listens when the address does not say.
const DEFAULT_PORT: u16 = 6379;

/// Keys of a Redis server with rules.
///
/// # Example
///
/// ```no_run
/// use std::time::Duration;
/// use sentinel_core::{Encoding, Sentinel};
/// use sentinel_redis::{Datasource, Key, Pem, RedisSource, Secret, Tls};
///
/// # async fn example(sentinel: Sentinel) -> Result<(), sentinel_redis::StartError> {
/// let source = RedisSource::new("redis.internal:6380", "orders:rules")
///     .key(Key::new("orders:flow", Encoding::java().family("flow"))) // as the dashboard of Java writes it
///     .user("orders", Secret::file("/var/run/secrets/redis"))
///     .tls(Tls::new().authority(Pem::file("/etc/ssl/redis-ca.pem")))
///     .database(2)
///     .channel("orders:changed");
/// let watch = Datasource::new(source).start(&sentinel).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct RedisSource {
    pub(crate) address: Result<Address, SourceError>,
    pub(crate) keys: Vec<Key>,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<Secret>,
    pub(crate) tls: Option<Tls>,
    pub(crate) database: u32,
    pub(crate) channel: Option<String>,
    pub(crate) poll_interval: Duration,
    pub(crate) max_size: usize,
}

impl RedisSource {
    /// A key of the server at an address such as `redis.internal`, `10.0.0.7:6380` or `[::1]:6379`; the port is 6379
    /// when it is left out.
    pub fn new(address: impl Into<String>, key: impl Into<Key>) -> Self {
        Self {
            address: Address::parse(&address.into(), DEFAULT_PORT),
            keys: vec![key.into()],
            user: None,
            password: None,
            tls: None,
            database: 0,
            channel: None,
            poll_interval: Duration::from_secs(1),
            max_size: usize::MAX,
        }
    }

    /// One more key, whose rules are in force together with those of the others.
    #[must_use]
    pub fn key(mut self, key: impl Into<Key>) -> Self {
        self.keys.push(key.into());
        self
    }

    /// The user as which to log in.
    #[must_use]
    pub fn user(mut self, name: impl Into<String>, password: impl Into<Secret>) -> Self {
        self.user = Some(name.into());
        self.password(password)
    }

    /// The password of the default user, where the server has no others.
    #[must_use]
    pub fn password(mut self, password: impl Into<Secret>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// Encrypts connections.
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// The number of the database; default 0.
    #[must_use]
    pub fn database(mut self, number: u32) -> Self {
        self.database = number;
        self
    }

    /// A channel whose messages mean that a key may have changed. What is [published](crate::Publish) is sent there as
    /// well, for those who take the rules from the message, as Sentinel for Java does.
    #[must_use]
    pub fn channel(mut self, name: impl Into<String>) -> Self {
        self.channel = Some(name.into());
        self
    }

    /// How often to read where the server does not tell of changes; at least 100 ms, default 1 s.
    #[must_use]
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.poll_interval = interval.max(Duration::from_millis(100));
        self
    }

    /// The server, in messages.
    pub(crate) fn server(&self) -> String {
        match &self.address {
            Ok(address) => format!("Redis at {address}"),
            Err(_) => "Redis".to_owned(),
        }
    }
}

impl Source for RedisSource {
    type Connection = RedisConnection;

    fn name(&self) -> String {
        let keys: Vec<_> = self.keys.iter().map(|key| &*key.name).collect();
        format!("redis:{}", keys.join(","))
    }

    async fn connect(&mut self) -> Result<RedisConnection, SourceError> {
        RedisConnection::open(self).await
    }

    fn limit(&mut self, max_size: usize) {
        self.max_size = max_size;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_secret_is_shown_nowhere_not_even_in_an_address_that_is_wrong() {
        for address in ["redis", "redis://orders:hunter2@redis:6379", "orders:hunter2@redis"] {
            let source = RedisSource::new(address, "rules").user("orders", "hunter2").tls(Tls::new());
            let told = format!("{source:?} {} {}", source.name(), source.server());
            assert!(!told.contains("hunter2"), "{told}");
        }
    }
}
