//! A server with users, and sources of it.

use std::net::SocketAddr;

use sentinel_redis::{RedisSource, Tls};
use sentinel_testing::{
    Certificates, Proxy, Tls as Encryption,
    observe::document,
    servers::{Account, Redis, RedisOptions, Server as _, Unavailable},
    suite::{self, Credential},
};

pub(crate) const KEY: &str = "sentinel:rules";

const WRONG: &str = "not-the-password-of-anybody";
const ROTATED: &str = "the-next-password";

pub(crate) struct Subject {
    redis: Redis,
    password: Credential,
}

impl suite::Subject for Subject {
    type Source = RedisSource;

    async fn start(tls: Encryption) -> Result<Self, Unavailable> {
        let redis = Redis::start(RedisOptions { tls, auth: true, ..RedisOptions::default() }).await?;
        Ok(Self { redis, password: Credential::new(Account::READER.secret) })
    }

    async fn proxies(&self) -> Vec<Proxy> {
        vec![Proxy::to(self.redis.address()).await]
    }

    fn source(&self, address: SocketAddr) -> RedisSource {
        RedisSource::new(address.to_string(), KEY).user(Account::READER.name, self.password.secret())
    }

    fn stranger(&self, address: SocketAddr) -> RedisSource {
        RedisSource::new(address.to_string(), KEY).user(Account::READER.name, WRONG)
    }

    fn secrets(&self) -> Vec<String> {
        [Account::READER.secret, Account::WRITER.secret, Account::ADMIN.secret, WRONG, ROTATED]
            .map(str::to_owned)
            .to_vec()
    }

    async fn rotate(&mut self) -> bool {
        self.redis.change_secret(Account::READER, ROTATED).await.unwrap();
        self.password.change(ROTATED);
        true
    }

    async fn put(&self, document: &str) -> Result<(), String> {
        self.redis.put(KEY, document.as_bytes()).await.map_err(|error| error.to_string())
    }

    async fn delete(&self) -> Result<(), String> {
        self.redis.delete(KEY).await.map_err(|error| error.to_string())
    }

    fn kill(&mut self) {
        self.redis.kill();
    }

    async fn restart(&mut self) {
        self.redis.restart().await;
    }
}

impl suite::Encrypted for Subject {
    fn certificates(&self) -> &Certificates {
        self.redis.certificates()
    }

    fn encrypted(&self, address: SocketAddr, tls: Tls) -> RedisSource {
        suite::Subject::source(self, address).tls(tls)
    }
}

impl suite::Writable for Subject {
    fn writer(&self, address: SocketAddr) -> RedisSource {
        RedisSource::new(address.to_string(), KEY).user(Account::WRITER.name, Account::WRITER.secret)
    }
}

/// A server without users, whose key holds the rules with threshold 1.
pub(crate) async fn open_server(options: RedisOptions) -> Result<Redis, Unavailable> {
    let redis = Redis::start(options).await?;
    put(&redis, 1).await;
    Ok(redis)
}

pub(crate) fn source(redis: &Redis) -> RedisSource {
    RedisSource::new(redis.address().to_string(), KEY)
}

/// A source whose user may read, and cannot ask to be told of changes.
pub(crate) async fn source_of_a_mere_reader(redis: &Redis) -> RedisSource {
    let rights = "~sentinel* +hello +strlen +get +subscribe &sentinel* &__keyspace@0__:sentinel*";
    source_of_one_who_may(redis, rights).await
}

/// A source whose user has these rights and no others.
pub(crate) async fn source_of_one_who_may(redis: &Redis, rights: &str) -> RedisSource {
    let mut command = redis::cmd("ACL");
    command.arg("SETUSER").arg("somebody").arg(&["reset", "on", ">password"]);
    admin(redis, command.arg(rights.split(' ').collect::<Vec<_>>())).await;
    source(redis).user("somebody", "password")
}

/// Has a server without users do something.
pub(crate) async fn admin(redis: &Redis, command: &redis::Cmd) {
    let client = redis::Client::open((redis.address().ip().to_string(), redis.address().port())).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    command.exec_async(&mut connection).await.unwrap();
}

pub(crate) async fn put(redis: &Redis, threshold: u64) {
    redis.put(KEY, document(threshold).as_bytes()).await.unwrap();
}
