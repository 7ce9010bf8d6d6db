use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::General;

/// When inbound calls are refused because the machine is busy.
#[derive(Clone, Debug, PartialEq, KubeSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = (
        "self.metricType != 'CpuUsage' || self.triggerCount <= 100",
        "triggerCount is in percent, at most 100, where metricType is CpuUsage"
    ),
    validation = (
        "!(self.metricType in ['Load', 'CpuUsage', 'AvgRT']) || self.triggerCount > 0",
        "triggerCount is above 0 where metricType is Load, CpuUsage or AvgRT"
    )
)]
pub struct SystemRule {
    /// Which rule it is, and whether it is in force.
    #[serde(flatten)]
    pub general: General,
    /// What is limited.
    pub metric_type: SystemMetric,
    /// Whether calls in flight are limited to what was measured, or all are refused.
    pub strategy: SystemStrategy,
    /// From where on: the load in hundredths, the use of the processor in percent, milliseconds, calls in flight, calls
    /// per second.
    #[schemars(range(min = 0, max = 4_294_967_295_i64))]
    pub trigger_count: i64,
}

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub enum SystemMetric {
    /// The load average of one minute, in hundredths.
    Load,
    /// The average response time, in milliseconds.
    #[serde(rename = "AvgRT")]
    AvgRt,
    /// Calls in flight.
    Concurrency,
    /// Calls per second.
    #[serde(rename = "InboundQPS")]
    InboundQps,
    /// The use of the processor, in percent.
    CpuUsage,
}

/// What becomes of calls while the machine is busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub enum SystemStrategy {
    /// All are refused.
    NoAdaptive,
    /// As many are let in as the machine was measured to serve.
    #[serde(rename = "BBR")]
    Bbr,
}
