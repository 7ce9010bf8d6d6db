//! The other way: rules into objects.

use std::time::Duration;

use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
    core::DynamicObject,
};
use sentinel_core::{Encoding, Format, Rules};
use sentinel_datasource::{Cause, Condition, Publish, PublishError, SourceError, within};
use serde_json::{Value, json};

use crate::{
    FIELD_MANAGER, Kind, KubernetesSource,
    client::{self, Connected},
    error,
    source::Scope,
};

/// An object to be written.
struct Target {
    key: String,
    kind: Kind,
    namespace: String,
    name: String,
    api: Api<DynamicObject>,
    server: String,
}

impl Publish for KubernetesSource {
    /// Keys are those of the documents: `FlowRules/orders/limits` is the object `limits` of the kind `FlowRules` in the
    /// namespace `orders`. The rules are of the family of the kind.
    ///
    /// A revision is of the rules alone: one stays what it is when the status or the labels of the object change.
    async fn publish(
        &mut self,
        key: &str,
        rules: &Rules,
        condition: Condition,
    ) -> Result<Option<String>, PublishError> {
        within(LIMIT, "publishing", async {
            let target = self.target(key).await?;
            let spec = target.spec(rules)?;
            let written = match condition {
                Condition::Always => target.apply(&spec).await,
                Condition::Absent => target.create(&spec).await,
                Condition::Revision(revision) => target.replace(&spec, &revision).await,
                _ => return Err(PublishError::Unconditional { server: target.server }),
            };
            written.map(|object| Some(revision(&object)))
        })
        .await
    }

    async fn revision(&mut self, key: &str) -> Result<Option<String>, PublishError> {
        within(LIMIT, "reading the revision", async { self.target(key).await?.revision().await }).await
    }
}

/// How long a server may take for what is asked of it, connecting included.
const LIMIT: Duration = Duration::from_secs(10);

impl KubernetesSource {
    async fn target(&self, key: &str) -> Result<Target, PublishError> {
        let unknown = || PublishError::UnknownKey { key: key.to_owned() };
        let mut parts = key.split('/');
        let (Some(kind), Some(namespace), Some(name), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(unknown());
        };
        let kind = Kind::from_name(kind).filter(|kind| self.selection.has(*kind, name)).ok_or_else(unknown)?;
        let Connected { client, server } = client::connect(&self.access).await?;
        let is_inside = match &self.scope {
            Some(Scope::All) => true,
            Some(Scope::Namespace(selected)) => selected == namespace,
            None => client.default_namespace() == namespace,
        };
        if !is_inside || namespace.is_empty() || name.is_empty() {
            return Err(unknown());
        }
        Ok(Target::new(client, server, kind, namespace, name))
    }
}

impl Target {
    fn new(client: Client, server: String, kind: Kind, namespace: &str, name: &str) -> Self {
        Self {
            key: format!("{kind}/{namespace}/{name}"),
            kind,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            api: Api::namespaced_with(client, namespace, &kind.resource()),
            server,
        }
    }

    fn spec(&self, rules: &Rules) -> Result<Value, PublishError> {
        let encoding = Encoding::kubernetes().family(self.kind.family()).format(Format::Json);
        let text = rules.encode(&encoding).map_err(|error| PublishError::Document { key: self.key.clone(), error })?;
        let spec = serde_json::from_str(&text);
        spec.map_err(|error| SourceError::Unreadable { key: self.key.clone(), cause: error.into() }.into())
    }

    fn object(&self, spec: &Value) -> Value {
        let resource = self.kind.resource();
        json!({
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": {"namespace": self.namespace, "name": self.name},
            "spec": spec,
        })
    }

    async fn apply(&self, spec: &Value) -> Result<DynamicObject, PublishError> {
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        let applied = self.api.patch(&self.name, &parameters, &Patch::Apply(self.object(spec))).await;
        applied.map_err(|failed| self.failed(failed))
    }

    async fn create(&self, spec: &Value) -> Result<DynamicObject, PublishError> {
        let object = serde_json::from_value(self.object(spec));
        let object = object.map_err(|error| SourceError::Unreadable { key: self.key.clone(), cause: error.into() })?;
        let parameters = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        self.api.create(&parameters, &object).await.map_err(|failed| match failed {
            kube::Error::Api(status) if status.code == 409 => self.conflict(),
            failed => self.failed(failed),
        })
    }

    async fn replace(&self, spec: &Value, expected: &str) -> Result<DynamicObject, PublishError> {
        // Where there is no such object, there is nothing of this revision either.
        let (generation, uid) = expected.split_once('/').unwrap_or_default();
        let Ok(generation) = generation.parse::<i64>() else { return Err(self.conflict()) };
        let patch = serde_json::from_value(json!([
            {"op": "test", "path": "/metadata/uid", "value": uid},
            {"op": "test", "path": "/metadata/generation", "value": generation},
            {"op": "replace", "path": "/spec", "value": spec},
        ]));
        let patch = patch.map_err(|error| SourceError::Unreadable { key: self.key.clone(), cause: error.into() })?;
        let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        match self.api.patch(&self.name, &parameters, &Patch::<()>::Json(patch)).await {
            Ok(object) => Ok(object),
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Err(self.conflict()),
            // A test that fails and rules that the schema refuses look the same.
            Err(kube::Error::Api(status)) if status.code == 422 => match self.revision().await? {
                Some(revision) if revision == expected => Err(self.failed(kube::Error::Api(status))),
                _ => Err(self.conflict()),
            },
            Err(failed) => Err(self.failed(failed)),
        }
    }

    async fn revision(&self) -> Result<Option<String>, PublishError> {
        let object = self.api.get_opt(&self.name).await.map_err(|failed| self.failed(failed))?;
        Ok(object.as_ref().map(revision))
    }

    fn conflict(&self) -> PublishError {
        PublishError::Conflict { key: self.key.clone() }
    }

    fn failed(&self, failed: kube::Error) -> PublishError {
        match failed {
            // The schema says which field is wrong.
            kube::Error::Api(status) if status.code == 422 => {
                SourceError::Unreadable { key: self.key.clone(), cause: Cause::text(status.message) }.into()
            }
            failed => error::of_client(&self.server, failed).into(),
        }
    }
}

/// The server counts the versions of the spec of an object, and tells one object from the next of the same name.
fn revision(object: &DynamicObject) -> String {
    let metadata = &object.metadata;
    format!("{}/{}", metadata.generation.unwrap_or_default(), metadata.uid.as_deref().unwrap_or_default())
}
