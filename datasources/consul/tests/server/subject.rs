use std::{net::SocketAddr, time::Duration};

use sentinel_consul::{ConsulSource, Secret, Tls};
use sentinel_testing::{
    Certificates, Proxy, Tls as Encryption,
    servers::{Account, Consul, ConsulOptions, Server as _, Unavailable},
    suite::{self, Credential},
};

use crate::KEY;

const ROTATED: &str = "b7c2d0e4-1f3a-4c5b-8d6e-7f8091a2b3c4";

/// Consul with tokens.
pub(crate) struct Subject {
    server: Consul,
    token: Credential,
}

fn source(scheme: &str, address: SocketAddr, token: Secret) -> ConsulSource {
    // So long, Consul keeps a query that nobody waits for any more, and the proxy its connection.
    ConsulSource::new(format!("{scheme}://{address}"), KEY).token(token).wait(Duration::from_secs(2))
}

impl suite::Subject for Subject {
    type Source = ConsulSource;

    const HEARD: &'static str = "starting new connection";

    async fn start(tls: Encryption) -> Result<Self, Unavailable> {
        let server = Consul::start(ConsulOptions { tls, auth: true }).await?;
        Ok(Self { server, token: Credential::new(Account::READER.secret) })
    }

    async fn proxies(&self) -> Vec<Proxy> {
        vec![Proxy::to(self.server.address()).await]
    }

    fn source(&self, address: SocketAddr) -> ConsulSource {
        source("http", address, self.token.secret())
    }

    fn stranger(&self, address: SocketAddr) -> ConsulSource {
        source("http", address, Account::STRANGER.secret.into())
    }

    fn secrets(&self) -> Vec<String> {
        [Account::READER.secret, Account::WRITER.secret, ROTATED, Account::STRANGER.secret].map(str::to_owned).to_vec()
    }

    async fn rotate(&mut self) -> bool {
        self.server.change_secret(Account::READER, ROTATED).await.unwrap();
        self.token.change(ROTATED);
        true
    }

    async fn put(&self, document: &str) -> Result<(), String> {
        self.server.put(KEY, document.as_bytes()).await.map_err(|failure| failure.to_string())
    }

    async fn delete(&self) -> Result<(), String> {
        self.server.delete(KEY).await.map_err(|failure| failure.to_string())
    }

    fn kill(&mut self) {
        self.server.kill();
    }

    async fn restart(&mut self) {
        self.server.restart().await;
    }
}

impl suite::Encrypted for Subject {
    const IN_THE_CLEAR: &'static str = "400 Bad Request";

    fn certificates(&self) -> &Certificates {
        self.server.certificates()
    }

    fn encrypted(&self, address: SocketAddr, tls: Tls) -> ConsulSource {
        source("https", address, self.token.secret()).tls(tls)
    }
}

impl suite::Writable for Subject {
    const NO_ANSWER: &'static str = "operation timed out";

    fn writer(&self, address: SocketAddr) -> ConsulSource {
        source("http", address, Account::WRITER.secret.into())
    }
}
