//! What the trials of all datasources need to know.

use std::net::SocketAddr;

use sentinel_datasource::{Pem, Tls};
use sentinel_kubernetes::{Access, Kind, KubernetesSource};
use sentinel_testing::{
    Proxy, Tls as Encryption,
    servers::{Server as _, Unavailable},
    suite::{Credential, Subject},
};
use serde_json::{Value, json};

use crate::cluster::{Cluster, Schema, path};

/// One object with flow rules, read by a service account with the printed role.
///
/// The kind has no schema: what a server refuses by its schema never comes to the source.
pub(crate) struct Orders {
    cluster: Cluster,
    token: Credential,
    secrets: Vec<String>,
}

const NAMESPACE: &str = "default";
const NAME: &str = "orders";

const WRONG: &str = "a-token-that-nobody-knows";

impl Orders {
    /// Gets a token, and ends the one before.
    async fn renew(&mut self) -> Result<(), Unavailable> {
        let next = self.secrets.len();
        let token = self.cluster.token(next).await?;
        self.secrets.push(token.clone());
        self.token.change(token);
        if next > 0 {
            self.cluster.revoke(next - 1).await;
        }
        Ok(())
    }
}

impl Subject for Orders {
    type Source = KubernetesSource;

    const CUT_OFF: &'static str = "but the rules of one family are a list";
    const HEARD: &'static str = "h2::";

    async fn start(_: Encryption) -> Result<Self, Unavailable> {
        let cluster = Cluster::bare().await?;
        cluster.install([Kind::FlowRules], Schema::None).await;
        cluster.service_account().await;
        let mut orders = Self { cluster, token: Credential::default(), secrets: Vec::new() };
        orders.renew().await?;
        Ok(orders)
    }

    async fn proxies(&self) -> Vec<Proxy> {
        vec![Proxy::to(self.cluster.0.address()).await]
    }

    fn source(&self, address: SocketAddr) -> KubernetesSource {
        let authority = Pem::file(&self.cluster.0.certificates().authority.path);
        let access = Access::server(format!("https://{address}"))
            .tls(Tls::new().authority(authority))
            .token(self.token.secret());
        KubernetesSource::new(access).namespace(NAMESPACE).named(NAME).kinds([Kind::FlowRules])
    }

    fn stranger(&self, address: SocketAddr) -> KubernetesSource {
        self.token.change(WRONG);
        self.source(address)
    }

    fn secrets(&self) -> Vec<String> {
        [self.secrets.clone(), vec![WRONG.to_owned()]].concat()
    }

    async fn rotate(&mut self) -> bool {
        self.renew().await.is_ok()
    }

    async fn put(&self, document: &str) -> Result<(), String> {
        let rules = match serde_json::from_str::<Value>(document) {
            Ok(mut tree) => tree["flow"].take(),
            Err(_) => document.into(),
        };
        // What is before and after the rules of other sources is beside them here.
        let padding = &document[document.trim_end().len()..];
        let object = json!({
            "apiVersion": "datasource.sentinel.io/v1alpha1",
            "kind": "FlowRules",
            "metadata": {"namespace": NAMESPACE, "name": NAME},
            "spec": {"rules": rules, "padding": padding},
        });
        let put = self.cluster.0.put(&path(Kind::FlowRules, NAMESPACE, NAME), object.to_string().as_bytes()).await;
        put.map_err(|error| error.to_string())
    }

    async fn delete(&self) -> Result<(), String> {
        let deleted = self.cluster.0.delete(&path(Kind::FlowRules, NAMESPACE, NAME)).await;
        deleted.map_err(|error| error.to_string())
    }

    fn kill(&mut self) {
        self.cluster.0.kill();
    }

    async fn restart(&mut self) {
        self.cluster.0.restart().await;
    }
}
