use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::{General, Target};

/// When a client stops asking a service that fails.
#[derive(Clone, Debug, PartialEq, KubeSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    // The bound of the field is one of whole numbers where the value is one.
    validation = ("!has(self.k) || self.k >= 1.1", "k is at least 1.1"),
    validation = ("!has(self.maxShare) || self.maxShare > 0.0", "maxShare is above 0")
)]
pub struct SheddingRule {
    /// Which rule it is, and whether it is in force.
    #[serde(flatten)]
    pub general: General,
    /// Which resources it is about.
    #[serde(flatten)]
    pub target: Target,
    /// How many calls are asked for per call that goes well, before it sheds: the higher, the later; by default 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1.1, max = 100))]
    pub k: Option<f64>,
    /// The time that is looked back on, in milliseconds; by default two minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1_000, max = 3_600_000))]
    pub interval_ms: Option<i64>,
    /// Calls within the interval from which on the share says anything; by default 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 4_294_967_295_i64))]
    pub min_request_amount: Option<i64>,
    /// The greatest share of calls that are shed; by default 0.95.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1))]
    pub max_share: Option<f64>,
}
