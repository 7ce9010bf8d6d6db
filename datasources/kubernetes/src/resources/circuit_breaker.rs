use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{General, Target};

/// When calls of a resource that is slow or fails are refused for a while.
#[derive(Clone, Debug, PartialEq, KubeSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = (
        "self.strategy == 'ErrorCount' || self.threshold <= 100",
        "threshold is in percent, at most 100, unless strategy is ErrorCount"
    ),
    validation = (
        "self.strategy != 'ErrorCount' || self.threshold >= 1",
        "threshold is a number of errors, at least 1, where strategy is ErrorCount"
    ),
    validation = ("self.threshold > 0", "threshold is above 0")
)]
pub struct CircuitBreakerRule {
    /// Which rule it is, and whether it is in force.
    #[serde(flatten)]
    pub general: General,
    /// Which resources it is about.
    #[serde(flatten)]
    pub target: Target,
    /// Which results are bad, and whether their share or their number counts.
    pub strategy: BreakerStrategy,
    /// From where on it opens: a share of bad results in percent, or a number of errors.
    #[schemars(range(min = 0, max = 4_294_967_295_i64))]
    pub threshold: i64,
    /// What takes longer is slow, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 604_800_000))]
    pub max_allowed_rt_ms: Option<i64>,
    /// How long it stays open, in milliseconds.
    #[schemars(range(min = 1, max = 604_800_000))]
    pub retry_timeout_ms: i64,
    /// With fewer results in the window it does not open; by default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 4_294_967_295_i64))]
    pub min_request_amount: Option<i64>,
    /// How long the window reaches back, in milliseconds.
    #[schemars(range(min = 1, max = 604_800_000))]
    pub stat_interval_ms: i64,
    /// In how many parts results leave the window; by default 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub stat_sliding_window_bucket_count: Option<i64>,
    /// How many probes have to end well until it closes; by default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000))]
    pub probe_num: Option<i64>,
}

/// Which results are bad, and whether their share or their number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub enum BreakerStrategy {
    /// The share of slow calls.
    SlowRequestRatio,
    /// The share of calls that failed.
    ErrorRatio,
    /// The number of calls that failed.
    ErrorCount,
}
