//! etcd for the suite, and what the trials have in common.

use std::net::SocketAddr;

use sentinel_etcd::{EtcdSource, Pem, Secret, Tls};
use sentinel_testing::{
    Certificates, Proxy, Tls as Encryption,
    servers::{Account, Etcd, EtcdOptions, EtcdVersion, Server as _, Unavailable},
    suite::{Credential, Encrypted, Subject, Writable},
};

/// What the accounts of the server may read.
pub(crate) const KEY: &str = "sentinel/orders/rules";

const WRONG: &str = "not the password";
const ROTATED: &str = "the next password";

/// The etcd of this machine, or a newer one over TLS; both with accounts.
pub(crate) struct OnEtcd<const NEWER: bool> {
    etcd: Etcd,
    password: Credential,
}

impl<const NEWER: bool> OnEtcd<NEWER> {
    fn of(&self, account: Account, address: SocketAddr, password: Secret) -> EtcdSource {
        let source = EtcdSource::new([address.to_string()]).key(KEY).credentials(account.name, password);
        if NEWER { source.tls(trusting(self.etcd.certificates())) } else { source }
    }
}

impl<const NEWER: bool> Subject for OnEtcd<NEWER> {
    type Source = EtcdSource;

    const HEARD: &'static str = "h2::";
    const GIVEN: &'static [&'static str] = &["token=", "\"token\""];

    async fn start(tls: Encryption) -> Result<Self, Unavailable> {
        let version = if NEWER { EtcdVersion::V3_5 } else { EtcdVersion::Installed };
        let tls = if NEWER && tls == Encryption::None { Encryption::Server } else { tls };
        let etcd = Etcd::start(EtcdOptions { version, tls, auth: true }).await?;
        Ok(Self { etcd, password: Credential::new(Account::READER.secret) })
    }

    async fn proxies(&self) -> Vec<Proxy> {
        vec![Proxy::to(self.etcd.address()).await]
    }

    fn source(&self, address: SocketAddr) -> EtcdSource {
        self.of(Account::READER, address, self.password.secret())
    }

    fn stranger(&self, address: SocketAddr) -> EtcdSource {
        self.of(Account::READER, address, WRONG.into())
    }

    fn secrets(&self) -> Vec<String> {
        [Account::READER.secret, Account::WRITER.secret, WRONG, ROTATED].map(str::to_owned).to_vec()
    }

    async fn rotate(&mut self) -> bool {
        self.etcd.change_secret(Account::READER, ROTATED).await.unwrap();
        self.password.change(ROTATED);
        true
    }

    async fn put(&self, document: &str) -> Result<(), String> {
        self.etcd.put(KEY, document.as_bytes()).await.map_err(|failure| failure.to_string())
    }

    async fn delete(&self) -> Result<(), String> {
        self.etcd.delete(KEY).await.map_err(|failure| failure.to_string())
    }

    fn kill(&mut self) {
        self.etcd.kill();
    }

    async fn restart(&mut self) {
        self.etcd.restart().await;
    }
}

impl<const NEWER: bool> Encrypted for OnEtcd<NEWER> {
    fn certificates(&self) -> &Certificates {
        self.etcd.certificates()
    }

    fn encrypted(&self, address: SocketAddr, tls: Tls) -> EtcdSource {
        self.source(address).tls(tls)
    }
}

impl<const NEWER: bool> Writable for OnEtcd<NEWER> {
    const NO_ANSWER: &'static str = "no answer within 3000 ms";

    fn writer(&self, address: SocketAddr) -> EtcdSource {
        self.of(Account::WRITER, address, Account::WRITER.secret.into())
    }
}

/// TLS that trusts the server.
pub(crate) fn trusting(certificates: &Certificates) -> Tls {
    Tls::new().authority(Pem::bytes(certificates.authority.text.clone()))
}
