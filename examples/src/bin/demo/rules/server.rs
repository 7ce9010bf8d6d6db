//! Rules on a server that is running already.

use std::{error::Error, time::Duration};

use sentinel_core::{Format, Rules, Sentinel};
use sentinel_datasource::{Condition, Datasource, Publish, PublishError, Source, SourceError, Status, Watch};
#[cfg(feature = "etcd")]
use sentinel_etcd::EtcdSource;
#[cfg(feature = "kubernetes")]
use sentinel_kubernetes::{Access, Kind, KubernetesSource};
use tokio::time::timeout;

use super::{RAISE, RULES};
use crate::{args::Args, service};

/// The key in etcd, and the object in Kubernetes.
#[cfg(feature = "etcd")]
const KEY: &str = "/sentinel-demo/rules";
#[cfg(feature = "kubernetes")]
const OBJECT: &str = "sentinel-demo";
/// How long the server may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Rules on a server.
pub(crate) struct Server {
    watch: Watch,
    place: Place,
    notes: Vec<String>,
}

enum Place {
    #[cfg(feature = "etcd")]
    Etcd(EtcdSource),
    #[cfg(feature = "kubernetes")]
    Kubernetes(KubernetesSource, String),
}

impl Server {
    #[cfg(feature = "etcd")]
    pub(crate) async fn etcd(args: &Args, sentinel: &Sentinel) -> Result<Self, Box<dyn Error>> {
        let address = args.address.as_deref().unwrap_or("http://127.0.0.1:2379");
        let hint = format!(
            "start one, such as `etcd --data-dir \"$(mktemp -d)\"`, or say where it is: --address URL (now {address})"
        );
        let mut source = EtcdSource::new([address]).key(KEY);
        let written = publish_first(&mut source, KEY).await.map_err(|error| format!("{error}\n{hint}"))?;
        let watch = start(source.clone(), sentinel).await.map_err(|error| format!("{error}\n{hint}"))?;
        let notes = vec![
            format!("rules from etcd: {} `{KEY}`", if written { "wrote" } else { "found" }),
            format!(
                "change them: etcdctl --endpoints {address} get --print-value-only {KEY} > r.json; edit; etcdctl --endpoints {address} put {KEY} < r.json"
            ),
        ];
        Ok(Self { watch, place: Place::Etcd(source), notes })
    }

    #[cfg(feature = "kubernetes")]
    pub(crate) async fn kubernetes(args: &Args, sentinel: &Sentinel) -> Result<Self, Box<dyn Error>> {
        let access = args.address.as_deref().map_or_else(Access::inferred, Access::kubeconfig);
        let namespace = "default";
        let hint = "the demo takes the cluster that kubectl does, or --address FILE, a kubeconfig; it has to know the \
                    resources: kubectl apply -f datasources/kubernetes/manifests/";
        let key = format!("{}/{namespace}/{OBJECT}", Kind::FlowRules);
        let mut source = KubernetesSource::new(access).namespace(namespace).named(OBJECT).kinds([Kind::FlowRules]);
        let written = publish_first(&mut source, &key).await.map_err(|error| format!("{error}\n{hint}"))?;
        let watch = start(source.clone(), sentinel).await.map_err(|error| format!("{error}\n{hint}"))?;
        let notes = vec![
            format!("rules from Kubernetes: {} `{key}`", if written { "created" } else { "found" }),
            format!("change them: kubectl edit flowrules.datasource.sentinel.io {OBJECT} -n {namespace}"),
        ];
        Ok(Self { watch, place: Place::Kubernetes(source, key), notes })
    }

    pub(crate) fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }

    /// Writes the rules with the raised limit, unless what is in force is somebody else's.
    pub(crate) async fn raise(&mut self, sentinel: &Sentinel) -> Result<bool, Box<dyn Error>> {
        let mut rules = demo_rules()?;
        // Before they are looked at, so that nothing is written over what comes after.
        let revision = match &mut self.place {
            #[cfg(feature = "etcd")]
            Place::Etcd(source) => in_time(source.revision(KEY)).await?,
            #[cfg(feature = "kubernetes")]
            Place::Kubernetes(source, key) => in_time(source.revision(key)).await?,
        };
        let Some(revision) = revision else { return Ok(false) };
        if sentinel.rules().get(&self.watch.status().source).as_ref() != Some(&rules) {
            return Ok(false);
        }
        for rule in rules.flow.iter_mut().filter(|rule| rule.resource.as_str() == service::ORDERS) {
            rule.params.threshold *= RAISE;
        }
        let condition = Condition::Revision(revision);
        let written = match &mut self.place {
            #[cfg(feature = "etcd")]
            Place::Etcd(source) => publish(source, KEY, &rules, condition).await?,
            #[cfg(feature = "kubernetes")]
            Place::Kubernetes(source, key) => publish(source, key, &rules, condition).await?,
        };
        Ok(written)
    }

    pub(crate) fn status(&self) -> Status {
        self.watch.status()
    }

    pub(crate) async fn stop(&self) {
        self.watch.stop().await;
    }
}

fn demo_rules() -> Result<Rules, Box<dyn Error>> {
    Ok(Rules::parse(RULES.as_bytes(), Format::Yaml)?.rules)
}

async fn start(source: impl Source, sentinel: &Sentinel) -> Result<Watch, Box<dyn Error>> {
    Ok(Datasource::new(source).start_within(PATIENCE).start(sentinel).await?)
}

/// Writes the demo's rules where there are none: whether it did.
async fn publish_first(source: &mut impl Publish, key: &str) -> Result<bool, Box<dyn Error>> {
    publish(source, key, &demo_rules()?, Condition::Absent).await
}

/// Writes rules: whether the condition held.
async fn publish(
    source: &mut impl Publish,
    key: &str,
    rules: &Rules,
    condition: Condition,
) -> Result<bool, Box<dyn Error>> {
    match in_time(source.publish(key, rules, condition)).await {
        Ok(_) => Ok(true),
        Err(PublishError::Conflict { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

async fn in_time<T>(asked: impl Future<Output = Result<T, PublishError>>) -> Result<T, PublishError> {
    let late = |_| PublishError::from(SourceError::TimedOut { doing: "asking the server", after: PATIENCE });
    timeout(PATIENCE, asked).await.map_err(late)?
}
