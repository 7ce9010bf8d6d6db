use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ControlBehavior, General, Target};

/// How many calls per interval a resource admits.
#[derive(Clone, Debug, PartialEq, KubeSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = (
        "!has(self.relationStrategy) || self.relationStrategy != 'AssociatedResource' || has(self.refResource)",
        "relationStrategy AssociatedResource needs refResource: the resource whose calls count"
    ),
    validation = (
        "!has(self.tokenCalculateStrategy) || self.tokenCalculateStrategy != 'WarmUp' || has(self.warmUpPeriodSec)",
        "tokenCalculateStrategy WarmUp needs warmUpPeriodSec: how long it takes to get warm"
    ),
    validation = (
        "!has(self.tokenCalculateStrategy) || self.tokenCalculateStrategy != 'MemoryAdaptive' || \
         (has(self.lowMemUsageThreshold) && has(self.highMemUsageThreshold) && has(self.memLowWaterMarkBytes) && \
         has(self.memHighWaterMarkBytes))",
        "tokenCalculateStrategy MemoryAdaptive needs lowMemUsageThreshold, highMemUsageThreshold, \
         memLowWaterMarkBytes and memHighWaterMarkBytes"
    )
)]
pub struct FlowRule {
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
    /// Permits per interval; 0 refuses everything.
    #[schemars(range(min = 0, max = 4_294_967_295_i64))]
    pub threshold: i64,
    /// The time that the threshold refers to, in milliseconds; by default a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 604_800_000))]
    pub stat_interval_in_ms: Option<i64>,
    /// Whose calls are counted: the resource's own, or those that another one admits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relation_strategy: Option<RelationStrategy>,
    /// The resource whose calls count instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub ref_resource: Option<String>,
    /// Where the threshold in force comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_calculate_strategy: Option<TokenCalculateStrategy>,
    /// How long a busy resource takes to get warm, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 86_400))]
    pub warm_up_period_sec: Option<i64>,
    /// How many times lower the threshold of a cold resource is; by default 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 2, max = 1_000))]
    pub warm_up_cold_factor: Option<i64>,
    /// The threshold while little memory is in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 4_294_967_295_i64))]
    pub low_mem_usage_threshold: Option<i64>,
    /// The threshold while much memory is in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 4_294_967_295_i64))]
    pub high_mem_usage_threshold: Option<i64>,
    /// What counts as little memory, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub mem_low_water_mark_bytes: Option<i64>,
    /// What counts as much memory, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub mem_high_water_mark_bytes: Option<i64>,
    /// What becomes of calls beyond the threshold; by default they are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control_behavior: Option<ControlBehavior>,
    /// The longest wait of calls that are spaced, in milliseconds; by default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 3_600_000))]
    pub max_queueing_time_ms: Option<i64>,
}

/// Whose calls are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub enum RelationStrategy {
    /// The resource's own.
    CurrentResource,
    /// Those that another resource admits.
    AssociatedResource,
}

/// Where the threshold in force comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub enum TokenCalculateStrategy {
    /// It is the one given.
    Direct,
    /// It rises while the resource gets warm.
    WarmUp,
    /// It follows the memory in use.
    MemoryAdaptive,
}
