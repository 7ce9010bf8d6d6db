use std::net::SocketAddr;

use parking_lot::Mutex;
use sentinel_nacos::{NacosSource, Secret, Tls};
use sentinel_testing::{
    Certificates, Proxy, Tls as Encryption,
    servers::{self, Account, NacosOptions, Server as _, Unavailable},
    suite::{self, Credential, Subject},
};

use super::encryption::Line;

/// The data id that the trials of all datasources write.
const KEY: &str = "sentinel-rules";

/// A password that the server never heard of.
const WRONG: &str = "wrong-7b1d2c";

/// What the password is changed to.
const CHANGED: &str = "changed-49e8a0";

/// A server, and a user of it whose password changes.
pub(crate) struct Nacos {
    server: servers::Nacos,
    /// Where it is encrypted.
    line: Line,
    certificates: Certificates,
    password: Credential,
    /// Where the line to the second port begins.
    grpc_port: Mutex<Option<u16>>,
}

impl Nacos {
    fn source_of(&self, account: Account, address: SocketAddr, password: impl Into<Secret>) -> NacosSource {
        let source = NacosSource::new(address.to_string(), KEY).user(account.name, password);
        match *self.grpc_port.lock() {
            Some(port) => source.grpc_port(port),
            None => source,
        }
    }
}

impl Subject for Nacos {
    type Source = NacosSource;

    const HEARD: &'static str = "h2::";
    const GIVEN: &'static [&'static str] = &["accessToken"];

    async fn start(tls: Encryption) -> Result<Self, Unavailable> {
        let server = servers::Nacos::start(NacosOptions { auth: true }).await?;
        let (reader, writer) = (Account::READER, Account::WRITER);
        server.admit(reader.name, reader.secret, false).await.unwrap();
        server.admit(writer.name, writer.secret, true).await.unwrap();
        let certificates = Certificates::new();
        let line = Line::before(&server, &certificates, tls).await;
        let password = Credential::new(reader.secret);
        Ok(Self { server, line, certificates, password, grpc_port: Mutex::default() })
    }

    async fn proxies(&self) -> Vec<Proxy> {
        let grpc = Proxy::to(self.line.grpc).await;
        *self.grpc_port.lock() = Some(grpc.address().port());
        vec![Proxy::to(self.line.http).await, grpc]
    }

    fn source(&self, address: SocketAddr) -> NacosSource {
        self.source_of(Account::READER, address, self.password.secret())
    }

    fn stranger(&self, address: SocketAddr) -> NacosSource {
        self.source_of(Account::READER, address, WRONG)
    }

    fn secrets(&self) -> Vec<String> {
        [Account::READER.secret, Account::WRITER.secret, WRONG, CHANGED].map(str::to_owned).to_vec()
    }

    async fn rotate(&mut self) -> bool {
        self.server.admit(Account::READER.name, CHANGED, false).await.unwrap();
        self.password.change(CHANGED);
        true
    }

    async fn put(&self, document: &str) -> Result<(), String> {
        self.server.put(KEY, document.as_bytes()).await.map_err(|error| error.to_string())
    }

    async fn delete(&self) -> Result<(), String> {
        self.server.delete(KEY).await.map_err(|error| error.to_string())
    }

    fn kill(&mut self) {
        self.server.kill();
    }

    async fn restart(&mut self) {
        self.server.restart().await;
        // Whom it was told of right before it was killed, it may not know any more.
        self.server.admit(Account::READER.name, &self.password.text(), false).await.unwrap();
    }
}

impl suite::Encrypted for Nacos {
    fn certificates(&self) -> &Certificates {
        &self.certificates
    }

    fn encrypted(&self, address: SocketAddr, tls: Tls) -> NacosSource {
        self.source(address).tls(tls)
    }
}

impl suite::Writable for Nacos {
    const IS_ATOMIC: bool = false;

    fn writer(&self, address: SocketAddr) -> NacosSource {
        self.source_of(Account::WRITER, address, Account::WRITER.secret)
    }
}
