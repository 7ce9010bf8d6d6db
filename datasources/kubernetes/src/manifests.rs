//! What a cluster has to be told: the kinds of objects, and who may do what with them.
//!
//! The command `sentinel-crds` prints it.

use k8s_openapi::{
    api::rbac::v1::{ClusterRole, PolicyRule},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::core::ObjectMeta;
use serde::Serialize;

use crate::{Kind, resources::GROUP};

/// The name of the role for services that follow rules.
pub const READER: &str = "sentinel-rules-reader";

/// The name of the role for programs that write rules.
pub const PUBLISHER: &str = "sentinel-rules-publisher";

/// Why objects could not be written as YAML.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct ManifestError(#[from] serde_saphyr::SerializeError);

/// The definitions of all kinds. Servers before 1.25 know no CEL, and pass over that part of the schemas.
pub fn definitions() -> Vec<CustomResourceDefinition> {
    Kind::ALL.map(Kind::definition).into()
}

/// The roles: [`READER`] for services that follow rules and say what became of them, [`PUBLISHER`] for programs that
/// write rules. Neither may do anything else; a binding says in which namespaces.
pub fn roles() -> Vec<ClusterRole> {
    let resources = || Kind::ALL.map(|kind| kind.resource().plural);
    let status = resources().map(|plural| format!("{plural}/status"));
    vec![
        role(READER, [rule(resources(), &["list", "watch"]), rule(status, &["patch"])]),
        role(PUBLISHER, [rule(resources(), &["create", "get", "patch"])]),
    ]
}

fn role(name: &str, rules: impl Into<Vec<PolicyRule>>) -> ClusterRole {
    let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
    ClusterRole { metadata, rules: Some(rules.into()), aggregation_rule: None }
}

fn rule(resources: impl Into<Vec<String>>, verbs: &[&str]) -> PolicyRule {
    PolicyRule {
        api_groups: Some(vec![GROUP.to_owned()]),
        resources: Some(resources.into()),
        verbs: verbs.iter().map(|verb| (*verb).to_owned()).collect(),
        ..PolicyRule::default()
    }
}

/// Objects as the documents of a YAML stream, as `kubectl apply -f` takes it.
///
/// # Errors
///
/// When an object has no form in YAML; none of those here is so.
pub fn yaml(objects: &[impl Serialize]) -> Result<String, ManifestError> {
    let mut text = String::new();
    for object in objects {
        text.push_str("---\n");
        text.push_str(&serde_saphyr::to_string(object)?);
    }
    Ok(text)
}
