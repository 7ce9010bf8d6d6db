use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ControlBehavior, General, Target};

/// How many calls each value of an argument may make.
#[derive(Clone, Debug, PartialEq, KubeSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = (
        "self.metricType != 'QPS' || has(self.durationInSec)",
        "metricType QPS needs durationInSec: the time that the threshold refers to"
    ),
    validation = (
        "!has(self.paramIndex) || !has(self.paramKey)",
        "paramIndex and paramKey exclude each other: the argument has a position or a name"
    )
)]
pub struct HotspotRule {
    /// Which rule it is, and whether it is in force.
    #[serde(flatten)]
    pub general: General,
    /// Which resources it is about.
    #[serde(flatten)]
    pub target: Target,
    /// Whether permits count in time or while they are inside.
    pub metric_type: HotspotMetric,
    /// What becomes of calls beyond the threshold; by default they are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control_behavior: Option<ControlBehavior>,
    /// The position of the argument, from 0, or from the end: -1 is the last; by default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -2_147_483_647, max = 2_147_483_647))]
    pub param_index: Option<i32>,
    /// The name of the argument, in place of its position.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub param_key: Option<String>,
    /// Permits of one value, per duration or inside; 0 refuses every value.
    #[schemars(range(min = 0, max = 4_294_967_295_i64))]
    pub threshold: i64,
    /// The longest wait of calls that are spaced, in milliseconds; by default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 3_600_000))]
    pub max_queueing_time_ms: Option<i64>,
    /// Permits that a value which has rested has beyond the threshold; by default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 4_294_967_295_i64))]
    pub burst_count: Option<i64>,
    /// The time that the threshold refers to, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 604_800))]
    pub duration_in_sec: Option<i64>,
    /// How many values have a state of their own; by default 10,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub params_max_capacity: Option<i64>,
    /// Values with a threshold of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 10_000))]
    pub specific_items: Option<Vec<SpecificItem>>,
}

/// Whether permits count in time or while they are inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub enum HotspotMetric {
    /// While they are inside.
    Concurrency,
    /// In time.
    #[serde(rename = "QPS")]
    Qps,
}

/// A value with a threshold of its own.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SpecificItem {
    /// What the value is.
    pub val_kind: ValueKind,
    /// The value, as a text.
    #[schemars(length(max = 1_024))]
    pub val_str: String,
    /// Its threshold.
    #[schemars(range(min = 0, max = 4_294_967_295_i64))]
    pub threshold: i64,
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub enum ValueKind {
    /// A whole number.
    KindInt,
    /// A text.
    KindString,
    /// A truth value.
    KindBool,
    /// A number.
    KindFloat64,
}
