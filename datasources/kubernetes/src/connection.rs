use std::{collections::HashSet, fmt, sync::Arc, time::Duration};

use futures_util::{
    FutureExt as _, StreamExt as _,
    stream::{BoxStream, SelectAll, select_all},
};
use kube::{
    Api, Client,
    core::DynamicObject,
    runtime::watcher::{self, Event, watcher},
};
use sentinel_datasource::{Cause, Connection, Content, Outcome, Reading, SourceError};
use tokio::time::{Instant, sleep_until};

use crate::{
    Kind, error,
    objects::{Object, Objects},
    report::Reporter,
    resources::{GROUP, VERSION},
    source::{Scope, Selection},
};

/// How often to look for kinds that are not installed.
const LOOK_INTERVAL: Duration = Duration::from_secs(15);

/// A connection to an API server: watches of the objects that are selected.
pub struct KubernetesConnection {
    pub(crate) server: Server,
    pub(crate) reporter: Option<Reporter>,
    pub(crate) watches: Watches,
}

/// What is asked of whom.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) name: String,
    pub(crate) client: Client,
    pub(crate) scope: Scope,
    pub(crate) selection: Arc<Selection>,
}

type Told = (usize, watcher::Result<Event<DynamicObject>>);

/// What is watched, and what it has told.
pub(crate) struct Watches {
    events: SelectAll<BoxStream<'static, Told>>,
    objects: Objects,
    /// Whether something was told that was not read yet.
    is_new: bool,
    /// Kinds that the server does not know, and when to look for them again.
    missing: Vec<Kind>,
    look_at: Instant,
    /// When the server last had forgotten what a watch goes on from.
    gone_at: Option<Instant>,
}

impl Watches {
    /// Nothing is watched yet.
    pub(crate) fn none() -> Self {
        Self {
            events: SelectAll::new(),
            objects: Objects::default(),
            is_new: false,
            missing: Vec::new(),
            look_at: Instant::now() + LOOK_INTERVAL,
            gone_at: None,
        }
    }
}

impl Server {
    /// Lists all that is selected, and watches it from there on.
    async fn list(&self) -> Result<Watches, SourceError> {
        let (kinds, missing) = self.kinds().await?;
        let targets: Vec<(Kind, Option<&str>)> = kinds
            .iter()
            .flat_map(|kind| match &*self.selection.names {
                [] => vec![(*kind, None)],
                names => names.iter().map(|name| (*kind, Some(&**name))).collect(),
            })
            .collect();
        let events = targets.iter().enumerate().map(|(index, (kind, name))| {
            let events = watcher(self.api(*kind), self.selection.watched(*name));
            events.map(move |event| (index, event)).boxed()
        });
        let mut watches = Watches {
            events: select_all(events),
            objects: Objects::new(targets.iter().map(|(kind, _)| *kind)),
            is_new: false,
            missing,
            look_at: Instant::now() + LOOK_INTERVAL,
            gone_at: None,
        };
        while !watches.objects.is_complete() {
            let told = watches.events.next().await;
            watches.take(told, &self.name)?;
        }
        Ok(watches)
    }

    /// The selected kinds that the server knows, and those that it does not.
    async fn kinds(&self) -> Result<(Vec<Kind>, Vec<Kind>), SourceError> {
        let selected = self.selection.kinds.as_deref();
        let version = format!("{GROUP}/{VERSION}");
        let known: HashSet<String> = match self.client.list_api_group_resources(&version).await {
            Ok(list) => list.resources.into_iter().map(|resource| resource.kind).collect(),
            Err(kube::Error::Api(status)) if status.code == 404 => HashSet::new(),
            // Who may not ask finds out by listing.
            Err(kube::Error::Api(status)) if status.code == 403 => Kind::ALL.map(|kind| kind.to_string()).into(),
            Err(failed) => return Err(error::of_client(&self.name, failed)),
        };
        let (known, missing): (Vec<Kind>, Vec<Kind>) =
            selected.unwrap_or(&Kind::ALL).iter().partition(|kind| known.contains(kind.name()));
        if known.is_empty() || (selected.is_some() && !missing.is_empty()) {
            let cause = Cause::text(format!("{} of {version} are not installed", names(&missing)));
            return Err(SourceError::Failed { server: self.name.clone(), cause });
        }
        Ok((known, missing))
    }

    /// Waits until one of the missing kinds is installed.
    async fn appeared(&self, missing: &[Kind], look_at: &mut Instant) -> Result<(), SourceError> {
        if missing.is_empty() {
            return std::future::pending().await;
        }
        loop {
            sleep_until(*look_at).await;
            *look_at = Instant::now() + LOOK_INTERVAL;
            if self.kinds().await?.1 != missing {
                return Ok(());
            }
        }
    }

    fn api(&self, kind: Kind) -> Api<DynamicObject> {
        match &self.scope {
            Scope::All => Api::all_with(self.client.clone(), &kind.resource()),
            Scope::Namespace(namespace) => Api::namespaced_with(self.client.clone(), namespace, &kind.resource()),
        }
    }
}

fn names(kinds: &[Kind]) -> String {
    kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ")
}

impl Watches {
    /// Takes in what was told.
    fn take(&mut self, told: Option<Told>, server: &str) -> Result<(), SourceError> {
        match told {
            Some((watch, Ok(event))) => {
                self.is_new |= self.objects.take(watch, event);
                Ok(())
            }
            // Again so soon, that is for the driver, which pauses.
            Some((_, Err(failed)))
                if error::is_gone(&failed) && self.gone_at.is_none_or(|at| at.elapsed() > LOOK_INTERVAL) =>
            {
                self.gone_at = Some(Instant::now());
                Ok(())
            }
            Some((_, Err(failed))) => Err(error::of_watch(server, failed)),
            None => Err(SourceError::Ended),
        }
    }
}

impl Connection for KubernetesConnection {
    async fn read(&mut self) -> Result<Reading, SourceError> {
        if self.watches.is_new {
            // What else has come by now is read with it.
            while let Some(told) = self.watches.events.next().now_or_never() {
                self.watches.take(told, &self.server.name)?;
            }
        } else {
            self.watches = self.server.list().await?;
        }
        self.watches.is_new = false;
        let objects = &self.watches.objects;
        let content = Content::new(objects.iter().map(Object::document));
        Ok(Reading::Content(match objects.version() {
            Some(version) => content.revision(version.to_string()),
            None => content,
        }))
    }

    async fn changed(&mut self) -> Result<(), SourceError> {
        let Self { watches, reporter, server } = self;
        while !watches.is_new {
            let Watches { events, objects, missing, look_at, .. } = &mut *watches;
            let reporting = async {
                match &mut *reporter {
                    Some(reporter) => reporter.go_on(objects).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                told = events.next() => watches.take(told, &server.name)?,
                () = reporting => {}
                // All is listed anew then.
                appeared = server.appeared(missing, look_at) => return appeared,
            }
        }
        Ok(())
    }

    async fn settled(&mut self, outcomes: &[Outcome]) -> Result<(), SourceError> {
        if let Some(reporter) = &mut self.reporter {
            let outcomes = outcomes.iter().map(|outcome| (&*outcome.key, &outcome.result));
            reporter.hear(outcomes, &self.watches.objects);
        }
        Ok(())
    }

    fn remark(&self) -> Option<String> {
        let missing = &self.watches.missing;
        let missing = (!missing.is_empty()).then(|| format!("not installed: {}", names(missing)));
        let off = self.reporter.as_ref().and_then(Reporter::off);
        let off = off.map(|why| format!("no status is written: {why}"));
        match (missing, off) {
            (Some(missing), Some(off)) => Some(format!("{missing}; {off}")),
            (missing, off) => missing.or(off),
        }
    }
}

impl fmt::Debug for KubernetesConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KubernetesConnection")
            .field("server", &self.server.name)
            .field("scope", &self.server.scope)
            .field("selection", &self.server.selection)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use sentinel_datasource::Payload;
    use serde_json::{Value, json};

    use super::*;
    use crate::fake::Fake;

    fn object(version: u32, threshold: u32) -> Value {
        json!({
            "apiVersion": "datasource.sentinel.io/v1alpha1",
            "kind": "FlowRules",
            "metadata": {"namespace": "shop", "name": "orders", "resourceVersion": version.to_string()},
            "spec": {"rules": [{"resource": "orders", "threshold": threshold}]},
        })
    }

    fn kinds(kinds: &[&str]) -> Value {
        let resource =
            |kind: &&str| json!({"kind": kind, "name": "", "namespaced": true, "singularName": "", "verbs": []});
        json!({"groupVersion": "", "resources": kinds.iter().map(resource).collect::<Vec<_>>()})
    }

    fn list(version: u32, objects: &[Value]) -> Value {
        json!({
            "apiVersion": "datasource.sentinel.io/v1alpha1",
            "kind": "FlowRulesList",
            "metadata": {"resourceVersion": version.to_string()},
            "items": objects,
        })
    }

    fn gone() -> Value {
        json!({"kind": "Status", "status": "Failure", "code": 410, "reason": "Expired", "message": "too old"})
    }

    fn connection(fake: &Fake) -> KubernetesConnection {
        let selection = Arc::new(Selection { kinds: Some(vec![Kind::FlowRules]), ..Selection::default() });
        let scope = Scope::Namespace("shop".to_owned());
        let server = Server { name: "https://k".to_owned(), client: fake.client(), scope, selection };
        KubernetesConnection { server, reporter: None, watches: Watches::none() }
    }

    async fn read(connection: &mut KubernetesConnection) -> (Option<String>, Vec<String>) {
        let Reading::Content(content) = connection.read().await.unwrap() else { panic!("nothing was read") };
        let text = |document: sentinel_datasource::Document| match document.payload {
            Payload::Text { bytes, .. } => String::from_utf8(bytes).unwrap(),
            other => panic!("{other:?}"),
        };
        (content.revision, content.documents.into_iter().map(text).collect())
    }

    fn rules(threshold: u32) -> String {
        format!(r#"{{"rules":[{{"resource":"orders","threshold":{threshold}}}]}}"#)
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_the_server_has_forgotten_goes_on_by_a_new_list() {
        let fake = Fake::default();
        fake.answer(200, &kinds(&["FlowRules"]))
            .answer(200, &list(10, &[object(9, 1)]))
            .events(&[json!({"type": "ERROR", "object": gone()})], false)
            .answer(200, &list(20, &[object(19, 2)]))
            .answer(410, &gone());
        let mut connection = connection(&fake);
        assert_eq!(read(&mut connection).await, (Some("9".to_owned()), vec![rules(1)]));
        connection.changed().await.unwrap();
        assert_eq!(read(&mut connection).await, (Some("19".to_owned()), vec![rules(2)]));
        let asked: Vec<String> = fake.asked().into_iter().map(|(asked, _)| asked).collect();
        let flowrules = "GET /apis/datasource.sentinel.io/v1alpha1/namespaces/shop/flowrules?";
        assert!(asked[1].starts_with(flowrules) && asked[2].contains("resourceVersion=10"), "{asked:?}");
        assert!(!asked[3].contains("watch=true"), "{asked:?}");
        let error = connection.changed().await.unwrap_err().to_string();
        assert_eq!(error, "https://k failed: too old (status 410)", "a new connection lists anew too");
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_ends_in_time_goes_on_from_its_last_bookmark() {
        let fake = Fake::default();
        let bookmark = json!({"type": "BOOKMARK", "object": {
            "apiVersion": "datasource.sentinel.io/v1alpha1", "kind": "FlowRules", "metadata": {"resourceVersion": "30"},
        }});
        fake.answer(200, &kinds(&["FlowRules"]))
            .answer(200, &list(10, &[object(9, 1)]))
            .events(&[bookmark], false)
            .events(&[json!({"type": "MODIFIED", "object": object(31, 3)})], true);
        let mut connection = connection(&fake);
        read(&mut connection).await;
        connection.changed().await.unwrap();
        assert_eq!(read(&mut connection).await, (Some("31".to_owned()), vec![rules(3)]));
        let asked = fake.asked();
        assert_eq!(asked.len(), 4);
        assert!(asked[3].0.contains("watch=true") && asked[3].0.contains("resourceVersion=30"), "{asked:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn without_news_all_is_listed_anew_and_watched_from_there() {
        let fake = Fake::default();
        for (version, threshold) in [(10, 1), (20, 2)] {
            fake.answer(200, &kinds(&["FlowRules"])).answer(200, &list(version, &[object(version, threshold)]));
        }
        fake.events(&[json!({"type": "DELETED", "object": object(21, 2)})], true);
        let mut connection = connection(&fake);
        assert_eq!(read(&mut connection).await.1, [rules(1)]);
        assert_eq!(read(&mut connection).await.1, [rules(2)]);
        connection.changed().await.unwrap();
        assert_eq!(read(&mut connection).await, (None, vec![]));
        assert!(fake.asked()[4].0.contains("resourceVersion=20"));
    }

    #[tokio::test(start_paused = true)]
    async fn an_end_that_is_none_of_the_servers_is_an_error() {
        let fake = Fake::default();
        fake.answer(200, &kinds(&["FlowRules"])).answer(200, &list(10, &[])).answer(401, &json!({"code": 401}));
        let mut connection = connection(&fake);
        read(&mut connection).await;
        let error = connection.changed().await.unwrap_err();
        assert!(matches!(error, SourceError::Denied { .. }), "{error}");

        let fake = Fake::default();
        fake.answer(200, &kinds(&["IsolationRules"]));
        let error = self::connection(&fake).read().await.unwrap_err().to_string();
        let expected = "https://k failed: FlowRules of datasource.sentinel.io/v1alpha1 are not installed";
        assert_eq!(error, expected);
    }
}
