use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::Mutex;
use sentinel_datasource::Secret;
use sentinel_http::HttpSource;
use sentinel_testing::{Proxy, http::HttpServer, servers::Unavailable, suite};

use crate::INTERVAL;

const FIRST: &str = "token-of-the-first-day";
const SECOND: &str = "token-of-the-second-day";
const STRANGER: &str = "token-of-a-stranger";

/// A server with a document for which a token is needed.
pub(crate) struct Subject {
    server: HttpServer,
    token: Arc<Mutex<String>>,
    is_up: AtomicBool,
}

impl Subject {
    fn with(address: SocketAddr, token: Secret) -> HttpSource {
        HttpSource::new(format!("http://{address}/rules")).bearer(token).interval(INTERVAL)
    }

    fn change(&self, change: impl FnOnce(&HttpServer)) -> Result<(), String> {
        if !self.is_up.load(Ordering::Relaxed) {
            return Err("it is down".to_owned());
        }
        change(&self.server);
        Ok(())
    }
}

impl suite::Subject for Subject {
    type Source = HttpSource;

    const HEARD: &'static str = "starting new connection";

    async fn start() -> Result<Self, Unavailable> {
        let server = HttpServer::start().await;
        server.require_bearer(FIRST);
        Ok(Self { server, token: Arc::new(Mutex::new(FIRST.to_owned())), is_up: AtomicBool::new(true) })
    }

    async fn proxies(&self) -> Vec<Proxy> {
        vec![Proxy::to(self.server.address()).await]
    }

    fn source(&self, address: SocketAddr) -> HttpSource {
        let token = Arc::clone(&self.token);
        Self::with(address, Secret::told(move || Some(token.lock().clone().into())))
    }

    fn stranger(&self, address: SocketAddr) -> HttpSource {
        Self::with(address, STRANGER.into())
    }

    fn secrets(&self) -> Vec<String> {
        [FIRST, SECOND, STRANGER].map(str::to_owned).to_vec()
    }

    async fn rotate(&mut self) -> bool {
        self.server.require_bearer(SECOND);
        SECOND.clone_into(&mut self.token.lock());
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
