//! Writing what became of objects into their status, so that of many services that watch them, few write.
//!
//! Each service waits for a moment drawn at random and looks at the object again before it writes: most find that another
//! one has written the same. A write is for one version of the object, so of those that write at the same time, one
//! succeeds. A service says each thing once, so that those that disagree do not go on contradicting each other.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use futures_util::future::{BoxFuture, FutureExt as _};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
    core::DynamicObject,
};
use parking_lot::Mutex;
use sentinel_datasource::SourceError;
use tokio::time::{Instant, sleep_until, timeout};

use crate::{
    FIELD_MANAGER,
    objects::{Object, Objects},
    verdict::{Verdict, is_refused},
};

/// The longest that a service waits until it writes.
const SPREAD: Duration = Duration::from_secs(3);

/// How long it waits on top where others say that rules are not in force, which are in force here.
const DOUBT: Duration = Duration::from_secs(30);

/// The shortest time from one write to the next.
const PAUSE: Duration = Duration::from_millis(200);

/// How long it waits after a write that failed.
const RETRY: Duration = Duration::from_secs(30);

/// How long nothing is written where it may not be: rights may come later.
const REST: Duration = Duration::from_secs(60 * 60);

/// How long a write may take.
const LIMIT: Duration = Duration::from_secs(10);

/// What is kept from one connection to the next.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    told: HashMap<String, Told>,
    /// Why nothing is written, and until when.
    off: Option<(String, Instant)>,
}

/// What was last said about an object.
#[derive(Debug, PartialEq)]
struct Told {
    uid: String,
    generation: i64,
    verdict: Verdict,
}

/// What is still to be said.
#[derive(Debug, PartialEq)]
struct Pending {
    told: Told,
    due: Instant,
    /// Whether it may contradict others that say that rules are not in force.
    overrules: bool,
}

type Written = Result<DynamicObject, WriteError>;

#[derive(Debug)]
enum WriteError {
    Client(kube::Error),
    TimedOut,
}

/// Writes what became of objects.
pub(crate) struct Reporter {
    client: Client,
    memory: Arc<Mutex<Memory>>,
    pending: BTreeMap<String, Pending>,
    writing: Option<(String, BoxFuture<'static, Written>)>,
    next_write: Instant,
}

impl Reporter {
    pub(crate) fn new(client: Client, memory: Arc<Mutex<Memory>>) -> Self {
        Self { client, memory, pending: BTreeMap::new(), writing: None, next_write: Instant::now() }
    }

    /// Why nothing is written.
    pub(crate) fn off(&self) -> Option<String> {
        self.memory.lock().off.as_ref().map(|(why, _)| why.clone())
    }

    /// Hears what became of objects: how many rules are in force, or why not.
    pub(crate) fn hear<'a>(
        &mut self,
        outcomes: impl IntoIterator<Item = (&'a str, &'a Result<usize, Arc<SourceError>>)>,
        objects: &Objects,
    ) {
        let memory = &mut *self.memory.lock();
        if memory.off.as_ref().is_some_and(|(_, until)| Instant::now() < *until) {
            return;
        }
        memory.off = None;
        memory.told.retain(|key, _| objects.get(key).is_some());
        self.pending.retain(|key, _| objects.get(key).is_some());
        for (key, result) in outcomes {
            let Some(object) = objects.get(key) else { continue };
            let verdict = Verdict::new(result);
            let told = Told { uid: object.uid.clone(), generation: object.generation, verdict };
            let before = memory.told.get(key);
            if before == Some(&told) || self.pending.get(key).is_some_and(|pending| pending.told == told) {
                continue;
            }
            let overrules = before.is_some_and(|before| {
                (&before.uid, before.generation) == (&told.uid, told.generation) && !before.verdict.is_accepted()
            });
            let due = Instant::now() + SPREAD.mul_f64(fastrand::f64());
            self.pending.insert(key.to_owned(), Pending { told, due, overrules });
        }
    }

    /// Goes on writing; for ever when there is nothing to write. Cancel-safe.
    pub(crate) async fn go_on(&mut self, objects: &Objects) {
        if let Some((key, write)) = &mut self.writing {
            let written = write.await;
            let key = std::mem::take(key);
            self.writing = None;
            self.next_write = Instant::now() + PAUSE;
            self.wrote(&key, written);
            return;
        }
        let next = self.pending.iter().min_by_key(|(_, pending)| pending.due);
        let Some((key, due)) = next.map(|(key, pending)| (key.clone(), pending.due)) else {
            return std::future::pending().await;
        };
        sleep_until(due.max(self.next_write)).await;
        self.begin(&key, objects);
    }

    /// Begins to write, if it is still to be said.
    fn begin(&mut self, key: &str, objects: &Objects) {
        let Some(pending) = self.pending.get_mut(key) else { return };
        let Told { uid, generation, verdict } = &pending.told;
        let object = objects.get(key).filter(|object| (&object.uid, object.generation) == (uid, *generation));
        match object {
            // What became of it as it is now is heard soon.
            None => {
                self.pending.remove(key);
            }
            Some(object) if verdict.is_said(object) => self.done(key),
            Some(object) if verdict.is_accepted() && is_refused(object) && !pending.overrules => {
                pending.overrules = true;
                pending.due = Instant::now() + DOUBT + DOUBT.mul_f64(fastrand::f64());
            }
            Some(object) => self.writing = Some((key.to_owned(), write(self.client.clone(), object, verdict))),
        }
    }

    fn wrote(&mut self, key: &str, written: Written) {
        match written {
            Ok(_) => self.done(key),
            Err(WriteError::Client(kube::Error::Api(status))) => match status.code {
                // Somebody was faster: what is there now is told by the watch, and looked at again.
                409 => self.postpone(key, SPREAD.mul_f64(fastrand::f64())),
                // The object is gone, and not the way to its status: the watch tells that too.
                404 if status.details.is_some_and(|details| !details.name.is_empty()) => self.postpone(key, RETRY),
                403..=405 => self.turn_off(&status.message),
                401 | 408 | 429 | 500.. => self.failed(key, &status.message),
                _ => {
                    tracing::warn!(key, error = status.message, "the server does not take the status of the object");
                    self.done(key);
                }
            },
            Err(WriteError::Client(error)) => self.failed(key, &error.to_string()),
            Err(WriteError::TimedOut) => self.failed(key, "it took too long"),
        }
    }

    fn done(&mut self, key: &str) {
        if let Some(pending) = self.pending.remove(key) {
            self.memory.lock().told.insert(key.to_owned(), pending.told);
        }
    }

    fn postpone(&mut self, key: &str, by: Duration) {
        if let Some(pending) = self.pending.get_mut(key) {
            pending.due = Instant::now() + by;
        }
    }

    fn failed(&mut self, key: &str, error: &str) {
        tracing::warn!(key, error, "the status of the object could not be written");
        self.postpone(key, RETRY);
    }

    fn turn_off(&mut self, why: &str) {
        tracing::warn!(error = why, "the status of objects may not be written, and is not for an hour");
        self.pending.clear();
        self.memory.lock().off = Some((why.to_owned(), Instant::now() + REST));
    }
}

fn write(client: Client, object: &Object, verdict: &Verdict) -> BoxFuture<'static, Written> {
    let api: Api<DynamicObject> = Api::namespaced_with(client, &object.namespace, &object.kind.resource());
    let (name, patch) = (object.name.clone(), Patch::Merge(verdict.patch(object)));
    let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    let write = async move { timeout(LIMIT, api.patch_status(&name, &parameters, &patch)).await };
    write
        .map(|written| match written {
            Ok(written) => written.map_err(WriteError::Client),
            Err(_) => Err(WriteError::TimedOut),
        })
        .boxed()
}

#[cfg(test)]
mod tests {
    use kube::runtime::watcher::Event;
    use sentinel_datasource::Cause;
    use serde_json::{Value, json};

    use super::*;
    use crate::{Kind, fake::Fake};

    const KEY: &str = "FlowRules/shop/orders";

    struct Service {
        fake: Fake,
        reporter: Reporter,
        objects: Objects,
    }

    fn object(version: u32, generation: i64, status: &Value) -> Value {
        json!({
            "apiVersion": "datasource.sentinel.io/v1alpha1",
            "kind": "FlowRules",
            "metadata": {
                "namespace": "shop", "name": "orders", "uid": "u",
                "resourceVersion": version.to_string(), "generation": generation,
            },
            "spec": {"rules": []},
            "status": status,
        })
    }

    fn said(status: &str, message: &str, generation: i64) -> Value {
        json!({"conditions": [{
            "type": "Accepted", "status": status, "message": message, "observedGeneration": generation,
            "reason": if status == "True" { "InForce" } else { "Unusable" }, "lastTransitionTime": "2020-01-01T00:00:00Z",
        }]})
    }

    fn refused(code: u16, name: &str) -> Value {
        json!({"kind": "Status", "status": "Failure", "code": code, "message": "no", "details": {"name": name}})
    }

    impl Service {
        fn new() -> Self {
            let fake = Fake::default();
            let reporter = Reporter::new(fake.client(), Arc::default());
            let mut service = Self { fake, reporter, objects: Objects::new([Kind::FlowRules]) };
            service.becomes(&object(1, 1, &Value::Null));
            service
        }

        /// The object is this from now on.
        fn becomes(&mut self, object: &Value) {
            self.objects.take(0, Event::Apply(serde_json::from_value(object.clone()).unwrap()));
        }

        fn hear(&mut self, result: Result<usize, &str>) {
            let error = |cause| Arc::new(SourceError::Unreadable { key: KEY.to_owned(), cause: Cause::text(cause) });
            self.reporter.hear([(KEY, &result.map_err(error))], &self.objects);
        }

        /// Waits for the next write, and for its answer.
        async fn try_once(&mut self) {
            for _ in ["begun", "answered"] {
                self.reporter.go_on(&self.objects).await;
            }
        }

        /// What is written within a time: status and reason of the condition.
        async fn writes(&mut self, time: Duration) -> Vec<(String, String)> {
            let all = async {
                loop {
                    self.reporter.go_on(&self.objects).await;
                }
            };
            let _: Result<(), _> = timeout(time, all).await;
            let written = |(asked, body): (String, Value)| {
                assert!(asked.starts_with("PATCH") && asked.contains("/flowrules/orders/status?"), "{asked}");
                let condition = &body["status"]["conditions"][0];
                (condition["status"].as_str().unwrap().to_owned(), condition["message"].as_str().unwrap().to_owned())
            };
            self.fake.asked().into_iter().map(written).collect()
        }
    }

    fn written(status: &str, message: &str) -> Vec<(String, String)> {
        vec![(status.to_owned(), message.to_owned())]
    }

    #[tokio::test(start_paused = true)]
    async fn what_became_of_an_object_is_written_once() {
        let mut service = Service::new();
        service.fake.answer(200, &object(2, 1, &Value::Null));
        service.hear(Ok(1));
        assert_eq!(service.writes(SPREAD * 2).await, written("True", "1 rule is in force"));
        service.hear(Ok(1));
        assert_eq!(service.writes(RETRY * 10).await, []);

        service.fake.answer(200, &object(3, 1, &Value::Null));
        service.hear(Err("gone mad"));
        let message = "`FlowRules/shop/orders` cannot be read: gone mad";
        assert_eq!(service.writes(SPREAD * 2).await, written("False", message));
    }

    #[tokio::test(start_paused = true)]
    async fn what_somebody_else_has_written_meanwhile_is_not_written_again() {
        let mut service = Service::new();
        service.hear(Ok(1));
        service.becomes(&object(2, 1, &said("True", "1 rule is in force", 1)));
        assert_eq!(service.writes(RETRY * 10).await, []);

        // Nor after a conflict.
        service.hear(Ok(2));
        service.fake.answer(409, &refused(409, "orders"));
        service.try_once().await;
        assert_eq!(service.fake.asked().len(), 1);
        service.becomes(&object(3, 1, &said("True", "2 rules are in force", 1)));
        assert_eq!(service.writes(RETRY * 10).await, []);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_about_an_object_that_has_changed_is_not_written() {
        let mut service = Service::new();
        service.hear(Ok(1));
        service.becomes(&object(2, 2, &Value::Null));
        assert_eq!(service.writes(RETRY * 10).await, []);
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_no_trouble_waits_before_contradicting_those_who_have() {
        let mut service = Service::new();
        service.becomes(&object(2, 1, &said("False", "no", 1)));
        service.hear(Ok(1));
        assert_eq!(service.writes(DOUBT).await, []);
        service.fake.answer(200, &object(3, 1, &Value::Null));
        assert_eq!(service.writes(DOUBT * 2).await.len(), 1);

        // Those who had it themselves know that it is over.
        let mut service = Service::new();
        service.fake.answer(200, &object(2, 1, &Value::Null)).answer(200, &object(3, 1, &Value::Null));
        service.hear(Err("no"));
        assert_eq!(service.writes(SPREAD * 2).await.len(), 1);
        service.becomes(&object(2, 1, &said("False", "no", 1)));
        service.hear(Ok(1));
        assert_eq!(service.writes(SPREAD * 2).await, written("True", "1 rule is in force"));
    }

    #[tokio::test(start_paused = true)]
    async fn who_may_not_write_tries_once() {
        for refusal in [refused(403, "orders"), refused(404, "")] {
            let mut service = Service::new();
            service.fake.answer(refusal["code"].as_u64().unwrap() as u16, &refusal);
            service.hear(Ok(1));
            assert_eq!(service.writes(SPREAD * 2).await.len(), 1);
            assert_eq!(service.reporter.off().as_deref(), Some("no"));
            service.hear(Ok(2));
            assert_eq!(service.writes(RETRY * 10).await, []);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_fails_is_tried_again_later() {
        let mut service = Service::new();
        service.fake.answer(500, &refused(500, "")).answer(404, &refused(404, "orders"));
        service.hear(Ok(1));
        assert_eq!(service.writes(SPREAD + PAUSE).await.len(), 1);
        assert_eq!(service.writes(RETRY + PAUSE).await.len(), 1);
        service.fake.answer(200, &object(2, 1, &Value::Null));
        assert_eq!(service.writes(RETRY * 10).await.len(), 1);
        assert_eq!(service.reporter.off(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn many_objects_are_written_one_after_the_other() {
        let mut service = Service::new();
        let name = |number: u32| format!("FlowRules/shop/{number}");
        for number in 0..50 {
            let mut object = object(1, 1, &Value::Null);
            object["metadata"]["name"] = number.to_string().into();
            service.becomes(&object);
            service.fake.answer(200, &object);
        }
        let names: Vec<String> = (0..50).map(name).collect();
        let good = Ok(1);
        service.reporter.hear(names.iter().map(|name| (&**name, &good)), &service.objects);
        let all = async {
            loop {
                service.reporter.go_on(&service.objects).await;
            }
        };
        let _: Result<(), _> = timeout(Duration::from_secs(4), all).await;
        let written = service.fake.asked().len();
        assert!((10..=20).contains(&written), "{written} within four seconds");
    }
}
