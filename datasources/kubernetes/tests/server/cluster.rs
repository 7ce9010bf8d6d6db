//! A cluster that holds nothing but what a trial puts there.

use std::{future::Future, time::Duration};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaProps;
use sentinel_core::{Rules, Sentinel};
use sentinel_datasource::{Datasource, Pem, Status, Tls, Watch};
use sentinel_kubernetes::{
    Access, Kind, KubernetesSource,
    manifests::{self, READER},
    resources::{GROUP, VERSION},
};
use sentinel_testing::{
    observe::{self, PATIENCE, within},
    servers::{Account, Kubernetes, KubernetesOptions, Server as _, Unavailable},
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

/// The name of the service account.
const SERVICE: &str = "orders";

pub(crate) struct Cluster(pub(crate) Kubernetes);

impl Cluster {
    /// With all kinds, and readers who may do what the printed role says.
    pub(crate) async fn start() -> Result<Self, Unavailable> {
        let cluster = Self::bare().await?;
        cluster.install(Kind::ALL, Schema::Printed).await;
        Ok(cluster)
    }

    /// With no kind.
    pub(crate) async fn bare() -> Result<Self, Unavailable> {
        let cluster = Self(Kubernetes::start(KubernetesOptions::default()).await?);
        for role in manifests::roles() {
            let name = role.metadata.name.as_deref().unwrap();
            let object = typed(&role, "rbac.authorization.k8s.io/v1", "ClusterRole");
            cluster.put(&format!("apis/rbac.authorization.k8s.io/v1/clusterroles/{name}"), &object).await;
        }
        cluster.bind(READER, json!({"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "reader"})).await;
        Ok(cluster)
    }

    /// Lets somebody do in all namespaces what a role says.
    pub(crate) async fn bind(&self, role: &str, subject: Value) {
        let name = format!("{role}-{}", subject["name"].as_str().unwrap());
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [subject],
        });
        self.put(&format!("apis/rbac.authorization.k8s.io/v1/clusterrolebindings/{name}"), &binding).await;
    }

    /// Whether the server looks at the conditions of a schema: from 1.25 on.
    pub(crate) fn knows_conditions(&self) -> bool {
        self.0.minor() >= 25
    }

    pub(crate) async fn install(&self, kinds: impl IntoIterator<Item = Kind>, schema: Schema) {
        let all = manifests::definitions();
        for kind in kinds {
            let mut definition = all.iter().find(|one| one.spec.names.kind == kind.name()).cloned().unwrap();
            if let (Schema::None, Some(version)) = (schema, definition.spec.versions.first_mut()) {
                let anything = JSONSchemaProps {
                    type_: Some("object".to_owned()),
                    x_kubernetes_preserve_unknown_fields: Some(true),
                    ..JSONSchemaProps::default()
                };
                version.schema.as_mut().unwrap().open_api_v3_schema = Some(anything);
            }
            let name = definition.metadata.name.clone().unwrap();
            let object = typed(&definition, "apiextensions.k8s.io/v1", "CustomResourceDefinition");
            self.put(&format!("apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}"), &object).await;
            until("the kind served", async || self.0.get(&all_of(kind)).await.is_ok_and(|list| list.is_some())).await;
        }
    }

    /// A service account who may do what the printed role says.
    pub(crate) async fn service_account(&self) {
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": SERVICE}});
        self.put(&format!("api/v1/namespaces/default/serviceaccounts/{SERVICE}"), &account).await;
        self.bind(READER, json!({"kind": "ServiceAccount", "namespace": "default", "name": SERVICE})).await;
    }

    /// A token of the service account, which holds until it is revoked.
    pub(crate) async fn token(&self, number: usize) -> Result<String, Unavailable> {
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": credential(number)}});
        self.put(&format!("api/v1/namespaces/default/secrets/{}", credential(number)), &secret).await;
        let request = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {
                "audiences": ["https://kubernetes.default.svc"],
                "boundObjectRef": {"apiVersion": "v1", "kind": "Secret", "name": credential(number)},
            },
        });
        let path = format!("/api/v1/namespaces/default/serviceaccounts/{SERVICE}/token");
        let answer = self.kubectl(&["create", "--raw", &path, "-f", "-"], &request.to_string()).await?;
        let answer: Value = serde_json::from_str(&answer.unwrap()).unwrap();
        Ok(answer["status"]["token"].as_str().unwrap().to_owned())
    }

    /// Ends a token. The server knows within ten seconds, for so long it remembers who comes by which.
    pub(crate) async fn revoke(&self, number: usize) {
        self.0.delete(&format!("api/v1/namespaces/default/secrets/{}", credential(number))).await.unwrap();
    }

    /// What `kubectl` says, or what it complains about, for somebody who may do everything.
    pub(crate) async fn kubectl(&self, arguments: &[&str], input: &str) -> Result<Result<String, String>, Unavailable> {
        let output = self.0.kubectl(Account::ADMIN, arguments, input.as_bytes()).await?;
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ok(if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) })
    }

    pub(crate) async fn put(&self, path: &str, object: &Value) {
        let put = self.0.put(path, object.to_string().as_bytes()).await;
        put.unwrap_or_else(|error| panic!("{path}: {error}"));
    }

    /// Gives an object these rules.
    pub(crate) async fn rules(&self, kind: Kind, namespace: &str, name: &str, rules: Value) {
        self.labeled(kind, namespace, name, rules, json!({})).await;
    }

    pub(crate) async fn labeled(&self, kind: Kind, namespace: &str, name: &str, rules: Value, labels: Value) {
        let object = json!({
            "apiVersion": format!("{GROUP}/{VERSION}"),
            "kind": kind.name(),
            "metadata": {"namespace": namespace, "name": name, "labels": labels},
            "spec": {"rules": rules},
        });
        self.put(&path(kind, namespace, name), &object).await;
    }

    pub(crate) async fn namespace(&self, name: &str) {
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        self.put(&format!("api/v1/namespaces/{name}"), &object).await;
    }

    pub(crate) async fn object(&self, kind: Kind, namespace: &str, name: &str) -> Value {
        let object = self.0.get(&path(kind, namespace, name)).await.unwrap();
        serde_json::from_slice(&object.unwrap_or_else(|| panic!("there is no {kind} {namespace}/{name}"))).unwrap()
    }

    /// The condition `Accepted` of an object, once it is about the object as it is now.
    pub(crate) async fn accepted(&self, kind: Kind, namespace: &str, name: &str) -> Value {
        let begin = Instant::now();
        loop {
            let object = self.object(kind, namespace, name).await;
            let condition = object["status"]["conditions"][0].clone();
            if condition["observedGeneration"] == object["metadata"]["generation"] {
                return condition;
            }
            assert!(begin.elapsed() < PATIENCE, "no condition: {object}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Comes to the server as this account.
    pub(crate) fn access(&self, account: Account) -> Access {
        self.trusting().token(account.secret)
    }

    /// Comes to the server without a token.
    pub(crate) fn trusting(&self) -> Access {
        let authority = self.0.certificates().authority.text.clone();
        Access::server(self.0.endpoint()).tls(Tls::new().authority(Pem::bytes(authority)))
    }

    /// The rules of one namespace, as readers may have them.
    pub(crate) fn source(&self, namespace: &str) -> KubernetesSource {
        KubernetesSource::new(self.access(Account::READER)).namespace(namespace)
    }
}

/// What an installed kind refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Schema {
    /// What its schema says.
    Printed,
    /// Nothing.
    None,
}

/// Where an object is.
pub(crate) fn path(kind: Kind, namespace: &str, name: &str) -> String {
    let plural = kind.resource().plural;
    format!("apis/{GROUP}/{VERSION}/namespaces/{namespace}/{plural}/{name}")
}

fn credential(number: usize) -> String {
    format!("credential-{number}")
}

fn all_of(kind: Kind) -> String {
    format!("apis/{GROUP}/{VERSION}/{}", kind.resource().plural)
}

/// An object that says what it is, which those of the API's own types do not.
fn typed(object: &impl serde::Serialize, version: &str, kind: &str) -> Value {
    let mut object = serde_json::to_value(object).unwrap();
    object["apiVersion"] = version.into();
    object["kind"] = kind.into();
    object
}

pub(crate) fn flow(resource: &str, threshold: u64) -> Value {
    json!([{"resource": resource, "threshold": threshold}])
}

/// A source with its rules in force.
pub(crate) struct Followed {
    pub(crate) sentinel: Sentinel,
    pub(crate) watch: Watch,
}

impl Followed {
    pub(crate) async fn new(source: KubernetesSource) -> Self {
        let sentinel = Sentinel::default();
        let watch = Datasource::new(source).name("rules").start_within(PATIENCE).start(&sentinel).await;
        Self { sentinel, watch: watch.unwrap_or_else(|error| panic!("it does not start: {error}")) }
    }

    pub(crate) fn rules(&self) -> Rules {
        self.sentinel.rules().get("rules").unwrap_or_default()
    }

    /// Resources and thresholds of the flow rules in force, in order.
    pub(crate) fn flow(&self) -> Vec<(String, u64)> {
        let rules = self.rules();
        let one = |rule: &sentinel_core::FlowRule| (rule.resource.as_str().to_owned(), rule.params.threshold as u64);
        let mut all: Vec<(String, u64)> = rules.flow.iter().map(one).collect();
        all.sort_unstable();
        all
    }

    pub(crate) fn status(&self) -> Status {
        self.watch.status()
    }

    pub(crate) fn error(&self) -> String {
        observe::error(&self.watch)
    }

    pub(crate) async fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        within(PATIENCE, what, &self.watch, || is_so(self)).await;
    }

    pub(crate) async fn until_flow(&self, expected: &[(&str, u64)]) {
        let expected: Vec<(String, u64)> =
            expected.iter().map(|(name, number)| ((*name).to_owned(), *number)).collect();
        self.until(&format!("{expected:?} in force"), |followed| followed.flow() == expected).await;
    }
}

/// Waits until something is so.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, is_so: impl Fn() -> F) {
    let begin = Instant::now();
    while !is_so().await {
        assert!(begin.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}
