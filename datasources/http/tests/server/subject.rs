use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
};

use sentinel_datasource::{Secret, Tls};
use sentinel_http::HttpSource;
use sentinel_testing::{
    Certificates, Proxy, Tls as Encryption,
    http::HttpServer,
    servers::Unavailable,
    suite::{self, Credential},
};

use crate::INTERVAL;

const FIRST: &str = "token-of-the-first-day";
const SECOND: &str = "token-of-the-second-day";
const STRANGER: &str = "token-of-a-stranger";

/// A server with a document for which a token is needed.
pub(crate) struct Subject {
    server: HttpServer,
    certificates: Certificates,
    token: Credential,
    is_up: AtomicBool,
}

impl Subject {
    fn change(&self, change: impl FnOnce(&HttpServer)) -> Result<(), String> {
        if !self.is_up.load(Ordering::Relaxed) {
            return Err("it is down".to_owned());
        }
        change(&self.server);
        Ok(())
    }
}

fn source(scheme: &str, address: SocketAddr, token: Secret) -> HttpSource {
    HttpSource::new(format!("{scheme}://{address}/rules")).bearer(token).interval(INTERVAL)
}

impl suite::Subject for Subject {
    type Source = HttpSource;

    const HEARD: &'static str = "starting new connection";

    async fn start(tls: Encryption) -> Result<Self, Unavailable> {
        let certificates = Certificates::new();
        let server = HttpServer::start_tls(&certificates, tls).await;
        server.require_bearer(FIRST);
        Ok(Self { server, certificates, token: Credential::new(FIRST), is_up: AtomicBool::new(true) })
    }

    async fn proxies(&self) -> Vec<Proxy> {
        vec![Proxy::to(self.server.address()).await]
    }

    fn source(&self, address: SocketAddr) -> HttpSource {
        source("http", address, self.token.secret())
    }

    fn stranger(&self, address: SocketAddr) -> HttpSource {
        source("http", address, STRANGER.into())
    }

    fn secrets(&self) -> Vec<String> {
        [FIRST, SECOND, STRANGER].map(str::to_owned).to_vec()
    }

    async fn rotate(&mut self) -> bool {
        self.server.require_bearer(SECOND);
        self.token.change(SECOND);
        true
    }

    async fn put(&self, document: &str) -> Result<(), String> {
        self.change(|server| server.serve("application/json", document.to_owned()))
    }

    async fn delete(&self) -> Result<(), String> {
        self.change(HttpServer::remove)
    }

    fn kill(&mut self) {
        self.is_up.store(false, Ordering::Relaxed);
        self.server.kill();
    }

    async fn restart(&mut self) {
        self.server.restart().await;
        self.is_up.store(true, Ordering::Relaxed);
    }
}

impl suite::Encrypted for Subject {
    fn certificates(&self) -> &Certificates {
        &self.certificates
    }

    fn encrypted(&self, address: SocketAddr, tls: Tls) -> HttpSource {
        source("https", address, self.token.secret()).tls(tls)
    }
}

impl suite::Writable for Subject {
    fn writer(&self, address: SocketAddr) -> HttpSource {
        suite::Subject::source(self, address)
    }

    fn reader(&self, address: SocketAddr) -> HttpSource {
        suite::Subject::stranger(self, address)
    }
}
