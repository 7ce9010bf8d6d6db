use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::{General, Target};

/// How many calls of a resource may be in flight at a time.
#[derive(Clone, Debug, PartialEq, KubeSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IsolationRule {
    /// Which rule it is, and whether it is in force.
    #[serde(flatten)]
    pub general: General,
    /// Which resources it is about.
    #[serde(flatten)]
    pub target: Target,
    /// Whose calls count: everybody's together (`default`), those of one origin, or of every `other` one on its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub limit_app: Option<String>,
    /// Permits in flight.
    #[schemars(range(min = 1, max = 4_294_967_295_i64))]
    pub threshold: i64,
}
