use std::{net::SocketAddr, sync::Arc, time::Duration};

use parking_lot::Mutex;
use sentinel_consul::{ConsulSource, Secret};
use sentinel_testing::{
    Proxy,
    servers::{Account, Consul, ConsulOptions, Server as _, Unavailable},
    suite,
};

use crate::KEY;

const ROTATED: &str = "b7c2d0e4-1f3a-4c5b-8d6e-7f8091a2b3c4";

/// Consul with tokens.
pub(crate) struct Subject {
    server: Consul,
    token: Arc<Mutex<String>>,
}

impl Subject {
    fn with(address: SocketAddr, token: Secret) -> ConsulSource {
        // So long, Consul keeps a query that nobody waits for any more, and the proxy its connection.
        ConsulSource::new(format!("http://{address}"), KEY).token(token).wait(Duration::from_secs(2))
    }
}

impl suite::Subject for Subject {
    type Source = ConsulSource;

    const HEARD: &'static str = "starting new connection";

    async fn start() -> Result<Self, Unavailable> {
        let server = Consul::start(ConsulOptions { auth: true, ..ConsulOptions::default() }).await?;
        Ok(Self { server, token: Arc::new(Mutex::new(Account::READER.secret.to_owned())) })
    }

    async fn proxies(&self) -> Vec<Proxy> {
        vec![Proxy::to(self.server.address()).await]
    }

    fn source(&self, address: SocketAddr) -> ConsulSource {
        let token = Arc::clone(&self.token);
        Self::with(address, Secret::told(move || Some(token.lock().clone().into())))
    }

    fn stranger(&self, address: SocketAddr) -> ConsulSource {
        Self::with(address, Account::STRANGER.secret.into())
    }

    fn secrets(&self) -> Vec<String> {
        [Account::READER.secret, ROTATED, Account::STRANGER.secret].map(str::to_owned).to_vec()
    }

    async fn rotate(&mut self) -> bool {
        self.server.change_secret(Account::READER, ROTATED).await.unwrap();
        ROTATED.clone_into(&mut self.token.lock());
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
