use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{General, Target};

/// Who may call a resource.
#[derive(Clone, Debug, PartialEq, KubeSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuthorityRule {
    /// Which rule it is, and whether it is in force.
    #[serde(flatten)]
    pub general: General,
    /// Which resources it is about.
    #[serde(flatten)]
    pub target: Target,
    /// Whether the origins are the only ones admitted, or the only ones refused; by default the former.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<ListStrategy>,
    /// The origins.
    #[schemars(length(min = 1, max = 10_000), inner(length(min = 1, max = 512)))]
    pub origins: Vec<String>,
    /// Whether a list of those admitted refuses calls without an origin as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strict: Option<bool>,
}

/// Whether listed origins are the only ones admitted, or the only ones refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ListStrategy {
    /// The only ones admitted.
    Allow,
    /// The only ones refused.
    Deny,
}
