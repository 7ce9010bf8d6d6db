//! etcd for the suite, and what the trials have in common.

use std::{net::SocketAddr, sync::Arc};

use parking_lot::Mutex;
use sentinel_etcd::{EtcdSource, Pem, Secret, Tls};
use sentinel_testing::{
    Certificates, Proxy, Tls as Encrypted,
    servers::{Account, Etcd, EtcdOptions, EtcdVersion, Server as _, Unavailable},
    suite::Subject,
};

/// What the accounts of the server may read.
pub(crate) const KEY: &str = "sentinel/orders/rules";

/// The etcd of this machine, or a newer one over TLS; both with accounts.
pub(crate) struct OnEtcd<const NEWER: bool> {
    etcd: Etcd,
    password: Arc<Mutex<String>>,
}

impl<const NEWER: bool> OnEtcd<NEWER> {
    fn of(&self, address: SocketAddr, password: Secret) -> EtcdSource {
        let source = EtcdSource::new([address.to_string()]).key(KEY).credentials(Account::READER.name, password);
        if NEWER { source.tls(trusting(self.etcd.certificates())) } else { source }
    }
}

impl<const NEWER: bool> Subject for OnEtcd<NEWER> {
    type Source = EtcdSource;

    const HEARD: &'static str = "h2::";
    const GIVEN: &'static [&'static str] = &["token=", "\"token\""];

    async fn start() -> Result<Self, Unavailable> {
        let options = if NEWER {
            EtcdOptions { version: EtcdVersion::V3_5, tls: Encrypted::Server, auth: true }
        } else {
            EtcdOptions { auth: true, ..EtcdOptions::default() }
        };
        let password = Arc::new(Mutex::new(Account::READER.secret.to_owned()));
        Ok(Self { etcd: Etcd::start(options).await?, password })
    }

    async fn proxies(&self) -> Vec<Proxy> {
        vec![Proxy::to(self.etcd.address()).await]
    }

    fn source(&self, address: SocketAddr) -> EtcdSource {
        self.of(address, told(&self.password))
    }

    fn stranger(&self, address: SocketAddr) -> EtcdSource {
        self.of(address, "not the password".into())
    }

    fn secrets(&self) -> Vec<String> {
        vec![self.password.lock().clone(), Account::READER.secret.to_owned(), "not the password".to_owned()]
    }

    async fn rotate(&mut self) -> bool {
        let password = "the next password";
        self.etcd.change_secret(Account::READER, password).await.unwrap();
        *self.password.lock() = password.to_owned();
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

/// A secret that is asked for at each connection.
pub(crate) fn told(password: &Arc<Mutex<String>>) -> Secret {
    let password = Arc::clone(password);
    Secret::told(move || Some(password.lock().as_str().into()))
}

/// TLS that trusts the server.
pub(crate) fn trusting(certificates: &Certificates) -> Tls {
    Tls::new().authority(Pem::bytes(certificates.authority.text.clone()))
}
