//! A server with users, and sources of it.

use std::net::SocketAddr;

use sentinel_testing::{
    Certificates, Proxy, Tls as Encryption,
    observe::document,
    servers::{Account, Server as _, Unavailable, ZooKeeper, ZooKeeperOptions},
    suite::{self, Credential},
};
use sentinel_zookeeper::{Tls, ZooKeeperSource};

pub(crate) const KEY: &str = "/sentinel/rules";

const WRONG: &str = "not-the-password-of-anybody";
const ROTATED: &str = "the-next-password";

pub(crate) struct Subject {
    zookeeper: ZooKeeper,
    password: Credential,
}

impl suite::Subject for Subject {
    type Source = ZooKeeperSource;

    async fn start(tls: Encryption) -> Result<Self, Unavailable> {
        let zookeeper = ZooKeeper::start(ZooKeeperOptions { tls, auth: true }).await?;
        Ok(Self { zookeeper, password: Credential::new(Account::READER.secret) })
    }

    async fn proxies(&self) -> Vec<Proxy> {
        vec![Proxy::to(self.zookeeper.address()).await]
    }

    fn source(&self, address: SocketAddr) -> ZooKeeperSource {
        ZooKeeperSource::new(address.to_string(), KEY).user(Account::READER.name, self.password.secret())
    }

    fn stranger(&self, address: SocketAddr) -> ZooKeeperSource {
        ZooKeeperSource::new(address.to_string(), KEY).user(Account::READER.name, WRONG)
    }

    fn secrets(&self) -> Vec<String> {
        [Account::READER.secret, Account::WRITER.secret, Account::ADMIN.secret, WRONG, ROTATED]
            .map(str::to_owned)
            .to_vec()
    }

    async fn rotate(&mut self) -> bool {
        let Account { name: admin, secret, .. } = Account::ADMIN;
        let reader = Account::READER.name;
        // Who is logged in may do everything, and nobody else.
        let commands = format!(
            "addauth digest {admin}:{secret}\naddauth digest {reader}:{ROTATED}\nsetAcl {KEY} auth::cdrwa\nquit\n"
        );
        self.zookeeper.cli(&commands).await;
        self.password.change(ROTATED);
        true
    }

    async fn put(&self, document: &str) -> Result<(), String> {
        self.zookeeper.put(KEY, document.as_bytes()).await.map_err(|error| error.to_string())
    }

    async fn delete(&self) -> Result<(), String> {
        self.zookeeper.delete(KEY).await.map_err(|error| error.to_string())
    }

    fn kill(&mut self) {
        self.zookeeper.kill();
    }

    async fn restart(&mut self) {
        self.zookeeper.restart().await;
    }
}

impl suite::Encrypted for Subject {
    fn certificates(&self) -> &Certificates {
        self.zookeeper.certificates()
    }

    fn encrypted(&self, address: SocketAddr, tls: Tls) -> ZooKeeperSource {
        suite::Subject::source(self, address).tls(tls)
    }
}

impl suite::Writable for Subject {
    fn writer(&self, address: SocketAddr) -> ZooKeeperSource {
        // Nobody else may make nodes.
        ZooKeeperSource::new(address.to_string(), KEY).user(Account::ADMIN.name, Account::ADMIN.secret)
    }
}

/// A server whose node holds the rules with threshold 1.
pub(crate) async fn server(options: ZooKeeperOptions) -> Result<ZooKeeper, Unavailable> {
    let zookeeper = ZooKeeper::start(options).await?;
    put(&zookeeper, 1).await;
    Ok(zookeeper)
}

pub(crate) fn source(zookeeper: &ZooKeeper) -> ZooKeeperSource {
    ZooKeeperSource::new(zookeeper.address().to_string(), KEY)
}

pub(crate) async fn put(zookeeper: &ZooKeeper, threshold: u64) {
    zookeeper.put(KEY, document(threshold).as_bytes()).await.unwrap();
}
