use std::{sync::Arc, time::Duration};

use kube::runtime::watcher;
use parking_lot::Mutex;
use sentinel_datasource::{Cause, Source, SourceError, WhenMissing};

use crate::{
    Access, Kind, KubernetesConnection,
    client::{self, Connected},
    connection::{Server, Watches},
    report::{Memory, Reporter},
};

/// Custom resources with rules, in Kubernetes.
///
/// By default these are the objects of all kinds in the namespace that the credentials are for: that of the pod, or of
/// the context of a kubeconfig. Kinds that are not installed are passed over, unless they are asked for by
/// [`kinds`](KubernetesSource::kinds), and watched once they are.
///
/// # Example
///
/// ```no_run
/// # async fn example(sentinel: sentinel_core::Sentinel) -> Result<(), sentinel_datasource::StartError> {
/// use sentinel_datasource::Datasource;
/// use sentinel_kubernetes::{Access, Kind, KubernetesSource};
///
/// let source = KubernetesSource::new(Access::in_cluster())
///     .namespace("orders")
///     .labels("app=orders,tier!=canary")
///     .kinds([Kind::FlowRules, Kind::CircuitBreakerRules]);
/// let watch = Datasource::new(source).start(&sentinel).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct KubernetesSource {
    pub(crate) access: Access,
    pub(crate) scope: Option<Scope>,
    pub(crate) selection: Arc<Selection>,
    writes_status: bool,
    /// Of this source alone, and not of those that were made of it before it connected.
    memory: Option<Arc<Mutex<Memory>>>,
}

/// In which namespaces objects are selected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    All,
    Namespace(String),
}

/// Which objects are selected.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selection {
    /// Nothing stands for all that are installed.
    pub(crate) kinds: Option<Vec<Kind>>,
    pub(crate) names: Vec<String>,
    pub(crate) labels: Option<String>,
}

impl Selection {
    pub(crate) fn watched(&self, name: Option<&str>) -> watcher::Config {
        watcher::Config {
            label_selector: self.labels.clone(),
            field_selector: name.map(|name| format!("metadata.name={name}")),
            ..watcher::Config::default()
        }
    }

    /// Whether an object of this kind and name can be one of them.
    pub(crate) fn has(&self, kind: Kind, name: &str) -> bool {
        self.kinds.as_ref().is_none_or(|kinds| kinds.contains(&kind))
            && (self.names.is_empty() || self.names.iter().any(|other| other == name))
    }
}

impl KubernetesSource {
    /// The custom resources of a cluster.
    pub fn new(access: Access) -> Self {
        Self { access, scope: None, selection: Arc::default(), writes_status: true, memory: None }
    }

    /// Only objects of this namespace, which need not be there yet.
    #[must_use]
    pub fn namespace(mut self, name: impl Into<String>) -> Self {
        self.scope = Some(Scope::Namespace(name.into()));
        self
    }

    /// Objects of all namespaces.
    #[must_use]
    pub fn all_namespaces(mut self) -> Self {
        self.scope = Some(Scope::All);
        self
    }

    /// Only objects of these kinds. All of them have to be installed.
    #[must_use]
    pub fn kinds(mut self, kinds: impl IntoIterator<Item = Kind>) -> Self {
        let mut kinds: Vec<Kind> = kinds.into_iter().collect();
        kinds.sort_unstable();
        kinds.dedup();
        Arc::make_mut(&mut self.selection).kinds = Some(kinds);
        self
    }

    /// Only objects of this name, of whichever kind. Said again, those of the other name as well.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        let (name, names) = (name.into(), &mut Arc::make_mut(&mut self.selection).names);
        if !names.contains(&name) {
            names.push(name);
        }
        self
    }

    /// Only objects with these labels, in the form that `kubectl -l` takes: `app=orders,tier!=canary`.
    #[must_use]
    pub fn labels(mut self, selector: impl Into<String>) -> Self {
        Arc::make_mut(&mut self.selection).labels = Some(selector.into());
        self
    }

    /// Does not write into the status of objects what became of them.
    #[must_use]
    pub fn without_status(mut self) -> Self {
        self.writes_status = false;
        self
    }
}

impl Source for KubernetesSource {
    type Connection = KubernetesConnection;

    /// `kubernetes`, and what is selected: `kubernetes:orders`, `kubernetes:*/limits`, `kubernetes:orders?app=orders`.
    fn name(&self) -> String {
        let scope = match &self.scope {
            None => "",
            Some(Scope::All) => ":*",
            Some(Scope::Namespace(name)) => &format!(":{name}"),
        };
        let kinds: Vec<&str> = self.selection.kinds.iter().flatten().map(|kind| kind.name()).collect();
        let parts = [
            ("/", self.selection.names.join(",")),
            ("?", self.selection.labels.clone().unwrap_or_default()),
            ("#", kinds.join(",")),
        ];
        let selected = parts.iter().filter(|(_, what)| !what.is_empty()).map(|(sign, what)| format!("{sign}{what}"));
        format!("kubernetes{scope}{}", selected.collect::<String>())
    }

    async fn connect(&mut self) -> Result<KubernetesConnection, SourceError> {
        if self.selection.kinds.as_ref().is_some_and(Vec::is_empty) {
            let cause = Cause::text("no kind is selected");
            return Err(SourceError::Setting { setting: "the selection", cause });
        }
        let Connected { client, server } = client::connect(&self.access).await?;
        let scope = self.scope.clone();
        let scope = scope.unwrap_or_else(|| Scope::Namespace(client.default_namespace().to_owned()));
        let memory = Arc::clone(self.memory.get_or_insert_default());
        let reporter = self.writes_status.then(|| Reporter::new(client.clone(), memory));
        let server = Server { name: server, client, scope, selection: Arc::clone(&self.selection) };
        Ok(KubernetesConnection { server, reporter, watches: Watches::none() })
    }

    /// The rules go with their object: it is deleted on purpose.
    fn when_missing(&self) -> WhenMissing {
        WhenMissing::Clear
    }

    /// Four minutes: the connection is known to be alive by itself, and to list everything is work for the server.
    fn resync_interval(&self) -> Duration {
        Duration::from_secs(240)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_says_what_is_selected() {
        let source = || KubernetesSource::new(Access::in_cluster());
        assert_eq!(source().name(), "kubernetes");
        assert_eq!(source().namespace("orders").name(), "kubernetes:orders");
        assert_eq!(source().all_namespaces().named("a").named("b").named("a").name(), "kubernetes:*/a,b");
        let kinds = [Kind::SystemRules, Kind::FlowRules, Kind::SystemRules];
        assert_eq!(source().labels("app=orders").kinds(kinds).name(), "kubernetes?app=orders#FlowRules,SystemRules");
    }

    #[test]
    fn one_source_can_become_several() {
        let all = KubernetesSource::new(Access::in_cluster()).namespace("orders");
        let some = all.clone().named("limits");
        assert!(all.selection.has(Kind::FlowRules, "other") && !some.selection.has(Kind::FlowRules, "other"));
        assert!(!some.kinds([Kind::SystemRules]).selection.has(Kind::FlowRules, "limits"));
    }
}
