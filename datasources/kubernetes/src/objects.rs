//! The objects that there are, as watches tell of them.

use std::collections::BTreeMap;

use kube::{ResourceExt as _, core::DynamicObject, runtime::watcher::Event};
use sentinel_core::Encoding;
use sentinel_datasource::Document;
use serde_json::Value;

use crate::Kind;

/// One object, without what is of no use here.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Object {
    pub(crate) kind: Kind,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) generation: i64,
    pub(crate) version: String,
    pub(crate) spec: Vec<u8>,
    pub(crate) status: Value,
}

impl Object {
    pub(crate) fn new(kind: Kind, mut object: DynamicObject) -> Self {
        let mut part = |name| object.data.get_mut(name).map(Value::take).unwrap_or_default();
        let (spec, status) = (part("spec"), part("status"));
        Self {
            kind,
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
            uid: object.uid().unwrap_or_default(),
            generation: object.metadata.generation.unwrap_or_default(),
            version: object.resource_version().unwrap_or_default(),
            spec: spec.to_string().into_bytes(),
            status,
        }
    }

    pub(crate) fn key(&self) -> String {
        format!("{}/{}/{}", self.kind, self.namespace, self.name)
    }

    /// What its rules depend on, and which state of which object they are: not the status, which is written for each change
    /// of the rules.
    fn state(&self) -> (Kind, &str, &str, &str, i64, &[u8]) {
        (self.kind, &self.namespace, &self.name, &self.uid, self.generation, &self.spec)
    }

    pub(crate) fn document(&self) -> Document {
        Document::new(self.key(), self.spec.clone(), Encoding::kubernetes().family(self.kind.family()))
    }
}

/// All objects of a connection, watch by watch.
#[derive(Debug, Default)]
pub(crate) struct Objects(Vec<Watched>);

/// The objects of one watch.
#[derive(Debug)]
struct Watched {
    kind: Kind,
    current: BTreeMap<String, Object>,
    /// What is being listed in place of that.
    next: Option<BTreeMap<String, Object>>,
    is_complete: bool,
}

impl Objects {
    /// For watches of these kinds, in this order.
    pub(crate) fn new(kinds: impl IntoIterator<Item = Kind>) -> Self {
        let watched = |kind| Watched { kind, current: BTreeMap::new(), next: None, is_complete: false };
        Self(kinds.into_iter().map(watched).collect())
    }

    /// Takes in what a watch tells: whether there is something to be read, or to be said of what was read.
    pub(crate) fn take(&mut self, watch: usize, event: Event<DynamicObject>) -> bool {
        self.0.get_mut(watch).is_some_and(|watched| watched.take(event))
    }

    /// Whether each watch has told of all its objects once.
    pub(crate) fn is_complete(&self) -> bool {
        self.0.iter().all(|watched| watched.is_complete)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Object> {
        self.0.iter().flat_map(|watched| watched.current.values())
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Object> {
        self.0.iter().find_map(|watched| watched.current.get(key))
    }

    /// The version of the object that was changed last.
    pub(crate) fn version(&self) -> Option<u64> {
        self.iter().filter_map(|object| object.version.parse().ok()).max()
    }
}

impl Watched {
    fn take(&mut self, event: Event<DynamicObject>) -> bool {
        match event {
            Event::Init => {
                self.next = Some(BTreeMap::new());
                false
            }
            Event::InitApply(object) => {
                let object = Object::new(self.kind, object);
                self.next.get_or_insert_default().insert(object.key(), object);
                false
            }
            Event::InitDone => {
                self.is_complete = true;
                let next = self.next.take().unwrap_or_default();
                let before = std::mem::replace(&mut self.current, next);
                !self.current.values().map(Object::state).eq(before.values().map(Object::state))
            }
            Event::Apply(object) => {
                let object = Object::new(self.kind, object);
                let key = object.key();
                let is_new = self.current.get(&key).is_none_or(|before| before.state() != object.state());
                self.current.insert(key, object);
                is_new
            }
            Event::Delete(object) => self.current.remove(&Object::new(self.kind, object).key()).is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(name: &str, version: u32, threshold: u32) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "datasource.sentinel.io/v1alpha1",
            "kind": "FlowRules",
            "metadata": {"namespace": "shop", "name": name, "resourceVersion": version.to_string(), "generation": 3},
            "spec": {"rules": [{"resource": "orders", "threshold": threshold}]},
            "status": {"rules": version},
        }))
        .unwrap()
    }

    fn listed(names: &[&str]) -> Objects {
        let mut objects = Objects::new([Kind::FlowRules]);
        objects.take(0, Event::Init);
        for name in names {
            assert!(!objects.take(0, Event::InitApply(object(name, 1, 1))));
        }
        assert!(!objects.is_complete());
        assert_eq!(objects.take(0, Event::InitDone), !names.is_empty());
        assert!(objects.is_complete());
        objects
    }

    fn keys(objects: &Objects) -> Vec<String> {
        objects.iter().map(Object::key).collect()
    }

    #[test]
    fn only_what_changes_rules_is_a_change() {
        let mut objects = listed(&["a"]);
        assert!(!objects.take(0, Event::Apply(object("a", 2, 1))), "the status alone");
        assert_eq!(objects.version(), Some(2), "which is known all the same");
        let mut again = object("a", 2, 1);
        again.metadata.uid = Some("another".to_owned());
        assert!(objects.take(0, Event::Apply(again)), "another object, which has no status yet");
        assert!(objects.take(0, Event::Apply(object("a", 3, 2))));
        assert!(objects.take(0, Event::Apply(object("b", 10, 2))));
        assert_eq!(keys(&objects), ["FlowRules/shop/a", "FlowRules/shop/b"]);
        assert_eq!(objects.version(), Some(10));
        assert!(objects.take(0, Event::Delete(object("a", 11, 2))));
        assert!(!objects.take(0, Event::Delete(object("a", 11, 2))));
        assert_eq!(keys(&objects), ["FlowRules/shop/b"]);
    }

    #[test]
    fn a_new_list_replaces_the_old_one_when_it_is_complete() {
        let mut objects = listed(&["a", "b"]);
        objects.take(0, Event::Init);
        objects.take(0, Event::InitApply(object("b", 2, 1)));
        assert_eq!(keys(&objects).len(), 2, "not before");
        assert!(objects.take(0, Event::InitDone));
        assert_eq!(keys(&objects), ["FlowRules/shop/b"]);

        objects.take(0, Event::Init);
        objects.take(0, Event::InitApply(object("b", 3, 1)));
        assert!(!objects.take(0, Event::InitDone), "the same rules again");
    }
}
